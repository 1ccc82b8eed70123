# SPDX-License-Identifier: BSD-3-Clause
"""What every adapter of a scheduler promises, asked of it by running real arrays.

``test_local_arrays`` asks the processes of this computer, ``test_slurm_arrays`` a stand-in for Slurm, and the
acceptance tests run ``slurm_contract`` on the login node of a real one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import slidegate_gate
from slidegate_gate.schedulers import SchedulerUnknown

GATE = os.path.dirname(os.path.dirname(os.path.abspath(slidegate_gate.__file__)))

# Says who it is in a file named by its first argument, and ends when the test makes the file beside it.
MEMBER = """
import json, os, sys, time
sys.path.insert(0, sys.argv[2])
from slidegate_gate.schedulers import adapter
array, element = adapter({"scheduler": {"name": sys.argv[3]}}).identity(os.environ)
about = {"array": array, "pid": os.getpid(), "argv": sys.argv[4:], "environment": sorted(os.environ)}
about.update(umask=os.umask(0), cwd=os.getcwd())
with open(sys.argv[1] + ".part" + element, "w") as file:
    json.dump(about, file)
os.rename(sys.argv[1] + ".part" + element, sys.argv[1] + "." + element)
while not os.path.exists(sys.argv[1] + ".end"):
    time.sleep(0.02)
"""

# Starts an array as a gate does; the code that it is given lets it die at some moment of that.
GATE_THAT_DIES = """
import json, os, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
from slidegate_gate.schedulers import adapter
config, folder, name, argv, resources, code = json.loads(sys.argv[2])
def die(*ignored, **named):
    os.kill(os.getpid(), signal.SIGKILL)
