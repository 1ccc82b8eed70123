# SPDX-License-Identifier: BSD-3-Clause
"""Arrays on this computer: they keep what every adapter promises, and live and die as their module says."""

import os
import shutil
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from scheduler_contract import Contract
from slidegate_gate.schedulers import SchedulerUnknown, adapter, local


class LocalArrays(Contract, unittest.TestCase):
    adapter = "local"
    deaths = {
        "before the folder has its name": ("os.rename = die", (0,)),
        "before the holder": ("subprocess.Popen = die", (0,)),
        "while the holder starts": ("subprocess.Popen.wait = die", (1,)),
        "before the answer": ("os.close = die", (1,)),
    }

    def config(self):
        return {"scheduler": {"name": "local", "cores": 2}}

    def test_the_configuration_names_the_adapter(self):
        self.assertIs(adapter({"scheduler": {"name": "local"}}), local.Scheduler)
        with self.assertRaises(ValueError):
            adapter({"scheduler": {"name": "os"}})

    def test_an_array_lives_while_a_member_does_although_its_holder_was_killed(self):
        array = self.submit()
        self.until(self.running(1))
        member = self.about(0)["pid"]
        with open("/proc/{}/stat".format(member)) as file:
            holder = int(file.read().split()[3])
        os.kill(holder, signal.SIGKILL)
        time.sleep(0.1)
        self.assertEqual(self.state_of(array), "running")
        os.kill(member, signal.SIGKILL)
        self.until(lambda: self.state_of(array) == "ended")

    def test_an_array_whose_folder_is_gone_has_ended_so_that_nobody_waits_for_it(self):
        array = self.submit()
        self.until(lambda: self.state_of(array) == "running")
        self.scheduler.cancel(array)
        self.until(lambda: self.state_of(array) == "ended")
        shutil.rmtree(os.path.join(self.state, "arrays", array))
        self.assertEqual(self.state_of(array), "ended")

    def test_while_an_array_is_being_started_nobody_can_tell(self):
        array = self.submit()
        os.unlink(os.path.join(self.state, "arrays", array, "started"))
        self.addCleanup(setattr, local, "START_SECONDS", local.START_SECONDS)
        local.START_SECONDS = 0.2
        with self.assertRaises(SchedulerUnknown):
            self.scheduler.find(self.name)

    def test_a_key_with_cores_of_its_own_waits_for_nobody_else_and_keeps_nobody_waiting(self):
        keys = {"preview": {"workflows": ["*"], "cores": 1}, "local": {"workflows": ["*"]}}
        config = dict(self.config(), keys=keys)
        self.scheduler = local.Scheduler(config, self.state)
        marks = {who: os.path.join(self.folder, who) for who in ("all", "first", "second", "late")}
        self.submit("sg-local.0.cpu.1", 2, marks["all"])
        self.until(self.running(2, marks["all"]))
        self.submit("sg-preview.1.cpu.1", 1, marks["first"])
        self.until(self.running(1, marks["first"]))
        self.submit("sg-preview.2.cpu.1", 1, marks["second"])
        self.submit("sg-local.3.cpu.1", 1, marks["late"])
        time.sleep(0.3)
        self.assertEqual(self.members(marks["second"]) + self.members(marks["late"]), [])
        self.end(marks["first"])
        self.until(self.running(1, marks["second"]))
        self.assertEqual(self.members(marks["late"]), [])
        self.end(marks["all"])
        self.until(self.running(1, marks["late"]))

    def test_a_holder_that_cannot_start_is_no_array(self):
        self.addCleanup(setattr, local.local_holder, "__file__", local.local_holder.__file__)
        local.local_holder.__file__ = "/nonexistent"
        with self.assertRaises(SchedulerUnknown):
            self.submit()
        self.assertEqual(self.scheduler.find(self.name), [])

    def test_everything_that_can_be_executed_is_told(self):
        ((program, flags, holder, folder, descriptor),) = self.scheduler.explain()
        self.assertEqual([program, flags], [sys.executable, "-IS"])
        self.assertTrue(os.path.isfile(holder))
        self.assertEqual([folder, descriptor], ["<array folder>", "<descriptor>"])


if __name__ == "__main__":
    unittest.main()
