# SPDX-License-Identifier: BSD-3-Clause
"""Installing from a folder that was carried there, on a computer and on a cluster."""

import os
import shutil
import subprocess
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import slidegate_gate
from gatectl_home import HomeTest

# what real ones say; the second partition has two kinds of nodes
SCONTROL = """\
Configuration data as of 2026-11-20T09:00:00
AccountingStorageType   = accounting_storage/none
MaxArraySize            = 501
MaxJobCount             = 10000
"""
SINFO = """\
main|main*|up|2|2|2000|1:00:00
big|big|up|10|64|256000+|infinite
big|big|up|3|32|128000|infinite
old|old|inact|5|4|8000|1-00:00:00
short|short|up|4|8|64000|30:00
"""


class KitTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.kit = os.path.join(self.folder, "some", "kit")
        source = os.path.dirname(slidegate_gate.__file__)
        shutil.copytree(
            source, os.path.join(self.kit, "slidegate_gate"), ignore=shutil.ignore_patterns("__pycache__")
        )

    def test_a_kit_of_plain_files_installs_itself_from_anywhere(self):
        for options in ([], ["-IS"]):
            for place, path in (
                ("/", self.kit),
                (self.kit, "."),
                (os.path.join(self.kit, "slidegate_gate"), ".."),
            ):
                shutil.rmtree(self.home, ignore_errors=True)
                program = os.path.join(path, "slidegate_gate")
                argv = [sys.executable] + options + ["-B", program, "ctl", "install", "--home", self.home]
                said = subprocess.check_output(argv, cwd=place, env={"HOME": self.folder}).decode()
                self.assertIn("is current in {}".format(self.home), said)

    def test_a_kit_takes_the_accounts_usual_place_for_its_home(self):
        program = os.path.join(self.kit, "slidegate_gate")
        said = subprocess.check_output([sys.executable, program, "ctl", "install"], env={"HOME": self.folder})
        self.assertTrue(said.decode().endswith("is current in {}/.slidegate-gate\n".format(self.folder)))


class SlurmTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)
        self.program("sbatch", "")
        self.program("scontrol", SCONTROL)
        self.program("sinfo", SINFO)
        patch = mock.patch.dict(os.environ, {"PATH": self.bin})
        patch.start()
        self.addCleanup(patch.stop)
        os.environ.pop("SLURM_CONF", None)

    def program(self, name, says, code=0):
        path = os.path.join(self.bin, name)
        with open(path, "w") as file:
            file.write("#!/bin/sh\n/bin/cat >&{} <<'END'\n{}END\nexit {}\n".format(1 + code, says, code))
        os.chmod(path, 0o700)

    def install(self, *words):
        self.good("install", "--scheduler", "slurm", *words)
        return self.config()

    def test_figures_are_taken_from_the_default_partition(self):
        config = self.install("--site", "alpha")
        self.assertEqual(
            config["scheduler"],
            {
                "name": "slurm",
                "bin": self.bin,
                "accounting": False,
                "max_array": 500,
                "poll_seconds": 30,
                "settle_seconds": 30,
                "timeout_seconds": 30,
            },
        )
        cpu = {"members": 4, "memory_mb": 2000, "minutes": 60, "cpus": 1, "gpus": 0, "partition": "main"}
        self.assertEqual(config["classes"], {"small": {"as": "cpu"}, "cpu": cpu})

    def test_a_partition_an_account_and_a_quality_can_be_named(self):
        config = self.install(
            "--partition", "big", "--account", "lab_1", "--qos", "normal", "--conf", "/etc/x.conf"
        )
        cpu = config["classes"]["cpu"]
        self.assertEqual((cpu["members"], cpu["memory_mb"], cpu["minutes"]), (8, 4000, 120))
        self.assertEqual((cpu["partition"], cpu["account"], cpu["qos"]), ("big", "lab_1", "normal"))
        self.assertEqual(config["scheduler"]["conf"], "/etc/x.conf")

    def test_a_time_limit_of_less_than_an_hour_is_kept(self):
        self.assertEqual(self.install("--partition", "short")["classes"]["cpu"]["minutes"], 30)

    def test_accounting_is_used_where_there_is_a_database(self):
        self.program("scontrol", SCONTROL.replace("storage/none", "storage/slurmdbd"))
        self.assertEqual(self.install()["scheduler"]["accounting"], True)

    def test_a_partition_that_is_not_there_or_not_up_is_refused_with_those_that_are(self):
        for name in ("typo", "old"):
            said = self.refused("unknown-name", "install", "--scheduler", "slurm", "--partition", name)
            self.assertIn("main, big, short", said)
        self.program("sinfo", SINFO.replace("*", ""))
        self.assertIn("--partition", self.refused("unknown-name", "install", "--scheduler", "slurm"))
        self.assertFalse(os.path.exists(self.home))

    def test_a_name_that_could_be_an_option_is_refused(self):
        for value in ("a b", "-x", "a;b", "a\n"):
            self.refused("unknown-name", "install", "--scheduler", "slurm", "--account=" + value)

    def test_a_computer_without_slurm_is_told_so(self):
        os.unlink(os.path.join(self.bin, "sbatch"))
        self.assertIn("login node", self.refused("no-scheduler", "install", "--scheduler", "slurm"))
        self.assertFalse(os.path.exists(self.home))

    def test_a_slurm_that_does_not_answer_is_told_with_its_words(self):
        self.program("scontrol", "slurm_load_ctl_conf error: Unable to contact slurm controller\n", 1)
        self.assertIn("Unable to contact", self.refused("no-scheduler", "install", "--scheduler", "slurm"))


if __name__ == "__main__":
    unittest.main()
