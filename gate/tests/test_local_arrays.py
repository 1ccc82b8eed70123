# SPDX-License-Identifier: BSD-3-Clause
"""Arrays on this computer: they start, wait, live and die as the scheduler's module says."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import slidegate_gate
from slidegate_gate.schedulers import SchedulerUnknown, adapter, local

GATE = os.path.dirname(os.path.dirname(os.path.abspath(slidegate_gate.__file__)))

# Ends when the test makes the file named by its argument; says who it is in a file beside it.
MEMBER = """
import os, sys, time
me = sys.argv[1] + "." + os.environ["SLIDEGATE_LOCAL_ELEMENT"]
open(me, "w").write(os.environ["SLIDEGATE_LOCAL_ARRAY"] + " " + str(os.getpid()))
while not os.path.exists(sys.argv[1] + ".end"):
    time.sleep(0.02)
"""

# Starts an array as a gate does, and is killed before or after the step that its second argument names.
GATE_THAT_DIES = """
import os, signal, sys
sys.path.insert(0, sys.argv[4])
from slidegate_gate.schedulers import local
def die(*ignored, **named):
    os.kill(os.getpid(), signal.SIGKILL)
scheduler = local.Scheduler({"scheduler": {"name": "local", "cores": 1}}, sys.argv[1])
if sys.argv[2] == "before the folder has its name":
    os.rename = die
elif sys.argv[2] == "before the holder":
    local.subprocess.Popen = die
elif sys.argv[2] == "while the holder starts":
    local.subprocess.Popen.wait = die
else:
    local.os.close = die
