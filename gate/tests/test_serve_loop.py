# SPDX-License-Identifier: BSD-3-Clause
import errno
import fcntl
import json
import os
import signal
import time
import unittest
from unittest import mock

from slidegate_gate.protocol import frames
from slidegate_gate.serve import files, trees
from support import Process, SiteTest, digest_of, key_of, verify


class Pipe(SiteTest):
    def setUp(self):
        super().setUp()
        self.process = Process(self.site.home)
        self.addCleanup(self.process.kill)

    def close(self):
        process, self.process = self.process, None
        self._cleanups = [cleanup for cleanup in self._cleanups if cleanup[0] != process.kill]
        return process.close()

    def test_a_real_process_answers_until_the_channel_ends(self):
        answer = self.process.ask("hello")
        self.assertEqual((answer["protocol"], answer["site"], answer["key"]), (1, "local", "one"))
        self.assertEqual(answer["releases"][0]["name"], "nuclei")
        self.assertNotIn("python", answer["releases"][0])
        self.assertEqual(self.close(), (0, b""))

    def test_requests_may_be_sent_ahead_and_are_answered_in_order(self):
        for number in range(1, 50):
            frames.write_frame(self.process.child.stdin.fileno(), {"id": "%x" % number, "verb": "hello"})
        self.assertEqual(
            [self.process.answer()["id"] for _ in range(1, 50)], ["%x" % n for n in range(1, 50)]
        )
        self.close()

    def test_noise_ends_the_channel_loudly(self):
        self.process.ask("hello")
        self.process.send(b"Last login: yesterday\n")
        answer = self.process.answer()
        self.assertEqual((answer["ok"], answer["error"]["code"]), (False, "bad-frame"))
        self.assertIsNone(self.process.answer())
        self.assertEqual(self.close()[0], 2)

    def test_a_frame_cut_off_by_the_end_of_the_channel_has_no_effect(self):
        data = os.urandom(1000)
        self.process.send(b"SLIDEGATE/1 300 1000 " + b"0" * 64 + b"\n" + data[:500])
        self.assertEqual(self.close()[0], 2)
        self.assertFalse(os.path.exists(self.site.layout().part(digest_of(data))))

    def test_a_refused_request_does_not_end_the_channel(self):
        self.assertEqual(self.process.ask("shell", command="id")["error"]["code"], "bad-request")
        self.assertTrue(self.process.ask("hello")["ok"])
        self.close()

    def test_a_key_that_is_not_listed_gets_nothing(self):
        code, said = Process(self.site.home, "stranger").close()
        self.assertEqual(code, 2)
        self.assertIn(b"no key", said)
        self.assertFalse(os.path.exists(os.path.join(self.site.home, "state", "keys", "stranger")))

    def test_a_configuration_that_cannot_be_read_is_told_in_a_sentence(self):
        with open(os.path.join(self.site.home, "config.json"), "a") as file:
            file.write("}")
        process = Process(self.site.home)
        code, said = process.close()
        self.assertEqual(code, 2)
        self.assertIn(b"config.json cannot be read", said)
        self.assertNotIn(b"Traceback", said)

    def test_keys_whose_names_lead_elsewhere_get_nothing(self):
        for key in ("../one", "", "one/", "one\n"):
            self.assertEqual(Process(self.site.home, key).close()[0], 2)

    def test_what_the_gate_writes_is_for_its_account_alone(self):
        self.process.ask("hello")
        self.process.ask("put", b"abc", digest=digest_of(b"abc"), size=3, offset=0)
        self.close()
        for root in ("state", "data"):
            for folder, _, names in os.walk(os.path.join(self.site.home, root)):
                for name in names + ["."]:
                    self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o077, 0, name)


