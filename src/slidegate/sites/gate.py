# SPDX-License-Identifier: BSD-3-Clause
"""The client side of the gate's protocol: one method per verb, and Trees moved whole.

All of it may be repeated. A :class:`Gate` opens its Link when it is first needed and again after it broke;
what a broken Link interrupted is raised as LinkDown, and repeating it continues where it stopped.
"""

import base64
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeVar

from slidegate_gate.protocol import messages

from slidegate.domain.values import AttemptKey, Digest, Release, digest_of
from slidegate.sites.errors import AuditBroken, BadAnswer, Gone, LinkDown, LinkNoise, Refused
from slidegate.sites.link import Frame, Link, Message
from slidegate.sites.trees import Entry

PROTOCOL = 1
PIECE = 8 << 20
_HAVE = 4000
_ANSWERS = {
    "hello": {"protocol", "gate", "site", "key", "releases", "limits"},
    "have": {"missing", "partial"},
    "put": {"next", "committed"},
    "submit": {"submission", "attempts", "crews"},
    "status": {"cursor", "attempts", "crews"},
    "cancel": {"attempts"},
    "read": {"size"},
    "release": set[str](),
    "audit": {"records", "usage"},
}
_KEYS = 1000
_VIEWS_MOST = 1_000_000  # of Attempts and crews in all answers to one question: no gate has so many
_RECORDS_MOST = 1_000_000  # that are followed at once
_LOG_MOST = 64 << 20
_UNITS_MOST = 1 << 20
_IDLE_SECONDS = 60.0  # a gate ends a channel that is silent for long: after so much, a new one is opened
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a gate says that it is, and what this key may start."""

    gate: str
    site: str
    key: str
    releases: tuple[Release, ...]
    limits: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Presence:
    """Which contents are missing at a site, and how many bytes of some of those are there."""

    missing: frozenset[str]
    partial: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class News:
    """What a site says that changed.

    Attributes
    ----------
    complete
        Whether this is everything that the site knows, not only changes.
    """

    cursor: str
    attempts: tuple[Mapping[str, Any], ...]
    crews: tuple[Mapping[str, Any], ...]
    complete: bool


class Heads(Protocol):
    """Remembers the end of a site's audit chain."""

    def known(self) -> tuple[int, str]:
        """Return number and digest of the last record that was checked; 0 and 64 zeros at first."""
        ...

    def advance(self, seq: int, head: str) -> None:
        """Remember a later record."""
        ...


