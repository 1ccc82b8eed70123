# SPDX-License-Identifier: BSD-3-Clause
"""The process that computes, in all the ways in which it can behave; and how members see who lives."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

import slidegate_gate
from slidegate_gate import kernel
from slidegate_gate.runner import leases, step_process
from slidegate_gate.runner.step_process import NotWanted, OutOfMemory, StepCrashed, StepFailed, StepProcess

GATE = os.path.dirname(os.path.dirname(os.path.abspath(slidegate_gate.__file__)))

ECHO = """
import json, sys
for line in sys.stdin:
    print(json.dumps({'ok': True, 'result': json.loads(line)}), flush=True)
"""

TWO_ANSWERS = """
import time
input()
for _ in range(2):
    print('{"ok": true}', flush=True)
    time.sleep(0.1)
input()
"""

WITH_A_CHILD = """
import subprocess, time
child = subprocess.Popen(['sleep', '60'])
open('pid', 'w').write(str(child.pid))
time.sleep(60)
"""


class StepProcesses(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.log = os.path.join(self.folder, "log")

    def started(self, code):
        process = StepProcess([sys.executable, "-c", code])
        process.scratch = self.folder
        self.addCleanup(process.close)
        return process

    def ask(self, process, wanted=lambda: True, **request):
        return process.ask(dict(request, step="detect"), self.log, wanted)

    def says(self, line):
        return self.ask(self.started("input(); print({!r})".format(line)))

    def crash(self, code, **request):
        with self.assertRaises(StepCrashed) as caught:
            self.ask(self.started(code), **request)
        return str(caught.exception)

    def test_one_process_answers_one_request_after_the_other(self):
        process = self.started(ECHO)
        for number in range(3):
            self.assertEqual(self.ask(process, number=number)["result"]["number"], number)

    def test_a_long_request_and_a_noisy_process_do_not_wait_for_each_other(self):
        process = self.started("import sys; sys.stderr.write('x' * 1000000)\n" + ECHO)
        text = "y" * 1000000
        self.assertEqual(self.ask(process, text=text)["result"]["text"], text)
        self.assertEqual(os.path.getsize(self.log), 1000000)

    def test_what_was_said_before_the_answer_is_in_the_log(self):
        self.ask(
            self.started(
                "import sys\ninput()\nsys.stderr.write('word')\nsys.stderr.flush()\nprint('{\"ok\": true}')"
            )
        )
        with open(self.log) as file:
            self.assertEqual(file.read(), "word")

    def test_a_process_without_an_error_output_can_work(self):
        code = "import os, time\nos.close(2)\ninput()\ntime.sleep(0.2)\nprint('{\"ok\": true}')"
        self.assertEqual(self.ask(self.started(code)), {"result": {}, "units": []})

    def test_what_comes_after_an_answer_is_not_taken_for_the_next(self):
        process = self.started(TWO_ANSWERS)
        self.ask(process)
        time.sleep(0.3)
        with self.assertRaisesRegex(StepCrashed, "without being asked"):
            self.ask(process)
        self.assertIsNone(process.process)

    def test_answers_that_are_none_are_crashes(self):
        for line in (
            "",
            "null",
            "5",
            "[]",
            "{}",
            '{"ok": 1}',
            '{"ok": true, "units": "ab"}',
            "NaN",
            '{"ok": false}',
        ):
            with self.assertRaises(StepCrashed, msg=line):
                self.says(line)
        for units in (
            '["a", "a"]',
            '["A"]',
            '["../x"]',
            '["a\\n"]',
            "[1]",
            '[["a"]]',
            '["' + 41 * "a" + '"]',
        ):
            with self.assertRaises(StepCrashed, msg=units):
                self.says('{"ok": true, "units": ' + units + "}")

    def test_an_answer_without_end_and_one_without_output_are_crashes(self):
        self.addCleanup(setattr, step_process, "MAX_ANSWER", step_process.MAX_ANSWER)
        self.addCleanup(setattr, step_process, "END_SECONDS", step_process.END_SECONDS)
        step_process.MAX_ANSWER, step_process.END_SECONDS = 1 << 20, 0.2
        self.assertIn("timed out", self.crash("input()\nwhile True: print('x' * 65536, end='')"))
        self.assertIn("timed out", self.crash("import os, time\ninput()\nos.close(1)\ntime.sleep(60)"))
        self.assertIn("status 7", self.crash("raise SystemExit(7)"))

    def test_a_program_that_is_missing_is_a_crash(self):
        process = StepProcess(["/nonexistent"])
        process.scratch = self.folder
        with self.assertRaisesRegex(StepCrashed, "/nonexistent"):
            self.ask(process)

    def test_a_step_says_why_it_fails(self):
        with self.assertRaises(StepFailed) as caught:
            self.says('{"ok": false, "code": "too-dark", "message": "Dark.", "transient": true}')
        failure = caught.exception
        self.assertEqual((failure.code, str(failure), failure.transient), ("too-dark", "Dark.", True))

    def test_work_that_is_not_wanted_any_more_ends_with_all_that_it_started(self):
        path = os.path.join(self.folder, "pid")
        before = time.monotonic()
        with self.assertRaises(NotWanted):
            self.ask(
                self.started(WITH_A_CHILD),
                wanted=lambda: not os.path.exists(path) or not os.path.getsize(path),
            )
        self.assertLess(time.monotonic() - before, 5)
        with open(path) as file:
            child = file.read()
        deadline = time.monotonic() + 5
        while os.path.exists("/proc/{}/exe".format(child)) and self.state_of(child) != "Z":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def state_of(self, pid):
        try:
            with open("/proc/{}/stat".format(pid)) as file:
                return file.read().rpartition(")")[2].split()[0]
        except OSError:
            return "Z"

    def test_a_process_that_is_killed_while_the_system_ran_out_of_memory_lacked_memory(self):
        counts = iter([7, 8])
        die = "import os; input(); os.kill(os.getpid(), 9)"
        with mock.patch.object(step_process, "oom_kills", lambda: next(counts)):
            process = self.started(die)
            process.memory_mb = 4000
            with self.assertRaisesRegex(OutOfMemory, "memory_mb 4000"):
                self.ask(process)
        self.assertIn("signal 9", self.crash(die))
        counts = iter([7, 8])
        with mock.patch.object(step_process, "oom_kills", lambda: next(counts)):
            self.assertIn("status 1", self.crash("input(); raise SystemExit(1)"))

    def test_the_system_tells_how_often_memory_was_used_up(self):
        before = step_process.oom_kills()
        self.assertIsInstance(before, int)
        self.assertGreaterEqual(step_process.oom_kills(), before)

    def test_memory_that_somebody_else_used_up_is_not_counted(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("none", "own", "computer")]
            for path, text in zip(
                paths[1:], ("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "x 1\noom_kill 9\n")
            ):
                with open(path, "w") as file:
                    file.write(text)
            with mock.patch.object(kernel, "_COUNTS", [(None, path) for path in paths]):
                self.assertEqual(kernel.oom_kills(), 3)
            with mock.patch.object(kernel, "_COUNTS", [("no such controller", paths[1]), (None, paths[2])]):
                self.assertEqual(kernel.oom_kills(), 9)

    def test_a_process_that_dies_before_it_has_read_its_request_tells_its_exit_code(self):
        self.assertIn("status 5", self.crash("raise SystemExit(5)", text="y" * 1000000))

    def test_a_process_that_is_ended_by_a_signal_gives_its_member_time_to_be_told_too(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            before = time.monotonic()
            die = "import os; input(); os.kill(os.getpid(), {:d}); input()".format(number)
            self.assertIn("signal {:d}".format(number), self.crash(die))
            self.assertGreater(time.monotonic() - before, step_process.KILL_SECONDS)

    def test_a_member_that_is_told_to_leave_says_so_in_the_log_and_ends_the_process(self):
        def leave():
            raise SystemExit(143)

        process = self.started("input(); input()")
        with self.assertRaises(SystemExit):
            self.ask(process, wanted=leave)
        self.assertIsNone(process.process)
        with open(self.log) as file:
            self.assertIn("told to leave", file.read())

    def test_the_step_sees_the_gpus_that_the_scheduler_gave_and_nothing_else(self):
        show = "import os, slidegate_gate.runner.step_process as one; print(sorted(one.ENVIRONMENT))"
        given = {"CUDA_VISIBLE_DEVICES": "1", "ROCR_VISIBLE_DEVICES": "0", "SECRET": "x"}
        said = subprocess.check_output([sys.executable, "-c", show], env=dict(given, PYTHONPATH=GATE))
        self.assertIn("CUDA_VISIBLE_DEVICES', 'LANG", said.decode("ascii"))
        self.assertNotIn("SECRET", said.decode("ascii"))

    def test_usage_grows_with_the_work(self):
        process = self.started("sum(range(5000000))\n" + ECHO)
        self.assertEqual(kernel.usage_of(process.process), (0.0, 0))
        self.ask(process)
        seconds, memory = kernel.usage_of(process.process)
        self.assertGreater(seconds, 0.0)
        self.assertGreater(memory, 1 << 20)


class Lives(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.path = os.path.join(self.folder, "member")

    def test_a_member_that_counts_is_never_silent_and_one_that_stops_is(self):
        heartbeat, watch = leases.Heartbeat(0.02), leases.Watch(1.0)
        heartbeat.path = self.path
        heartbeat.start()
        for _ in range(5):
            time.sleep(0.1)
            self.assertLess(watch.silence(self.path), 0.2)
        heartbeat.path = os.path.join(self.folder, "other")
        time.sleep(0.1)
        watch.silence(self.path)
        time.sleep(0.3)
        self.assertGreater(watch.silence(self.path), 0.25)

    def test_a_member_that_never_counted_becomes_silent(self):
        watch = leases.Watch(1.0)
        watch.silence(self.path)
        time.sleep(0.1)
        self.assertGreaterEqual(watch.silence(self.path), 0.1)

    def test_the_sleep_of_the_observer_is_not_the_silence_of_others(self):
        watch = leases.Watch(0.05)
        watch.silence(self.path)
        time.sleep(0.3)
        self.assertLessEqual(watch.silence(self.path), 0.05)


if __name__ == "__main__":
    unittest.main()
