# SPDX-License-Identifier: BSD-3-Clause
import base64
import json
import os
import shutil
import unittest
from unittest import mock

from slidegate_gate.serve import files, status
from support import SiteTest, key_of


class Changes(SiteTest):
    def setUp(self):
        super().setUp()
        self.submission = self.site.submit([1, 2])["submission"]
        self.cursor = ""

    def changes(self):
        answer = self.assert_ok(self.site.ask("status", cursor=self.cursor))
        self.cursor = answer["cursor"]
        return answer

    def states(self):
        return {view["attempt"]: view["state"] for view in self.changes()["attempts"]}

    def view(self):
        (view,) = self.changes()["attempts"]
        return view

    def work_file(self, name, record):
        self.site.work_file(self.submission, key_of(1), name, record)

    def finish(self, number, **result):
        files.create_json(
            self.site.layout().result(key_of(number)), dict({"state": "succeeded", "usage": {}}, **result)
        )

    def test_everything_is_told_once(self):
        answer = self.changes()
        self.assertEqual(
            {view["attempt"]: view["note"] for view in answer["attempts"]},
            {key_of(1): {"number": 1}, key_of(2): {"number": 2}},
        )
        self.assertEqual(
            [(crew["round"], crew["class"], crew["state"]) for crew in answer["crews"]],
            [(1, "cpu", "running")],
        )
        answer = self.changes()
        self.assertEqual((answer["attempts"], answer["crews"]), ([], []))

    def test_states_and_progress_follow_the_files(self):
        self.assertEqual(set(self.states().values()), {"queued"})
        self.work_file("leases/plan.all.0", {"member": "m"})
        self.assertEqual(self.view()["state"], "running")
        self.work_file("done/plan.all", {"units": ["b0", "b1", "b2"], "try": "plan.all.0"})
        view = self.view()
        self.assertEqual((view["step"], view["done"], view["total"]), ("detect", 0, 3))
        self.work_file("done/detect.b1", {"try": "x"})
        view = self.view()
        self.assertEqual((view["step"], view["done"], view["total"]), ("detect", 1, 3))
        self.work_file("done/detect.b0", {"try": "x"})
        self.work_file("done/detect.b2", {"try": "x"})
        view = self.view()
        self.assertEqual((view["step"], view["done"], view["total"]), ("finish", 0, 1))
        self.work_file("done/finish.all", {"try": "x"})
        view = self.view()
        self.assertEqual((view["step"], view["done"], view["total"]), ("finish", 1, 1))
        self.finish(1, tree="0" * 64, usage={"seconds": 2})
        view = self.view()
        self.assertEqual(
            (view["state"], view["tree"], view["usage"]), ("succeeded", "0" * 64, {"seconds": 2})
        )

    def test_unfinished_files_of_killed_members_are_not_counted(self):
        self.work_file("done/plan.all", {"units": ["b0", "b1"], "try": "plan.all.0"})
        self.work_file("done/.tmp-1-2", {})
        self.states()
        self.work_file("done/.tmp-detect.b0", {})
        self.assertEqual(self.states(), {})

    def test_purged_work_is_shown_as_it_is(self):
        self.work_file("done/plan.all", {"units": ["b0"], "try": "x"})
        self.assertEqual(self.states()[key_of(1)], "queued")
        shutil.rmtree(self.site.layout().work)
        self.assertEqual(self.view()["step"], "plan")

    def test_a_failure_is_told_with_its_reason(self):
        self.states()
        error = {"code": "step-crashed", "message": "It crashed.", "transient": False}
        self.finish(2, state="failed", error=error)
        view = self.view()
        self.assertEqual((view["attempt"], view["state"], view["error"]), (key_of(2), "failed", error))

    def test_another_connections_cursor_tells_everything_again(self):
        self.states()
        self.site.reconnect()
        self.finish(1)
        self.assertEqual(self.states(), {key_of(1): "succeeded", key_of(2): "queued"})
        self.assertEqual(self.states(), {})
        self.cursor = "0123456789abcdef.999"
        self.assertEqual(len(self.states()), 2)

    def test_keys_see_only_their_own(self):
        answer = self.site.ask("status", key="two", cursor="")
        self.assertEqual((answer["attempts"], answer["crews"]), ([], []))

    def test_what_the_scheduler_cannot_tell_is_unknown(self):
        self.changes()
        self.site.scheduler.answers = False
        answer = self.changes()
        self.assertEqual([crew["state"] for crew in answer["crews"]], ["unknown"])
        self.assertEqual(answer["attempts"], [])

    def test_the_scheduler_is_asked_once_for_all_crews(self):
        self.site.submit([3])
        self.site.submit([4])
        before = self.site.scheduler.asked
        self.changes()
        self.assertEqual(self.site.scheduler.asked, before + 1)

    def test_a_crew_that_has_ended_is_not_asked_for_again(self):
        self.site.scheduler.cancel(self.changes()["crews"][0]["array"])
        self.assertEqual([crew["state"] for crew in self.changes()["crews"]], ["ended"])
        before = self.site.scheduler.asked
        self.changes()
        self.assertEqual(self.site.scheduler.asked, before)

    def test_an_intended_crew_without_receipt_is_shown_as_unknown(self):
        os.unlink(self.site.layout().crew("receipt", self.submission, "cpu", 1))
        self.assertEqual(
            [(crew["array"], crew["state"]) for crew in self.changes()["crews"]], [("", "unknown")]
        )

    def test_long_lists_come_in_pages(self):
        self.site.submit(range(10, 40))
        with mock.patch.object(status, "MAX_ANSWER", 2000):
            seen = []
            while True:
                answer = self.changes()
                seen += [view["attempt"] for view in answer["attempts"]]
                if not answer["more"]:
                    break
        self.assertEqual(len(seen), 32)
        self.assertEqual(len(set(seen)), 32)

    def test_a_release_that_was_removed_does_not_hide_its_attempts(self):
        shutil.rmtree(os.path.join(self.site.home, "releases"))
        self.assertEqual(len(self.states()), 2)

    def test_an_attempt_is_shown_with_the_submission_that_owns_it(self):
        self.site.submit([2, 3])
        shown = self.changes()["attempts"]
        self.assertEqual(sorted(view["attempt"] for view in shown), sorted([key_of(1), key_of(2), key_of(3)]))


