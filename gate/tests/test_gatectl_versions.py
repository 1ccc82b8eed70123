# SPDX-License-Identifier: BSD-3-Clause
"""A newer gate takes the place of the current one, goes back, and all of it goes away."""

import errno
import os
import shutil
import subprocess
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import slidegate_gate
from gatectl_home import HomeTest
from slidegate_gate.config import load_config
from slidegate_gate.serve import files
from slidegate_gate.serve.layout import Layout
from small_site import until
from support import Process

SUBMISSION = "5" * 32
ATTEMPT = "a" * 64


class VersionTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.account = self.be_anna()
        self.good("install")
        (self.first,) = self.names("versions")

    def kit(self, version, edit=""):
        """Unpack a gate of another version; return its folder."""
        kit = os.path.join(self.folder, "kit-" + version)
        package = os.path.join(kit, "slidegate_gate")
        shutil.copytree(
            os.path.dirname(slidegate_gate.__file__), package, ignore=shutil.ignore_patterns("__pycache__")
        )
        path = os.path.join(package, "__init__.py")
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text.replace(slidegate_gate.__version__, version) + edit)
        return package

    def run_kit(self, kit, *words):
        """Run a kit's gatectl; return exit code and what it said."""
        argv = [sys.executable, "-IS", kit, "ctl"] + list(words) + ["--home", self.home]
        ran = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")
        return ran.returncode, ran.stdout.decode()

    def upgrade(self, version="0.2.0", code=0, edit=""):
        found, said = self.run_kit(self.kit(version, edit), "upgrade", "--quick")
        self.assertEqual(found, code, said)
        return said

    def current(self):
        return os.path.basename(os.readlink(os.path.join(self.home, "current")))


class UpgradeTest(VersionTest):
    def test_a_newer_gate_tests_the_place_and_becomes_current(self):
        said = self.upgrade()
        self.assertIn("good  the scheduler answers", said)
        self.assertTrue(self.current().startswith("0.2.0+"))
        self.assertEqual(len(self.names("versions")), 2)

    def test_a_gate_that_finds_a_fault_does_not_become_current(self):
        config = self.config()
        del config["classes"]["cpu"]["minutes"]
        files.write_json(os.path.join(self.home, "config.json"), config)
        said = self.upgrade(code=3)
        self.assertIn("not-switched: The self-test of 0.2.0+", said)
        self.assertIn("lacks its minutes", said)
        self.assertEqual(self.current(), self.first)

    def test_a_gate_that_does_not_start_does_not_become_current(self):
        self.upgrade(code=1, edit="raise RuntimeError('broken')\n")
        self.assertEqual(self.current(), self.first)

    def test_an_older_gate_is_refused(self):
        self.upgrade("0.10.0")
        current = self.current()
        self.assertIn("gatectl rollback", self.upgrade("0.9.0", code=3))
        self.assertEqual(self.current(), current)

    def test_work_goes_on_with_the_version_that_accepted_it(self):
        self.good("key", "add", "lab", "--workflow", "*")
        process = Process(self.home, "lab", os.path.join(self.home, "current"))
        self.assertEqual(process.ask("hello")["gate"], slidegate_gate.__version__)
        self.upgrade()
        self.assertEqual(process.ask("hello")["gate"], slidegate_gate.__version__)
        process.close()
        process = Process(self.home, "lab", os.path.join(self.home, "current"))
        self.assertEqual(process.ask("hello")["gate"], "0.2.0")
        process.close()
        self.assertTrue(os.path.isdir(os.path.join(self.home, "versions", self.first)))


class RollbackTest(VersionTest):
    def test_the_version_before_comes_back_and_goes_again(self):
        self.upgrade()
        second = self.current()
        self.assertIn(self.first, self.good("rollback"))
        self.assertEqual(self.current(), self.first)
        self.good("rollback")
        self.assertEqual(self.current(), second)

    def test_the_version_before_survives_a_cleaning(self):
        self.upgrade()
        self.good("clean")
        self.good("rollback")
        self.assertEqual(self.current(), self.first)

    def test_without_a_version_before_nothing_changes(self):
        self.refused("not-switched", "rollback")

    def test_a_version_that_was_altered_does_not_come_back(self):
        self.upgrade()
        with open(
            os.path.join(self.home, "versions", self.first, "slidegate_gate", "errors.py"), "a"
        ) as file:
            file.write("#\n")
        self.assertIn("altered", self.refused("not-switched", "rollback"))

    def test_a_version_that_cannot_read_the_home_does_not_come_back(self):
        self.upgrade()
        files.write_json(os.path.join(self.home, "config.json"), dict(self.config(), format=2))
        self.refused("no-home", "rollback")
        self.assertTrue(self.current().startswith("0.2.0"))


