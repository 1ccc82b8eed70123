# SPDX-License-Identifier: BSD-3-Clause
import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from slidegate.domain.values import AttemptKey, Digest, digest_of
from slidegate.sites import Gate, PipeLink
from slidegate.sites.errors import AuditBroken, BadAnswer, DamagedResult, Gone, LinkDown, Refused
from slidegate.sites.link import Frame, Message
from slidegate.sites.transfer import fetch_tree, put_tree
from slidegate.sites.trees import describe_folder, is_name, read_tree, tree_digest, tree_text
from tests.unit.sites.conftest import Connect

pytestmark = pytest.mark.slow

MIB = 1 << 20


@pytest.fixture
def gate(connect: Connect) -> Gate:
    return Gate(connect)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "image"
    (made / "0" / "c").mkdir(parents=True)
    (made / "zarr.json").write_text("{}")
    (made / "empty").write_bytes(b"")
    (made / "0" / "c" / "0").write_bytes(os.urandom(9 * MIB))
    (made / "0" / "c" / "1").write_bytes(os.urandom(MIB))
    (made / "0" / "c" / "same").write_bytes((made / "0" / "c" / "1").read_bytes())
    return made


class Heads:
    def __init__(self) -> None:
        self.last = (0, "0" * 64)

    def known(self) -> tuple[int, str]:
        return self.last

    def advance(self, seq: int, head: str) -> None:
        self.last = (seq, head)


class CutLink:
    """A real link whose gate is killed when so many requests were answered."""

    def __init__(self, link: PipeLink, answers: int) -> None:
        self._link = link
        self._left = answers

    closed = False

    def exchange(self, request: Message, body: bytes = b"") -> Frame:
        raise NotImplementedError

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        for answer in self._link.stream(requests):
            self._left -= 1
            if self._left == 0:
                assert self._link._process is not None
                os.kill(self._link._process.pid, signal.SIGKILL)
            yield answer

    def close(self) -> None:
        self._link.close()


def test_a_gate_says_who_it_is(gate: Gate, key: str) -> None:
    hello = gate.hello()
    assert (hello.site, hello.key, hello.releases) == ("local", key, ())


def test_a_tree_arrives_whole_and_comes_back_equal(gate: Gate, folder: Path, tmp_path: Path) -> None:
    entries = describe_folder(folder)
    seen: list[tuple[int, int]] = []
    assert put_tree(gate, folder, entries, lambda done, total: seen.append((done, total))) > 10 * MIB
    assert seen[-1][0] == seen[-1][1]
    fetched = fetch_tree(gate, tree_digest(entries), tmp_path / "back")
    assert fetched == entries
    assert describe_folder(tmp_path / "back") == entries


def test_what_is_there_is_not_sent_again_and_not_even_read(gate: Gate, folder: Path, tmp_path: Path) -> None:
    entries = describe_folder(folder)
    put_tree(gate, folder, entries)
    assert put_tree(gate, tmp_path / "nowhere", entries) == 0


def test_only_what_is_missing_is_sent(gate: Gate, folder: Path, key_data: Path) -> None:
    entries = describe_folder(folder)
    put_tree(gate, folder, entries)
    lost = hashlib.sha256((folder / "0" / "c" / "1").read_bytes()).hexdigest()
    (key_data / "blobs" / lost[:2] / lost).unlink()
    assert put_tree(gate, folder, entries) == MIB


@pytest.mark.parametrize("answers", [1, 2, 3, 4])
def test_an_upload_that_is_cut_continues_where_it_stopped(
    connect: Connect, folder: Path, answers: int
) -> None:
    entries = describe_folder(folder)
    cut = Gate(lambda: CutLink(connect(), answers))
    with pytest.raises(LinkDown):
        put_tree(cut, folder, entries)
    total = put_tree(Gate(connect), folder, entries)
    assert put_tree(Gate(connect), folder, entries) == 0
    if answers > 3:
        assert total < 10 * MIB


def test_a_gate_that_broke_is_opened_again(connect: Connect) -> None:
    links = [CutLink(connect(), 1), connect()]
    gate = Gate(lambda: links.pop(0))
    gate.hello()
    with pytest.raises(LinkDown):
        gate.hello()
    assert gate.hello().site == "local"


