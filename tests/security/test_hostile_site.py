# SPDX-License-Identifier: BSD-3-Clause
"""The account at the cluster was taken over, and its gate answers what is made to hurt the worker.

What else is believed in nothing: names, digests and heads in tests/unit/sites, words in tests/unit/domain.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from slidegate.domain.values import Digest, canonical_json
from slidegate.sites import Gate
from slidegate.sites.errors import BadAnswer, DamagedResult
from slidegate.sites.link import Frame, Message
from slidegate.sites.transfer import fetch_tree

SHA = hashlib.sha256(b"x").hexdigest()


class HostileLink:
    """Answers whatever is asked to be read with the contents given, and with `size` bytes in all."""

    def __init__(self, contents: dict[str, bytes], size: int | None = None) -> None:
        self.contents, self.size, self.answers = contents, size, 0

    closed = False

    def exchange(self, request: Message, body: bytes = b"") -> Frame:
        data = self.contents[request["digest"]]
        self.answers += 1
        assert self.answers < 100, "it reads on and on"
        size = len(data) if self.size is None else self.size
        return {"id": request.get("id"), "ok": True, "size": size, "head": "0" * 64}, data

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        for request, body in requests:
            yield self.exchange(request, body)

    def close(self) -> None:
        """Nothing is open."""


def tree(entries: list[list[object]]) -> tuple[Digest, bytes]:
    text = canonical_json({"tree": 1, "entries": entries})
    return Digest(hashlib.sha256(text).hexdigest()), text


@pytest.mark.parametrize(
    "name", ["../pwned", "/tmp/pwned", "a/../../pwned", ".ssh/authorized_keys", "a\n", "-"]
)
def test_a_result_whose_name_leads_elsewhere_is_not_fetched(name: str, tmp_path: Path) -> None:
    digest, text = tree([[name, 1, SHA]])
    with pytest.raises(BadAnswer):
        fetch_tree(Gate(lambda: HostileLink({digest: text, SHA: b"x"})), digest, tmp_path / "results")
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "results"])


def test_contents_that_do_not_match_their_digest_are_not_kept(tmp_path: Path) -> None:
    digest, text = tree([["a", 1, SHA]])
    with pytest.raises(DamagedResult):
        fetch_tree(Gate(lambda: HostileLink({digest: text, SHA: b"y"})), digest, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_results_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    digest, _ = tree([])
    link = HostileLink({digest: b"[" * (1 << 20)}, size=1 << 60)
    with pytest.raises(BadAnswer):
        fetch_tree(Gate(lambda: link), digest, tmp_path)


def test_a_list_of_results_that_is_nested_too_deeply_is_an_answer_that_is_none(tmp_path: Path) -> None:
    text = b"[" * 200_000
    digest = Digest(hashlib.sha256(text).hexdigest())
    with pytest.raises(BadAnswer):
        fetch_tree(Gate(lambda: HostileLink({digest: text})), digest, tmp_path)
