# SPDX-License-Identifier: BSD-3-Clause
import os
import signal
import unittest
from unittest import mock

from slidegate_gate.errors import SchedulerError, SchedulerUnknown
from slidegate_gate.serve import files, status, trees
from support import RELEASE, SiteTest, digest_of, key_of, verify


class Submitting(SiteTest):
    def test_a_plan_is_accepted_and_one_array_starts(self):
        answer = self.assert_ok(self.site.submit([1, 2]))
        self.assertEqual(answer["attempts"], {key_of(1): "accepted", key_of(2): "accepted"})
        (array,) = self.site.scheduler.arrays()
        self.assertEqual(answer["crews"], [{"class": "cpu", "round": 1, "array": array}])
        record = self.site.scheduler.record(array)
        self.assertEqual(record["name"], "sg-one.{}.cpu.1".format(answer["submission"]))
        self.assertEqual(
            record["argv"][1:],
            [
                "-IS",
                "/program",
                "runner",
                "--home",
                self.site.home,
                "--key",
                "one",
                "--submission",
                answer["submission"],
                "--class",
                "cpu",
                "--round",
                "1",
            ],
        )
        self.assertEqual((record["count"], record["resources"]["memory_mb"]), (2, 100))

    def test_the_kept_plan_has_its_defaults_filled_in(self):
        answer = self.site.submit([1])
        plan = files.read_json(self.site.layout().plan(answer["submission"]))
        self.assertEqual(plan["attempts"][0]["parameters"], {"size": 8, "block": 2048, "channel": "0"})
        self.assertEqual(plan["program"], "/program")

    def test_a_repeat_starts_nothing_and_answers_the_same_crew(self):
        first = self.site.submit([1])
        for _ in range(3):
            self.site.reconnect()
            again = self.assert_ok(self.site.submit([1]))
            self.assertEqual(again["crews"], first["crews"])
            self.assertEqual(again["attempts"], {key_of(1): "known"})
        self.assertEqual(len(self.site.scheduler.arrays()), 1)

    def test_what_the_first_gates_have_written_is_read(self):
        first = self.site.submit([1])
        layout = self.site.layout()
        crew = status.Crew(first["submission"], "cpu", 1)
        orders = files.read_json(layout.crew("intent", *crew))
        files.write_json(layout.crew("intent", *crew), orders["cpu"])  # each crew's alone
        files.write_json(os.path.join(layout.state, "usage.json"), [29000000, 3])  # requests of a minute
        self.site.reconnect()
        self.assertEqual(self.assert_ok(self.site.submit([1]))["crews"], first["crews"])
        self.assertEqual(self.assert_ok(self.site.ask("audit", since=0))["usage"]["jobs_alive"], 2)

    def test_missing_contents_are_named_and_nothing_is_kept(self):
        digest = self.site.plan([1])
        layout = self.site.layout()
        pixels = digest_of(b"pixels")
        os.unlink(layout.blob(pixels))
        answer = self.site.ask("submit", plan=digest, round=1)
        self.assertEqual(self.assert_refused(answer, "missing-blobs", transient=True), {"missing": [pixels]})
        self.assertFalse(os.path.exists(layout.owner(key_of(1))))
        self.assertFalse(os.path.exists(layout.plan(digest[:32])))
        self.site.put(b"pixels")
        self.assert_ok(self.site.ask("submit", plan=digest, round=1))

    def test_a_plan_or_input_tree_that_is_not_here_is_named(self):
        answer = self.site.ask("submit", plan="0" * 64, round=1)
        self.assertEqual(self.assert_refused(answer, "missing-blobs"), {"missing": ["0" * 64]})
        answer = self.site.submit([1], each={"inputs": {"image": "1" * 64}})
        self.assertEqual(self.assert_refused(answer, "missing-blobs"), {"missing": ["1" * 64]})

    def test_another_keys_contents_cannot_be_used(self):
        digest = self.site.plan([1], "two")
        self.assert_refused(self.site.ask("submit", plan=digest, round=1), "missing-blobs")

    def test_what_is_not_installed_or_not_allowed_is_refused(self):
        self.assert_refused(
            self.site.submit([1], plan={"release": "0" * 64}), "unknown-release", transient=False
        )
        self.assert_refused(self.site.submit([1], key="none"), "not-allowed", transient=False)
        self.assertEqual(self.site.ask("hello", key="none")["releases"], [])
        self.assertEqual([release["digest"] for release in self.site.ask("hello")["releases"]], [RELEASE])

    def test_a_class_that_the_site_lacks_is_refused_before_anything_is_kept(self):
        del self.site.config["classes"]["cpu"]
        self.site.write_config()
        self.assert_refused(self.site.submit([1]), "unknown-class")
        self.assertEqual(sorted(os.listdir(self.site.layout().state)), ["audit.jsonl", "bytes", "requests"])

    def test_bad_plans_are_refused(self):
        self.assert_refused(self.site.submit([1], each={"parameters": {"size": 99}}), "bad-parameters")
        self.assert_refused(self.site.submit([1], each={"inputs": {}}), "bad-plan")
        self.assert_refused(self.site.submit([1], each={"inputs": {"other": "0" * 64}}), "bad-plan")
        self.assert_refused(self.site.submit([1], plan={"command": "id"}), "bad-plan")
        for contents in (
            {"plan.json": b"{"},
            {"plan.json": b"[]"},
            {"plan.json": b'{"plan":1,"plan":1}'},
            {"other.json": b"{}"},
            {"plan.json": b"{}", "x": b""},
            {"plan.json": b"[" * 100000},
        ):
            answer = self.site.ask("submit", plan=self.site.put_tree(contents), round=1)
            self.assert_refused(answer, "bad-plan")
        self.assert_refused(self.site.ask("submit", plan=self.site.put(b"{}"), round=1), "bad-tree")
        self.assertFalse(os.path.exists(self.site.layout().submissions))

    def test_an_attempt_of_another_submission_is_known_and_stays_there(self):
        first = self.site.submit([1])
        second = self.assert_ok(self.site.submit([1, 2]))
        self.assertEqual(second["attempts"], {key_of(1): "known", key_of(2): "accepted"})
        owner = files.read_json(self.site.layout().owner(key_of(1)))
        self.assertEqual(owner["submission"], first["submission"])

    def test_the_same_attempt_with_other_work_is_a_conflict(self):
        self.site.submit([1])
        before = len(self.site.scheduler.arrays())
        answer = self.site.submit([1, 2], each={"parameters": {"size": 9}})
        self.assertEqual(self.assert_refused(answer, "attempt-conflict"), {"attempt": key_of(1)})
        self.assertEqual(len(self.site.scheduler.arrays()), before)
        self.assertFalse(os.path.exists(self.site.layout().owner(key_of(2))))

    def test_the_same_attempt_under_another_key_is_another_attempt(self):
        self.site.submit([1])
        answer = self.site.submit([1], key="two", each={"parameters": {"size": 9}})
        self.assertEqual(answer["attempts"], {key_of(1): "accepted"})