scheduler.submit("sg-one.cpu.1", [sys.executable, "-c", sys.argv[5], sys.argv[3]], 1, {})
"""


class LocalArrays(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.addCleanup(self.end)
        self.mark = os.path.join(self.folder, "m")
        self.state = os.path.join(self.folder, "scheduler")
        self.scheduler = self.opened(cores=2)

    def opened(self, cores):
        return local.Scheduler({"scheduler": {"name": "local", "cores": cores}}, self.state)

    def submit(self, name="sg-one.cpu.1", count=1, mark=None, scheduler=None):
        argv = [sys.executable, "-c", MEMBER, mark or self.mark]
        return (scheduler or self.scheduler).submit(name, argv, count, {})

    def end(self):
        with open(self.mark + ".end", "w"):
            pass
        arrays = self.scheduler._names()
        self.until(lambda: not {"running", "queued"} & {self.state_of(array) for array in arrays})

    def until(self, condition, seconds=10.0):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited too long")
            time.sleep(0.02)

    def members(self, mark=None):
        folder, start = os.path.split((mark or self.mark) + ".")
        return sorted(name for name in os.listdir(folder) if name.startswith(start) and name[-1].isdigit())

    def state_of(self, array):
        return self.scheduler.states([array])[array]["state"]

    def test_the_configuration_names_the_adapter(self):
        self.assertIs(adapter({"scheduler": {"name": "local"}}), local.Scheduler)
        with self.assertRaises(ValueError):
            adapter({"scheduler": {"name": "os"}})

    def test_all_members_run_and_know_who_they_are(self):
        array = self.submit(count=2)
        self.until(lambda: len(self.members()) == 2)
        self.assertEqual(self.state_of(array), "running")
        with open(self.mark + ".1") as file:
            self.until(lambda: file.read() or not file.seek(0))
        with open(self.mark + ".1") as file:
            self.assertEqual(file.read().split()[0], array)
        environ = {"SLIDEGATE_LOCAL_ARRAY": array, "SLIDEGATE_LOCAL_ELEMENT": "1"}
        self.assertEqual(self.scheduler.identity(environ), (array, "1"))
        self.end()
        self.assertEqual(self.state_of(array), "ended")

    def test_members_beyond_the_cores_wait_for_a_slot(self):
        first = self.submit(count=2)
        self.until(lambda: len(self.members()) == 2)
        second = self.submit("sg-two.cpu.1", mark=self.mark + "two")
        time.sleep(0.3)
        self.assertEqual(self.members(self.mark + "two"), [])
        self.assertEqual([self.state_of(array) for array in (first, second)], ["running", "queued"])
        with open(self.mark + ".end", "w"):
            pass
        self.until(lambda: self.members(self.mark + "two"))
        with open(self.mark + "two.end", "w"):
            pass

    def test_an_array_is_found_by_its_whole_name_also_after_its_end(self):
        array = self.submit("sg-one.cpu.1")
        self.submit("sg-one.cpu.11")
        self.assertEqual(self.scheduler.find("sg-one.cpu.1"), [array])
        self.end()
        self.assertEqual(self.scheduler.find("sg-one.cpu.1"), [array])
        self.assertEqual(self.scheduler.find("sg-one.cpu"), [])

    def test_nothing_is_known_of_an_array_without_a_trace(self):
        self.assertEqual(self.state_of("sg-one.cpu.1.00000000"), "unknown")
        self.scheduler.cancel("sg-one.cpu.1.00000000")

    def test_cancel_ends_members_that_run_and_members_that_wait(self):
        one_core = self.opened(cores=1)
        running = self.submit(count=2, scheduler=one_core)
        self.until(self.members)
        waiting = self.submit("sg-two.cpu.1", mark=self.mark + "two", scheduler=one_core)
        for array in (waiting, running):
            one_core.cancel(array)
            one_core.cancel(array)
            self.until(lambda array=array: self.state_of(array) == "ended")
        self.assertEqual(len(self.members()) + len(self.members(self.mark + "two")), 1)

    def test_an_array_lives_while_a_member_does_although_its_holder_was_killed(self):
        array = self.submit()
        self.until(lambda: self.members() and os.path.getsize(self.mark + ".0"))
        with open(self.mark + ".0") as file:
            member = int(file.read().split()[1])
        with open("/proc/{}/stat".format(member)) as file:
            holder = int(file.read().split()[3])
        os.kill(holder, signal.SIGKILL)
        time.sleep(0.1)
        self.assertEqual(self.state_of(array), "running")
        os.kill(member, signal.SIGKILL)
        self.until(lambda: self.state_of(array) == "ended")

    def gate_that_dies(self, when):
        argv = [sys.executable, "-c", GATE_THAT_DIES, self.state, when, self.mark, GATE, MEMBER]
        self.assertEqual(subprocess.call(argv), -signal.SIGKILL)

    def test_a_gate_killed_before_the_holder_leaves_nothing_that_could_start(self):
        for when in ("before the folder has its name", "before the holder"):
            self.gate_that_dies(when)
            self.assertEqual(self.scheduler.find("sg-one.cpu.1"), [], when)
        time.sleep(0.2)
        self.assertEqual(self.members(), [])

    def test_a_gate_killed_after_the_holder_leaves_an_array_that_is_found_and_runs(self):
        for number, when in enumerate(("while the holder starts", "before the answer")):
            self.gate_that_dies(when)
            self.assertEqual(len(self.scheduler.find("sg-one.cpu.1")), number + 1, when)
            self.until(self.members)
            self.end()
            os.unlink(self.mark + ".0")
            os.unlink(self.mark + ".end")

    def test_while_an_array_is_being_started_nobody_can_tell(self):
        array = self.submit()
        os.unlink(os.path.join(self.state, "arrays", array, "started"))
        self.addCleanup(setattr, local, "START_SECONDS", local.START_SECONDS)
        local.START_SECONDS = 0.2
        with self.assertRaises(SchedulerUnknown):
            self.scheduler.find("sg-one.cpu.1")

    def test_a_holder_that_cannot_start_is_no_array(self):
        self.addCleanup(setattr, local.local_holder, "__file__", local.local_holder.__file__)
        local.local_holder.__file__ = "/nonexistent"
        with self.assertRaises(SchedulerUnknown):
            self.submit()
        self.assertEqual(self.scheduler.find("sg-one.cpu.1"), [])

    def test_everything_that_can_be_executed_is_told(self):
        ((program, flags, holder, folder, descriptor),) = self.scheduler.explain()
        self.assertEqual([program, flags], [sys.executable, "-IS"])
        self.assertTrue(os.path.isfile(holder))
        self.assertEqual([folder, descriptor], ["<array folder>", "<descriptor>"])


if __name__ == "__main__":
    unittest.main()