scheduler = adapter(config)(config, folder)
exec(code)
scheduler.submit(name, argv, 1, resources)
"""


class Contract:
    """A mixin for a TestCase, which says what is the adapter's own."""

    adapter = ""
    resources = {}  # of a member, such that two can run at once
    deaths = {}  # when a gate may die: the code that does it, and how many arrays there can be then

    def config(self):
        raise NotImplementedError

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=self.where())
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.mark = os.path.join(self.folder, "m")
        self.state = os.path.join(self.folder, "scheduler")
        self.scheduler = self.opened()
        self.begun = []
        self.name = "sg-{}.cpu.1".format(os.urandom(4).hex())  # a scheduler may remember those of other tests
        self.addCleanup(self.end_all)

    def where(self):
        return None

    def opened(self):
        from slidegate_gate.schedulers import adapter

        return adapter(self.config())(self.config(), self.state)

    def argv(self, mark=None, *more):
        return [sys.executable, "-ISB", "-c", MEMBER, mark or self.mark, GATE, self.adapter] + list(more)

    def submit(self, name=None, count=1, mark=None, *more):
        array = self.scheduler.submit(name or self.name, self.argv(mark, *more), count, self.resources)
        self.begun.append(array)
        return array

    def end(self, mark=None):
        with open((mark or self.mark) + ".end", "w"):
            pass

    def end_all(self):
        for array in self.begun:
            self.scheduler.cancel(array)
        self.until(lambda: all(self.state_of(array) == "ended" for array in self.begun))

    def until(self, condition, seconds=30.0):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited too long")
            time.sleep(0.02)

    def members(self, mark=None):
        folder, start = os.path.split((mark or self.mark) + ".")
        return sorted(name for name in os.listdir(folder) if name.startswith(start) and name[-1].isdigit())

    def running(self, number, mark=None):
        return lambda: len([name for name in self.members(mark) if ".part" not in name]) == number

    def about(self, element, mark=None):
        with open("{}.{}".format(mark or self.mark, element)) as file:
            return json.load(file)

    def state_of(self, array):
        return self.scheduler.states([array]).get(array, {}).get("state", "unknown")

    def found(self, name):
        """Ask until there is an answer."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.scheduler.find(name)
            except SchedulerUnknown:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)

    # what is promised

    def test_all_members_run_and_know_who_they_are(self):
        array = self.submit(count=2)
        self.until(self.running(2))
        self.until(lambda: self.state_of(array) == "running")
        self.assertEqual([self.about(element)["array"] for element in (0, 1)], [array, array])
        self.end()
        self.until(lambda: self.state_of(array) == "ended")
        self.assertEqual(self.scheduler.states([array])[array], {"state": "ended"})

    def test_members_get_their_arguments_as_they_are_and_an_environment_built_from_nothing(self):
        words = ["a b", "$HOME", "'\"", "--array=0-9", "ü", "*", ""]
        os.environ["LC_SECRET"] = "word"
        self.addCleanup(os.environ.pop, "LC_SECRET")
        self.submit(None, 1, None, *words)
        self.until(self.running(1))
        about = self.about(0)
        self.assertEqual(about["argv"], words)
        variables = {
            name for name in about["environment"] if not name.startswith(("SLURM_ARRAY", "SLIDEGATE"))
        }
        self.assertLessEqual(variables, {"PATH", "LANG", "LC_CTYPE", "TMPDIR", "SLURMD_NODENAME"})
        self.assertEqual((about["cwd"], about["umask"]), ("/", 0o077))

    def test_members_for_whom_there_is_no_room_wait(self):
        first = self.submit(count=2)
        self.until(self.running(2))
        second = self.submit(self.name + "2", 1, self.mark + "two")
        time.sleep(0.3)
        self.assertEqual(self.members(self.mark + "two"), [])
        self.until(lambda: self.state_of(second) == "queued")
        self.assertEqual(self.state_of(first), "running")
        self.end()
        self.until(self.running(1, self.mark + "two"))
        self.end(self.mark + "two")

    def test_an_array_is_found_by_its_whole_name_also_after_its_end(self):
        array = self.submit()
        self.submit(self.name + "1")
        self.assertEqual(self.scheduler.find(self.name), [array])
        self.end()
        self.until(lambda: self.state_of(array) == "ended")
        self.assertEqual(self.scheduler.find(self.name), [array])
        self.assertEqual(self.opened().find(self.name), [array])
        self.assertEqual(self.scheduler.find(self.name[:-2]), [])

    def test_cancel_ends_members_that_run_and_members_that_wait_and_can_be_repeated(self):
        running = self.submit(count=3)
        self.until(self.running(2))
        waiting = self.submit(self.name + "2", 1, self.mark + "two")
        for array in (waiting, running):
            self.scheduler.cancel(array)
            self.scheduler.cancel(array)
            self.until(lambda array=array: self.state_of(array) == "ended")
            self.scheduler.cancel(array)
        self.assertEqual((len(self.members()), len(self.members(self.mark + "two"))), (2, 0))
        for element in (0, 1):
            self.until(lambda element=element: not self.lives(self.about(element)))

    def lives(self, about):
        return os.path.exists("/proc/{}".format(about["pid"]))

    def test_an_array_that_never_was_does_not_live_and_can_be_cancelled(self):
        nobody = self.nobody()
        self.assertIn(self.state_of(nobody), ("unknown", "ended"))
        self.scheduler.cancel(nobody)
        self.assertEqual(self.scheduler.find("sg-selftest"), [])

    def nobody(self):
        return "sg-one.cpu.1.00000000"

    def test_a_gate_killed_at_any_moment_leaves_an_array_that_is_found_or_nothing(self):
        for number, (when, (code, may_have_started)) in enumerate(self.deaths.items()):
            mark, name = "{}{}".format(self.mark, number), "{}{}".format(self.name, number)
            order = [self.config(), self.state, name, self.argv(mark), self.resources, code]
            gate = [sys.executable, "-B", "-c", GATE_THAT_DIES, GATE, json.dumps(order)]
            self.assertEqual(subprocess.call(gate), -signal.SIGKILL, when)
            self.begun = self.found(name)
            self.assertIn(len(self.begun), may_have_started, when)
            self.until(self.running(len(self.begun), mark))
            time.sleep(0.2)
            self.assertEqual(len(self.members(mark)), len(self.begun), when)
            self.end_all()

    def test_everything_that_can_be_executed_is_told_with_absolute_paths(self):
        told = self.scheduler.explain()
        self.assertTrue(told)
        for argv in told:
            self.assertTrue(os.path.isabs(argv[0]), argv)