class Looking(SiteTest):
    """What is looked into again, and that no change is missed by it."""

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        patch = mock.patch.object(status.time, "monotonic", lambda: self.now)
        patch.start()
        self.addCleanup(patch.stop)
        self.submission = self.site.submit(range(50))["submission"]
        self.cursor = ""
        self.states()
        for _ in range(2):  # let the folders come to rest
            self.now += status.SETTLE_SECONDS + 1
            self.states()

    def states(self):
        answer = self.assert_ok(self.site.ask("status", cursor=self.cursor))
        self.cursor = answer["cursor"]
        return {view["attempt"]: view["state"] for view in answer["attempts"]}

    def looks(self):
        """Return how many Attempts the next status looks into."""
        with mock.patch.object(status, "progress", wraps=status.progress) as progress:
            self.states()
        return progress.call_count

    def finish(self, number):
        files.create_json(self.site.layout().result(key_of(number)), {"state": "succeeded", "usage": {}})

    def test_folders_that_rest_are_not_looked_into(self):
        self.assertEqual(self.looks(), 0)

    def test_what_members_begin_and_end_is_told_at_once_and_nothing_else_is_looked_into(self):
        self.site.work_file(self.submission, key_of(7), "leases/plan.all.0", {"member": "m"})
        self.assertEqual(self.states(), {key_of(7): "running"})
        self.finish(7)
        self.assertEqual(self.states(), {key_of(7): "succeeded"})
        self.assertEqual(self.looks(), 0)

    def test_what_another_connection_cancels_is_told_at_once(self):
        watching = self.site.gate()
        self.site.reconnect()
        self.site.ask("cancel", attempts=[key_of(7)])
        self.site.gates = {"one": watching}
        self.assertEqual(self.looks(), 1)
        self.assertEqual(self.states(), {})
        self.cursor = ""
        self.assertEqual(self.states()[key_of(7)], "cancelled")

    def test_what_another_connection_accepts_or_releases_is_told_at_once(self):
        watching = self.site.gate()
        self.site.reconnect()
        self.site.ask("cancel", attempts=[key_of(7)])
        self.site.ask("release", attempts=[key_of(7)])
        self.site.submit([60])
        self.site.gates = {"one": watching}
        self.assertEqual(self.states(), {key_of(60): "queued"})
        self.cursor = ""
        self.assertNotIn(key_of(7), self.states())

    def test_what_nobody_announced_is_told_within_a_minute(self):
        self.finish(9)
        self.assertEqual(self.states(), {})
        self.now += status.THOROUGH_SECONDS
        self.assertEqual(self.states(), {key_of(9): "succeeded"})

    def test_a_change_within_one_tick_of_the_clock_of_the_files_is_not_missed(self):
        layout, name = self.site.layout(), key_of(7)
        self.site.work_file(self.submission, name, "leases/plan.all.0", {"member": "m"})
        self.assertEqual(self.states(), {name: "running"})
        folder = layout.attempt_dir(name)
        before = os.stat(folder)
        self.now += status.SETTLE_SECONDS / 2
        self.finish(7)
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertEqual(self.states(), {name: "succeeded"})

    def test_a_submission_that_is_let_go_is_forgotten(self):
        numbers = [key_of(number) for number in range(50)]
        self.site.ask("cancel", attempts=numbers)
        self.site.ask("release", attempts=numbers)
        self.assertEqual(self.states(), {})
        self.cursor = ""
        answer = self.site.ask("status", cursor="")
        self.assertEqual((answer["attempts"], answer["crews"]), ([], []))

    def test_a_crew_that_another_array_claims_is_asked_for_again(self):
        (crew,) = self.site.ask("status", cursor="")["crews"]
        self.site.scheduler.cancel(crew["array"])
        self.assertEqual([crew["state"] for crew in self.site.ask("status", cursor="")["crews"]], ["ended"])
        files.create_json(self.site.layout().crew("claim", self.submission, "cpu", 1), {"array": "late"})
        (crew,) = self.site.ask("status", cursor="")["crews"]
        self.assertEqual((crew["array"], crew["state"]), ("late", "running"))


