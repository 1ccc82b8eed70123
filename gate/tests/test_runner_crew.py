# SPDX-License-Identifier: BSD-3-Clause
"""Crews: what members do together, and what becomes of an Attempt when steps and members fail."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from slidegate_gate.serve import files
from small_site import MANIFEST, PACKAGE, SmallSite, as_json, log_of, until

SECONDS = 0.5  # a lease in these tests
GATE = os.path.dirname(PACKAGE)

# A member on a full file system: what it writes into one of the folders of an Attempt does not fit.
NO_SPACE = """
import errno, os, sys
from slidegate_gate.__main__ import main
from slidegate_gate.serve import files
create, link, where = files.create_json, os.symlink, sys.argv[1]
def full(value, path):
    raise OSError(errno.ENOSPC, "No space left on device", path)
files.write_json = full
files.create_json = lambda path, value: (full if where in path.split(os.sep) else create)(path, value)
os.symlink = lambda value, path: (full if where in path.split(os.sep) else link)(value, path)
sys.exit(main(sys.argv[2:]))
"""

# A member that tells in the ledger when it lists a folder.
LOOKED_AT = """
import os, sys
from slidegate_gate.__main__ import main
from slidegate_gate.serve import files
names_in, ledger = files.names_in, sys.argv[1]
def telling(path):
    with open(os.path.join(ledger, "tried"), "a") as file:
        file.write("listed {}\\n".format(os.path.basename(path)))
    return names_in(path)
