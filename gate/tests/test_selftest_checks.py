# SPDX-License-Identifier: BSD-3-Clause
"""The self-test finds what is wrong with a place, and says what to do."""

import os
import shutil
import subprocess
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gatectl_home import HomeTest
from slidegate_gate.serve import files


class SelftestCase(HomeTest):
    def setUp(self):
        super().setUp()
        self.account = self.be_anna()
        self.good("install")

    def bad(self):
        """Return the lines of a self-test that must find a fault."""
        code, said, _ = self.ctl("selftest", "--quick")
        self.assertEqual(code, 1)
        return [line for line in said.splitlines() if line.startswith("BAD")]


class PlaceTest(SelftestCase):
    def test_a_good_place_passes_and_keeps_no_trace(self):
        self.good("workflow", "install", self.workflow())
        said = self.good("selftest", "--quick")
        self.assertIn("good  tiny 1.0.0 starts in its Runtime", said)
        self.assertEqual({line[:5] for line in said.splitlines()}, {"good "})
        self.assertEqual([os.listdir(os.path.join(self.home, "data"))], [[]])

    def test_a_file_system_that_gives_a_name_twice_is_found(self):
        with mock.patch("os.link", lambda old, new: os.replace(old, new) or open(old, "w").close()):
            (first, *_) = self.bad()
        self.assertIn("state: a name is given once", first)

    def test_locks_without_effect_are_found(self):
        with mock.patch("fcntl.flock", lambda handle, how: None):
            self.assertEqual(len([line for line in self.bad() if "flock" in line]), 2)

    def test_a_clock_that_is_off_is_found(self):
        with mock.patch("time.time", lambda: 1.8e9 + 3600):
            self.assertEqual(len([line for line in self.bad() if "clock" in line]), 2)

    def test_a_class_without_figures_is_found(self):
        config = self.config()
        config["classes"] = {
            "cpu": {"members": 2, "minutes": 5},
            "small": {"as": "cpu"},
            "gpu": {"as": "big"},
        }
        files.write_json(os.path.join(self.home, "config.json"), config)
        cpu, gpu, _ = self.bad()
        self.assertIn("lacks its memory_mb", cpu)
        self.assertIn("gpu", gpu)

    def test_a_home_that_others_can_write_to_is_found(self):
        os.chmod(self.home, 0o777)
        self.assertIn("chmod go-w", self.bad()[0])

    def test_a_workflow_that_does_not_start_is_found_with_its_last_words(self):
        self.good("workflow", "install", self.workflow(**{"step.py": "import numpyy\n"}))
        self.assertIn("No module named 'numpyy'", "\n".join(self.ctl("selftest", "--quick")[1].splitlines()))
        self.assertEqual(self.ctl("selftest", "--quick")[0], 1)

    def test_a_runtime_whose_interpreter_was_replaced_is_found(self):
        (_, (runtime, _)) = self.installed(self.workflow())
        path = os.path.join(self.home, "runtimes", runtime, "runtime.json")
        files.write_json(path, dict(files.read_json(path), python="3.6.1"))
        self.assertIn("built for Python 3.6.1", self.bad()[0])

    def current(self, *parts):
        return os.path.join(self.home, "current", "slidegate_gate", *parts)

    def test_a_gate_whose_files_were_altered_is_found(self):
        with open(self.current("errors.py"), "a") as file:
            file.write("# one line more\n")
        self.assertIn("altered", self.bad()[0])

    def test_a_file_that_was_added_is_found(self):
        with open(os.path.join(self.home, "current", "json.py"), "w"):
            pass
        self.assertIn("altered", self.bad()[0])


class CompiledTest(SelftestCase):
    compiles = True

    def test_a_compiled_file_that_is_not_made_from_its_source_is_replaced(self):
        cache = os.path.join(self.home, "current", "slidegate_gate", "__pycache__")
        errors, other = [
            os.path.join(cache, name)
            for start in ("errors.", "contents.")
            for name in os.listdir(cache)
            if name.startswith(start)
        ]
        with open(other, "rb") as file:
            code = file.read()[16:]
        with open(errors, "rb+") as file:
            file.seek(16)  # what stands before says which source it was made from
            file.write(code)
        self.good("selftest", "--quick")
        code = "import sys; sys.path.insert(0, sys.argv[1]); from slidegate_gate.errors import BadPlan"
        subprocess.check_output([sys.executable, "-IS", "-c", code, os.path.join(self.home, "current")])


