# SPDX-License-Identifier: BSD-3-Clause
import contextlib
import os
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from slidegate_gate.serve import frames, limits
from slidegate_gate.serve.loop import Gate
from support import SiteTest, digest_of, key_of, verify


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
        with mock.patch.object(limits.time, "sleep") as sleep:
            for number in range(6):
                self.assertEqual(sleep.call_count, 0)
                verb = ("have", "nonsense")[number % 2]
                self.assert_refused(self.site.ask(verb), "bad-request")
            self.assertEqual(sleep.call_count, 1)
            self.assertEqual(verify(self.site.layout().audit)[0], 6)
            self.assert_refused(self.site.ask("read", digest="0" * 64, offset=0, length=1), "gone")
            self.assertEqual(sleep.call_count, 2)
            self.assert_refused(self.site.ask("hello"), "limit")

    def test_a_key_may_have_its_own_figure(self):
        self.site.config["keys"]["one"]["limits"] = {"requests_per_minute": 1}
        self.site.write_config()
        self.assertEqual(self.site.ask("hello")["limits"]["requests_per_minute"], 1)
        self.assert_refused(self.site.ask("hello"), "limit")


class Bytes(SiteTest):
    limits = {"bytes": 1000}

    def test_what_does_not_fit_is_refused_and_known_contents_still_do(self):
        data = os.urandom(600)
        self.site.put(data)
        other = os.urandom(600)
        answer = self.site.ask("put", other, digest=digest_of(other), size=600, offset=0)
        self.assertEqual(self.assert_refused(answer, "limit"), {"limit": "bytes"})
        for _ in range(3):
            self.site.put(data)
        self.assertEqual(self.site.ask("audit", since=0)["usage"]["bytes"], 600)

    def test_refused_pieces_do_not_eat_the_room(self):
        data = os.urandom(900)
        self.site.ask("put", data[:10], digest=digest_of(data), size=900, offset=0)
        for _ in range(5):
            self.assert_refused(
                self.site.ask("put", data[:890], digest=digest_of(data), size=900, offset=0), "wrong-offset"
            )
        self.assert_ok(self.site.ask("put", data[10:], digest=digest_of(data), size=900, offset=10))

    def test_connections_that_send_at_the_same_time_share_the_room(self):
        gates = []
        for number in range(4):
            self.site.reconnect()
            gates.append(self.site.gate())
            self.site.put(b"%d" % number)
        sent = [os.urandom(900) for _ in gates]
        messages = [
            {"id": "1", "verb": "put", "digest": digest_of(data), "size": 900, "offset": 0} for data in sent
        ]
        answers = [
            gate.handle(frames.Frame(message, bytearray(data), digest_of(data)))[0]["ok"]
            for gate, message, data in zip(gates, messages, sent)
        ]
        self.assertEqual(answers, [True, False, False, False])

    def test_unfinished_uploads_count_and_another_connection_counts_them(self):
        data = os.urandom(2000)
        self.site.ask("put", data[:900], digest=digest_of(data), size=2000, offset=0)
        self.site.reconnect()
        answer = self.site.ask("put", b"x" * 200, digest=digest_of(b"x" * 200), size=200, offset=0)
        self.assert_refused(answer, "limit")


class Attempts(SiteTest):
    limits = {"attempts_alive": 3}

    def test_attempts_without_result_are_limited(self):
        self.assert_ok(self.site.submit([1, 2]))
        self.assertEqual(self.assert_refused(self.site.submit([3, 4]), "limit"), {"limit": "attempts_alive"})
        self.assertFalse(os.path.exists(self.site.layout().owner(key_of(3))))
        self.assert_ok(self.site.submit([1, 2]))
        self.site.ask("cancel", attempts=[key_of(1)])
        self.assert_ok(self.site.submit([3, 4]))

    def test_connections_that_submit_at_the_same_time_share_the_limit(self):
        plans = [self.site.plan([1, 2, 3]), self.site.plan([4, 5, 6])]
        meeting = threading.Barrier(2)
        check = limits.Limits.check_attempts

        def check_together(of_key, alive, more):
            check(of_key, alive, more)
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(0.3)

        gates = []
        for _ in plans:
            self.site.reconnect()
            gates.append(self.site.gate())
        with mock.patch.object(limits.Limits, "check_attempts", check_together), ThreadPoolExecutor() as pool:
            messages = [{"id": "1", "verb": "submit", "plan": plan, "round": 1} for plan in plans]
            requests = [frames.Frame(message, bytearray(), "") for message in messages]
            answers = [answer for answer, _ in pool.map(Gate.handle, gates, requests)]
        self.assertEqual(sorted(answer["ok"] for answer in answers), [False, True])


if __name__ == "__main__":
    unittest.main()
