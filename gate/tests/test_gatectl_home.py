# SPDX-License-Identifier: BSD-3-Clause
"""Installing a gate, and its keys."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import slidegate_gate
from gatectl_home import HomeTest
from slidegate_gate.serve import files


def read(path):
    with open(path, "rb") as file:
        return file.read()


class InstallTest(HomeTest):
    def test_an_installed_gate_runs_from_its_home_alone(self):
        self.good("install")
        self.good("key", "add", "lab", "--workflow", "tiny")
        said = subprocess.check_output(
            [sys.executable, "-IS", os.path.join(self.home, "current"), "ctl", "key", "list"], cwd="/", env={}
        )
        self.assertEqual(said, b"lab  tiny\n")

    def test_the_programs_files_are_plain_copies_of_the_sources(self):
        self.good("install")
        source = os.path.dirname(slidegate_gate.__file__)
        copy = os.path.join(self.home, "current", "slidegate_gate")
        for folder, _, names in os.walk(source):
            for name in [name for name in names if name.endswith(".py")]:
                path = os.path.join(folder, name)
                self.assertEqual(read(path), read(os.path.join(copy, os.path.relpath(path, source))))

    def test_a_repeat_changes_nothing_and_an_edited_configuration_stays(self):
        self.good("install", "--site", "here", "--cores", "3")
        config = dict(self.config(), lease_seconds=99)
        files.write_json(os.path.join(self.home, "config.json"), config)
        before = self.names("versions"), os.readlink(os.path.join(self.home, "current"))
        self.good("install", "--site", "elsewhere", "--cores", "7")
        self.assertEqual(self.config(), config)
        self.assertEqual((self.names("versions"), os.readlink(os.path.join(self.home, "current"))), before)

    def test_a_changed_gate_is_put_beside_the_old_one_and_becomes_current(self):
        self.good("install")
        (old,) = self.names("versions")
        changed = os.path.join(self.folder, "changed")
        shutil.copytree(os.path.dirname(slidegate_gate.__file__), os.path.join(changed, "slidegate_gate"))
        with open(os.path.join(changed, "slidegate_gate", "__init__.py"), "a") as file:
            file.write("# changed\n")
        argv = [sys.executable, "-m", "slidegate_gate", "ctl", "install", "--home", self.home]
        subprocess.check_output(argv, cwd=changed, env={"PYTHONPATH": changed})
        self.assertEqual(len(self.names("versions")), 2)
        current = os.readlink(os.path.join(self.home, "current"))
        self.assertTrue(os.path.isdir(os.path.join(self.home, current)))
        self.assertNotEqual(os.path.basename(current), old)

    def test_state_and_data_can_lie_elsewhere(self):
        state, data = os.path.join(self.folder, "s"), os.path.join(self.folder, "d")
        self.good("install", "--state", state, "--data", data)
        self.assertEqual((self.config()["state"], self.config()["data"]), (state, data))
        self.assertTrue(os.path.isdir(state) and os.path.isdir(data))
        self.assertEqual(os.path.exists(os.path.join(self.home, "state")), False)

    def test_nobody_else_can_read_or_write_anything_in_a_home(self):
        before = os.umask(0)
        try:
            self.good("install")
            self.good("key", "add", "lab", "--workflow", "*")
        finally:
            os.umask(before)
        found = [
            os.path.join(folder, name)
            for folder, *lists in os.walk(self.home)
            for part in lists
            for name in part
        ]
        modes = {
            stat.S_IMODE(os.lstat(path).st_mode) for path in found + [self.home] if not os.path.islink(path)
        }
        self.assertEqual(modes, {0o700, 0o600})

    def test_a_folder_that_others_can_write_to_is_refused(self):
        os.mkdir(self.home)
        os.chmod(self.home, 0o770)
        self.assertIn("chmod go-w", self.refused("unsafe-permissions", "install"))

    def test_a_place_where_everybody_can_rename_is_refused(self):
        os.chmod(self.folder, 0o777)
        self.assertIn("choose another place", self.refused("unsafe-permissions", "install"))
        self.assertEqual(os.path.exists(os.path.join(self.home, "current")), False)
        os.chmod(self.folder, 0o1777)
        self.good("install")

    def test_a_folder_with_other_things_is_left_alone(self):
        os.mkdir(self.home)
        with open(os.path.join(self.home, "thesis.tex"), "w"):
            pass
        self.refused("no-home", "install")
        self.assertEqual(os.listdir(self.home), ["thesis.tex"])

    def test_state_and_data_get_folders_in_which_nobody_keeps_anything_else(self):
        mine = os.path.join(self.folder, "mine")
        os.makedirs(os.path.join(mine, "keys"))  # as the gate would call its own
        os.chmod(mine, 0o755)
        with open(os.path.join(mine, ".profile"), "w"):
            pass
        for home, option in ((self.home, "--state"), (self.home + "2", "--data"), (mine, "--site")):
            self.home = home
            value = "here" if option == "--site" else mine
            self.assertIn(mine + " holds other things", self.refused("no-home", "install", option, value))
            self.assertEqual(stat.S_IMODE(os.stat(mine).st_mode), 0o755)
        self.home = os.path.join(self.folder, "third")
        os.unlink(os.path.join(mine, ".profile"))
        self.good("install", "--state", mine)  # what a gate left behind

    def test_a_folder_in_which_a_group_can_rename_is_refused_unless_the_group_is_the_accounts_own(self):
        os.chmod(self.folder, 0o770)
        for name, fits in (("lab", False), (pwd.getpwuid(os.getuid()).pw_name, True)):
            with mock.patch("grp.getgrgid", lambda gid, name=name: mock.Mock(gr_name=name)):
                if fits:
                    self.good("install")
                else:
                    self.assertIn("Other accounts can rename", self.refused("unsafe-permissions", "install"))

    def test_a_repeat_mends_the_gates_files(self):
        self.good("install")
        path = os.path.join(self.home, "current", "slidegate_gate", "errors.py")
        with open(path) as file:
            whole = file.read()
        with open(path, "a") as file:
            file.write("# altered\n")
        self.assertIn("install it anew", self.ctl("selftest", "--quick")[1])
        self.good("install")
        with open(path) as file:
            self.assertEqual(file.read(), whole)
        self.assertNotIn("install it anew", self.ctl("selftest", "--quick")[1])
        self.assertIn("left half-made", self.good("clean"))

    def test_files_that_cannot_be_compiled_anew_are_not_called_good(self):
        self.good("install")
        with mock.patch("compileall.compile_dir", lambda folder, **options: False):
            code, said, _ = self.ctl("selftest", "--quick")
        self.assertEqual(code, 1)
        self.assertRegex(said, "BAD   the gate's files .* cannot be compiled: is there room")

    def test_a_repeat_waits_for_another_gatectl(self):
        self.good("install")
        program = os.path.join(self.home, "current")
        argv = [sys.executable, "-IS", program, "ctl", "install", "--home", self.home]
        with files.locked(os.path.join(self.home, ".lock")):
            other = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
            with self.assertRaises(subprocess.TimeoutExpired):
                other.wait(1)
        self.assertEqual(other.wait(30), 0)

    def test_what_somebody_mistyped_in_the_configuration_is_told_by_every_verb(self):
        self.good("install")
        self.good("key", "add", "lab", "--workflow", "*")
        whole = self.config()
        for field, value, words in (
            ("classes", None, "classes must be there"),
            ("keys", [], "keys must be there"),
            ("keys", {"lab": {"workflow": ["*"]}}, "needs its list of workflows"),
            ("keys", {"lab": {"workflows": ["*"], "limits": {"byte": 5}}}, "no limit 'byte'"),
            ("limits", {"bytes": "5"}, "bytes is '5'"),
            ("limits", {"channels": True}, "channels is True"),
            ("classes", {"cpu": {"members": "8"}}, "members is '8'"),
            ("classes", {"cpu": {"minutes": -1}}, "minutes is -1"),
            ("classes", {"cpu": {"memory_mb": 4e3}}, "memory_mb is 4000.0"),
            ("scheduler", {"name": "local", "poll_seconds": "30"}, "poll_seconds is '30'"),
            ("lease_seconds", "x", "lease_seconds is 'x'"),
        ):
            files.write_json(os.path.join(self.home, "config.json"), dict(whole, **{field: value}))
            for verb in (["selftest", "--quick"], ["key", "limits", "lab"], ["explain"]):
                sentence = self.refused("no-home", *verb)
                self.assertIn(words, sentence)
                self.assertIn("mend {}/config.json".format(self.home), sentence)

    def test_a_scheduler_that_nobody_wrote_an_adapter_for_is_refused(self):
        self.assertIn("local", self.refused("unknown-name", "install", "--scheduler", "cron"))
        self.assertEqual(os.path.exists(self.home), False)

    def test_a_verb_without_a_gate_says_what_to_do_first(self):
        self.assertIn("gatectl install", self.refused("no-home", "workflow", "list"))


class KeyTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.good("install")

    def test_a_key_is_added_replaced_listed_and_removed(self):
        self.good("key", "add", "lab", "--workflow", "b", "--workflow", "a")
        self.good("key", "add", "other", "--workflow", "*")
        said = self.good("key", "add", "lab", "--workflow", "b", "--workflow", "c")
        self.assertIn("lab can no longer start a:", said)
        self.assertNotIn("start b", said)
        self.assertNotIn("no longer", self.good("key", "add", "lab", "--workflow", "c", "--workflow", "b"))
        self.good("key", "add", "lab", "--workflow", "c")
        self.assertEqual(self.good("key", "list"), "lab  c\nother  *\n")
        self.assertIn("c is not installed yet", self.good("key", "add", "lab", "--workflow", "c"))
        self.good("key", "remove", "lab")
        self.assertEqual(self.config()["keys"], {"other": {"workflows": ["*"]}})

    def test_what_else_a_key_was_given_stays(self):
        self.good("key", "add", "lab", "--workflow", "a")
        config = self.config()
        config["keys"]["lab"]["limits"] = {"bytes": 5}
        files.write_json(os.path.join(self.home, "config.json"), config)
        self.good("key", "add", "lab", "--workflow", "b")
        self.assertEqual(self.config()["keys"]["lab"], {"workflows": ["b"], "limits": {"bytes": 5}})

    def test_limits_of_its_own_are_given_shown_and_taken_back(self):
        self.good("key", "add", "lab", "--workflow", "*")
        said = self.good("key", "limits", "lab", "bytes=5000", "channels=2")
        self.assertIn("bytes=5000\nchannels=2\n", said)
        self.assertEqual(self.config()["keys"]["lab"]["limits"], {"bytes": 5000, "channels": 2})
        self.good("key", "limits", "lab", "bytes=")
        self.assertEqual(self.config()["keys"]["lab"]["limits"], {"channels": 2})
        said = self.good("key", "limits", "lab")
        self.assertIn("channels=2\n", said)
        self.assertRegex(said, "bytes=[0-9]+  \\(for all keys\\)")

    def test_a_key_may_have_cores_of_its_own_until_they_are_taken_back(self):
        self.good("key", "add", "lab", "--workflow", "*", "--cores", "2")
        self.assertEqual(self.config()["keys"]["lab"]["cores"], 2)
        self.good("key", "add", "lab", "--workflow", "count")
        self.assertEqual(self.config()["keys"]["lab"]["cores"], 2)
        self.good("key", "add", "lab", "--workflow", "count", "--cores", "0")
        self.assertEqual(self.config()["keys"]["lab"]["cores"], 0)
        wrong = {"lab": {"workflows": [], "cores": "many"}}
        files.write_json(os.path.join(self.home, "config.json"), dict(self.config(), keys=wrong))
        self.refused("no-home", "key", "list")

    def test_a_limit_of_the_site_is_shown_where_the_key_has_none(self):
        self.good("key", "add", "lab", "--workflow", "*")
        files.write_json(os.path.join(self.home, "config.json"), dict(self.config(), limits={"channels": 3}))
        self.assertIn("channels=3  (for all keys)\n", self.good("key", "limits", "lab"))

    def test_what_is_no_limit_is_refused_and_changes_nothing(self):
        self.good("key", "add", "lab", "--workflow", "*")
        before = self.config()
        for words in (["byte=5"], ["bytes=-1"], ["bytes=1.5"], ["bytes=many"], ["bytes=5", "x=1"], ["=5"]):
            self.refused("unknown-name", "key", "limits", "lab", *words)
        self.assertIn(
            "gatectl key add nobody", self.refused("unknown-name", "key", "limits", "nobody", "bytes=5")
        )
        self.assertEqual(self.config(), before)

    def test_a_key_that_does_not_exist_cannot_be_removed(self):
        self.refused("unknown-name", "key", "remove", "lab")

    def test_a_name_that_would_be_a_path_is_refused(self):
        for name in ("../x", "", "A", "a" * 41, "lab\n"):
            self.refused("unknown-name", "key", "add", name, "--workflow", "*")


if __name__ == "__main__":
    unittest.main()
