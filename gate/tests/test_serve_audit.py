# SPDX-License-Identifier: BSD-3-Clause
import hashlib
import json
import multiprocessing
import os
import unittest
from unittest import mock

from slidegate_gate.serve import audit
from support import SiteTest, digest_of, key_of, verify


def write_records(path, count):
    chain = audit.Audit(path, "one", "local")
    for number in range(count):
        chain.record("hello", "%x" % number, {}, "ok")


class Chain(SiteTest):
    def setUp(self):
        super().setUp()
        self.path = self.site.layout().audit

    def lines(self):
        with open(self.path, "rb") as file:
            return file.read().splitlines(True)

    def write(self, lines):
        with open(self.path, "wb") as file:
            file.write(b"".join(lines))

    def verbs(self):
        return [(record["verb"], record["decision"]) for record in self.site.ask("audit", since=0)["records"]]

    def test_the_name_of_the_file_is_on_the_disk_before_anything_is_answered(self):
        flushed = []

        def fsync_dir(folder):
            flushed.append((folder, os.path.exists(self.path)))

        with mock.patch.object(audit.files, "fsync_dir", fsync_dir):
            audit.Audit(self.path, "one", "local")
        self.assertEqual(flushed[-1], (os.path.dirname(self.path), True))

    def test_the_answer_names_the_last_line(self):
        answer = self.site.ask("hello")
        self.assertEqual(answer["head"], hashlib.sha256(self.lines()[-1].rstrip(b"\n")).hexdigest())
        self.assertEqual(verify(self.path), (1, answer["head"]))

    def test_a_line_that_is_altered_left_out_or_put_in_is_found(self):
        for _ in range(5):
            self.site.ask("hello")
        lines = self.lines()
        altered = [
            lines[:2] + [lines[2].replace(b'"decision":"ok"', b'"decision":"no"')] + lines[3:],
            lines[:2] + lines[3:],
            lines[1:],
            lines[:2] + [lines[1]] + lines[2:],
            [lines[1], lines[0]] + lines[2:],
            lines[:2] + [lines[2].replace(b",", b", ", 1)] + lines[3:],
            lines[:2] + [b"noise\n"] + lines[2:],
            lines[:2] + [b"[1]\n"] + lines[2:],
        ]
        verify(self.path)
        for changed in altered:
            self.write(changed)
            with self.assertRaises(ValueError):
                verify(self.path)

    def test_a_chain_cut_at_its_end_no_longer_has_the_head_that_was_told(self):
        for _ in range(3):
            head = self.site.ask("hello")["head"]
        self.write(self.lines()[:-1])
        self.assertNotEqual(verify(self.path)[1], head)

    def test_half_a_line_is_replaced_by_the_next_record(self):
        head = self.site.ask("hello")["head"]
        with open(self.path, "ab") as file:
            file.write(b'{"at":12345,"dec')
        self.site.reconnect()
        self.assertEqual(self.site.ask("audit", since=0)["head"], head)
        self.site.ask("hello")
        self.assertEqual(verify(self.path)[0], 2)

    def test_noise_that_no_killed_gate_can_have_left_takes_no_record_away(self):
        self.site.ask("hello")
        with open(self.path, "ab") as file:
            file.write(bytes(audit.TAIL))
        before = self.lines()
        with self.assertRaises(IndexError):
            self.site.ask("hello")
        self.site.reconnect()
        with self.assertRaises(IndexError):
            self.site.ask("hello")
        self.assertEqual(self.lines(), before)

    def test_records_of_several_processes_form_one_chain(self):
        workers = [multiprocessing.Process(target=write_records, args=(self.path, 20)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(verify(self.path)[0], 80)

    def test_what_must_be_recorded_is_recorded(self):
        self.site.ask("hello")
        digest = self.site.put(b"0123456789")
        self.site.put(b"0123456789")
        self.site.ask("have", blobs=[[digest, 10]])
        self.site.ask("read", digest=digest, offset=4, length=4)
        self.site.ask("read", digest=digest, offset=0, length=4)
        self.site.ask("status", cursor="")
        self.site.ask("cancel", attempts=[key_of(1)])
        self.site.ask("release", attempts=[key_of(1)])
        self.site.ask("read", digest="0" * 64, offset=5, length=4)
        self.site.ask("nonsense")
        self.site.ask("put", b"01", digest=digest_of(b"0123"), size=4, offset=0)
        self.assertEqual(
            self.verbs(),
            [
                ("hello", "ok"),
                ("put", "ok"),
                ("read", "ok"),
                ("cancel", "ok"),
                ("release", "ok"),
                ("read", "gone"),
                ("?", "bad-request"),
            ],
        )

    def test_records_hold_neither_parameters_nor_notes(self):
        self.site.submit([1], each={"note": {"name": "Jane Doe"}})
        self.assertNotIn("Jane", json.dumps(self.site.ask("audit", since=0)["records"]))
        self.assertNotIn('size": 8', json.dumps(self.site.ask("audit", since=0)["records"]))

    def test_a_hostile_request_cannot_make_a_long_record_or_a_second_line(self):
        self.site.say({"id": "1\n2", "verb": "x\n" * 100000, "y" * 100000: 1})
        self.site.ask("cancel", attempts=[key_of(number) for number in range(1000)])
        self.assertEqual(verify(self.path)[0], 2)
        self.assertLess(max(map(len, self.lines())), 1000)

    def test_records_are_told_from_a_number_on_and_only_to_their_key(self):
        for _ in range(3):
            self.site.ask("hello")
        records = self.site.ask("audit", since=2)["records"]
        self.assertEqual([record["seq"] for record in records], [3])
        self.assertEqual(self.site.ask("audit", key="two", since=0)["records"], [])


if __name__ == "__main__":
    unittest.main()
