# SPDX-License-Identifier: BSD-3-Clause
"""Whoever has stolen the key sends contents, Trees and plans that are made to hurt, over the real sshd."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from slidegate_gate.protocol.canonical import canonical

from tests.security.gatehouse import Channel, Gatehouse, digest_of

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

NOWHERE = digest_of(b"nobody has sent this")
NAMES = [
    *(
        "..",
        ".",
        "../pwned",
        "a/../../pwned",
        "/etc/passwd",
        "//a",
        "a//b",
        "a/",
        "",
        ".hidden",
        "a/.ssh/b",
        "~",
    ),
    *(
        "a\0b",
        "a\nb",
        "a\rb",
        "a b",
        "a\\b",
        "\x1b]0;x\x07",
        "ä",
        "\u202egpj",
        "\ud800",
        "a" * 101,
        "-rf /",
        "a" * 600,
    ),
    *("/".join("abcdefghijklmn"), "con:", "a;b", "$(id)", "`id`", "a|b", "*", "a?b", "'", '"'),
]
PLANS: dict[str, Any] = {
    "a-list": [],
    "nested": {"plan": 1, "release": "RELEASE", "note": {"a": None}, "attempts": []},
    "another-format": {"plan": 2},
    "more-fields": {"command": "touch pwned"},
    "release-that-leads-elsewhere": {"release": "../../../../tmp/pwned"},
    "release-that-nobody-installed": {"release": NOWHERE},
    "no-attempts": {"attempts": []},
    "too-many-attempts": {"attempts": [{}] * 1001},
    "long-note": {"note": {"a": "a" * 5000}},
    "note-that-is-none": {"note": "touch pwned"},
}
ENTRIES: dict[str, Any] = {
    "attempt-that-leads-elsewhere": {"attempt": "../" * 20 + "tmp/pwned"},
    "attempt-in-capitals": {"attempt": "A" * 64},
    "input-that-leads-elsewhere": {"inputs": {"image": "../../other/blobs"}},
    "input-of-a-strange-name": {"inputs": {"../image": NOWHERE}},
    "other-inputs": {"inputs": {"mask": NOWHERE}},
    "unknown-parameter": {"parameters": {"--option": 1}},
    "parameter-out-of-range": {"parameters": {"byte": 256}},
    "parameter-of-another-type": {"parameters": {"byte": "0; touch pwned"}},
    "parameter-that-is-no-number": {"parameters": {"byte": 1e300}},
    "parameter-that-is-true": {"parameters": {"byte": True}},
    "more-fields": {"argv": ["touch", "pwned"]},
}


@pytest.fixture(scope="module")
def release(gatehouse: Gatehouse) -> str:
    """A workflow with a parameter, which only the key ``other`` has used so far."""
    digest = gatehouse.release('open(os.path.join(out, "out.txt"), "w").write("done")', "plain")
    path = gatehouse.outside / "releases" / digest / "release.json"
    byte = {"type": "integer", "minimum": 0, "maximum": 255, "default": 0}
    schema = {"type": "object", "additionalProperties": False, "properties": {"byte": byte}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": schema}))
    gatehouse.add_key("other")
    return digest


@pytest.fixture(scope="module")
def channel(gatehouse: Gatehouse, release: str) -> Iterator[Channel]:
    with gatehouse.channel() as opened:
        yield opened


def state_of(gatehouse: Gatehouse, key: str) -> dict[str, bytes]:
    """Return everything that is kept for a key, but for what is rewritten with each question."""
    roots = [gatehouse.outside / root / "keys" / key for root in ("state", "data")]
    found = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in found if "usage" not in path.name}


# --- contents


def test_what_does_not_match_its_digest_is_not_kept(gatehouse: Gatehouse, channel: Channel) -> None:
    data, named = os.urandom(100), digest_of(os.urandom(9))
    assert channel.code("put", data, digest=named, size=100, offset=0) == "digest-mismatch"
    assert channel.ask("have", blobs=[[named, 100]])["missing"] == [named]
    assert not list((gatehouse.outside / "data/keys/omero").rglob(named))
    for size in (99, 101, 0):  # shorter, longer, nothing
        assert channel.code("put", data, digest=digest_of(data), size=size, offset=0) in ("ok", "bad-request")
        assert channel.ask("have", blobs=[[digest_of(data), size]])["missing"] == [digest_of(data)]
    assert channel.put(data) == digest_of(data)


@pytest.mark.parametrize("field", ["size", "offset"])
@pytest.mark.parametrize("value", [-1, 1.0, "1", True, None, 1 << 63, [1]], ids=str)
def test_sizes_and_offsets_that_are_none_are_refused(channel: Channel, field: str, value: object) -> None:
    fields = {"digest": digest_of(b"x"), "size": 1, "offset": 0, field: value}
    assert channel.code("put", b"x", **fields) == "bad-request"


def test_a_piece_far_behind_the_end_makes_no_file_with_a_hole(gatehouse: Gatehouse, channel: Channel) -> None:
    fields = {"digest": NOWHERE, "size": 1 << 50, "offset": 1 << 49}
    assert channel.code("put", b"x", **fields) == "wrong-offset"
    part = gatehouse.outside / "data/keys/omero/parts" / NOWHERE
    assert not part.exists() or part.stat().st_size == 0


def test_of_two_writers_of_one_content_one_is_told_to_wait(gatehouse: Gatehouse, channel: Channel) -> None:
    data = os.urandom(200)
    fields: dict[str, Any] = {"digest": digest_of(data), "size": 200}
    assert channel.ask("put", data[:100], offset=0, **fields)["next"] == 100
    with gatehouse.channel() as second:
        assert second.code("put", b"poison" * 10, offset=100, **fields) == "busy"
        assert channel.ask("put", data[100:], offset=100, **fields)["committed"]
        assert second.ask("put", b"poison" * 10, offset=100, **fields)[
            "committed"
        ]  # is there, and not written again
    assert channel.read(digest_of(data)) == data


def test_a_key_cannot_fill_the_disk(gatehouse: Gatehouse) -> None:
    gatehouse.add_key("greedy")
    gatehouse.limit("greedy", bytes=3 << 20)
    with gatehouse.channel(key="greedy") as channel:
        pieces = [os.urandom(1 << 20) for _ in range(5)]
        codes = [
            channel.code("put", piece, digest=digest_of(piece), size=1 << 20, offset=0) for piece in pieces
        ]
    assert codes[-1] == "limit"
    kept = (gatehouse.outside / "data/keys/greedy").rglob("*")
    assert sum(path.stat().st_size for path in kept if path.is_file()) <= 4 << 20


# --- Trees and plans


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_leads_elsewhere_or_deceives_stands_in_no_tree(
    channel: Channel, release: str, name: str
) -> None:
    data = channel.put(b"x")
    image = channel.put(canonical({"tree": 1, "entries": [[name, 1, data]]}))
    plan, _ = channel.plan(release, image=image)
    assert channel.code("submit", plan=plan, round=1) == "bad-tree"


@pytest.mark.parametrize(
    "entries",
    [
        [["a", 1, "x"], ["a", 1, "x"]],  # twice
        [["b", 1, "x"], ["a", 1, "x"]],  # not in order
        [["a", 1, "x"], ["a/b", 1, "x"]],  # a file and a folder
        [["a", -1, "x"]],
        [["a", 1, "../../other/blobs/00"]],
        [["a", 1, "x", {"link": "/etc/passwd"}]],
        [["a", 1]],
        [{"name": "a", "type": "symlink", "to": "/etc/passwd"}],
        {"a": 1},
        [[["a"] * 3] * 3] * 3,
    ],
    ids=repr,
)
def test_a_tree_holds_nothing_but_plain_files(channel: Channel, release: str, entries: Any) -> None:
    data = channel.put(b"x")
    named = json.loads(json.dumps(entries).replace('"x"', f'"{data}"'))
    image = channel.put(canonical({"tree": 1, "entries": named}))
    plan, _ = channel.plan(release, image=image)
    assert channel.code("submit", plan=plan, round=1) == "bad-tree"


def test_a_tree_of_half_a_million_entries_is_refused_at_once(channel: Channel, release: str) -> None:
    data = channel.put(b"x")
    entries = [[f"f{number:06}", 1, data] for number in range(430_000)]
    text = canonical({"tree": 1, "entries": entries})
    for offset in range(0, len(text), 8 << 20):
        piece = text[offset : offset + (8 << 20)]
        assert channel.ask("put", piece, digest=digest_of(text), size=len(text), offset=offset)["ok"]
    plan, _ = channel.plan(release, image=digest_of(text))
    began = time.monotonic()
    assert channel.code("submit", plan=plan, round=1) == "bad-tree"
    assert time.monotonic() - began < 5


def test_a_hostile_plan_starts_nothing(gatehouse: Gatehouse, channel: Channel, release: str) -> None:
    image = channel.put_tree({"pixels": b"pixels"})
    before = arrays(gatehouse)
    for name, change in {**PLANS, **ENTRIES}.items():
        attempt = digest_of(name.encode())
        entry = {"attempt": attempt, "inputs": {"image": image}, "parameters": {}, "note": {}}
        entry.update(change if name in ENTRIES else {})
        plan: Any = {"plan": 1, "release": release, "note": {}, "attempts": [entry]}
        plan = {**plan, **change} if name in PLANS and isinstance(change, dict) else plan
        plan = change if isinstance(change, list) else plan
        tree = channel.put_tree({"plan.json": json.dumps(plan).replace("RELEASE", release).encode()})
        code = channel.code("submit", plan=tree, round=1)
        assert code in ("bad-plan", "bad-parameters", "unknown-release"), name
    for text in (b"[" * 100000, b'{"plan":1,"plan":1}', b'{"plan":NaN}', b"\x80\x04\x95cos\nsystem\n", b""):
        tree = channel.put_tree({"plan.json": text})
        assert channel.code("submit", plan=tree, round=1) == "bad-plan", text[:20]
    for rounds in (0, -1, 1.5, "1", 1001, True):
        assert channel.code("submit", plan=tree, round=rounds) == "bad-request"
    assert arrays(gatehouse) == before


def test_a_key_starts_only_what_it_was_allowed(gatehouse: Gatehouse, channel: Channel, release: str) -> None:
    gatehouse.add_key("bytes-only", workflow="count_bytes")
    before = arrays(gatehouse)
    with gatehouse.channel(key="bytes-only") as limited:
        assert limited.ask("hello")["releases"] == []
        plan, _ = limited.plan(release)
        assert limited.code("submit", plan=plan, round=1) == "not-allowed"
    assert arrays(gatehouse) == before


def test_no_request_can_name_another_key_a_path_or_a_command(channel: Channel) -> None:
    for field in ("key", "account", "home", "path", "command", "argv", "environment", "actor"):
        assert channel.code("hello", **{field: "other"}) == "bad-request"
    for verb in ("shell", "exec", "__class__", "_hello", "", None, ["hello"]):
        answer = channel.ask(verb)  # type: ignore[arg-type]
        assert answer["error"]["code"] == "bad-request"


# --- what belongs to another key


def questions(release: str, blob: str, tree: str, plan: str, attempt: str) -> dict[str, dict[str, Any]]:
    """Return what can be asked about things, by what it would tell that they exist."""
    return {
        "have": {"verb": "have", "blobs": [[blob, 6]]},
        "read": {"verb": "read", "digest": blob, "offset": 0, "length": 100},
        "read-tree": {"verb": "read", "digest": tree, "offset": 0, "length": 100},
        "log": {"verb": "read", "attempt": attempt, "log": True, "offset": 0, "length": 100},
        "units": {"verb": "read", "attempt": attempt, "units": True},
        "submit": {"verb": "submit", "plan": plan, "round": 1},
        "release": {"verb": "release", "attempts": [attempt]},
        "cancel": {"verb": "cancel", "attempts": [attempt]},
    }


def test_what_another_key_has_is_answered_like_what_nobody_has(
    gatehouse: Gatehouse, channel: Channel, release: str
) -> None:
    with gatehouse.channel(key="other") as other:
        tree = other.put_tree({"pixels": b"secret"})
        view = other.work(release, image=tree)
        plan, _ = other.plan(release, image=tree)
        cursor = other.ask("status", cursor="")["cursor"]
    before = state_of(gatehouse, "other")
    foreign = questions(release, digest_of(b"secret"), tree, plan, view["attempt"])
    unknown = questions(release, *(digest_of(name) for name in (b"1", b"2", b"3", b"4")))
    taken: dict[str, list[float]] = {}
    for name in foreign:
        told = []
        for asked in (foreign[name], unknown[name]):
            answer = channel.ask(**asked)
            text = json.dumps({key: value for key, value in answer.items() if key != "head"})
            for number, word in enumerate(one for value in asked.values() for one in flat(value)):
                text = text.replace(word, f"<{number}>")
            told.append(text)
        assert told[0] == told[1], name
    for asked, kind in ((foreign["read"], "foreign"), (unknown["read"], "unknown")) * 60:
        began = time.perf_counter()
        channel.ask(**asked)
        taken.setdefault(kind, []).append(time.perf_counter() - began)
    assert 0.5 < median(taken["foreign"]) / median(taken["unknown"]) < 2
    everything = channel.ask("status", cursor=cursor)
    assert view["attempt"] not in json.dumps(
        [one for one in everything["attempts"] if one["state"] != "cancelled"]
    )
    assert state_of(gatehouse, "other") == before


def flat(value: Any) -> list[str]:
    """Return the digests in a question."""
    if isinstance(value, list):
        return [word for one in value for word in flat(one)]
    return [value] if isinstance(value, str) and len(value) == 64 else []


def test_a_foreign_attempt_that_is_cancelled_keeps_its_result(
    gatehouse: Gatehouse, channel: Channel, release: str
) -> None:
    with gatehouse.channel(key="other") as other:
        view = other.work(release)
        channel.ask("cancel", attempts=[view["attempt"]])
        again = {one["attempt"]: one["state"] for one in other.ask("status", cursor="")["attempts"]}
        assert again[view["attempt"]] == "succeeded"


def test_a_flood_of_requests_is_held_back_and_others_are_served(gatehouse: Gatehouse, release: str) -> None:
    gatehouse.add_key("flood")
    gatehouse.limit("flood", requests_per_minute=3)
    with gatehouse.channel(key="flood") as flooding, gatehouse.channel() as calm:
        codes = [flooding.code("hello") for _ in range(7)]  # which may fall into two minutes
        assert "limit" in codes
        assert calm.code("hello") == "ok"


def arrays(gatehouse: Gatehouse) -> set[str]:
    folder: Path = gatehouse.outside / "state/scheduler/arrays"
    return {path.name for path in folder.glob("*")}