class RemoveTest(VersionTest):
    def setUp(self):
        super().setUp()
        self.good("key", "add", "lab", "--workflow", "*")
        self.ssh = os.path.join(self.account, ".ssh")
        os.mkdir(self.ssh, 0o700)
        self.file = os.path.join(self.ssh, "authorized_keys")
        with open(self.file, "w") as file:
            file.write("# mine\n")
        os.chmod(self.file, 0o600)
        self.good("authorize", self.public_key(), "--key", "lab")
        self.layout = Layout(self.home, load_config(self.home), "lab")

    def keys(self):
        with open(self.file) as file:
            return file.read()

    def accept(self, argv):
        """Write the records of one accepted Attempt whose crew runs a program."""
        scheduler = self.scheduler()
        array = scheduler.submit("sg-lab.x", argv, 1, {})
        entry = {"attempt": ATTEMPT, "inputs": {}}
        records = {
            self.layout.plan(SUBMISSION): {"tree": "t", "program": "p", "attempts": [entry]},
            self.layout.owner(ATTEMPT): {"submission": SUBMISSION},
            self.layout.crew("intent", SUBMISSION, "cpu", 1): {"cpu": {"name": "sg-lab.x"}},
        }
        for path, record in records.items():
            files.make_dirs(os.path.dirname(path))
            files.write_json(path, record)
        return array

    def scheduler(self):
        from slidegate_gate.home.config import open_home, open_scheduler

        return open_scheduler(open_home(self.home))

    def test_nothing_goes_without_a_yes(self):
        said = self.refused("still-in-use", "remove")
        self.assertIn("--yes", said)
        self.assertIn(self.home, said)
        self.assertIn("slidegate:lab", self.keys())
        self.good("selftest", "--quick")

    def test_all_that_the_gate_made_goes_and_nothing_else(self):
        self.good("workflow", "install", self.workflow())
        said = self.good("remove", "--yes")
        self.assertIn("removed: 1 keys", said)
        self.assertEqual(self.keys(), "# mine\n")
        self.assertFalse(os.path.exists(self.home))

    def test_other_peoples_files_stay_where_the_roots_were_shared(self):
        os.mkdir(os.path.join(self.folder, "scratch"))
        self.home = os.path.join(self.folder, "second")
        scratch = os.path.join(self.folder, "scratch")
        self.good("install", "--data", scratch)
        with open(os.path.join(scratch, "thesis.tex"), "w"):
            pass
        self.assertIn("other things in {}".format(scratch), self.good("remove", "--yes"))
        self.assertEqual(os.listdir(scratch), ["thesis.tex"])
        self.assertFalse(os.path.exists(self.home))

    def test_work_that_was_not_collected_keeps_it_there(self):
        self.accept(["/bin/true"])
        self.assertIn("--even-if-work-is-left", self.refused("still-in-use", "remove", "--yes"))
        self.assertIn("slidegate:lab", self.keys())

    def test_what_runs_is_ended_where_the_work_may_be_lost(self):
        started = os.path.join(self.folder, "started")
        array = self.accept(
            ["/bin/sh", "-c", "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 60".format(started)]
        )
        until(lambda: os.path.exists(started))
        with open(started) as file:
            pid = int(file.read())
        self.assertIn("1 arrays", self.good("remove", "--yes", "--even-if-work-is-left"), array)
        self.assertFalse(os.path.exists("/proc/{}".format(pid)))
        self.assertFalse(os.path.exists(self.home))

    def test_where_nothing_runs_no_scheduler_is_asked_which_would_write_on_a_full_disk(self):
        full = OSError(errno.ENOSPC, "No space left")
        with mock.patch("slidegate_gate.schedulers.local.Scheduler.states", side_effect=full):
            self.good("remove", "--yes")
        self.assertFalse(os.path.exists(self.home))

    def test_a_home_that_is_a_link_goes_where_it_leads(self):
        there = os.path.join(self.folder, "there")
        self.home = os.path.join(self.folder, "link")
        os.symlink(there, self.home)
        os.mkdir(there)
        self.good("install")
        self.good("remove", "--yes")
        self.assertFalse(os.path.exists(there))

    def test_a_client_that_is_connected_keeps_it_there_but_no_key_gets_in_any_more(self):
        process = Process(self.home, "lab", os.path.join(self.home, "current"))
        self.assertTrue(process.ask("hello")["ok"])
        self.refused("still-in-use", "remove", "--yes")
        self.assertEqual(self.keys(), "# mine\n")
        process.close()
        self.good("remove", "--yes")
        self.assertFalse(os.path.exists(self.home))


if __name__ == "__main__":
    unittest.main()