class Commands(SiteTest):
    limits = {"requests_per_minute": 8}

    def start(self, command, peer="10.99.1.2 50000 10.99.1.1 22"):
        environment = {"SSH_ORIGINAL_COMMAND": command, "SSH_CONNECTION": peer}
        return Process(self.site.home, environment=environment)

    def records(self):
        with open(self.site.layout().audit) as file:
            return [json.loads(line) for line in file]

    def test_the_gates_own_name_or_none_opens_the_gate(self):
        for command in ("", "slidegate"):
            process = self.start(command)
            self.assertTrue(process.ask("hello")["ok"])
            self.assertEqual(process.close(), (0, b""))

    def test_anything_else_is_refused_in_words_and_recorded_with_its_peer(self):
        commands = ["id", "scp -t /", "slidegate ", "/usr/lib/sftp-server", "x\ny" + "z" * 100000]
        for command in commands:
            process = self.start(command)
            process.child.stdout.read()
            code, said = process.close()
            self.assertEqual(code, 2)
            self.assertIn(b"starts nothing else", said)
        records = self.records()
        self.assertEqual([record["decision"] for record in records], ["not-allowed"] * 5)
        self.assertEqual({record["peer"] for record in records}, {"10.99.1.2"})
        self.assertEqual(records[1]["what"], {"command": "scp -t /"})
        self.assertEqual(records[4]["what"], {"command": "x?y" + "z" * 97})

    def test_a_flood_of_them_does_not_fill_the_record(self):
        while time.time() % 60 > 45:  # they are counted by the minute
            time.sleep(0.5)
        for _ in range(10):
            self.start("id").close()
        self.assertEqual(len(self.records()), 8)

    def test_a_peer_that_is_no_address_is_not_recorded(self):
        self.start("id", peer="$(id) 1 2 3").close()
        self.start("id", peer="fe80::1%eth0 50000 ::1 22").close()
        self.assertEqual([record["peer"] for record in self.records()], ["local", "fe80::1%eth0"])


class Idling(SiteTest):
    limits = {"idle_seconds": 1}

    def test_a_silent_peer_is_left(self):
        process = Process(self.site.home)
        process.ask("hello")
        process.send(b"SLIDEGATE/1 ")
        self.assertEqual(process.answer()["error"]["code"], "idle")
        self.assertEqual(process.close()[0], 2)

    def test_a_peer_that_does_not_listen_is_left(self):
        data = os.urandom(1 << 20)
        process = Process(self.site.home)
        process.ask("put", data, digest=digest_of(data), size=len(data), offset=0)
        process.send_request("read", digest=digest_of(data), offset=0, length=len(data))
        self.assertEqual(process.child.wait(20), -signal.SIGALRM)
        process.kill()

    def test_a_peer_that_does_not_listen_is_left_when_it_falls_silent(self):
        process = Process(self.site.home)
        room = fcntl.fcntl(process.child.stdout, 1031, 4096)  # F_SETPIPE_SZ
        process.send_request("have", blobs=[])
        size = len(os.read(process.child.stdout.fileno(), room))
        for _ in range(room // size):  # after these there is no room for the word that ends the channel
            process.send_request("have", blobs=[])
        self.assertEqual(process.child.wait(20), -signal.SIGALRM)
        process.kill()


class Faults(SiteTest):
    def test_a_fault_of_the_gate_is_answered_with_an_id_and_nothing_else(self):
        with mock.patch.object(trees, "have", side_effect=RuntimeError("/secret/path")):
            answer = self.site.ask("have", blobs=[])
        detail = self.assert_refused(answer, "internal", transient=True)
        self.assertNotIn("secret", str(answer))
        with open(self.site.layout().errors) as file:
            log = file.read()
        self.assertIn(detail["id"], log)
        self.assertIn("/secret/path", log)
        self.assert_ok(self.site.ask("hello"))

    def test_a_full_disk_is_told_as_such_and_heals(self):
        full = OSError(errno.ENOSPC, "No space left on device")
        plan = self.site.plan([1])
        with mock.patch.object(os, "fsync", side_effect=full):
            self.assert_refused(self.site.ask("submit", plan=plan, round=1), "no-space", transient=True)
            self.assert_refused(
                self.site.ask("put", b"x", digest=digest_of(b"x"), size=1, offset=0), "no-space"
            )
        self.assert_ok(self.site.ask("submit", plan=plan, round=1))
        self.assertEqual(self.site.ask("have", blobs=[[digest_of(b"x"), 1]])["partial"], {})
        self.site.put(b"x")
        self.assertEqual(len(self.site.scheduler.arrays()), 1)
        verify(self.site.layout().audit)

    def test_temporary_files_of_a_full_disk_do_not_stay(self):
        full = OSError(errno.ENOSPC, "No space left on device")
        path = os.path.join(self.site.home, "record.json")
        with mock.patch.object(os, "fsync", side_effect=full):
            with self.assertRaises(OSError):
                files.write_json(path, {})
            with self.assertRaises(OSError):
                files.create_json(path, {})
        self.assertEqual([name for name in os.listdir(self.site.home) if name.startswith(".tmp-")], [])

    def test_scheduler_words_reach_the_client_by_code_only_when_they_are_known(self):
        self.site.scheduler.before_submit = mock.Mock(side_effect=ValueError("boom"))
        self.assert_refused(self.site.submit([1]), "internal")
        self.site.scheduler.before_submit = lambda: None
        self.assertEqual(self.assert_ok(self.site.submit([1]))["attempts"], {key_of(1): "known"})


if __name__ == "__main__":
    unittest.main()