class Storms(SiteTest):
    def test_many_gates_that_submit_one_plan_at_once_start_one_array(self):
        plans = [self.site.plan([1, 2, 3]), self.site.plan([3, 4])]
        children = []
        for _ in range(12):
            child = os.fork()
            if not child:
                try:
                    self.site.reconnect()
                    answers = [self.site.ask("submit", plan=plan, round=1) for plan in plans]
                finally:
                    os._exit(0 if all(answer["ok"] for answer in answers) else 1)
            children.append(child)
        self.assertEqual([os.waitpid(child, 0)[1] for child in children], [0] * 12)
        names = [array.split("+")[0] for array in self.site.scheduler.arrays()]
        self.assertEqual(sorted(names), sorted("sg-one.{}.cpu.1".format(plan[:32]) for plan in plans))
        owners = [files.read_json(self.site.layout().owner(key_of(number))) for number in (1, 2, 3, 4)]
        self.assertEqual([owner["submission"] for owner in owners[:2]], [plans[0][:32]] * 2)
        self.assertIn(owners[2]["submission"], [plan[:32] for plan in plans])
        verify(self.site.layout().audit)


class Rounds(SiteTest):
    classes = {"small": {"members": 1}, "cpu": {"members": 3}}

    def again(self, number):
        return self.site.ask("submit", plan=self.plan, round=number)

    def setUp(self):
        super().setUp()
        self.plan = self.site.plan([1])
        self.first = self.again(1)
        self.submission = self.first["submission"]

    def end(self, answer):
        for crew in answer["crews"]:
            self.site.scheduler.cancel(crew["array"])

    def test_the_first_crew_is_of_the_first_steps_class(self):
        self.assertEqual([crew["class"] for crew in self.first["crews"]], ["small"])

    def test_another_round_waits_for_the_end_of_the_crew(self):
        self.assert_refused(self.again(2), "round-too-early", transient=True)
        self.end(self.first)
        self.assertEqual([crew["class"] for crew in self.assert_ok(self.again(2))["crews"]], ["small"])
        self.assertEqual(len(self.site.scheduler.arrays()), 2)

    def test_a_crew_of_another_class_starts_when_its_step_is_ready(self):
        self.site.work_file(self.submission, key_of(1), "done/plan.all", {"units": ["b0", "b1"], "try": "x"})
        answer = self.assert_ok(self.again(2))
        self.assertEqual([crew["class"] for crew in answer["crews"]], ["cpu"])
        self.site.work_file(self.submission, key_of(1), "done/detect.b0", {"try": "x"})
        self.assert_refused(self.again(3), "round-too-early")

    def test_rounds_cannot_be_skipped(self):
        self.end(self.first)
        self.assert_refused(self.again(3), "bad-request")
        self.assertEqual(len(self.site.scheduler.arrays()), 1)

    def test_a_repeated_round_answers_its_crew(self):
        self.end(self.first)
        second = self.again(2)
        self.assertEqual(self.again(2)["crews"], second["crews"])
        self.assertEqual(self.again(1)["crews"], self.first["crews"])
        self.assertEqual(len(self.site.scheduler.arrays()), 2)

    def test_contents_that_only_an_ended_attempt_needed_are_not_asked_for_again(self):
        spoiled = self.site.put_tree({"zarr.json": b"other"})
        self.plan = self.site.plan([2, 3])
        self.assert_ok(self.again(1))
        files.create_json(self.site.layout().result(key_of(2)), {"state": "failed", "usage": {}})
        plan = files.read_json(self.site.layout().plan(self.plan[:32]))
        plan["attempts"][0]["inputs"] = {"image": spoiled}
        files.write_json(self.site.layout().plan(self.plan[:32]), plan)
        os.unlink(self.site.layout().blob(spoiled))
        for array in self.site.scheduler.arrays():
            self.site.scheduler.cancel(array)
        self.assertEqual(len(self.assert_ok(self.again(2))["crews"]), 1)

    def test_nothing_starts_when_nothing_is_missing(self):
        files.create_json(self.site.layout().result(key_of(1)), {"state": "succeeded", "usage": {}})
        self.end(self.first)
        self.assertEqual(self.assert_ok(self.again(2))["crews"], [])
        self.assertEqual(len(self.site.scheduler.arrays()), 1)

    def test_a_scheduler_that_cannot_tell_starts_no_other_crew(self):
        self.site.scheduler.answers = False
        self.assert_refused(self.again(2), "scheduler-unknown", transient=True)
        self.assertEqual(len(self.site.scheduler.arrays()), 1)

    def test_the_claim_counts_more_than_the_receipt(self):
        files.create_json(self.site.layout().crew("claim", self.submission, "small", 1), {"array": "late"})
        self.assertEqual(self.again(1)["crews"][0]["array"], "late")