class Units(SiteTest):
    """Which Units are done, as a picture of them needs it."""

    grid = {"shape": [300, 129], "side": 128}

    def setUp(self):
        super().setUp()
        self.submission = self.site.submit([1, 2])["submission"]

    def work_file(self, name, record):
        self.site.work_file(self.submission, key_of(1), name, record)

    def ask(self, number=1, key="one"):
        return self.site.ask("read", key=key, attempt=key_of(number), units=True)

    def units(self):
        answer = self.assert_ok(self.ask())
        self.assertEqual(answer["size"], len(self.site.body))
        told = json.loads(self.site.body.decode("ascii"))
        return dict(told, done=base64.b64decode(told["done"]))

    def plan(self, names=("b0", "b1", "b2", "b3", "b4", "b5"), **result):
        self.work_file("done/plan.all", {"units": list(names), "result": result, "try": "plan.all.0"})

    def test_each_unit_is_waiting_worked_on_or_done(self):
        self.work_file("leases/plan.all.0", {})
        plan = {"step": "plan", "units": 1, "grid": None, "done": b"\0", "current": [0]}
        self.assertEqual(self.units(), plan)
        self.plan(grid=self.grid)
        detect = {"step": "detect", "units": 6, "grid": self.grid, "done": b"\0", "current": []}
        self.assertEqual(self.units(), detect)
        for name in ("b0.0", "b4.0", "b4.1", "b5.0"):
            self.work_file("leases/detect." + name, {})
        self.work_file("done/detect.b5", {})
        self.assertEqual(self.units(), dict(detect, done=b"\x20", current=[0, 4]))

    def test_the_picture_stays_when_the_steps_after_it_have_begun(self):
        self.plan(grid=self.grid)
        for name in ("b0", "b1", "b2", "b3", "b4", "b5"):
            self.work_file("done/detect." + name, {})
        self.work_file("leases/finish.all.0", {})
        done = {"step": "detect", "units": 6, "grid": self.grid, "done": b"\x3f", "current": []}
        self.assertEqual(self.units(), done)
        self.work_file("done/finish.all", {})
        self.assertEqual(self.units(), done)

    def test_nobody_works_on_what_has_ended(self):
        self.plan()
        self.work_file("leases/detect.b1.0", {})
        self.assertEqual(self.units()["current"], [1])
        self.site.ask("cancel", attempts=[key_of(1)])
        self.assertEqual(self.units()["current"], [])

    def test_a_grid_is_passed_on_only_where_it_is_one(self):
        for grid in (None, "x", [], {"shape": [1, 1]}, {"shape": [1, "x"], "side": 1}, {"x": "y" * 1000000}):
            self.plan(grid=grid)
            self.assertIsNone(self.units()["grid"])

    def test_of_very_many_units_the_first_are_told(self):
        with mock.patch.multiple(status, MAX_UNITS=3, MAX_CURRENT=2):
            self.plan()
            for name in ("b0", "b1", "b2"):
                self.work_file("leases/detect.{}.0".format(name), {})
            told = self.units()
        self.assertEqual((told["units"], len(told["done"]), told["current"]), (3, 1, [0, 1]))

    def test_what_was_not_begun_or_is_foreign_or_let_go_is_not_told(self):
        self.assert_refused(self.ask(), "gone")
        self.plan()
        self.assert_ok(self.ask())
        self.assert_refused(self.ask(3), "not-found")
        self.assert_refused(self.ask(key="two"), "not-found")
        self.site.ask("cancel", attempts=[key_of(1)])
        self.site.ask("release", attempts=[key_of(1)])
        self.assert_refused(self.ask(), "gone")

    def test_asking_again_and_again_counts_and_leaves_no_record(self):
        self.plan()
        before = self.ask()["head"]
        used = self.site.gate().limits.values["requests_per_minute"]
        self.assertEqual(self.ask()["head"], before)
        with open(self.site.layout().requests) as file:
            counted = json.load(file)[1]
        self.ask()
        with open(self.site.layout().requests) as file:
            self.assertIn(json.load(file)[1], (1, counted + 1))
        self.assertLess(counted, used)


if __name__ == "__main__":
    unittest.main()