def test_a_channel_that_was_silent_for_long_is_not_relied_on(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = [connect(), connect()]
    kept = list(links)
    gate = Gate(lambda: links.pop(0))
    gate.hello()
    assert kept[0]._process is not None
    kept[0]._process.kill()  # as a gate that has waited in vain ends
    monkeypatch.setattr("slidegate.sites.gate._IDLE_SECONDS", 0.2)
    time.sleep(0.3)
    assert gate.hello().site == "local"
    assert links == []


def test_a_fetch_that_is_repeated_keeps_what_matches_and_removes_what_does_not_belong(
    gate: Gate, folder: Path, tmp_path: Path
) -> None:
    entries = describe_folder(folder)
    put_tree(gate, folder, entries)
    back = tmp_path / "back"
    fetch_tree(gate, tree_digest(entries), back)
    big = back / "0" / "c" / "0"
    before = big.stat().st_mtime_ns
    (back / "zarr.json").write_text("xx")
    (back / "0" / "stranger").write_text("x")
    (back / "link").symlink_to("/etc/passwd")
    fetch_tree(gate, tree_digest(entries), back)
    assert describe_folder(back) == entries
    assert big.stat().st_mtime_ns == before


def test_content_that_was_spoiled_at_the_site_is_not_taken(
    gate: Gate, folder: Path, tmp_path: Path, key_data: Path
) -> None:
    entries = describe_folder(folder)
    put_tree(gate, folder, entries)
    spoiled = hashlib.sha256((folder / "0" / "c" / "1").read_bytes()).hexdigest()
    blob = key_data / "blobs" / spoiled[:2] / spoiled
    blob.chmod(0o600)
    blob.write_bytes(bytes(MIB))
    with pytest.raises(DamagedResult):
        fetch_tree(gate, tree_digest(entries), tmp_path / "back")
    assert not (tmp_path / "back" / "0" / "c" / "1").exists()


def test_what_is_gone_is_said_to_be_gone(gate: Gate, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Gone):
        fetch_tree(gate, Digest("0" * 64), tmp_path / "back")
    with pytest.raises(Gone):
        list(gate.log(AttemptKey("1" * 64)))
    assert gate.hello().site == "local"


def test_a_refusal_does_not_cost_the_connection(connect: Connect) -> None:
    links = [connect()]
    gate = Gate(lambda: links.pop(0))
    with pytest.raises(Refused) as caught:
        gate.submit(Digest("0" * 64))
    assert caught.value.code == "missing-blobs"
    assert gate.hello().site == "local"


class Says:
    """A site that gives one answer to everything, whatever it is asked."""

    def __init__(self, answer: Message, body: bytes = b"") -> None:
        self._answer = {"ok": True, "head": "0" * 64, **answer}
        self._body = body

    closed = False

    def exchange(self, request: Message, body: bytes = b"") -> Frame:
        raise NotImplementedError

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        for _request in requests:
            yield dict(self._answer), self._body

    def close(self) -> None:
        return


def test_an_answer_that_lacks_something_is_not_taken() -> None:
    gate = Gate(lambda: Says({}))
    for ask in (gate.hello, lambda: gate.status(""), lambda: gate.presence([("0" * 64, 1)])):
        with pytest.raises(BadAnswer, match="lacks"):
            ask()


def test_cancelling_what_nobody_knows_leaves_a_tombstone(gate: Gate) -> None:
    name = AttemptKey("2" * 64)
    assert gate.cancel([name]) == {name: "cancelled"}


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "a//b",
        "a/../b",
        ".hidden",
        "a/.b",
        "a\n",
        "a b",
        "x" * 101,
        "é",
        "",
        "a/",
        7,
        None,
    ],
)
def test_names_that_could_lead_elsewhere_are_not_names(name: object) -> None:
    assert not is_name(name)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", ".ssh/authorized_keys", "x\n"])
def test_a_tree_with_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    text = tree_text([(name, 1, "0" * 64)])
    with pytest.raises(BadAnswer, match="not allowed"):
        read_tree(text, Digest(hashlib.sha256(text).hexdigest()))


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b'{"tree":1}', b"[]", b'{"entries":[["a",1]],"tree":1}',
     b'{"entries":[["a",-1,"0"]],"tree":1}', b'{"entries": [], "tree": 1}',
     b'{"entries":[["a",1,5]],"tree":1}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_a_tree_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_tree(text, Digest(hashlib.sha256(text).hexdigest()))


def test_a_tree_whose_file_would_also_be_a_folder_is_refused() -> None:
    text = tree_text([("a", 1, "0" * 64), ("a/b", 1, "0" * 64)])
    with pytest.raises(BadAnswer, match="not allowed"):
        read_tree(text, Digest(hashlib.sha256(text).hexdigest()))


