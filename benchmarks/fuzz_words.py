# SPDX-License-Identifier: BSD-3-Clause
"""What `fuzz_gate` says: requests that are nearly right, and bytes that are nearly frames.

Everything is drawn from one generator of chance, so that a seed names a whole conversation.
"""

import contextlib
import hashlib
import json
import random
import re
from collections.abc import Iterator
from typing import Any

from slidegate_gate.protocol import frames, messages

HEADER = re.compile(rb"SLIDEGATE/1 ([0-9]{1,8}) ([0-9]{1,8}) [0-9a-f]{64}\n")
WEIRD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, messages.MAX_BYTES, messages.MAX_BYTES + 1, 2**63, 10**19),
    *(0.0, 1.0, 1.5, -0.0, 1e308, "", " ", "0", "a", "..", ".", "/", "../../../etc/passwd", "/etc/passwd"),
    *("~/.ssh/authorized_keys", "a/../b", "a//b", "a\0b", "a\nb", "\n", "\ud800", "é", "A", "%s%n", "$(id)"),
    *("`id`", "; id", "| id", "{}", "\x1b]0;x\x07", "0" * 63, "0" * 64, "0" * 65, "A" * 64, "0" * 64 + "\n"),
    *("a" * 1001, [], {}, [[]], [None], [[1, 2]], {"": ""}, {"a": {"a": {"a": 1}}}, "0123456789abcdef.1"),
]
RAW = [b'{"a":1,"a":1}', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":' + b"1" * 21 + b"}", b"[]"]
RAW += [
    b"",
    b"{",
    b"{} {}",
    b'"a"',
    b'{"a":"\xff"}',
    b"\xef\xbb\xbf{}",
    b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}",
]
RAW += [
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b"\x80\x04\x95cos\nsystem\n",
    b'{"a":0x10}',
    b'{"a":01}',
    b"null",
]
PARAMETERS: dict[str, list[Any]] = {
    "block": [1024, 2048.0, 1024.5, 7, True],
    "channel": ["DAPI", "0", "a b", "too long"],
}
PARAMETERS.update(fast=[True, False, 1], size=[0, 51, 1.5, "8"], other=[1])
NAMES = [
    "plan.json",
    "a",
    "a/b",
    "a/b/c",
    "..",
    ".a",
    "a/..",
    "/a",
    "a\0",
    "a b",
    "A",
    "ä",
    "x" * 101,
    "x" * 600,
    "a/" * 12 + "a",
]


JUNK = [
    b"Last login: yesterday\n",
    b"SLIDEGATE/1 " + b"0" * 200,
    b"\n",
    b"SLIDEGATE",
    b"SLIDEGATE/1 9999999 0 " + b"0" * 64 + b"\n",
]
JUNK += [
    b"SLIDEGATE/1 2 99999999 " + b"0" * 64 + b"\n{}",
    b"SLIDEGATE/1 9 0 " + b"0" * 64 + b"\n{}",
    b"SLIDEGATE/1 2 0 " + b"0" * 64 + b"\n{}",
]


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def frame_bytes(message: Any, body: bytes = b"", *, named: bool = True) -> bytes:
    """Return a frame as an honest client writes it; the message may be none, the body without its digest."""
    if body and named and isinstance(message, dict):
        message = {**message, "body": digest_of(body)}
    data = canonical(message)
    return b"SLIDEGATE/1 %d %d %s\n" % (len(data), len(body), digest_of(data).encode()) + data + body