class ClassesWithDots(SiteTest):
    classes = {
        "small": {"as": "gpu.a100"},
        "cpu": {"as": "gpu.a100"},
        "gpu.a100": {"members": 2, "memory_mb": 100, "minutes": 5},
    }

    def test_their_crews_are_seen(self):
        self.assert_ok(self.site.submit([1]))
        (crew,) = self.site.ask("status", cursor="")["crews"]
        self.assertEqual((crew["class"], crew["state"]), ("gpu.a100", "running"))
        self.assert_refused(self.site.submit([1], 2), "round-too-early")
        self.assertEqual(len(self.site.scheduler.arrays()), 1)


class LostAnswers(SiteTest):
    def crash(self, error):
        def raise_it():
            raise error

        return raise_it

    def test_an_array_whose_answer_was_lost_is_adopted(self):
        self.site.scheduler.after_submit = self.crash(SchedulerUnknown())
        self.assert_refused(self.site.submit([1]), "scheduler-unknown", transient=True)
        self.site.scheduler.after_submit = lambda: None
        answer = self.assert_ok(self.site.submit([1]))
        self.assertEqual([answer["crews"][0]["array"]], self.site.scheduler.arrays())

    def test_an_array_whose_receipt_a_power_cut_took_is_adopted(self):
        (crew,) = self.assert_ok(self.site.submit([1]))["crews"]
        receipt = self.site.layout().crew("receipt", self.site.plan([1])[:32], "cpu", 1)
        for spoiled in (b"", b"\0" * 40):
            with open(receipt, "wb") as file:
                file.write(spoiled)
            self.site.reconnect()
            self.assertEqual(self.site.ask("status", cursor="")["crews"][0]["array"], "")
            self.assertEqual(self.assert_ok(self.site.submit([1]))["crews"], [crew])
        self.assertEqual(self.site.scheduler.arrays(), [crew["array"]])
        self.assertEqual(files.read_json(receipt)["array"], crew["array"])

    def test_a_submit_waits_for_the_disk_eight_times_and_for_its_scheduler(self):
        self.assert_ok(self.site.submit([1]))
        plan = self.site.plan([2])
        with mock.patch.object(os, "fsync", side_effect=os.fsync) as flush:
            self.assert_ok(self.site.ask("submit", plan=plan, round=1))
        self.assertEqual(flush.call_count, 8 + 2)  # the stand-in for a scheduler flushes its record, too

    def test_an_open_question_stays_open_until_the_scheduler_can_tell(self):
        self.site.scheduler.after_submit = self.crash(SchedulerUnknown())
        self.site.submit([1])
        self.site.scheduler.after_submit = lambda: None
        self.site.scheduler.answers = False
        for _ in range(3):
            self.assert_refused(self.site.submit([1]), "scheduler-unknown", transient=True)
        self.site.scheduler.answers = True
        self.assert_ok(self.site.submit([1]))
        self.assertEqual(len(self.site.scheduler.arrays()), 1)

    def test_a_refused_array_is_started_by_the_repeat(self):
        self.site.scheduler.before_submit = self.crash(SchedulerError("no such partition"))
        self.assert_refused(self.site.submit([1]), "scheduler-refused")
        self.site.scheduler.before_submit = lambda: None
        self.assert_ok(self.site.submit([1]))
        self.assertEqual(len(self.site.scheduler.arrays()), 1)

    def test_another_keys_array_for_an_equal_plan_is_not_adopted(self):
        self.assert_ok(self.site.submit([1], key="two"))
        self.site.scheduler.before_submit = mock.Mock(side_effect=SchedulerError())
        self.assert_refused(self.site.submit([1]), "scheduler-refused")
        self.site.scheduler.before_submit = lambda: None
        (crew,) = self.assert_ok(self.site.submit([1]))["crews"]
        self.assertEqual(self.site.scheduler.record(crew["array"])["argv"][6:8], ["--key", "one"])
        self.assertEqual(len(self.site.scheduler.arrays()), 2)

    def test_a_claimed_crew_is_adopted_even_if_the_scheduler_forgot_it(self):
        self.site.scheduler.after_submit = self.crash(SchedulerUnknown())
        self.site.submit([1])
        (array,) = self.site.scheduler.arrays()
        os.unlink(os.path.join(self.site.scheduler.folder, array))
        plan = self.site.plan([1])
        files.create_json(self.site.layout().crew("claim", plan[:32], "cpu", 1), {"array": array})
        self.site.scheduler.after_submit = lambda: None
        answer = self.assert_ok(self.site.ask("submit", plan=plan, round=1))
        self.assertEqual(answer["crews"][0]["array"], array)
        self.assertEqual(self.site.scheduler.arrays(), [])


