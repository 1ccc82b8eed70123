# SPDX-License-Identifier: BSD-3-Clause
import hashlib
import json
import os
import threading
import time
import unittest

from slidegate_gate.errors import BadFrame, Idle
from slidegate_gate.protocol import frames


def frame_bytes(data, body=b"", json_bytes=None, body_bytes=None, digest=None, magic="SLIDEGATE/1"):
    header = "{} {} {} {}\n".format(
        magic,
        len(data) if json_bytes is None else json_bytes,
        len(body) if body_bytes is None else body_bytes,
        digest or hashlib.sha256(data).hexdigest(),
    )
    return header.encode() + data + body


class Frames(unittest.TestCase):
    def read_all(self, data, idle=5):
        """Read the frames in `data`, which arrives in one piece and then ends."""
        inlet, outlet = os.pipe()
        writer = threading.Thread(target=self.pour, args=(outlet, data))
        writer.start()
        try:
            return list(frames.read_ahead(frames.FrameReader(inlet, idle)))
        finally:
            os.close(inlet)
            writer.join()

    @staticmethod
    def pour(outlet, data):
        try:
            while data:
                data = data[os.write(outlet, data) :]
        except BrokenPipeError:
            pass
        finally:
            os.close(outlet)

    def assert_bad(self, data, words=""):
        with self.assertRaises(BadFrame) as caught:
            self.read_all(data)
        self.assertIn(words, str(caught.exception))

    def test_what_is_written_is_read_in_order(self):
        inlet, outlet = os.pipe()
        big = os.urandom(frames.MAX_BODY)
        sent = [
            ({"id": "1", "text": "\u00e9\U0001f52c"}, b""),
            ({"id": "2", "n": 2.5}, b"x"),
            ({"id": "3"}, big),
            ({"id": "4", "verb": "put"}, b"piece of a content"),
        ]

        def write():
            for message, body in sent:
                frames.write_frame(outlet, message, body)
            os.close(outlet)

        writer = threading.Thread(target=write)
        writer.start()
        got = [
            (frame.message, bytes(frame.body)) for frame in frames.read_ahead(frames.FrameReader(inlet, 5))
        ]
        writer.join()
        os.close(inlet)
        self.assertEqual(got, sent)

    def test_a_body_stays_while_the_next_is_read_and_then_its_memory_is_used_again(self):
        inlet, outlet = os.pipe()
        for number in range(4):
            frames.write_frame(outlet, {"verb": "put"}, b"%d" % number * 1000)
        os.close(outlet)
        memories = []
        for number, frame in enumerate(frames.read_ahead(frames.FrameReader(inlet, 5))):
            time.sleep(0.1)
            self.assertEqual(bytes(frame.body), b"%d" % number * 1000)
            memories.append(frame.body.obj)
        os.close(inlet)
        self.assertIs(memories[2], memories[0])
        self.assertIs(memories[3], memories[1])

    def test_a_frame_that_arrives_byte_by_byte_is_the_same_frame(self):
        inlet, outlet = os.pipe()
        data = frame_bytes(b'{"a":1}') * 2

        def drip():
            for place in range(len(data)):
                os.write(outlet, data[place : place + 1])
            os.close(outlet)

        threading.Thread(target=drip).start()
        got = [frame.message for frame in frames.read_ahead(frames.FrameReader(inlet, 5))]
        os.close(inlet)
        self.assertEqual(got, [{"a": 1}, {"a": 1}])

    def test_only_the_piece_of_a_content_may_come_without_a_digest_and_a_wrong_one_is_refused(self):
        (frame,) = self.read_all(frame_bytes(b'{"verb":"put"}', b"abc"))
        self.assertEqual(bytes(frame.body), b"abc")
        self.assert_bad(frame_bytes(b'{"verb":"hello"}', b"abc"), "body")
        for digest in ("0" * 64, "", None, 0, []):
            data = json.dumps({"verb": "put", "body": digest}).encode()
            if digest is not None:
                self.assert_bad(frame_bytes(data, b"abc"), "body")
        data = json.dumps({"verb": "put", "body": hashlib.sha256(b"abc").hexdigest()}).encode()
        (frame,) = self.read_all(frame_bytes(data, b"abc"))
        self.assertEqual(frame.message, {"verb": "put"})

    def test_an_empty_channel_has_no_frames(self):
        self.assertEqual(self.read_all(b""), [])

    def test_noise_before_the_magic_is_refused_at_once(self):
        self.assert_bad(b"Welcome to the cluster\n" + frame_bytes(b"{}"), "Welcome")
        self.assert_bad(b"\n" + frame_bytes(b"{}"))
        self.assert_bad(b"x" * 1000, "not the beginning")

    def test_another_version_or_spelling_of_the_header_is_refused(self):
        for magic in ("SLIDEGATE/2", "slidegate/1", " SLIDEGATE/1", "SLIDEGATE/1 "):
            self.assert_bad(frame_bytes(b"{}", magic=magic))
        for length in ("02", "+2", "-2", "2.0", "0x2", "\u0662", "2 ", ""):
            self.assert_bad(frame_bytes(b"{}", json_bytes=length))
        self.assert_bad(frame_bytes(b"{}").replace(b"\n", b"\r\n", 1))

    def test_lengths_that_lie_are_refused(self):
        self.assert_bad(frame_bytes(b"{}", json_bytes=3), "ended inside")
        self.assert_bad(frame_bytes(b'{"a":1}', json_bytes=6), "digest")
        self.assert_bad(frame_bytes(b"{}", b"abc", body_bytes=4), "ended inside")
        self.assert_bad(frame_bytes(b"{}", b"abc", body_bytes=2), "body")

    def test_lengths_beyond_the_limits_are_refused_before_they_are_read(self):
        self.assert_bad(frame_bytes(b"{}", json_bytes=frames.MAX_JSON + 1), "more than")
        self.assert_bad(frame_bytes(b"{}", body_bytes=frames.MAX_BODY + 1), "more than")
        self.assert_bad(frame_bytes(b"{}", json_bytes=10**30))

    def test_a_channel_that_ends_inside_a_frame_is_refused(self):
        data = frame_bytes(b'{"a":1,"body":"%s"}' % hashlib.sha256(b"abc").hexdigest().encode(), b"abc")
        self.assertEqual(len(self.read_all(data)), 1)
        for length in range(1, len(data)):
            self.assert_bad(data[:length])

    def test_a_flipped_bit_anywhere_is_noticed(self):
        data = frame_bytes(b'{"a":1,"body":"%s"}' % hashlib.sha256(b"abc").hexdigest().encode(), b"abc")
        for place in range(len(data)):
            self.assert_bad(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])

    def test_a_body_must_be_named_and_a_named_body_must_come(self):
        body = hashlib.sha256(b"abc").hexdigest().encode()
        self.assert_bad(frame_bytes(b"{}", b"abc"), "body")
        self.assert_bad(frame_bytes(b'{"body":"%s"}' % body), "body")
        self.assert_bad(frame_bytes(b'{"body":"%s"}' % body, b"abd"), "body")
        self.assert_bad(frame_bytes(b'{"body":["%s"]}' % body, b"abc"), "body")

    def test_json_that_two_readers_could_understand_differently_is_refused(self):
        for data in (
            b'{"a":1,"a":1}',
            b'{"a":{"b":1,"b":2}}',
            b'{"a":NaN}',
            b'{"a":Infinity}',
            b'{"a":-Infinity}',
            b'{"a":1e999}',
            b'{"a":' + b"1" * 21 + b"}",
            b"[]",
            b"1",
            b'"a"',
            b"null",
            b"",
            b"{",
            b"{} {}",
            b'{"a":"\xff"}',
            b"\xef\xbb\xbf{}",
            b'{"a":' + b"[" * 200000 + b"]" * 200000 + b"}",
            b"{'a':1}",
            '{"a":1}'.encode("utf-16"),
        ):
            self.assert_bad(frame_bytes(data))

    def test_a_peer_that_stops_sending_is_left(self):
        inlet, outlet = os.pipe()
        os.write(outlet, frame_bytes(b"{}")[:20])
        began = time.monotonic()
        with self.assertRaises(Idle):
            frames.FrameReader(inlet, 0.1).read()
        self.assertLess(time.monotonic() - began, 5)
        os.close(inlet)
        os.close(outlet)

    def test_writing_to_nobody_raises_instead_of_waiting(self):
        inlet, outlet = os.pipe()
        os.close(inlet)
        with self.assertRaises(BrokenPipeError):
            frames.write_frame(outlet, {"id": "1"}, b"x" * 100000)
        os.close(outlet)


if __name__ == "__main__":
    unittest.main()
