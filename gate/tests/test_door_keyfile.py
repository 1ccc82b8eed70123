# SPDX-License-Identifier: BSD-3-Clause
"""Keys are let in and shut out, and nobody else's line is touched."""

import base64
import errno
import os
import stat
import sys
import time
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gatectl_home import HomeTest
from slidegate_gate.door import keyfile
from slidegate_gate.door import line as lines

OTHERS = b"# Anna's keys \xe9\r\n\nssh-rsa AAAA not a key\nno-pty ssh-ed25519 %s anna@home\n \t \n" % (
    base64.b64encode(b"\0\0\0\x0bssh-ed25519" + b"o" * 36)
)


def blob(letter):
    return b"\0\0\0\x0bssh-ed25519\0\0\0 " + letter.encode() * 32


class DoorTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.account = self.be_anna()
        self.ssh = os.path.join(self.account, ".ssh")
        self.file = os.path.join(self.ssh, "authorized_keys")
        self.good("install")
        self.good("key", "add", "omero", "--workflow", "*")

    def write(self, data, mode=0o600):
        os.makedirs(self.ssh, 0o700, exist_ok=True)
        with open(self.file, "wb") as file:
            file.write(data)
        os.chmod(self.file, mode)

    def read(self):
        with open(self.file, "rb") as file:
            return file.read()

    def authorize(self, letter="a", name="omero", *words):
        return self.good("authorize", self.public_key(letter), "--key", name, *words).splitlines()