class Kills(SiteTest):
    """Enumerates every point between two system calls that change something."""

    CALLS = (
        "open",
        "write",
        "fsync",
        "close",
        "link",
        "unlink",
        "rename",
        "replace",
        "mkdir",
        "ftruncate",
        "chmod",
        "pwrite",
    )

    def killed_at(self, number, work):
        """Do `work` in a child that is killed just before its `number`-th call; say whether it was killed."""
        child = os.fork()
        if child:
            return os.WIFSIGNALED(os.waitpid(child, 0)[1])
        code = 1
        try:
            left = [number]

            def deadly(real):
                def call(*args, **kwargs):
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args, **kwargs)

                return call

            for name in self.CALLS:
                setattr(os, name, deadly(getattr(os, name)))
            work(number)
            code = 0
        finally:
            os._exit(code)

    def enumerate_kills(self, prepare, work, check):
        number = 0
        killed = True
        while killed:
            number += 1
            prepare(number)
            killed = self.killed_at(number, work)
            with self.subTest(killed_before_call=number):
                check(number)
        self.assertGreater(number, 10)

    def test_a_submit_killed_anywhere_ends_with_one_array_and_one_owner(self):
        plans, before = {}, {}

        def prepare(number):
            plans[number] = self.site.plan([2 * number, 2 * number + 1])
            self.site.reconnect()
            before[number] = self.site.gate().limits.used()["jobs_per_day"]
            self.site.reconnect()

        def check(number):
            self.site.reconnect()
            counted = self.site.gate().limits.used()["jobs_per_day"] - before[number]
            orders = len(status.crews_of(self.site.layout(), plans[number][:32]))
            self.assertIn(counted, (0, 2) if not orders else (2,))
            answer = self.assert_ok(self.site.ask("submit", plan=plans[number], round=1))
            self.assertIn(self.site.gate().limits.used()["jobs_per_day"] - before[number], (2, 4))
            arrays = self.site.scheduler.find("sg-one.{}.cpu.1".format(plans[number][:32]))
            self.assertEqual([crew["array"] for crew in answer["crews"]], arrays)
            self.assertLessEqual(set(answer["attempts"].values()), {"accepted", "known"})
            for attempt in answer["attempts"]:
                owner = files.read_json(self.site.layout().owner(attempt))
                self.assertEqual(owner["submission"], plans[number][:32])
            counted = self.site.gate().limits.used()
            again = self.assert_ok(self.site.ask("submit", plan=plans[number], round=1))
            self.assertEqual(again["crews"], answer["crews"])
            self.assertEqual(self.site.gate().limits.used(), counted)

        self.enumerate_kills(
            prepare, lambda number: self.site.ask("submit", plan=plans[number], round=1), check
        )

    def test_a_round_of_two_classes_killed_anywhere_starts_both_crews_once(self):
        self.site.config["classes"] = {"small": {"members": 1}, "cpu": {"members": 3}}
        self.site.write_config()
        plans = {}

        def submit(number, crew_round):
            return self.site.ask("submit", plan=plans[number], round=crew_round)

        def prepare(number):
            plans[number] = self.site.plan([2 * number, 2 * number + 1])
            answer = self.assert_ok(submit(number, 1))
            self.site.scheduler.cancel(answer["crews"][0]["array"])
            planned = {"units": ["b0"], "try": "x"}
            self.site.work_file(answer["submission"], key_of(2 * number), "done/plan.all", planned)
            self.site.reconnect()

        def check(number):
            self.site.reconnect()
            answer = self.assert_ok(submit(number, 2))
            self.assertEqual([crew["class"] for crew in answer["crews"]], ["cpu", "small"])
            for crew in answer["crews"]:
                name = "sg-one.{}.{}.2".format(plans[number][:32], crew["class"])
                self.assertEqual(self.site.scheduler.find(name), [crew["array"]])

        self.enumerate_kills(prepare, lambda number: submit(number, 2), check)

    def test_a_put_killed_anywhere_ends_with_the_content_once(self):
        def data(number):
            return b"%d" % number * 1000

        def put(number):
            body = data(number)
            start = self.site.ask("have", blobs=[[digest_of(body), len(body)]])["partial"].get(
                digest_of(body), 0
            )
            if start == 0:
                self.site.ask("put", body[:500], digest=digest_of(body), size=len(body), offset=0)
                start = 500
            return self.site.ask("put", body[start:], digest=digest_of(body), size=len(body), offset=start)

        def check(number):
            self.site.reconnect()
            body = data(number)
            if not trees.held(self.site.layout(), digest_of(body), len(body)):
                self.assertTrue(self.assert_ok(put(number))["committed"])
            self.site.ask("read", digest=digest_of(body), offset=0, length=len(body))
            self.assertEqual(self.site.body, body)

        self.enumerate_kills(lambda number: self.site.reconnect(), put, check)

    def test_a_cancel_killed_anywhere_is_completed_by_its_repeat(self):
        crews = {}

        def prepare(number):
            crews[number] = self.assert_ok(self.site.submit([number]))["crews"][0]["array"]

        def cancel(number):
            return self.site.ask("cancel", attempts=[key_of(number)])

        def check(number):
            self.site.reconnect()
            self.assertEqual(self.assert_ok(cancel(number))["attempts"], {key_of(number): "cancelled"})
            self.assertEqual(self.site.scheduler.states([crews[number]]), {crews[number]: {"state": "ended"}})

        self.enumerate_kills(prepare, cancel, check)

    def test_a_release_killed_anywhere_is_completed_by_its_repeat(self):
        def prepare(number):
            answer = self.site.submit([number])
            self.site.work_file(answer["submission"], key_of(number), "log", "said")
            self.site.ask("cancel", attempts=[key_of(number)])

        def release(number):
            return self.site.ask("release", attempts=[key_of(number)])

        def check(number):
            self.site.reconnect()
            self.assert_ok(release(number))
            submission = files.read_json(self.site.layout().owner(key_of(number)))["submission"]
            self.assertFalse(os.path.exists(os.path.join(self.site.layout().work, submission)))
            self.assertTrue(os.path.exists(self.site.layout().submission_released(submission)))

        self.enumerate_kills(prepare, release, check)

    def test_the_audit_chain_holds_after_all_these_kills(self):
        def check(number):
            verify(self.site.layout().audit)

        def prepare(number):
            self.site.reconnect()
            self.site.ask("hello")

        self.enumerate_kills(prepare, lambda number: [self.site.ask("hello") for _ in range(3)], check)


