# SPDX-License-Identifier: BSD-3-Clause
"""The line in authorized_keys, to the letter, and how lines of others are read."""

import base64
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from slidegate_gate.door import line as lines

HOME = "/home/anna/.slidegate-gate"
BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(32))
KEY = "ssh-ed25519 " + base64.b64encode(BLOB).decode()
COMMAND = "exec /usr/bin/python3 -IS /home/anna/.slidegate-gate/current serve --key omero"


class PublicKeyTest(unittest.TestCase):
    def refused(self, data, *words):
        with self.assertRaises(lines.BadKey) as caught:
            lines.public_key(data if isinstance(data, bytes) else data.encode())
        for word in words:
            self.assertIn(word, str(caught.exception))
        return str(caught.exception)

    def test_type_and_contents_are_taken_and_the_comment_is_not(self):
        for text in (KEY, KEY + "\n", KEY + " anna@office\n", "\n  " + KEY + "\tx y z\r\n\n"):
            self.assertEqual(lines.public_key(text.encode()), ("ssh-ed25519", BLOB))

    def test_a_private_key_is_refused_without_a_word_of_it(self):
        for kind in ("OPENSSH ", "RSA ", "EC ", "ENCRYPTED ", ""):
            said = self.refused(
                "-----BEGIN {}PRIVATE KEY-----\nc2VjcmV0\n".format(kind), "private key", ".pub"
            )
            self.assertNotIn("c2VjcmV0", said)

    def test_options_before_the_key_are_refused(self):
        self.refused('command="/bin/bash" ' + KEY, "must begin with the type")
        self.refused('from="*" ' + KEY, "must begin with the type")
        self.refused("no-such " + KEY, "must begin with the type")

    def test_certificates_and_their_authorities_are_refused(self):
        self.refused("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate")
        self.refused("cert-authority " + KEY, "must begin with the type")

    def test_more_or_fewer_than_one_line_is_refused(self):
        self.refused(KEY + "\n" + KEY, "it has 2")
        self.refused(KEY + "\r" + KEY, "it has 2")
        self.refused("\n\n", "it has 0")

    def test_text_that_is_no_key_is_refused(self):
        for text in ("ssh-ed25519", "ssh-ed25519 !!!!", "ssh-ed25519 AAAA", "ssh-rsa " + KEY.split()[1]):
            self.refused(text, "is not a key of that type")
        self.refused(b"\x7fELF\x02\x01", "must begin with the type")
        self.refused("ssh-dss AAAAB3NzaC1kc3M=", "must begin with the type")


class CommandTest(unittest.TestCase):
    def test_a_path_that_a_shell_could_misread_is_refused(self):
        for path in (
            "/home/a b",
            '/home/"x',
            "/home/$USER",
            "relative",
            "/home/x;y",
            "/home/x\n",
            "/home/\xe9",
        ):
            self.assertRaises(lines.BadKey, lines.command_of, path, "/usr/bin/python3", "k")
            self.assertRaises(lines.BadKey, lines.command_of, HOME, path, "k")


class LineTest(unittest.TestCase):
    def make(self, **options):
        return lines.make(("ssh-ed25519", BLOB), COMMAND, "omero", **options)

    def test_the_whole_line_is_as_promised(self):
        self.assertEqual(
            self.make(source="10.99.1.2", until="20271231").decode(),
            'restrict,from="10.99.1.2",expiry-time="20271231",command="{}" {} slidegate:omero'.format(
                COMMAND, KEY
            ),
        )
        self.assertEqual(
            self.make().decode(), 'restrict,command="{}" {} slidegate:omero'.format(COMMAND, KEY)
        )

    def test_a_line_that_sshd_would_not_read_whole_is_refused(self):
        with self.assertRaises(lines.BadKey):
            self.make(source=",".join(["10.0.0.1"] * 1000))

    def test_what_is_made_is_known_again(self):
        for options in ({}, {"source": "10.99.1.2,fd00::/8"}, {"until": "20271231"}):
            line = self.make(**options)
            self.assertTrue(lines.is_exact(line))
            self.assertEqual(lines.name_in(line, HOME), "omero")
            self.assertEqual(lines.split(line)[1], BLOB)

    def test_a_line_that_was_altered_is_known_but_not_exact(self):
        line = self.make(source="10.99.1.2")
        for old, new in (
            (b"restrict,", b""),
            (b"restrict,", b"restrict,pty,"),
            (b" -IS ", b" "),
            (b"10.99.1.2", b"*"),
            (b'omero"', b'omero; sh"'),
            (b"serve --", b"serve  --"),
            (b"serve --", b"serve --home /elsewhere --"),
            (b"--key omero", b'--key \\"omero\\"'),
            (b"--key omero", b"--key=omero"),
            (b"/current serve", b"/versions/0.1.0+0123 serve"),
        ):
            self.assertEqual(lines.name_in(line.replace(old, new), HOME), "omero")
            self.assertFalse(lines.is_exact(line.replace(old, new)), new)
        self.assertFalse(lines.is_exact(line.replace(b"slidegate:omero", b"slidegate:other")))

    def test_a_line_that_starts_something_else_of_the_gate_is_known_too(self):
        for command in (
            b"/current ctl",
            b"/current/slidegate_gate ctl remove --yes",
            b"/versions/1+a runner",
        ):
            line = self.make().replace(b"/current serve --key omero", command)
            self.assertEqual((lines.name_in(line, HOME), lines.is_exact(line)), ("?", False))

    def test_lines_of_others_are_nobodys(self):
        for line in (
            b"",
            b"# " + self.make(),
            KEY.encode(),
            self.make().replace(b".slidegate-gate", b".other-gate"),
            b'command="date",environment="X=/current serve --key omero" ' + KEY.encode(),
            KEY.encode() + b" /home/anna/.slidegate-gate/current serve --key omero",
        ):
            self.assertEqual(lines.name_in(line, HOME), "", line)

    def test_a_line_is_taken_apart_as_sshd_does(self):
        for options in (
            b"",
            b"restrict ",
            b'command="echo \\"a b\\"",pty ',
            b'from="*.x, *.y",no-pty\t',
            b'command="ends with a backslash \\\\" ',
        ):
            found, key = lines.split(b" \t" + options + KEY.encode() + b" a comment\r")
            if options.startswith(b'command="ends'):  # to sshd the last quote is an escaped one
                self.assertEqual(key, None)
            else:
                self.assertEqual((found, key), (options.strip(), BLOB))
        for line in (b"#" + KEY.encode(), b"ssh-ed25519", b'"open ' + KEY.encode(), b"a b " + KEY.encode()):
            self.assertEqual(lines.split(line), (b"", None))


if __name__ == "__main__":
    unittest.main()
