# SPDX-License-Identifier: BSD-3-Clause
import os
import unittest
from unittest import mock

from slidegate_gate.protocol import frames
from slidegate_gate.serve import limits
from support import Process, SiteTest, digest_of, key_of, verify


class Requests(SiteTest):
    limits = {"requests_per_minute": 5}

    def setUp(self):
        super().setUp()
        for name, value in (("PENALTY_SECONDS", 0),):
            patch = mock.patch.object(limits, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch.object(limits.time, "time", lambda: self.now)
        self.now = 6000.0
        patch.start()
        self.addCleanup(patch.stop)

    def test_too_many_requests_are_refused_until_the_next_minute(self):
        for _ in range(5):
            self.assert_ok(self.site.ask("hello"))
        self.assert_refused(self.site.ask("hello"), "limit", transient=True)
        self.now += 60
        self.assert_ok(self.site.ask("hello"))

    def test_another_connection_of_the_key_shares_the_limit_and_another_key_does_not(self):
        for _ in range(5):
            self.site.ask("hello")
            self.site.reconnect()
        self.assert_refused(self.site.ask("status", cursor=""), "limit")
        self.assert_ok(self.site.ask("hello", key="two"))

    def test_moving_contents_is_no_request(self):
        for number in range(10):
            self.site.put(b"%d" % number)
            self.assert_ok(self.site.ask("have", blobs=[]))
        self.assert_ok(self.site.ask("hello"))

    def test_what_is_refused_counts_and_is_answered_late_where_there_is_too_much_of_it(self):
        late = mock.call(limits.PENALTY_SECONDS)  # threads of other tests may sleep meanwhile, too
        with mock.patch.object(limits.time, "sleep") as sleep:
            for number in range(6):
                self.assertEqual(sleep.call_args_list.count(late), 0)
                verb = ("have", "nonsense")[number % 2]
                self.assert_refused(self.site.ask(verb), "bad-request")
            self.assertEqual(sleep.call_args_list.count(late), 1)
            self.assertEqual(
                verify(self.site.layout().audit)[0], 5
            )  # what is too much is not recorded either
            self.assert_refused(self.site.ask("read", digest="0" * 64, offset=0, length=1), "gone")
            self.assertEqual(sleep.call_args_list.count(late), 2)
            self.assert_refused(self.site.ask("hello"), "limit")

    def test_a_key_may_have_its_own_figure(self):
        self.site.config["keys"]["one"]["limits"] = {"requests_per_minute": 1}
        self.site.write_config()
        self.assertEqual(self.site.ask("hello")["limits"]["requests_per_minute"], 1)
        self.assert_refused(self.site.ask("hello"), "limit")


class Bytes(SiteTest):
    limits = {"bytes": 10000}

    def begin(self, data, size, offset=0):
        return self.site.ask("put", data, digest=digest_of(data), size=size, offset=offset)

    def test_what_does_not_fit_is_refused_and_known_contents_still_do(self):
        data = os.urandom(6000)
        self.site.put(data)
        other = os.urandom(6000)
        answer = self.site.ask("put", other, digest=digest_of(other), size=6000, offset=0)
        detail = self.assert_refused(answer, "limit", transient=True)
        self.assertEqual(
            (detail["limit"], detail["most"], detail["used"], detail["asked"]), ("bytes", 10000, 6000, 6000)
        )
        for _ in range(3):
            self.site.put(data)
        self.assertEqual(self.site.ask("audit", since=0)["usage"]["bytes"], 6000)

    def test_a_small_content_counts_as_the_place_that_it_takes(self):
        for number in range(2):
            self.site.put(b"%d" % number)
        data = b"one too many"
        self.assert_refused(self.begin(data, len(data)), "limit")
        self.assertEqual(self.site.ask("audit", since=0)["usage"]["bytes"], 8192)

    def test_what_is_refused_leaves_no_file_behind(self):
        self.site.put(os.urandom(9000))
        for number in range(5):
            self.assert_refused(self.begin(b"%d" % number, 100), "limit")
            self.assert_refused(self.begin(b"%d" % number, 100, offset=7), "wrong-offset")
        self.assertEqual(os.listdir(self.site.layout().parts), [])

    def test_refused_pieces_do_not_eat_the_room(self):
        data = os.urandom(9000)
        self.site.ask("put", data[:10], digest=digest_of(data), size=9000, offset=0)
        for _ in range(5):
            self.assert_refused(
                self.site.ask("put", data[:8900], digest=digest_of(data), size=9000, offset=0), "wrong-offset"
            )
        self.assert_ok(self.site.ask("put", data[10:], digest=digest_of(data), size=9000, offset=10))

    def test_connections_that_send_at_the_same_time_share_the_room(self):
        gates = []
        for _ in range(4):
            self.site.reconnect()
            gates.append(self.site.gate())
            self.assert_ok(self.site.ask("have", blobs=[]))
        sent = [os.urandom(6000) for _ in gates]
        messages = [
            {"id": "1", "verb": "put", "digest": digest_of(data), "size": 6000, "offset": 0} for data in sent
        ]
        answers = [
            gate.handle(frames.Frame(message, memoryview(data)))[0]["ok"]
            for gate, message, data in zip(gates, messages, sent)
        ]
        self.assertEqual(answers, [True, False, False, False])

    def test_unfinished_uploads_count_and_another_connection_counts_them(self):
        data = os.urandom(20000)
        self.site.ask("put", data[:9000], digest=digest_of(data), size=20000, offset=0)
        self.site.reconnect()
        answer = self.site.ask("put", b"x" * 2000, digest=digest_of(b"x" * 2000), size=2000, offset=0)
        self.assert_refused(answer, "limit")

    def test_figures_that_a_power_cut_spoiled_are_counted_anew(self):
        self.site.put(os.urandom(6000))
        for path in (self.site.layout().bytes, self.site.layout().requests):
            for spoiled in (b"\0" * 64, b"", b"[1", b"[1,2,3]", b'["a","b"]', b"\xff"):
                with open(path, "wb") as file:
                    file.write(spoiled)
                self.assert_ok(self.site.ask("hello"))
                self.assert_refused(self.begin(os.urandom(6000), 6000), "limit")


class Attempts(SiteTest):
    limits = {"attempts_alive": 3}

    def test_a_count_that_a_power_cut_spoiled_begins_anew(self):
        self.assert_ok(self.site.submit([1, 2]))
        for spoiled in (b"", b"\0" * 90, b'{"attempts_alive":', b"\xff"):
            with open(self.site.layout().usage, "wb") as file:
                file.write(spoiled)
            detail = self.assert_refused(self.site.submit([3, 4]), "limit", transient=True)
            self.assertEqual(detail["used"], 2, spoiled)
        self.assert_ok(self.site.submit([3]))

    def test_attempts_without_result_are_limited(self):
        self.assert_ok(self.site.submit([1, 2]))
        detail = self.assert_refused(self.site.submit([3, 4]), "limit", transient=True)
        self.assertEqual(
            detail,
            {"limit": "attempts_alive", "most": 3, "used": 2, "asked": 2, "frees": "as Attempts end"},
        )
        self.assertFalse(os.path.exists(self.site.layout().owner(key_of(3))))
        self.assert_ok(self.site.submit([1, 2]))
        self.site.ask("cancel", attempts=[key_of(1)])
        self.assert_ok(self.site.submit([3, 4]))

    def test_more_than_may_ever_live_is_refused_for_good(self):
        self.assert_refused(self.site.submit([1, 2, 3, 4]), "limit", transient=False)

    def test_processes_that_submit_at_the_same_time_share_the_limit(self):
        plans = [self.site.plan([number, 100 + number]) for number in range(6)]
        self.assertEqual(sorted(at_once(self.site, plans)), [False] * 5 + [True])


class Tombstones(SiteTest):
    limits = {"attempts_per_day": 5}

    def test_attempts_that_become_known_are_limited_for_each_day(self):
        self.assert_ok(self.site.submit([1, 2]))
        self.assert_ok(self.site.ask("cancel", attempts=[key_of(3), key_of(4)]))
        folders = sorted(os.listdir(self.site.layout().attempts))
        answer = self.site.ask("cancel", attempts=[key_of(5), key_of(6)])
        detail = self.assert_refused(answer, "limit", transient=True)
        self.assertEqual((detail["limit"], detail["used"]), ("attempts_per_day", 4))
        self.assert_refused(self.site.submit([5, 6]), "limit")
        self.assertEqual(sorted(os.listdir(self.site.layout().attempts)), folders)
        self.assert_ok(self.site.ask("cancel", attempts=[key_of(number) for number in (1, 2, 3, 4)]))
        tomorrow = limits.time.time() + limits.DAY
        with mock.patch.object(limits.time, "time", lambda: tomorrow):
            self.assert_ok(self.site.ask("cancel", attempts=[key_of(5), key_of(6)]))


class Jobs(SiteTest):
    limits = {"jobs_alive": 5, "jobs_per_day": 8, "gpu_hours_per_day": 7, "job_minutes": 60}
    classes = {"small": {"as": "cpu"}, "cpu": {"members": 2, "minutes": 60, "gpus": 1}}

    def arrays(self):
        return self.site.scheduler.arrays()

    def end_all(self):
        for array in self.arrays():
            self.site.scheduler.cancel(array)

    def used(self):
        usage = self.site.ask("audit", since=0)["usage"]
        return usage["jobs_alive"], usage["jobs_per_day"], usage["gpu_hours_per_day"]

    def test_living_jobs_are_limited_until_some_have_ended(self):
        self.assert_ok(self.site.submit([1]))
        self.assert_ok(self.site.submit([2]))
        self.assertEqual(self.used(), (4, 4, 4))
        answer = self.site.submit([3])
        detail = self.assert_refused(answer, "limit", transient=True)
        self.assertEqual(
            detail, {"limit": "jobs_alive", "most": 5, "used": 4, "asked": 2, "frees": "as jobs end"}
        )
        for figure in ("jobs_alive", "5", "4 used", "2 asked for", "as jobs end"):
            self.assertIn(figure, answer["error"]["message"])
        self.assertEqual(len(self.arrays()), 2)
        self.site.scheduler.cancel(self.arrays()[0])
        self.assert_ok(self.site.submit([3]))
        self.assertEqual(self.used(), (4, 6, 6))

    def test_a_refusal_accepts_nothing(self):
        self.site.submit([1])
        self.site.submit([2])
        before = sorted(os.listdir(self.site.layout().submissions))
        used = self.site.gate().limits.used()
        self.assert_refused(self.site.submit([3]), "limit")
        self.assertEqual(sorted(os.listdir(self.site.layout().submissions)), before)
        self.assertFalse(os.path.exists(self.site.layout().attempt_dir(key_of(3))))
        after = self.site.gate().limits.used()
        self.assertEqual(dict(after, at=0), dict(used, at=0))

    def test_what_was_accepted_is_never_refused_nor_counted_when_it_is_repeated(self):
        plans = [self.site.plan([number]) for number in (1, 2)]
        answers = [self.site.ask("submit", plan=plan, round=1) for plan in plans]
        self.assert_refused(self.site.submit([3]), "limit")
        for plan, answer in zip(plans, answers):
            self.site.reconnect()
            again = self.assert_ok(self.site.ask("submit", plan=plan, round=1))
            self.assertEqual(again["crews"], answer["crews"])
        self.assertEqual(self.used(), (4, 4, 4))

    def test_jobs_and_gpu_hours_of_a_day_are_limited_until_midnight(self):
        for number in range(3):
            self.assert_ok(self.site.submit([number]))
            self.end_all()
        answer = self.site.submit([3])
        detail = self.assert_refused(answer, "limit", transient=True)
        self.assertEqual((detail["limit"], detail["used"], detail["asked"]), ("gpu_hours_per_day", 6, 2))
        self.assertEqual(detail["frees"], "at midnight UTC")
        self.site.config["limits"]["gpu_hours_per_day"] = 100
        self.site.write_config()
        self.site.reconnect()
        self.assert_ok(self.site.submit([3]))
        self.end_all()
        self.assertEqual(self.assert_refused(self.site.submit([4]), "limit")["limit"], "jobs_per_day")
        tomorrow = limits.time.time() + limits.DAY
        with mock.patch.object(limits.time, "time", lambda: tomorrow):
            self.assert_ok(self.site.submit([4]))

    def test_a_class_with_more_time_than_a_job_may_have_is_refused_for_good(self):
        self.site.config["classes"]["cpu"]["minutes"] = 61
        self.site.write_config()
        detail = self.assert_refused(self.site.submit([1]), "limit", transient=False)
        self.assertEqual((detail["limit"], detail["most"], detail["asked"]), ("job_minutes", 60, 61))
        self.assertEqual(self.arrays(), [])

    def test_a_round_counts_as_its_crew_does(self):
        plan = self.site.plan([1])
        self.assert_ok(self.site.ask("submit", plan=plan, round=1))
        self.end_all()
        self.assert_ok(self.site.ask("submit", plan=plan, round=2))
        self.assertEqual(self.used(), (2, 4, 4))

    def test_a_scheduler_that_cannot_tell_frees_nothing(self):
        self.site.submit([1])
        self.site.submit([2])
        self.end_all()
        self.site.scheduler.answers = False
        self.assertEqual(self.assert_refused(self.site.submit([3]), "limit")["limit"], "jobs_alive")
        self.site.scheduler.answers = True
        self.assert_ok(self.site.submit([3]))

    def test_processes_that_submit_at_the_same_time_share_the_limits(self):
        plans = [self.site.plan([number]) for number in range(8)]
        self.assertEqual(sorted(at_once(self.site, plans)), [False] * 6 + [True] * 2)
        self.assertEqual(len(self.arrays()), 2)
        self.assertEqual(self.used(), (4, 4, 4))

    def test_another_key_has_its_own(self):
        self.site.submit([1])
        self.site.submit([2])
        self.assert_ok(self.site.submit([3], key="two"))

    def test_they_are_told(self):
        told = self.site.ask("hello")["limits"]
        self.assertEqual({name: told[name] for name in self.limits}, self.limits)


class Channels(SiteTest):
    limits = {"channels": 2}

    def test_one_connection_too_many_is_told_so_and_ended(self):
        held = [Process(self.site.home) for _ in range(2)]
        for process in held:
            self.assertTrue(process.ask("hello")["ok"])
        other = Process(self.site.home, key="two")
        self.assertTrue(other.ask("hello")["ok"])
        late = Process(self.site.home)
        answer = late.answer()
        self.assertEqual((answer["error"]["code"], answer["error"]["transient"]), ("limit", True))
        self.assertEqual(answer["error"]["detail"]["limit"], "channels")
        self.assertIsNone(late.answer())
        self.assertEqual(late.close()[0], 2)
        held.pop().kill()
        again = Process(self.site.home)
        self.assertTrue(again.ask("hello")["ok"])
        for process in held + [other, again]:
            process.close()


def at_once(site, plans):
    """Submit each plan from a process of its own; return which of them were accepted."""
    children = []
    for plan in plans:
        child = os.fork()
        if not child:
            try:
                site.reconnect()
                accepted = site.ask("submit", plan=plan, round=1)["ok"]
            finally:
                os._exit(0 if accepted else 1)
        children.append(child)
    return [os.waitpid(child, 0)[1] == 0 for child in children]


if __name__ == "__main__":
    unittest.main()