class Cancelling(SiteTest):
    def test_a_cancelled_attempt_ends_and_its_crew_with_the_last_one(self):
        answer = self.site.submit([1, 2])
        array = answer["crews"][0]["array"]
        self.assertEqual(self.site.ask("cancel", attempts=[key_of(1)])["attempts"], {key_of(1): "cancelled"})
        self.assertEqual(self.site.scheduler.states([array]), {array: {"state": "running"}})
        self.site.ask("cancel", attempts=[key_of(2)])
        self.assertEqual(self.site.scheduler.states([array]), {array: {"state": "ended"}})

    def test_what_has_its_result_keeps_it(self):
        self.site.submit([1])
        files.create_json(
            self.site.layout().result(key_of(1)), {"state": "succeeded", "tree": "0" * 64, "usage": {}}
        )
        self.assertEqual(self.site.ask("cancel", attempts=[key_of(1)])["attempts"], {key_of(1): "succeeded"})

    def test_an_attempt_that_is_cancelled_before_it_arrives_never_starts(self):
        self.assertEqual(self.site.ask("cancel", attempts=[key_of(1)])["attempts"], {key_of(1): "cancelled"})
        answer = self.assert_ok(self.site.submit([1]))
        self.assertEqual(answer["attempts"], {key_of(1): "cancelled"})
        self.assertEqual((answer["crews"], self.site.scheduler.arrays()), ([], []))
        self.assertFalse(os.path.exists(self.site.layout().owner(key_of(1))))

    def test_a_submission_that_owns_nothing_is_closed_at_once(self):
        self.site.ask("cancel", attempts=[key_of(1)])
        for numbers in ([1], [2], [1, 2]):
            submission = self.assert_ok(self.site.submit(numbers))["submission"]
            closed = os.path.exists(self.site.layout().submission_released(submission))
            self.assertEqual(closed, numbers != [2])
        self.assertEqual(len(self.site.scheduler.arrays()), 1)

    def test_a_tombstone_that_comes_between_check_and_acceptance_still_counts(self):
        real = files.create_json

        def late(path, record, **more):
            created = real(path, record, **more)
            if path.endswith("owner.json"):
                real(os.path.join(os.path.dirname(path), "result.json"), {"state": "cancelled", "usage": {}})
            return created

        with mock.patch.object(files, "create_json", late):
            answer = self.assert_ok(self.site.submit([1]))
        self.assertEqual(answer["attempts"], {key_of(1): "cancelled"})
        self.assertEqual(self.site.scheduler.arrays(), [])

    def test_another_keys_attempts_are_not_touched(self):
        self.site.submit([1])
        self.site.ask("cancel", key="two", attempts=[key_of(1)])
        self.assertFalse(os.path.exists(self.site.layout().result(key_of(1))))

    def test_a_crew_that_cannot_be_reached_does_not_keep_the_cancelling_back(self):
        self.site.submit([1])

        def lost(array):
            raise SchedulerUnknown()

        self.site.scheduler.cancel = lost
        self.assert_ok(self.site.ask("cancel", attempts=[key_of(1)]))