files.names_in = telling
sys.exit(main(sys.argv[2:]))
"""


class Crews(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.site = self.opened()

    def opened(self, **named):
        site = SmallSite(tempfile.mkdtemp(dir=self.folder), lease_seconds=SECONDS, **named)
        self.addCleanup(site.close)
        return site

    def state_after(self, parameters, members=1):
        """Run one Attempt to its end; return its result."""
        (attempt,) = self.site.begin(parameters)
        self.assertEqual(self.site.run(members), [0] * members)
        return self.site.result(attempt)

    def tries_of(self, step, unit):
        return len(self.site.tried(self.site.attempts[0], step, unit))

    def run_as(self, program, word):
        """Run one member by another program, to which a word is told; return its exit code."""
        argv = [sys.executable, "-c", program, word, "runner", "--home", self.site.home, "--key", "test"]
        argv += ["--submission", "5" * 32, "--class", "cpu", "--round", "1"]
        more = {"SLIDEGATE_LOCAL_ARRAY": "a", "SLIDEGATE_LOCAL_ELEMENT": "0", "PYTHONPATH": GATE}
        return subprocess.call(argv, env=dict(os.environ, **more))

    # together

    def test_one_member_and_four_members_give_the_same_tree(self):
        self.site.begin({"units": 8})
        self.assertEqual(self.site.run(1), [0])
        other = self.opened()
        other.begin({"units": 8})
        self.assertEqual(other.run(4), [0] * 4)
        attempt = self.site.attempts[0]
        self.assertEqual(self.site.result(attempt)["state"], "succeeded")
        self.assertEqual(self.site.result(attempt)["tree"], other.result(attempt)["tree"])
        outputs = self.site.outputs(attempt)
        self.assertEqual(outputs["table"], " ".join("u%03d" % number for number in range(8)))
        self.assertEqual(outputs["labels/u007"], "pixels of u007")
        self.assertEqual(sorted(outputs), ["labels/u%03d" % number for number in range(8)] + ["table"])

    def test_members_share_the_units_and_compute_none_twice(self):
        self.site.begin(*[{"units": 6, "seconds": 0.01}] * 4)
        self.assertEqual(self.site.run(3), [0] * 3)
        tried = self.site.tried()
        self.assertEqual(len(tried), 4 * 8)
        self.assertEqual(len({tuple(line[:3]) for line in tried}), 4 * 8)
        self.assertGreater(len({line[3] for line in tried}), 1)
        for attempt in self.site.attempts:
            self.assertEqual(self.site.result(attempt)["state"], "succeeded")

    def test_a_member_keeps_one_process_for_all_its_units(self):
        self.site.begin({}, {})
        self.site.run(1)
        self.assertEqual(len({line[3] for line in self.site.tried()}), 1)

    def test_early_attempts_are_finished_first(self):
        attempts = self.site.begin(*[{"units": 2}] * 3)
        self.site.run(1)
        order = [line[0] for line in self.site.tried()]
        self.assertEqual(order, sorted(order, key=attempts.index))

    def test_members_go_through_the_units_in_no_order(self):
        orders = []
        for _ in range(2):
            self.site = self.opened()
            self.site.begin({"units": 40})
            self.site.run(1)
            orders.append([line[2] for line in self.site.tried(self.site.attempts[0], "detect")])
        self.assertEqual(sorted(orders[0]), sorted(orders[1]))
        self.assertNotEqual(orders[0], orders[1])

    def test_one_look_serves_for_many_units(self):
        self.site = SmallSite(tempfile.mkdtemp(dir=self.folder), lease_seconds=60)
        self.site.begin({"units": 100})
        self.assertEqual(self.run_as(LOOKED_AT, self.site.ledger), 0)
        self.assertEqual(len(self.site.tried(self.site.attempts[0], "detect")), 100)
        self.assertLess(len(self.site.tried("listed", "leases")), 10)

    def test_an_early_attempt_of_a_dead_member_does_not_wait_for_all_units_of_a_later_one(self):
        first, second = self.site.begin({"units": 2}, {"units": 60, "seconds": 0.05})
        os.makedirs(self.site.work(first, "leases"))
        os.symlink("somebody.who.died", self.site.work(first, "leases", "plan.all.0"))
        self.site.run(1)
        tried = [line[:2] for line in self.site.tried()]
        self.assertLess(tried.index([first, "plan"]), len(tried) - 20)
        self.assertEqual(tried.count([second, "detect"]), 60)

    def test_the_members_of_a_second_array_leave_without_effect(self):
        (attempt,) = self.site.begin({})
        files.create_json(self.site.layout.crew("claim", "5" * 32, "cpu", 1), {"array": "the first"})
        self.assertEqual(self.site.run(array="the second"), [0])
        self.assertIsNone(self.site.result(attempt))
        self.assertEqual(self.site.tried(), [])
        self.assertEqual(self.site.run(array="the first"), [0])
        self.assertEqual(self.site.result(attempt)["state"], "succeeded")

    def test_crews_of_two_classes_do_each_its_own_steps(self):
        self.site = self.opened(classes={"small": {"members": 1}, "cpu": {"members": 1}})
        (attempt,) = self.site.begin({})
        self.site.run(crew_class="cpu")
        self.assertEqual(self.site.tried(), [])
        self.site.run(crew_class="small")
        self.assertEqual([line[1] for line in self.site.tried()], ["plan"])
        self.site.run(crew_class="cpu", number=2)
        self.assertEqual([line[1] for line in self.site.tried()], ["plan"] + ["detect"] * 3)
        self.assertIsNone(self.site.result(attempt))
        self.site.run(crew_class="small", number=2)
        self.assertEqual(self.site.result(attempt)["state"], "succeeded")

    def test_a_workflow_may_find_nothing_to_divide(self):
        self.assertEqual(self.state_after({"units": 0})["error"]["code"], "bad-output")  # labels are promised

    def test_a_result_tells_what_the_units_have_cost(self):
        usage = self.state_after({"units": 2, "seconds": 0.05})["usage"]
        self.assertEqual(usage["units"], 4)
        self.assertGreaterEqual(usage["seconds"], 0.2)
        self.assertGreater(usage["max_rss_bytes"], 1 << 20)
        self.assertGreaterEqual(usage["cpu_seconds"], 0.0)

    def test_the_environment_of_a_step_is_built_from_nothing(self):
        self.state_after({"units": 1, "environment": True})
        found = as_json(os.path.join(self.site.ledger, "environment"))
        self.assertEqual(found["PATH"], "/usr/bin:/bin")
        self.assertEqual(found["OMP_NUM_THREADS"], "1")
        self.assertEqual(found["HOME"], found["cwd"])
        self.assertNotIn("PYTHONPATH", found)
        self.assertFalse(os.path.exists(found["HOME"]))

    # steps that fail

    def test_a_process_that_dies_once_is_replaced(self):
        for way in ("die", "leave", "garble", "chatter"):
            self.site = self.opened()
            result = self.state_after({way: {"detect.u001": 1}})
            self.assertEqual(result["state"], "succeeded", way)
            self.assertEqual(self.tries_of("detect", "u001"), 2, way)
            self.assertEqual(self.tries_of("detect", "u002"), 1, way)

    def test_a_process_that_dies_three_times_fails_the_attempt_and_says_how(self):
        for way, words in (("die", "signal 9"), ("leave", "status 3"), ("garble", "Expecting value")):
            self.site = self.opened()
            result = self.state_after({way: {"detect.u001": 9}})
            self.assertEqual((result["state"], result["error"]["code"]), ("failed", "step-crashed"))
            self.assertIn(words, result["error"]["message"])
            self.assertEqual(self.tries_of("detect", "u001"), 3)

    def test_what_a_step_refuses_fails_at_once(self):
        result = self.state_after({"refuse": {"detect.u000": 9}})
        self.assertEqual(result["error"], {"code": "too-dark", "message": "It is dark.", "transient": False})
        self.assertEqual(self.tries_of("detect", "u000"), 1)

    def test_what_may_pass_is_tried_again_and_then_fails_as_transient(self):
        self.assertEqual(self.state_after({"hesitate": {"plan.all": 2}})["state"], "succeeded")
        self.site = self.opened()
        result = self.state_after({"hesitate": {"plan.all": 9}})
        self.assertEqual(result["error"], {"code": "licence", "message": "Wait.", "transient": True})
        self.assertEqual(self.tries_of("plan", "all"), 3)

    def test_one_failing_attempt_does_not_touch_the_others(self):
        first, second = self.site.begin({"die": {"plan.all": 9}}, {})
        self.site.run(1)
        self.assertEqual(self.site.result(first)["state"], "failed")
        self.assertEqual(self.site.result(second)["state"], "succeeded")

    def test_an_input_that_is_gone_is_asked_for_again(self):
        for name in os.listdir(self.site.layout.blobs):
            shutil.rmtree(os.path.join(self.site.layout.blobs, name))
        error = self.state_after({})["error"]
        self.assertEqual((error["code"], error["transient"]), ("input-vanished", True))
        self.assertEqual(self.site.tried(), [])

    def test_a_scratch_that_is_purged_while_a_step_works_is_told_as_what_it_is(self):
        for lost in ("work", "data"):
            self.site = self.opened()
            (attempt,) = self.site.begin({"units": 2, "slow": {"finish.all": 1}})
            member = self.site.member()
            until(lambda: self.site.tried(attempt, "finish"))  # noqa: B023
            shutil.rmtree(self.site.work(attempt) if lost == "work" else self.site.layout.data)
            os.kill(int(self.site.tried(attempt, "finish")[0][3]), signal.SIGKILL)
            self.assertEqual(member.wait(timeout=20), 0, lost)
            error = self.site.result(attempt)["error"]
            self.assertEqual((error["code"], error["transient"]), ("input-vanished", True), lost)

    def test_a_file_system_without_space_is_told_as_what_it_is(self):
        for where in ("tries", "leases", "done"):
            self.site = self.opened()
            (attempt,) = self.site.begin({"die": {"plan.all": 9}} if where == "tries" else {})
            self.assertEqual(self.run_as(NO_SPACE, where), 0, where)
            error = self.site.result(attempt)["error"]
            self.assertEqual((error["code"], error["transient"]), ("no-space", True), where)
            self.assertLessEqual(self.tries_of("plan", "all"), 1, where)

    def test_outputs_must_be_there_and_fit_into_a_tree(self):
        for output, words in (("missing", "table"), ("link", "link"), ("name", "a name with spaces")):
            self.site = self.opened()
            error = self.state_after({"output": output})["error"]
            self.assertEqual(error["code"], "bad-output", output)
            self.assertIn(words, error["message"])

    def test_an_optional_output_may_be_missing(self):
        optional = [name for name, output in MANIFEST["outputs"].items() if output.get("optional")]
        (attempt,) = self.site.begin({"units": 1})
        self.site.run(1)
        self.assertEqual(optional, ["regions"])
        self.assertEqual(sorted(self.site.outputs(attempt)), ["labels/u000", "table"])

    def test_unfinished_files_of_killed_steps_are_no_outputs(self):
        (attempt,) = self.site.begin({"units": 1})
        os.makedirs(self.site.work(attempt, "shared", "labels"))
        for name in (".tmp-1", "u000.__lock"):
            with open(self.site.work(attempt, "shared", "labels", name), "w"):
                pass
        self.site.run(1)
        self.assertEqual(sorted(self.site.outputs(attempt)), ["labels/u000", "table"])

    def test_the_log_holds_what_steps_say_up_to_its_limit(self):
        (attempt,) = self.site.begin({"units": 12, "noise": "x" * 1000})
        self.site.run(2)
        self.assertEqual(self.site.result(attempt)["state"], "succeeded")
        log = log_of(self.site, attempt)
        self.assertIn("working on plan all", log)
        self.assertIn("\n(the log is full)\n", log)
        self.assertGreater(len(log), 10 << 20)
        self.assertLess(len(log), (10 << 20) + 2 * (65536 + 200))  # each member may write once too much

    # members that fail

    def start_slow(self, **more):
        """Begin an Attempt whose first member hangs in Unit u000; return (attempt, member)."""
        (attempt,) = self.site.begin(dict({"units": 1, "slow": {"detect.u000": 1}}, **more))
        member = self.site.member(0)
        until(lambda: self.site.tried(attempt, "detect", "u000"))
        return attempt, member

    def test_the_unit_of_a_killed_member_is_taken_over(self):
        attempt, member = self.start_slow()
        member.kill()
        self.assertEqual(self.site.run(1), [0])
        self.assertEqual(self.site.result(attempt)["state"], "succeeded")
        done = files.read_json(self.site.work(attempt, "done", "detect.u000"))
        self.assertEqual(done["try"], "detect.u000.1")

    def test_the_unit_of_a_dead_member_is_taken_over_by_one_that_had_much_else_to_do(self):
        attempt, member = self.start_slow(units=40, seconds=0.05)
        member.kill()
        self.assertEqual(self.site.run(1), [0])
        self.assertEqual(self.site.result(attempt)["state"], "succeeded")
        self.assertEqual(self.tries_of("detect", "u000"), 2)
        self.assertEqual(len(self.site.tried(attempt, "detect")), 41)

    def test_the_unit_of_a_member_that_lives_is_left_to_it(self):
        self.site.begin({"units": 1, "seconds": 3 * SECONDS})
        self.assertEqual(self.site.run(2), [0, 0])
        self.assertEqual([line[1] for line in self.site.tried()], ["plan", "detect", "finish"])

    def test_a_unit_that_three_members_died_of_fails_the_attempt(self):
        (attempt,) = self.site.begin({"units": 1, "slow": {"detect.u000": 9}})
        for number in range(3):
            member = self.site.member(number)
            until(lambda: len(self.site.tried(attempt, "detect")) == number + 1)  # noqa: B023
            member.kill()
            member.wait()
        self.assertEqual(self.site.run(1), [0])
        error = self.site.result(attempt)["error"]
        self.assertEqual(error["code"], "step-crashed")
        self.assertIn("disappeared", error["message"])

    def test_a_member_that_wakes_up_late_changes_nothing(self):
        attempt, member = self.start_slow()
        member.send_signal(signal.SIGSTOP)
        self.assertEqual(self.site.run(1), [0])
        before = self.site.result(attempt)
        self.assertEqual(before["state"], "succeeded")
        member.send_signal(signal.SIGCONT)
        self.assertEqual(member.wait(timeout=5), 0)
        self.assertEqual(self.site.result(attempt), before)

    def test_cancelling_stops_the_work_within_about_a_second(self):
        attempt, member = self.start_slow()
        process = int(self.site.tried(attempt, "detect")[0][3])
        files.create_json(self.site.layout.result(attempt), {"state": "cancelled"})
        self.assertEqual(member.wait(timeout=2), 0)
        self.assertFalse(os.path.exists("/proc/{}".format(process)))
        self.assertEqual(self.site.result(attempt), {"state": "cancelled"})

    def test_a_cancelled_attempt_is_not_begun(self):
        first, second = self.site.begin({}, {})
        files.create_json(self.site.layout.result(first), {"state": "cancelled"})
        self.site.run(1)
        self.assertEqual(self.site.tried(first), [])
        self.assertEqual(self.site.result(second)["state"], "succeeded")

    def test_an_attempt_of_another_submission_is_left_to_its_own_crew(self):
        first, second = self.site.begin({}, {})
        files.write_json(self.site.layout.owner(first), {"submission": "6" * 32})
        self.site.run(1)
        self.assertEqual(self.site.tried(first), [])
        self.assertEqual(self.site.result(second)["state"], "succeeded")

    def test_a_member_that_is_asked_to_leave_takes_its_process_along(self):
        attempt, member = self.start_slow()
        process = int(self.site.tried(attempt, "detect")[0][3])
        member.terminate()
        self.assertEqual(member.wait(timeout=5), 128 + signal.SIGTERM)
        self.assertFalse(os.path.exists("/proc/{}".format(process)))

    def test_a_member_without_work_leaves_although_another_is_still_busy(self):
        attempt, member = self.start_slow()
        idle = self.site.member(1)
        self.assertEqual(idle.wait(timeout=20 * SECONDS), 0)
        self.assertIsNone(member.poll())
        self.assertIsNone(self.site.result(attempt))

    def test_a_crew_carries_on_where_a_killed_one_stopped(self):
        attempt, member = self.start_slow(units=4)
        member.kill()
        member.wait()
        before = {line[2] for line in self.site.tried(attempt, "detect")}
        self.assertEqual(self.site.run(1, array="next", number=2), [0])
        self.assertEqual(self.site.result(attempt)["state"], "succeeded")
        done = [name for name in os.listdir(self.site.work(attempt, "tries")) if name.startswith("detect")]
        self.assertEqual(len(done), 5, before)
        self.assertEqual(len(self.site.tried(attempt, "plan")), 1)


if __name__ == "__main__":
    unittest.main()