class DoorTest(SelftestCase):
    def setUp(self):
        super().setUp()
        self.good("key", "add", "omero", "--workflow", "*")
        self.good("authorize", self.public_key(), "--key", "omero")
        self.file = os.path.join(self.account, ".ssh", "authorized_keys")

    def edit(self, old, new):
        with open(self.file) as file:
            text = file.read()
        self.assertIn(old, text)
        with open(self.file, "w") as file:
            file.write(text.replace(old, new))

    def test_the_line_that_was_written_is_good(self):
        self.good("selftest", "--quick")

    def test_a_line_that_was_loosened_is_found(self):
        self.edit("restrict,", "")
        self.assertIn("gatectl deauthorize --key omero", self.bad()[0])

    def test_a_line_that_was_added_for_the_same_key_is_found(self):
        with open(self.file) as file:
            (line,) = file.read().splitlines()
        with open(self.file, "a") as file:
            file.write("pty " + line.split('omero" ')[1] + "\n")
        self.assertIn("let in with other rights by line 2 of " + self.file, self.bad()[0])

    def test_a_line_whose_python_is_gone_is_found(self):
        self.edit("exec " + sys.executable, "exec /usr/bin/python3.1")
        self.assertIn("/usr/bin/python3.1 is gone: run `authorize` for 'omero' again", self.bad()[0])

    def test_a_line_for_a_key_that_was_removed_is_found(self):
        self.good("key", "remove", "omero")
        self.assertIn("'omero' is no key here", self.bad()[0])

    def test_a_shell_that_greets_is_found_with_its_words(self):
        shell = os.path.join(self.folder, "shell")
        for words, found in (
            ("echo Welcome to the cluster", "Welcome to the cluster"),
            ("echo quota exceeded >&2", "quota exceeded"),
            ('test -z "$SSH_CONNECTION" || echo by ssh', "by ssh"),
            ("exit 1", "starts no commands"),
        ):
            with open(shell, "w") as file:
                file.write("#!/bin/sh\n{}\n".format(words))
            os.chmod(shell, 0o700)
            self.be_anna(shell)
            (line,) = self.bad()
            self.assertIn("no shell greets a key", line)
            self.assertIn(found, line)

    @unittest.skipUnless(shutil.which("bash"), "bash is what reads .bashrc")
    def test_a_bashrc_that_greets_is_found(self):
        self.be_anna(shutil.which("bash"))
        with open(os.path.join(self.account, ".bashrc"), "w") as file:
            file.write("echo hello\n")
        self.assertIn("'hello'", self.bad()[0])
        with open(os.path.join(self.account, ".bashrc"), "w") as file:
            file.write("case $- in *i*) ;; *) return ;; esac\necho hello\n")
        self.good("selftest", "--quick")

    def test_an_account_that_nobody_can_log_in_to_has_no_door(self):
        with mock.patch("pwd.getpwuid", side_effect=KeyError("uid not found")):
            self.good("selftest", "--quick")

    def test_a_shell_that_greets_is_not_our_business_where_no_key_leads_here(self):
        self.good("deauthorize", "--key", "omero")
        self.be_anna("/bin/false")
        self.good("selftest", "--quick")

    def test_a_key_file_that_others_can_write_to_is_found(self):
        os.chmod(self.file, 0o660)
        self.assertIn("chmod go-w " + self.file, self.bad()[0])

    def test_a_key_file_without_a_line_of_ours_is_not_our_business(self):
        self.good("deauthorize", "--key", "omero")
        os.chmod(self.file, 0o660)
        self.good("selftest", "--quick")


if __name__ == "__main__":
    unittest.main()