class Releasing(SiteTest):
    def test_folders_go_and_records_stay(self):
        answer = self.site.submit([1])
        layout = self.site.layout()
        self.site.work_file(answer["submission"], key_of(1), "log", "said")
        self.assert_refused(self.site.ask("release", attempts=[key_of(1)]), "not-finished", transient=True)
        self.site.ask("cancel", attempts=[key_of(1)])
        self.assertEqual(self.site.ask("release", attempts=[key_of(1)])["released"], [key_of(1)])
        self.assertFalse(os.path.exists(layout.work_dir(answer["submission"], key_of(1))))
        self.assertEqual(self.site.ask("status", cursor="")["attempts"], [])
        self.assertEqual(self.site.submit([1])["attempts"], {key_of(1): "cancelled"})

    def test_what_was_let_go_of_is_called_so_when_it_is_submitted_again(self):
        self.site.submit([1, 2])
        files.create_json(self.site.layout().result(key_of(1)), {"state": "succeeded", "usage": {}})
        self.assert_ok(self.site.ask("release", attempts=[key_of(1)]))
        again = self.assert_ok(self.site.submit([1, 2]))
        self.assertEqual(again["attempts"], {key_of(1): "released", key_of(2): "known"})

    def test_members_that_still_wait_for_their_turn_are_ended_with_the_last_release(self):
        answer = self.site.submit([1])
        files.create_json(self.site.layout().result(key_of(1)), {"state": "succeeded", "usage": {}})
        array = answer["crews"][0]["array"]
        self.assertEqual(self.site.scheduler.states([array])[array]["state"], "running")
        self.assert_ok(self.site.ask("release", attempts=[key_of(1)]))
        self.assertEqual(self.site.scheduler.states([array])[array]["state"], "ended")

    def test_unknown_and_foreign_attempts_are_passed_over(self):
        self.site.submit([1], key="two")
        self.assertEqual(self.assert_ok(self.site.ask("release", attempts=[key_of(1)]))["released"], [])

    def test_a_submission_stays_open_until_its_last_attempt_is_released(self):
        answer = self.site.submit([1, 2])
        self.site.ask("cancel", attempts=[key_of(1), key_of(2)])
        self.site.ask("release", attempts=[key_of(1)])
        shown = self.site.ask("status", cursor="")
        self.assertEqual([attempt["attempt"] for attempt in shown["attempts"]], [key_of(2)])
        self.site.ask("release", attempts=[key_of(2)])
        self.assertTrue(os.path.exists(self.site.layout().submission_released(answer["submission"])))
        self.assertEqual(self.site.ask("status", cursor="")["crews"], [])

    def test_the_log_can_be_read_until_then(self):
        answer = self.site.submit([1])
        path = self.site.layout().log(answer["submission"], key_of(1))

        def read(attempt, key="one", offset=0):
            return self.site.ask("read", key=key, attempt=attempt, log=True, offset=offset, length=100)

        files.make_dirs(os.path.dirname(path))
        with open(path, "w") as file:
            file.write("it went well")
        self.assertEqual((read(key_of(1))["size"], self.site.body), (12, b"it went well"))
        read(key_of(1), offset=8)
        self.assertEqual(self.site.body, b"well")
        self.assert_refused(read(key_of(2)), "not-found")
        self.assert_refused(read(key_of(1), key="two"), "not-found")
        os.unlink(path)
        os.symlink("/etc/passwd", path)
        self.assertFalse(read(key_of(1))["ok"])


if __name__ == "__main__":
    unittest.main()