class AuthorizeTest(DoorTest):
    def test_a_key_is_let_in_by_the_line_that_is_printed(self):
        said = self.authorize("a", "omero", "--from", "10.99.1.2", "--until", "2999-12-31")
        command = "exec {} -IS {}/current serve --key omero".format(sys.executable, self.home)
        options = 'restrict,from="10.99.1.2",expiry-time="29991231",command="{}"'.format(command)
        self.assertTrue(said[0].startswith(options + " ssh-ed25519 AAAA"), said[0])
        self.assertTrue(said[0].endswith(" slidegate:omero"))
        self.assertEqual(self.read().decode(), said[0] + "\n")
        self.assertIn("(new)", said[1])
        self.assertEqual(
            said[-1], "exec {} -IS {}/current serve --key omero".format(sys.executable, self.home)
        )
        modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (self.ssh, self.file)]
        self.assertEqual(modes, [0o700, 0o600])

    def test_a_repeat_changes_nothing(self):
        self.authorize()
        before = os.stat(self.file)
        self.assertIn("(was there)", self.authorize()[1])
        after = os.stat(self.file)
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))

    def test_lines_of_others_stay_byte_for_byte(self):
        for others in (OTHERS, OTHERS + b"last line without end"):
            self.write(others)
            self.authorize()
            end = b"" if others.endswith(b"\n") else b"\n"
            self.assertTrue(self.read().startswith(others + end))
            self.assertEqual(self.read()[len(others + end) :].count(b"\n"), 1)
            self.good("deauthorize", self.public_key())
            self.assertEqual(self.read(), others + end)

    def test_other_options_replace_the_line_where_it_stands(self):
        self.authorize("a")
        self.write(self.read() + OTHERS)
        self.assertIn("(changed)", self.authorize("a", "omero", "--from", "10.0.0.0/8")[1])
        first, _, rest = self.read().partition(b"\n")
        self.assertIn(b'from="10.0.0.0/8"', first)
        self.assertEqual(rest, OTHERS)

    def test_a_line_that_somebody_loosened_is_mended(self):
        self.authorize()
        whole = self.read()
        self.write(whole.replace(b"restrict,", b""))
        self.authorize()
        self.assertEqual(self.read(), whole)

    def test_a_second_key_of_the_same_name_is_let_in_beside_the_first(self):
        self.authorize("a")
        self.authorize("b")
        self.assertEqual(
            [lines.split(line)[1] for line in keyfile.lines_into(self.home)], [blob("a"), blob("b")]
        )

    def test_a_name_that_no_key_has_is_refused_with_the_command_to_run(self):
        said = self.refused("unknown-name", "authorize", self.public_key(), "--key", "lab")
        self.assertIn("gatectl key add lab", said)
        self.assertFalse(os.path.exists(self.file))

    def test_a_key_that_already_opens_more_is_refused(self):
        free = base64.b64encode(blob("a"))
        for options in (b"", b"restrict,pty ", b'from="10.0.0.1" ', b"cert-authority "):
            self.write(OTHERS + options + b"ssh-ed25519 " + free + b" anna\n")
            before = self.read()
            said = self.refused("key-in-use", "authorize", self.public_key(), "--key", "omero")
            self.assertIn("line 6 of", said)
            self.assertEqual(self.read(), before)

    def test_a_key_that_opens_more_by_the_second_file_is_refused(self):
        self.write(b"")
        os.rename(self.file, self.file + "2")
        with open(self.file + "2", "ab") as file:
            file.write(b"ssh-ed25519 " + base64.b64encode(blob("a")))
        self.assertIn("keys2", self.refused("key-in-use", "authorize", self.public_key(), "--key", "omero"))

    def test_a_key_has_one_name(self):
        self.good("key", "add", "lab", "--workflow", "*")
        self.authorize("a", "lab")
        self.refused("key-in-use", "authorize", self.public_key(), "--key", "omero")

    def test_addresses_are_numeric_and_networks_have_no_host_part(self):
        for text in ("10.99.1.2", "10.99.1.2,fd00::1", "10.99.0.0/16"):
            self.assertIn(',from="{}",'.format(text), self.authorize("a", "omero", "--from", text)[0])
        before = self.read()
        for text in ("office", "*", "10.99.1.2/16", "10.1.1.1,", '1.1.1.1",command="sh', "!1.1.1.1"):
            self.refused("bad-key", "authorize", self.public_key(), "--key", "omero", "--from", text)
        self.assertEqual(self.read(), before)

    def test_a_date_must_be_a_date_to_come(self):
        for text in ("20271231", "2999-02-30", "2999-1-1x", "2020-01-01", time.strftime("%Y-%m-%d")):
            self.refused("bad-key", "authorize", self.public_key(), "--key", "omero", "--until", text)
        self.assertFalse(os.path.exists(self.file))

    def test_a_private_key_is_refused_and_not_shown(self):
        path = self.public_key("a", "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
        said = self.refused("bad-key", "authorize", path, "--key", "omero")
        self.assertIn("private key", said)
        self.assertNotIn("c2VjcmV0", said)

    def test_a_home_that_the_line_could_not_name_is_refused(self):
        self.home = os.path.join(self.folder, "my gate")
        self.good("install")
        self.good("key", "add", "omero", "--workflow", "*")
        self.refused("bad-key", "authorize", self.public_key(), "--key", "omero")
        self.assertFalse(os.path.exists(self.file))


class PlacesTest(DoorTest):
    def refusal(self):
        return self.refused("unsafe-permissions", "authorize", self.public_key(), "--key", "omero")

    def test_places_that_others_can_write_to_are_refused(self):
        for place in ("account", "ssh", "file"):
            for bit in (0o020, 0o002):
                self.write(b"")
                path = getattr(self, place)
                mode = stat.S_IMODE(os.stat(path).st_mode)
                os.chmod(path, mode | bit)
                self.assertIn("chmod go-w {}`".format(path), self.refusal())
                os.chmod(path, mode)
                self.assertEqual(self.read(), b"")

    def test_links_are_not_followed(self):
        other = os.path.join(self.folder, "other")
        self.write(b"")
        os.rename(self.file, other)
        os.symlink(other, self.file)
        self.assertIn("is a link", self.refusal())
        os.unlink(self.file)
        os.rename(self.ssh, other + "2")
        os.symlink(other + "2", self.ssh)
        self.assertIn("is a link", self.refusal())
        with open(other) as file:
            self.assertEqual(file.read(), "")

    def test_files_of_other_accounts_are_refused(self):
        self.write(b"")
        lstat = os.lstat

        def foreign(path):
            info = list(lstat(path))
            return os.stat_result(info[:4] + [12345] + info[5:])

        with mock.patch("os.lstat", foreign):
            with self.assertRaises(keyfile.UnsafePermissions) as caught:
                keyfile.add(b"", self.home)
        self.assertIn("belongs to account", str(caught.exception))

    def test_a_change_by_somebody_else_in_between_is_not_lost(self):
        self.write(OTHERS)
        write = keyfile.folders.write

        def meanwhile(folder, contents):
            write(folder, contents)
            self.write(OTHERS + b"# new\n")

        with mock.patch.object(keyfile.folders, "write", meanwhile):
            self.refused("key-in-use", "authorize", self.public_key(), "--key", "omero")
        self.assertEqual(self.read(), OTHERS + b"# new\n")
        self.assertEqual(os.listdir(self.ssh), ["authorized_keys"])

    def test_a_disk_that_is_full_leaves_the_file_as_it_was_and_nothing_beside_it(self):
        self.write(OTHERS)
        with mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            self.refused("system-error", "authorize", self.public_key(), "--key", "omero")
        self.assertEqual(self.read(), OTHERS)
        self.assertEqual(os.listdir(self.ssh), ["authorized_keys"])


class DeauthorizeTest(DoorTest):
    def setUp(self):
        super().setUp()
        self.good("key", "add", "lab", "--workflow", "*")
        self.write(OTHERS)
        for letter, name in (("a", "omero"), ("b", "omero"), ("c", "lab")):
            self.authorize(letter, name)

    def left(self):
        self.assertTrue(self.read().startswith(OTHERS))
        return [lines.split(line)[1][-1:].decode() for line in keyfile.lines_into(self.home)]

    def test_one_key_or_all_of_a_name_are_shut_out(self):
        self.assertIn("removed: restrict,command=", self.good("deauthorize", self.public_key("b")))
        self.assertEqual(self.left(), ["a", "c"])
        self.good("deauthorize", "--key", "omero")
        self.assertEqual(self.left(), ["c"])
        self.good("deauthorize", self.public_key("c"), "--key", "lab")
        self.assertEqual(self.read(), OTHERS)

    def test_a_line_that_somebody_loosened_goes_too(self):
        whole = self.read()
        for old, new in ((b"restrict,", b"pty,"), (b'--key omero"', b'--key omero; sh"')):
            self.write(whole.replace(old, new))
            self.assertIn("changed by hand", self.ctl("selftest", "--quick")[1])
            self.assertIn(new.decode(), self.good("explain"))
            self.good("deauthorize", "--key", "omero")
            self.assertEqual(self.left(), ["c"])

    def test_a_key_is_shut_out_also_where_the_configuration_has_a_mistake(self):
        with open(os.path.join(self.home, "config.json"), "w") as file:
            file.write("{")
        self.refused("no-home", "key", "list")
        self.good("deauthorize", "--key", "omero")
        self.assertEqual(self.left(), ["c"])

    def test_what_is_not_there_is_said(self):
        self.refused("unknown-name", "deauthorize", self.public_key("x"))
        self.refused("unknown-name", "deauthorize", "--key", "nobody")
        self.refused("unknown-name", "deauthorize", self.public_key("a"), "--key", "lab")
        self.refused("unknown-name", "deauthorize")
        self.assertEqual(self.left(), ["a", "b", "c"])

    def test_a_key_that_another_line_still_lets_in_is_told(self):
        free = b"ssh-ed25519 " + base64.b64encode(blob("a")) + b"\n"
        self.write(free + self.read())
        said = self.refused("key-in-use", "deauthorize", self.public_key("a"))
        self.assertIn("line 1 of " + self.file, said)
        self.assertEqual(
            [lines.split(line)[1] for line in keyfile.lines_into(self.home)], [blob("b"), blob("c")]
        )
        self.assertTrue(self.read().startswith(free))

    def test_a_gate_elsewhere_keeps_its_lines(self):
        before = self.read()
        self.home = os.path.join(self.folder, "second")
        self.good("install")
        self.refused("unknown-name", "deauthorize", "--key", "omero")
        self.assertEqual(self.read(), before)

    def test_a_home_is_the_same_by_another_way_to_it(self):
        link = os.path.join(self.folder, "link")
        os.symlink(self.home, link)
        self.home = link
        self.good("deauthorize", "--key", "omero")
        self.assertEqual(self.left(), ["c"])


if __name__ == "__main__":
    unittest.main()