def test_a_tree_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    gate = Gate(lambda: Says({"size": 1 << 60}, bytes(8 * MIB)))
    with pytest.raises(BadAnswer, match="longer than any"):
        fetch_tree(gate, Digest("0" * 64), tmp_path / "out")


NEWS = {"cursor": "a.1", "attempts": [], "crews": []}
ATTEMPT = {"attempt": "a", "submission": "s", "state": "queued"}


@pytest.mark.parametrize(
    "more", [{"more": True}, {"more": True, "attempts": [ATTEMPT]}], ids=["of nothing", "of something"]
)
def test_news_without_an_end_are_not_listened_to_for_ever(
    monkeypatch: pytest.MonkeyPatch, more: Message
) -> None:
    monkeypatch.setattr("slidegate.sites.gate._VIEWS_MOST", 100)
    with pytest.raises(BadAnswer, match="no end"):
        Gate(lambda: Says(NEWS | more)).status("")


@pytest.mark.parametrize(
    "wrong",
    [
        {"cursor": 7},
        {"attempts": 7},
        {"attempts": [7]},
        {"attempts": [{"attempt": "a"}]},
        {"attempts": [ATTEMPT | {"state": "running"}]},
        {"attempts": [ATTEMPT | {"state": "succeeded"}]},
        {"crews": {}},
        {"crews": [{"submission": "s"}]},
    ],
    ids=str,
)
def test_news_that_make_no_sense_are_told(wrong: Message) -> None:
    with pytest.raises(BadAnswer, match="sense"):
        Gate(lambda: Says(NEWS | wrong)).status("")


def test_of_a_log_without_an_end_only_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slidegate.sites.gate._LOG_MOST", 3 * MIB)
    pieces = list(Gate(lambda: Says({"size": 1 << 60}, bytes(MIB))).log(AttemptKey("2" * 64)))
    assert sum(map(len, pieces)) == 3 * MIB


UNITS = {
    "step": "detect",
    "units": 6,
    "grid": {"shape": [300, 129], "side": 128},
    "done": "IQ==",
    "current": [1],
}


@pytest.fixture
def begun(gate_home: Path, key: str, key_data: Path) -> Iterator[AttemptKey]:
    """An Attempt of this test's key at the real gate, which has done the first and the last of six Units."""
    attempt, submission = "a" * 64, "5" * 32
    release = {"name": "x", "manifest": {"steps": [{"do": "plan"}, {"do": "detect", "units": "plan"}]}}
    names = [f"u{number}" for number in range(6)]
    work, state = key_data / "work" / submission / attempt, gate_home / "state" / "keys" / key
    made = {
        gate_home / "releases" / ("e" * 64) / "release.json": release,
        state / "attempts" / attempt / "owner.json": {"submission": submission},
        state / "submissions" / submission / "plan.json": {"release": "e" * 64, "attempts": []},
        work / "done" / "plan.all": {"units": names, "result": {"grid": UNITS["grid"]}},
        work / "done" / "detect.u0": {},
        work / "done" / "detect.u5": {},
        work / "leases" / "detect.u1.0": {},
    }
    for path, record in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    yield AttemptKey(attempt)
    shutil.rmtree(gate_home / "releases" / ("e" * 64))


def test_a_gate_tells_how_far_each_unit_is(gate: Gate, begun: AttemptKey) -> None:
    assert gate.units(begun) == UNITS
    assert gate.units(AttemptKey("b" * 64)) is None


def test_a_gate_that_is_too_old_to_tell_of_units_is_asked_in_vain() -> None:
    error = {"code": "bad-request", "message": "The fields of read are: ...", "transient": False}
    assert Gate(lambda: Says({"ok": False, "error": error})).units(AttemptKey("b" * 64)) is None
    with pytest.raises(Refused):
        Gate(lambda: Says({"ok": False, "error": error | {"code": "limit"}})).units(AttemptKey("b" * 64))


