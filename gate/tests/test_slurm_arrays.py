# SPDX-License-Identifier: BSD-3-Clause
"""The adapter for Slurm, with programs that answer what they are told: kept answers, and requests cut off.

What it does with a real Slurm is asked by the acceptance tests.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import slidegate_gate
from slidegate_gate.schedulers import SchedulerError, SchedulerUnknown, adapter, slurm
from slurm_answers import SACCT, SBATCH, SCANCEL
from stand_in_slurm import StandIn

GATE = os.path.dirname(os.path.dirname(os.path.abspath(slidegate_gate.__file__)))
NAME = "sg-omero.0123.cpu.1"
CLASS = {"members": 8, "memory_mb": 4000, "minutes": 120}
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from slidegate_gate.schedulers import slurm
scheduler = slurm.Scheduler(json.loads(sys.argv[2]), sys.argv[3])
"""


class Arrays(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.slurm = StandIn(os.path.join(self.folder, "bin"))
        self.state = os.path.join(self.folder, "state")
        self.now = time.time()
        clock = mock.patch.object(slurm.time, "time", lambda: self.now)
        clock.start()
        self.addCleanup(clock.stop)

    def config(self, **more):
        return {"scheduler": dict({"name": "slurm", "bin": self.slurm.folder}, **more)}

    def opened(self, **more):
        return slurm.Scheduler(self.config(**more), self.state)

    def submit(self, scheduler=None, name=NAME, count=4, resources=CLASS, argv=("/bin/true",)):
        return (scheduler or self.opened()).submit(name, list(argv), count, resources)

    def queue(self, *rows):
        self.slurm.tell("squeue", "".join("{}|{}\n".format(row, NAME) for row in rows))

    # asking sbatch

    def test_a_request_says_everything_by_options_and_nothing_by_the_environment(self):
        self.slurm.tell("sbatch", "4711\n")
        with mock.patch.dict(os.environ, {"SBATCH_PARTITION": "other", "LC_SECRET": "x"}):
            self.assertEqual(self.submit(argv=("/python", "a b", "--key")), "4711")
        (call,) = self.slurm.calls("sbatch")
        launcher = os.path.join(self.state, "launcher")
        expected = (
            "--parsable --export=ALL --no-requeue --job-name={} --array=0-3 --nodes=1 --chdir=/".format(NAME)
        )
        log = os.path.join(self.state, "logs", NAME)
        expected += " --output={} --open-mode=append --time=120 --mem=4000M {}".format(log, launcher)
        self.assertEqual(call["argv"], expected.split() + ["/python", "a b", "--key"])
        call["environment"].pop("LC_CTYPE", None)  # what newer Pythons add
        self.assertEqual(call["environment"], {"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC"})
        self.assertEqual(call["cwd"], "/")

    def test_a_class_may_name_more_than_it_must(self):
        self.slurm.tell("sbatch", "1\n")
        more = {"cpus": 4, "gpus": 2, "partition": "gpu", "account": "lab", "qos": "long"}
        self.submit(resources=dict(CLASS, **more))
        self.submit(name=NAME + "1", resources=dict(CLASS, gpus=0, partition=""))
        first, second = (call["argv"] for call in self.slurm.calls("sbatch"))
        words = "--cpus-per-task=4 --gpus=2 --partition=gpu --account=lab --qos=long"
        self.assertEqual(first[11:16], words.split())
        self.assertEqual(len(second), len(first) - 5)

    def test_slurm_conf_is_passed_on_where_the_site_says_so(self):
        self.opened(conf="/opt/slurm.conf").find(NAME)
        self.assertEqual(self.slurm.calls("squeue")[0]["environment"]["SLURM_CONF"], "/opt/slurm.conf")

    def test_a_crew_is_one_array_of_at_most_as_many_elements_as_slurm_takes(self):
        self.slurm.tell("sbatch", "1\n")
        self.submit(self.opened(max_array=3), count=5)
        self.assertIn("--array=0-2", self.slurm.calls("sbatch")[0]["argv"])

    def test_a_percent_sign_in_the_path_of_the_log_is_no_pattern(self):
        self.slurm.tell("sbatch", "1\n")
        self.state = os.path.join(self.folder, "100%j")
        self.submit()
        log = "--output=" + os.path.join(self.folder, "100%%j", "logs", NAME)
        self.assertIn(log, self.slurm.calls("sbatch")[0]["argv"])

    def test_the_launcher_becomes_the_member_with_little_more_than_its_identity(self):
        self.slurm.tell("sbatch", "1\n")
        self.submit()
        launcher = os.path.join(self.state, "launcher")
        with open(launcher) as file:
            self.assertEqual(file.readline(), "#!{} -IS\n".format(sys.executable))
        show = "import json, os; print(json.dumps([dict(os.environ), os.umask(0)]))"
        given = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "TMPDIR": "/scratch", "PATH": "/bin"}
        environment = dict(given, SLURM_JOB_ID="8", SECRET="x", LD_PRELOAD="", PYTHONPATH="/nowhere")
        argv = [sys.executable, "-IS", launcher, sys.executable, "-ISc", show]
        told, umask = json.loads(subprocess.check_output(argv, env=environment).decode("ascii"))
        told.pop("LC_CTYPE", None)
        self.assertEqual((told, umask), (given, 0o077))
        self.assertEqual(slurm.Scheduler.identity(told), ("7", "3"))

    def test_a_launcher_that_says_what_it_must_is_left_alone_and_any_other_is_replaced(self):
        self.slurm.tell("sbatch", "1\n")
        self.submit()
        launcher = os.path.join(self.state, "launcher")
        first = os.stat(launcher)
        self.submit()
        again = os.stat(launcher)
        self.assertEqual((first.st_ino, first.st_mtime_ns), (again.st_ino, again.st_mtime_ns))
        with open(launcher, "a") as file:
            file.write("# of another version\n")
        self.submit()
        with open(launcher) as file:
            self.assertEqual(file.read(), slurm.LAUNCHER.format(sys.executable))

    def test_what_sbatch_says_is_an_array_a_refusal_or_unknown(self):
        for what, ((code, answer, words), meaning) in SBATCH.items():
            shutil.rmtree(self.state, True)
            self.slurm.tell("sbatch", answer, words, code)
            try:
                found = self.submit()
            except SchedulerError as error:
                found = "refused"
                self.assertRegex(str(error), r"\A[ -~]{20,400}\Z")
            except SchedulerUnknown:
                found = "unknown"
            self.assertEqual(found, meaning, what)

    def test_after_a_refusal_it_is_certain_that_nothing_runs(self):
        (code, answer, words), _ = SBATCH["RECORDED 22.05.8: no such partition"]
        self.slurm.tell("sbatch", answer, words, code)
        with self.assertRaisesRegex(SchedulerError, "invalid partition specified: nosuch"):
            self.submit()
        self.assertEqual(self.opened().find(NAME), [])

    def test_a_program_that_is_missing_is_unknown_and_said_so(self):
        os.unlink(os.path.join(self.slurm.folder, "squeue"))
        with self.assertRaisesRegex(SchedulerUnknown, "No such file.*squeue"):
            self.opened().find(NAME)
        with self.assertRaisesRegex(SchedulerUnknown, "No such file.*squeue"):
            self.opened().states(["1"])

    # a request that was cut off

    def cut_off(self):
        self.slurm.tell("sbatch", "", "sbatch: error: Socket timed out on send/recv operation\n", 1)
        with self.assertRaises(SchedulerUnknown):
            self.submit()

    def find(self, **more):
        """Ask when the kept answer is old."""
        self.now += 31
        return self.opened(**more).find(NAME)

    def test_nobody_knows_of_a_request_that_was_cut_off_until_it_had_time_to_arrive(self):
        self.cut_off()
        for _ in range(2):
            with self.assertRaisesRegex(SchedulerUnknown, "may still arrive"):
                self.opened().find(NAME)
        with self.assertRaises(SchedulerUnknown):
            self.find(settle_seconds=40)
        self.assertEqual(self.find(settle_seconds=40), [])

    def test_a_request_that_was_cut_off_and_arrived_is_found_at_once(self):
        self.cut_off()
        self.queue("7|0|PENDING|None", "8|0|PENDING|None")
        self.assertEqual(sorted(self.opened().find(NAME)), ["7", "8"])

    def test_an_old_answer_does_not_tell_that_a_request_came_to_nothing(self):
        self.opened().find(NAME)
        self.now += 5
        self.cut_off()
        self.now += 20
        with self.assertRaises(SchedulerUnknown):
            self.opened(settle_seconds=1).find(NAME)
        self.assertEqual(self.find(settle_seconds=1), [])

    def test_while_an_sbatch_lives_that_nobody_waits_for_nobody_knows(self):
        self.slurm.tell("sbatch", "7\n", seconds=60)
        code = ASK + "scheduler.submit({!r}, ['x'], 1, {!r})".format(NAME, CLASS)
        argv = [sys.executable, "-c", code, GATE, json.dumps(self.config()), self.state]
        with subprocess.Popen(argv) as gate:
            while not self.slurm.calls("sbatch"):
                time.sleep(0.02)
            gate.kill()
        (sbatch,) = self.processes("sbatch")
        try:
            for _ in range(3):
                with self.assertRaisesRegex(SchedulerUnknown, "may still arrive"):
                    self.find()
            with self.assertRaises(OSError):
                self.submit()
        finally:
            os.kill(sbatch, signal.SIGKILL)
        while self.processes("sbatch"):
            time.sleep(0.02)
        self.assertEqual(self.find(), [])

    def processes(self, tool):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open("/proc/{}/cmdline".format(pid), "rb") as file:
                if os.path.join(self.slurm.folder, tool).encode() in file.read().split(b"\0")[:3]:
                    found.append(int(pid))
        return found

    def test_an_sbatch_that_takes_too_long_is_killed_and_unknown(self):
        self.slurm.tell("sbatch", "7\n", seconds=60)
        began = time.monotonic()
        with self.assertRaisesRegex(SchedulerUnknown, "timed out"):
            self.submit(self.opened(timeout_seconds=0.5))
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(self.processes("sbatch"), [])

    def test_a_clock_that_is_set_back_delays_but_does_not_block(self):
        self.cut_off()
        self.opened().find(NAME + "2")
        self.now -= 86400
        with self.assertRaises(SchedulerUnknown):
            self.opened().find(NAME)
        self.assertEqual(len(self.slurm.calls("squeue")), 2)
        with self.assertRaises(SchedulerUnknown):
            self.opened().find(NAME)
        self.assertEqual(len(self.slurm.calls("squeue")), 2)
        self.assertEqual(self.find(), [])

    # asking squeue

    def test_slurm_is_asked_once_in_a_while_by_any_number_of_threads_and_processes(self):
        self.slurm.tell("squeue", "7|0|RUNNING|None|{}\n".format(NAME), seconds=0.3)
        code = ASK + "assert scheduler.find({!r}) == ['7']".format(NAME)
        argv = [sys.executable, "-c", code, GATE, json.dumps(self.config()), self.state]
        gates = [subprocess.Popen(argv) for _ in range(4)]
        threads = [threading.Thread(target=self.opened().states, args=(["7"],)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([gate.wait() for gate in gates], [0] * 4)
        self.assertEqual(len(self.slurm.calls("squeue")), 1)
        self.now += 31
        self.opened().states(["7"])
        self.assertEqual(len(self.slurm.calls("squeue")), 2)

    def test_a_failure_is_kept_as_long_as_an_answer_and_nobody_knows_anything(self):
        self.queue("7|0|RUNNING|None")
        self.opened().states(["7"])
        self.now += 31
        self.slurm.tell("squeue", "", "slurm_load_jobs error: Unable to contact slurm controller\n\x1b[1m", 1)
        for _ in range(5):
            with self.assertRaisesRegex(SchedulerUnknown, "(?s)Unable to contact slurm controller.{0,9}$"):
                self.opened().states(["7"])
            with self.assertRaises(SchedulerUnknown):
                self.opened().find(NAME)
        self.assertEqual(len(self.slurm.calls("squeue")), 2)
        self.queue("7|0|RUNNING|None")
        self.now += 31
        self.assertEqual(self.opened().states(["7"]), {"7": {"state": "running"}})

    def test_an_answer_without_end_is_cut_and_unknown(self):
        self.slurm.tell("squeue", endless=True)
        began = time.monotonic()
        with self.assertRaises(SchedulerUnknown):
            self.opened().states(["7"])
        self.assertLess(time.monotonic() - began, 10)

    def test_an_array_is_queued_from_its_submit_on_although_the_kept_answer_is_older(self):
        scheduler = self.opened()
        scheduler.find(NAME)
        self.slurm.tell("sbatch", "7\n")
        self.submit(scheduler)
        self.assertEqual(scheduler.states(["7"]), {"7": {"state": "queued"}})
        self.assertEqual(scheduler.find(NAME), ["7"])
        self.assertEqual(len(self.slurm.calls("squeue")), 1)

    def test_an_array_that_slurm_has_forgotten_has_ended(self):
        self.slurm.tell("sbatch", "7\n")
        self.submit()
        self.assertEqual(self.opened().states(["7", "6"]), {"7": {"state": "ended"}, "6": {"state": "ended"}})

    def test_while_a_request_is_open_an_array_that_was_never_seen_is_unknown(self):
        self.queue("7|0|RUNNING|None")
        self.opened().states(["7"])
        self.cut_off()
        self.assertEqual(self.opened().states(["7", "6"]), {"7": {"state": "running"}})

    def test_causes_and_reasons_are_told(self):
        self.queue("7|0|TIMEOUT|TimeLimit", "7|1|COMPLETED|None", "7|2|TIMEOUT|TimeLimit")
        self.assertEqual(self.opened().states(["7"]), {"7": {"state": "ended", "causes": {"time-limit": 2}}})
        self.now += 31
        self.queue("8|0|PENDING|QOSMaxCpuPerUserLimit")
        self.assertEqual(
            self.opened().states(["8"]), {"8": {"state": "queued", "reason": "QOSMaxCpuPerUserLimit"}}
        )

    def test_what_is_kept_does_not_grow_for_ever(self):
        self.queue("7|0|TIMEOUT|TimeLimit")
        self.opened().find(NAME)
        self.queue()
        self.now += 8 * 86400
        self.assertEqual(self.opened().find(NAME), [])
        with open(os.path.join(self.state, "queue.json")) as file:
            self.assertEqual(json.load(file)["arrays"], {})

    # asking sacct

    def forgotten(self, **more):
        """Let Slurm forget an array that was running."""
        self.now += 31
        self.queue("1|0|RUNNING|None")
        self.opened(**more).states(["1"])
        self.queue()
        self.now += 31
        return self.opened(**more).states(["1"])["1"]

    def test_the_accounting_is_asked_for_what_slurm_has_forgotten_where_the_site_allows_it(self):
        self.slurm.tell("sacct", SACCT)
        self.assertEqual(self.forgotten(), {"state": "ended"})
        self.assertEqual(self.slurm.calls("sacct"), [])
        causes = {"time-limit": 1, "cancelled": 4, "out-of-memory": 1}
        self.assertEqual(self.forgotten(accounting=True), {"state": "ended", "causes": causes})
        self.now += 31
        self.opened(accounting=True).states(["1"])
        (call,) = self.slurm.calls("sacct")
        self.assertEqual(call["argv"][-1], "--jobs=1")

    def test_an_accounting_that_does_not_answer_is_not_missed(self):
        self.slurm.tell("sacct", "", "Slurm accounting storage is disabled\n", 1)
        self.assertEqual(self.forgotten(accounting=True), {"state": "ended"})

    # cancelling

    def test_cancel_names_one_array_by_its_number_and_nothing_else(self):
        for what, ((code, answer, words), good) in SCANCEL.items():
            self.slurm.tell("scancel", answer, words, code)
            with contextlib.suppress(SchedulerUnknown):
                self.opened().cancel("7")
                self.assertTrue(good, what)
        for other in ("", "0", "-u", "7 8", "7\n", "sg-one.cpu.1.00000000", "--me"):
            self.opened().cancel(other)
        self.assertEqual([call["argv"] for call in self.slurm.calls("scancel")], [["7"]] * len(SCANCEL))

    # what is told

    def test_everything_that_can_be_executed_is_told(self):
        self.assertIs(adapter(self.config()), slurm.Scheduler)
        told = {os.path.basename(argv[0]): argv for argv in self.opened().explain()}
        self.assertEqual(sorted(told), ["sacct", "sbatch", "scancel", "squeue"])
        self.slurm.tell("sbatch", "7\n")
        self.submit(resources=dict(CLASS, cpus=1, gpus=1, partition="p", account="a", qos="q", exclude="c1"))
        self.assertEqual(self.forgotten(accounting=True), {"state": "ended"})
        self.opened().cancel("7")
        for tool, argv in told.items():
            self.assertEqual(os.path.dirname(argv[0]), self.slurm.folder)
            called = self.slurm.calls(tool)[0]["argv"]
            self.assertEqual(
                [word.split("=")[0] for word in called], [self.kind(word) for word in argv[1:]], tool
            )

    def kind(self, word):
        others = {
            "<launcher>": os.path.join(self.state, "launcher"),
            "<arguments>": "/bin/true",
            "<job>": "7",
        }
        return others.get(word, word.split("=")[0])


if __name__ == "__main__":
    unittest.main()