class Words:
    """Draws conversations; `foreign` are digests of things that belong to another key."""

    def __init__(self, chance: random.Random, release: str, foreign: list[str]) -> None:
        self.chance = chance
        self.release = release
        self.foreign = foreign
        self.known: list[str] = [release]
        self.attempts = [digest_of(b"attempt %d" % number) for number in range(40)]
        self.cursors = [""]
        self.kept: list[bytes] = []  # conversations that reached something new

    def lessons(self) -> Iterator[bytes]:
        """Yield conversations in which every field of every message, plan and Tree is wrong in every way."""
        for raw in [*RAW, canonical({"body": 1})]:
            yield b"SLIDEGATE/1 %d 0 %s\n" % (len(raw), digest_of(raw).encode()) + raw
        yield from JUNK
        yield frame_bytes({"id": "1", "verb": "hello"}, b"a body that nobody asked for") + frame_bytes(
            {"id": "1"}
        )
        digest = digest_of(b"pixels")
        put = {"id": "1", "verb": "put", "digest": digest, "size": 6, "offset": 0}
        read = {"id": "2", "verb": "read", "digest": digest, "offset": 0, "length": 9}
        yield frame_bytes(put, b"pixels", named=False) + frame_bytes(read)
        right: dict[str, Any] = {
            "attempts": [digest],
            "blobs": [[digest, 1]],
            "cursor": "",
            "digest": digest,
            "log": True,
            "units": True,
        }
        right.update(length=1, offset=0, plan=digest, round=1, since=0, size=6, attempt=digest)
        for verb, shapes in messages.REQUESTS.items():
            for shape in shapes:
                message = {"id": "1", "verb": verb, **{field: right[field] for field in shape}}
                wrong = [{**message, field: value} for field in message for value in WEIRD]
                yield b"".join(frame_bytes(one) for one in [*wrong, {**message, "more": 1}, message])
        pairs = [
            [[digest]],
            [[digest, one] for one in WEIRD],
            [[one, 0] for one in WEIRD],
            [[digest, 1]] * 5001,
        ]
        for blobs in pairs:
            yield frame_bytes({"id": "1", "verb": "have", "blobs": blobs})
        yield from (self._started(plan) for plan in self._wrong_plans())
        for entries in (
            [[[name, 0, digest]] for name in NAMES]
            + [[["a", one, digest]] for one in WEIRD[::4]]
            + [[[[], 1, digest]]]
        ):
            yield self._started({}, canonical({"entries": [*entries, ["a", 0, "x"]], "tree": 1}))
            yield self._started({}, canonical({"entries": entries, "tree": 1}))

    def _wrong_plans(self) -> Iterator[Any]:
        image = canonical({"tree": 1, "entries": []})
        right = {
            "attempt": self.attempts[0],
            "inputs": {"image": digest_of(image)},
            "parameters": {"size": 1},
            "note": {},
        }
        plan = {"plan": 1, "release": self.release, "note": {}, "attempts": [right]}
        yield from ({**plan, field: value} for field in plan for value in WEIRD[::3])
        yield from (
            {**plan, field: value}
            for field in plan
            for value in (digest_of(b""), {"a": "a" * 5000}, [right] * 2, [])
        )
        inputs: list[Any] = [
            1,
            {},
            {"regions": "0" * 64},
            dict.fromkeys((f"a{number}" for number in range(25)), "0" * 64),
        ]
        inputs += [{"image": "0" * 64, "other": "0" * 64}, {"A": "0" * 64}, {"image": "x"}]
        named = {
            "inputs": inputs,
            "attempt": WEIRD[::4],
            "note": [{"a": "a" * 5000}, 1],
            "parameters": [1, [], {}],
        }
        named["parameters"] += [
            {"size": 1, name: value}
            for name, values in PARAMETERS.items()
            for value in [*values, *WEIRD[::4]]
        ]
        for field, values in named.items():
            yield from ({**plan, "attempts": [{**right, field: value}]} for value in values)
        yield {**plan, "attempts": [{**right, "more": 1}]}

    def _started(self, plan: Any, tree: bytes = b"") -> bytes:
        """Send a plan, and its Tree unless there is another, and ask to start it."""
        text = canonical(plan)
        tree = tree or canonical({"tree": 1, "entries": [["plan.json", len(text), digest_of(text)]]})
        puts = [
            ({"verb": "put", "digest": digest_of(one), "size": len(one), "offset": 0}, one)
            for one in (text, tree)
        ]
        said = [frame_bytes({"id": "1", **put}, one) for put, one in puts]
        return b"".join(
            [*said, frame_bytes({"id": "2", "verb": "submit", "plan": digest_of(tree), "round": 1})]
        )

    def conversation(self) -> bytes:
        """Return the bytes of one connection."""
        pick = self.chance.random()
        if self.kept and pick < 0.3:
            data = self._spoil(self.chance.choice(self.kept))
            return self._mend(data) if self.chance.random() < 0.6 else data
        if pick < 0.5:
            return b"".join(self._submission())
        if pick < 0.51:
            return self.chance.choice(JUNK)
        data = b"".join(self._frame(*self.request()) for _ in range(self.chance.randint(1, 8)))
        return self._spoil(data) if pick > 0.9 else data

    def request(self) -> tuple[Any, bytes]:
        """Return a message, nearly right, and its body."""
        verb = self.chance.choice([*messages.REQUESTS, "put", "read", "submit"])
        fields: dict[str, Any] = {"id": f"{self.chance.getrandbits(32):x}", "verb": verb}
        body = b""
        if verb == "put":
            body = self.chance.choice([b"x", b"pixels", canonical(self._tree()), self.chance.randbytes(300)])
            size = self.chance.choice([len(body), len(body), len(body) + 1, 0, 1 << 50])
            named = self.chance.choice([digest_of(body), digest_of(body), self._digest()])
            fields.update(digest=named, size=size, offset=self.chance.choice([0, 0, 0, 1, size]))
            self.known.append(named)
        if verb == "have":
            fields["blobs"] = [
                [self._digest(), self.chance.randint(0, 9)] for _ in range(self.chance.randint(0, 9))
            ]
        if verb == "submit":
            fields.update(plan=self._digest(), round=self.chance.choice([1, 1, 1, 2, 3, 1000]))
        if verb == "status":
            fields["cursor"] = self.chance.choice(self.cursors)
        if verb in ("cancel", "release"):
            fields["attempts"] = self.chance.sample(self.attempts + self.foreign, self.chance.randint(0, 5))
        if verb == "read":
            fields.update(
                offset=self.chance.choice([0, 0, 5, 1 << 40]), length=self.chance.choice([0, 9, 1 << 23])
            )
            pick = self.chance.random()
            if pick < 0.6:
                fields.update(digest=self._digest())
            elif pick < 0.8:
                fields.update(attempt=self.chance.choice(self.attempts + self.foreign), log=True)
            else:
                fields = {"id": fields["id"], "verb": verb, "units": True}
                fields["attempt"] = self.chance.choice(self.attempts + self.foreign)
        if verb == "audit":
            fields["since"] = self.chance.choice([0, 10, 10**6])
        if self.chance.random() < 0.35:
            fields = self._bend(fields)
        if self.chance.random() < 0.03:
            body = b"a body that nobody asked for"
        return fields, body

    def _submission(self) -> list[bytes]:
        """An input, a plan that is nearly right, its Tree, and the wish to start it."""
        pixels = canonical({"a": self.chance.randint(0, 3)})
        image = canonical({"tree": 1, "entries": [["zarr.json", len(pixels), digest_of(pixels)]]})
        inputs: dict[str, Any] = {"image": digest_of(image)}
        parameters: dict[str, Any] = {"size": self.chance.choice([1, 8, 50, 8.0])}
        if self.chance.random() < 0.4:
            name = self.chance.choice(list(PARAMETERS))
            parameters[name] = self.chance.choice([*PARAMETERS[name], self._weird()])
        attempts = [
            {"attempt": name, "inputs": inputs, "parameters": parameters, "note": {"n": 1}}
            for name in self.chance.sample(self.attempts, self.chance.randint(1, 4))
        ]
        plan: Any = {"plan": 1, "release": self.release, "note": {}, "attempts": attempts}
        if self.chance.random() < 0.6:
            plan = self._bend(plan)
        text = canonical(plan) if self.chance.random() < 0.95 else self.chance.choice(RAW)
        tree: Any = {"tree": 1, "entries": [["plan.json", len(text), digest_of(text)]]}
        if self.chance.random() < 0.2:
            tree = self._tree() if self.chance.random() < 0.5 else self._bend(tree)
        said = [pixels, image, text, canonical(tree)]
        self.known += map(digest_of, said)
        puts = [{"digest": digest_of(one), "size": len(one), "offset": 0} for one in said]
        found = [
            frame_bytes({"id": "1", "verb": "put", **put}, one) for put, one in zip(puts, said, strict=True)
        ]
        submit = {
            "id": "2",
            "verb": "submit",
            "plan": digest_of(said[-1]),
            "round": self.chance.choice([1, 1, 2]),
        }
        return [*found, frame_bytes(submit), self._frame(*self.request())]

    def _tree(self) -> Any:
        names = self.chance.sample(NAMES, self.chance.randint(0, 4))
        entries = [[name, self.chance.randint(0, 9), self._digest()] for name in names]
        return (
            self._bend({"tree": 1, "entries": entries})
            if self.chance.random() < 0.3
            else {"entries": entries, "tree": 1}
        )

    def _digest(self) -> str:
        pick = self.chance.random()
        if pick < 0.2:
            return self.chance.choice(self.foreign)
        if pick < 0.3:
            return digest_of(self.chance.randbytes(8))
        return self.chance.choice(self.known[-200:])

    def _bend(self, value: Any) -> Any:
        """Change something, somewhere in a value."""
        if isinstance(value, dict) and value and self.chance.random() < 0.9:
            name = self.chance.choice(list(value))
            pick = self.chance.random()
            if pick < 0.03:
                return dict.fromkeys([f"a{number}" for number in range(25)], value[name])
            if pick < 0.08:
                return {"regions" if other == name else other: one for other, one in value.items()}
            if pick < 0.15:
                return {other: one for other, one in value.items() if other != name}
            if pick < 0.25:
                return {
                    **value,
                    self.chance.choice(["x", "key", "log", "body", "path", "\ud800"]): self._weird(),
                }
            return {**value, name: self._bend(value[name])}
        if isinstance(value, list) and value and self.chance.random() < 0.9:
            place = self.chance.randrange(len(value))
            pick = self.chance.random()
            if pick < 0.2:
                return value[:place] + value[place + 1 :]
            if pick < 0.39:
                return [*value, value[place]]
            if pick < 0.4:
                return value * 5001
            return [*value[:place], self._bend(value[place]), *value[place + 1 :]]
        return self._weird()

    def _weird(self) -> Any:
        return self.chance.choice([*WEIRD, *self.foreign, self.known[-1]])

    def _frame(self, message: Any, body: bytes) -> bytes:
        """Return a frame of a message, sometimes with a lie in it."""
        pick = self.chance.random()
        if pick > 0.12:
            return frame_bytes(message, body, named=self.chance.random() < 0.5)
        data = self.chance.choice(RAW) if pick < 0.05 else canonical({"body": self._weird(), "was": message})
        lengths = [len(data), len(body)]
        if pick < 0.02:
            lengths[self.chance.randrange(2)] += self.chance.choice(
                [1, -1, 10, frames.MAX_JSON, frames.MAX_BODY]
            )
        return b"SLIDEGATE/1 %d %d %s\n" % (*lengths, digest_of(data).encode()) + data + body

    def _spoil(self, data: bytes) -> bytes:
        """Change some bytes."""
        spoilt = bytearray(data)
        for _ in range(self.chance.randint(1, 4)):
            place = self.chance.randrange(len(spoilt) + 1)
            kind = self.chance.randrange(6)
            if kind == 0 and place < len(spoilt):
                spoilt[place] ^= 1 << self.chance.randrange(8)
            elif kind == 1:
                spoilt[place:place] = self.chance.randbytes(self.chance.randint(1, 9))
            elif kind == 2:
                del spoilt[place : place + self.chance.randint(1, 30)]
            elif kind == 3:
                spoilt[place:place] = spoilt[place : place + self.chance.randint(1, 200)]
            elif kind == 4:
                del spoilt[place:]
            else:
                spoilt[place:place] = self.chance.choice(
                    [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\\u0000", b"1e9"]
                )
        return bytes(spoilt)

    def _mend(self, data: bytes) -> bytes:
        """Give frames whose JSON was changed the header and the digests that belong to it."""
        mended = b""
        while found := HEADER.search(data):
            end = found.end() + int(found[1])
            text, body = data[found.end() : end], data[end : end + int(found[2])]
            data = data[end + int(found[2]) :]
            with contextlib.suppress(ValueError, RecursionError):
                message = json.loads(text)
                if isinstance(message, dict):
                    message.pop("body", None)
                    mended += frame_bytes(message, body)
                    continue
            mended += (
                b"SLIDEGATE/1 %d %d %s\n" % (len(text), len(body), digest_of(text).encode()) + text + body
            )
        return mended