@pytest.mark.parametrize(
    "grid",
    [
        None,
        7,
        {},
        {"shape": [300, 129], "side": 0},
        {"shape": [300], "side": 9},
        {"shape": [1, 1], "side": 1},
    ],
)
def test_a_grid_that_does_not_fit_its_units_is_none(grid: object) -> None:
    body = json.dumps(UNITS | {"grid": grid}).encode()
    assert Gate(lambda: Says({"size": 9}, body)).units(AttemptKey("b" * 64)) == UNITS | {"grid": None}


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        *(json.dumps(UNITS | {"units": count}).encode() for count in (-1, 9, 1.5, True, "6", 1 << 40)),
        *(json.dumps(UNITS | {"done": done}).encode() for done in ("", "!", 7, None, "IQIQ")),
        *(json.dumps(UNITS | {"current": places}).encode() for places in (7, [6], [-1], ["a"], [True])),
        json.dumps(UNITS | {"step": 7}).encode(),
    ],
)
def test_an_answer_about_units_that_makes_no_sense_is_told(wrong: bytes) -> None:
    with pytest.raises(BadAnswer):
        Gate(lambda: Says({"size": 9}, wrong)).units(AttemptKey("b" * 64))


class Endless:
    """A gate whose record goes on for ever, each entry in its place."""

    def __init__(self) -> None:
        self._records: list[Message] = []

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        for request, _body in requests:
            since = request.get("since", 0)
            while len(self._records) < since + 10:
                prev = digest_of(self._records[-1]) if self._records else "0" * 64
                self._records.append({"seq": len(self._records) + 1, "prev": prev})
            head = digest_of(self._records[-1])
            yield {"ok": True, "records": self._records[since : since + 10], "usage": {}, "head": head}, b""

    closed = False

    def exchange(self, request: Message, body: bytes = b"") -> Frame:
        raise NotImplementedError

    def close(self) -> None:
        return


def test_a_record_without_an_end_is_not_followed_for_ever_and_the_next_look_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slidegate.sites.gate._RECORDS_MOST", 50)
    heads, link = Heads(), Endless()
    for at_least in (50, 100):
        with pytest.raises(BadAnswer, match="no end"):
            Gate(lambda: link, heads).hello()
        assert at_least <= heads.last[0] < at_least + 30


@pytest.mark.parametrize(
    "wrong",
    [{"releases": 7}, {"releases": [{}]}, {"releases": [3]}, {"limits": []}, {"limits": {"bytes": "many"}}],
    ids=str,
)
def test_a_greeting_that_makes_no_sense_is_told(wrong: Message) -> None:
    good = {"protocol": 1, "gate": "0", "site": "lab", "key": "key", "releases": [], "limits": {"bytes": 1}}
    assert Gate(lambda: Says(good)).hello().site == "lab"
    with pytest.raises(BadAnswer, match="greeting"):
        Gate(lambda: Says(good | wrong)).hello()


def test_a_refusal_has_a_plain_code_and_a_sentence_of_bounded_length() -> None:
    error = {"code": "\x1b[2J", "message": "x" * 100_000, "transient": "yes", "detail": 3}
    refused = Refused.of(error)
    assert (refused.code, len(refused.message), refused.transient, refused.detail) == (
        "refused",
        2000,
        False,
        {},
    )
    assert Refused.of({"code": "not-found"}).code == "not-found"


def test_the_end_of_the_record_is_kept_and_followed(connect: Connect) -> None:
    heads = Heads()
    gate = Gate(connect, heads)
    gate.hello()
    gate.close()
    first = heads.last
    assert first[0] >= 1
    gate.hello()
    gate.close()
    assert heads.last[0] > first[0]


def audit_file(gate_home: Path, key: str) -> Path:
    return gate_home / "state" / "keys" / key / "audit.jsonl"


def test_a_record_that_was_set_back_is_noticed(connect: Connect, gate_home: Path, key: str) -> None:
    heads = Heads()
    gate = Gate(connect, heads)
    gate.hello()
    gate.hello()
    gate.close()
    path = audit_file(gate_home, key)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(AuditBroken):
        gate.hello()
    with pytest.raises(AuditBroken):
        Gate(connect, heads).hello()


def test_a_record_that_was_written_anew_is_noticed(connect: Connect, gate_home: Path, key: str) -> None:
    heads = Heads()
    gate = Gate(connect, heads)
    gate.hello()
    gate.close()
    path = audit_file(gate_home, key)
    record = json.loads(path.read_bytes().splitlines()[0])
    path.write_bytes(
        json.dumps(record | {"decision": "no"}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    )
    with pytest.raises(AuditBroken):
        Gate(connect, heads).hello()


def test_two_connections_of_one_key_do_not_alarm_each_other(connect: Connect) -> None:
    heads = Heads()
    first, second = Gate(connect, heads), Gate(connect, heads)
    for _ in range(3):
        first.hello()
        second.hello()
        second.close()
    first.close()
    first.hello()
    first.close()