class Gate:
    """One gate, as one key.

    Parameters
    ----------
    connect
        Opens a Link.
    heads
        Where the end of the audit chain is kept; None does without the check.
    prepare
        Called before a Link is opened: sets up what is not there yet.
    """

    def __init__(
        self,
        connect: Callable[[], Link],
        heads: Heads | None = None,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._connect = connect
        self._prepare = prepare
        self._heads = heads
        self._link: Link | None = None
        self._used_at = 0.0
        self._anchor: tuple[int, str] | None = None
        self._answered: set[str] = set()
        self._trusted: set[str] = set()

    def hello(self) -> Hello:
        """Ask who is there and which Releases may be started.

        Raises
        ------
        AuditBroken
            The site's record does not continue what was seen of it before.
        """
        answer = self._ask({"verb": "hello"})
        if answer.get("protocol") != PROTOCOL:
            raise BadAnswer("The gate speaks another version of the protocol.")
        try:
            return _hello(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadAnswer("The gate's greeting does not make sense.") from error

    def presence(self, blobs: Iterable[tuple[str, int]]) -> Presence:
        """Ask which of these contents (SHA-256, bytes) are missing."""
        wanted = [list(blob) for blob in dict.fromkeys(blobs)]
        requests = [({"verb": "have", "blobs": part}, b"") for part in _parts(wanted, _HAVE)]
        missing: set[str] = set()
        partial: dict[str, int] = {}
        for answer, _body in self.stream(requests):
            missing |= set(answer["missing"])
            partial |= answer["partial"]
        return Presence(frozenset(missing), partial)

    def missing(self, tree: Digest, text_bytes: int, entries: Iterable[Entry]) -> frozenset[str]:
        """Return the contents of a Tree, its own text included, that are not at the site."""
        return self.presence([(tree, text_bytes), *((sha, size) for _name, size, sha in entries)]).missing

    def put_contents(self, contents: Sequence[bytes]) -> None:
        """Bring small contents to the site; safe to repeat."""
        named = {hashlib.sha256(data).hexdigest(): data for data in contents}
        missing = self.presence((sha256, len(data)) for sha256, data in named.items()).missing
        puts = (
            ({"verb": "put", "digest": sha256, "size": len(data), "offset": 0}, data)
            for sha256, data in named.items()
            if sha256 in missing
        )
        for _answer in self.stream(puts):
            pass

    def submit(self, plan: Digest, crew_round: int = 1) -> Message:
        """Start the Attempts of a plan that is at the site, or one more crew for what is missing.

        Returns
        -------
        ``{"submission", "attempts": {key: "accepted"|"known"|"cancelled"|"released"}, "crews": [...]}``

        Raises
        ------
        MissingBlobs, Refused
        """
        return self._ask({"verb": "submit", "plan": plan, "round": crew_round})

    def status(self, cursor: str) -> News:
        """Ask what changed since a cursor; ``""`` asks for everything."""
        attempts: list[Mapping[str, Any]] = []
        crews: list[Mapping[str, Any]] = []
        complete = not cursor
        while True:
            answer = self._ask({"verb": "status", "cursor": cursor})
            _check_news(answer)
            if cursor and answer["cursor"].partition(".")[0] != cursor.partition(".")[0]:
                complete = True
            cursor = answer["cursor"]
            attempts += answer["attempts"]
            crews += answer["crews"]
            if not answer.get("more", False):
                return News(cursor, tuple(attempts), tuple(crews), complete)
            if not (answer["attempts"] or answer["crews"]) or len(attempts) + len(crews) > _VIEWS_MOST:
                raise BadAnswer("The site's answer to what has changed has no end.")

    def cancel(self, attempts: Sequence[AttemptKey]) -> dict[AttemptKey, str]:
        """Let Attempts have no effect; returns the state of each, which is its end if it had ended before."""
        found: dict[AttemptKey, str] = {}
        for part in _parts(list(attempts), _KEYS):
            found |= self._ask({"verb": "cancel", "attempts": part})["attempts"]
        return found

    def release(self, attempts: Sequence[AttemptKey]) -> None:
        """Let go of Attempts that were collected."""
        for part in _parts(list(attempts), _KEYS):
            self._ask({"verb": "release", "attempts": part})

    def log(self, attempt: AttemptKey) -> Iterator[bytes]:
        """Read the log of an Attempt from its beginning, in pieces; of one that is very long, the beginning.

        Raises
        ------
        Gone
            The site has no such Attempt, or no log of it.
        """
        offset = 0
        while True:
            request = {"verb": "read", "attempt": attempt, "log": True, "offset": offset, "length": PIECE}
            ((answer, body),) = self.stream([(request, b"")])
            yield body
            offset += len(body)
            if not body or offset >= min(answer["size"], _LOG_MOST):
                return

    def units(self, attempt: AttemptKey) -> Message | None:
        """Ask which Units of an Attempt are done: of its last step that has many, else of the first step.

        Returns
        -------
        ``{"step", "units", "grid", "done", "current"}``: the name of the step; how many Units it has; how
        they cover the image, ``{"shape": [y, x], "side": pixels}`` cut into squares row by row, None where
        that is not known; base64 in which bit ``i % 8``, from the lowest on, of byte ``i // 8`` says
        whether Unit ``i`` is done; the numbers of those that are being worked on. None where the site cannot
        tell: nothing was begun or is left, or its gate is too old to be asked.

        Raises
        ------
        BadAnswer, Refused, LinkDown
        """
        try:
            ((_answer, body),) = self.stream([({"verb": "read", "attempt": attempt, "units": True}, b"")])
        except Gone:
            return None
        except Refused as error:
            if error.code == "bad-request":
                return None
            raise
        return _units(body)

    def audit(self, since: int) -> Message:
        """Return ``{"records": [...], "usage": {...}}``: what was asked of the gate after a record."""
        return self._ask({"verb": "audit", "since": since})

    def _ask(self, request: Message) -> Message:
        ((answer, _body),) = self.stream([(request, b"")])
        return answer

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        """Send requests without waiting for each answer; a refusal is raised when all is answered.

        Raises
        ------
        Refused
            The site refused one of them; those after it may have been carried out.
        LinkDown
            What was under way may or may not have been carried out.
        """
        link = self._open()
        refusals: list[Refused] = []
        verbs: deque[str] = deque()

        def until_refused() -> Iterator[Frame]:
            for request, body in requests:
                if refusals:
                    return
                verbs.append(request["verb"])
                yield request, body

        try:
            for answer, body in link.stream(until_refused()):
                self._answered.add(str(answer.get("head")))
                verb = verbs.popleft()
                if answer.get("ok") is not True:
                    error = answer.get("error")
                    refusals.append(Refused.of(error if isinstance(error, dict) else {}))
                elif not _ANSWERS[verb] <= set(answer):
                    raise BadAnswer(f"The site's answer to {verb} lacks something.")
                elif not refusals:
                    yield answer, body
        except (LinkDown, LinkNoise, BadAnswer):
            self._drop()
            raise
        finally:
            self._used_at = time.monotonic()
        if refusals:
            raise refusals[0]

    def _open(self) -> Link:
        silent = time.monotonic() - self._used_at > _IDLE_SECONDS
        if self._link is not None and (silent or self._link.closed):
            self._drop()
        if self._link is None:
            self._prepare()
            # read before the connection is made: what others read later may be ahead of what it was told
            promised = None if self._heads is None else self._heads.known()
            self._link = self._connect()
            self._used_at = time.monotonic()
            self._follow_audit(promised)
        return self._link

    @property
    def anchor(self) -> int | None:
        """The number of the last entry of the site's record that was checked; None when none was."""
        return None if self._anchor is None else self._anchor[0]

    def check_audit(self) -> None:
        """Follow the site's record from the last entry that was checked to its end, and remember the end.

        Raises
        ------
        AuditBroken
            The record does not continue what was seen of it.
        """
        self._follow_audit(None if self._heads is None else self._heads.known())

    def _follow_audit(self, promised: tuple[int, str] | None) -> None:
        if self._heads is None or promised is None:
            return
        promises = dict([promised, self._anchor or promised])
        seq, head = min(promises.items())
        chain = {seq: head}
        records = self._records(max(0, seq - 1))
        if seq and (not records or digest_of(records.pop(0)) != head):
            self._broken()
        while records:
            for record in records:
                if record.get("prev") != head or record.get("seq") != seq + 1:
                    self._broken()
                seq, head = record["seq"], digest_of(record)
                chain[seq] = head
            if len(chain) > _RECORDS_MOST:
                if promises.items() <= chain.items():  # the next look goes on from here
                    self._heads.advance(seq, head)
                raise BadAnswer("The site's record has no end.")
            records = self._records(seq)
        if not promises.items() <= chain.items() or not self._answered - self._trusted <= set(chain.values()):
            self._broken()
        self._trusted |= self._answered
        self._answered.clear()
        self._anchor = seq, head
        self._heads.advance(seq, head)

    def _records(self, since: int) -> list[Message]:
        records = self.audit(since)["records"]
        if not (isinstance(records, list) and all(isinstance(record, dict) for record in records)):
            raise BadAnswer("The site's record does not make sense.")
        return records

    def _broken(self) -> NoReturn:
        self._drop()
        raise AuditBroken

    def close(self) -> None:
        """Close the Link, after a last look at the site's record; the next call opens another."""
        if self._link is not None:
            with suppress(LinkDown):
                self.check_audit()
        self._drop()

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()


def _hello(answer: Message) -> Hello:
    releases = tuple(
        Release(
            Digest(str(one["digest"])),
            str(one["name"]),
            str(one["version"]),
            dict(one["manifest"]),
            dict(one["schema"]),
            str(one["runtime"]),
        )
        for one in answer["releases"]
    )
    limits = {str(name): int(value) for name, value in answer["limits"].items()}
    return Hello(str(answer["gate"]), str(answer["site"]), str(answer["key"]), releases, limits)


_STATE_FIELDS: dict[str, dict[str, type]] = {
    "running": {"done": int, "total": int},
    "succeeded": {"tree": str},
}


def _check_news(answer: Message) -> None:
    """Raise unless an answer to ``status`` is of the form that is relied on."""
    attempt = {"attempt": str, "submission": str, "state": str}
    crew = {"submission": str, "class": str, "round": int, "array": str, "state": str}
    good = isinstance(answer["cursor"], str)
    for name, form in (("attempts", attempt), ("crews", crew)):
        values = answer[name]
        good = good and isinstance(values, list) and all(_has(one, form) for one in values)
    if not (good and all(_has(one, _STATE_FIELDS.get(one["state"], {})) for one in answer["attempts"])):
        raise BadAnswer("The site's answer to what has changed does not make sense.")


def _units(body: bytes) -> Message:
    """Return what the gate says of Units as far as it makes sense; a grid that does not fit them is none."""
    try:
        told = json.loads(bytes(body))
        step, count, current = told["step"], told["units"], told["current"]
        done = base64.b64decode(told["done"], validate=True)
        good = isinstance(step, str) and type(count) is int and 0 <= count <= _UNITS_MOST
        good = good and len(done) == (count + 7) // 8 and isinstance(current, list)
        good = good and all(type(place) is int and 0 <= place < count for place in current)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadAnswer("The site's answer to how far the work is cannot be read.") from error
    if not good:
        raise BadAnswer("The site's answer to how far the work is does not make sense.")
    grid = told.get("grid")
    if messages.grid(grid):
        rows, columns = (-(-pixels // grid["side"]) for pixels in grid["shape"])
        grid = grid if rows * columns == count else None
    else:
        grid = None
    return {"step": step, "units": count, "grid": grid, "done": told["done"], "current": current}


def _has(value: object, form: Mapping[str, type]) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in form.items())


def _parts(values: Sequence[_T], most: int) -> Iterator[list[_T]]:
    for start in range(0, len(values), most):
        yield list(values[start : start + most])
