# SPDX-License-Identifier: BSD-3-Clause
"""What every Link must do; an adapter's test class inherits this and has a ``link`` fixture.

The other end is the real gate, with an empty data folder.
"""

import hashlib
from collections.abc import Iterator

import pytest

from slidegate.sites.errors import LinkDown
from slidegate.sites.link import Frame, Link

HELLO = {"verb": "hello"}


def put(data: bytes, offset: int = 0, size: int | None = None, digest: str | None = None) -> Frame:
    digest = digest or hashlib.sha256(data).hexdigest()
    return {"verb": "put", "digest": digest, "size": size or len(data), "offset": offset}, data


class LinkContract:
    def test_a_request_is_answered(self, link: Link) -> None:
        answer, body = link.exchange(HELLO)
        assert answer["ok"] is True
        assert answer["protocol"] == 1
        assert body == b""

    def test_answers_come_in_the_order_of_the_requests_however_many_are_on_their_way(
        self, link: Link
    ) -> None:
        sizes = list(range(1, 60))
        requests = (({"verb": "have", "blobs": [["0" * 64, size]] * (size % 2)}, b"") for size in sizes)
        answers = [len(answer["missing"]) for answer, _body in link.stream(requests)]
        assert answers == [size % 2 for size in sizes]

    def test_bodies_go_both_ways_unchanged(self, link: Link) -> None:
        data = bytes(range(256)) * 20_000
        digest = hashlib.sha256(data).hexdigest()
        half = len(data) // 2
        pieces = [put(data[:half], 0, len(data), digest), put(data[half:], half, len(data), digest)]
        assert [answer["next"] for answer, _body in link.stream(pieces)] == [half, len(data)]
        answer, body = link.exchange({"verb": "read", "digest": digest, "offset": 0, "length": 8 << 20})
        assert answer["size"] == len(data)
        assert body == data

    def test_a_refusal_is_an_answer_like_any_other(self, link: Link) -> None:
        answers = [answer for answer, _body in link.stream([({"verb": "rm"}, b""), (HELLO, b"")])]
        assert [answer["ok"] for answer in answers] == [False, True]
        assert answers[0]["error"]["code"] == "bad-request"

    def test_what_making_the_requests_raises_is_raised_and_the_link_goes_on(self, link: Link) -> None:
        def requests() -> Iterator[Frame]:
            yield HELLO, b""
            raise FileNotFoundError("gone")

        answers = link.stream(requests())
        assert next(answers)[0]["ok"] is True
        with pytest.raises(FileNotFoundError):
            next(answers)
        assert link.exchange(HELLO)[0]["ok"] is True

    def test_a_stream_that_is_left_half_way_closes_the_link(self, link: Link) -> None:
        answers = link.stream([(HELLO, b"")] * 20)
        next(answers)
        answers.close()
        with pytest.raises(LinkDown):
            link.exchange(HELLO)

    def test_a_closed_link_says_so(self, link: Link) -> None:
        link.exchange(HELLO)
        link.close()
        link.close()
        with pytest.raises(LinkDown):
            link.exchange(HELLO)
