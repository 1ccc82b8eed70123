# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: who is logged in, for how long, and with how many references.

As in OMERO, a session begins with one reference (that of who made it), each client that joins by its key adds
one, and what leaves takes one away; the last one that leaves ends it, unless it said that it only detaches. A
session ends by itself when nobody calls for `idle`, or `live` after its start.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pocket_omero.errors import SessionGone, SessionTimedOut

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

__all__ = ["IDLE_MS", "Session", "Sessions"]

log = logging.getLogger(__name__)

IDLE_MS = 600_000  # OMERO's own default


class Session:
    """One session.

    Attributes
    ----------
    uuid
        Its key: who knows it may join.
    row
        Of the entity Session.
    person, group
        Whose it is, and the group it works in.
    sudoer
        Who made it for that person; None: themselves.
    idle, live
        After how many ms without a call, and after how many since its start, it ends. 0: never.
    references
        How many hold it.
    inputs, outputs
        What clients leave in it for each other (scripts get and give values this way).
    """

    def __init__(self, row: Row, group: Row, idle: int, live: int) -> None:
        self.row = row
        self.uuid: str = row["uuid"]
        self.person: Row = row["owner"]
        self.sudoer: Row | None = row["sudoer"]
        self.agent: str = row["userAgent"] or ""
        self.group = group
        self.idle, self.live = idle, live
        self.references = 1
        self.started = self.seen = time.monotonic()
        self.ended: type[SessionGone] | None = None
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}

    def is_over(self, now: float) -> bool:
        """Whether its time has come."""
        unseen, age = (now - self.seen) * 1000, (now - self.started) * 1000
        return bool(self.idle and unseen > self.idle) or bool(self.live and age > self.live)


class Sessions:
    """All sessions of a server. Thread-safe.

    Sessions end with the server: what an earlier process left open is written down as closed.

    Parameters
    ----------
    state
        Where the rows of sessions are.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.RLock()
        self._by_key: dict[str, Session] = {}
        self._timed_out: dict[str, None] = {}
        self._listeners: list[Callable[[Session], None]] = []
        with state.change():
            for row in state.all("Session"):
                if row["closed"] is None:
                    self._write_closed(row)

    def on_end(self, listener: Callable[[Session], None]) -> None:
        """Call `listener` with each session that ends."""
        self._listeners.append(listener)

    def open(
        self,
        person: Row,
        group: Row,
        *,
        idle: int = IDLE_MS,
        live: int = 0,
        agent: str = "",
        ip: str = "",
        sudoer: Row | None = None,
    ) -> Session:
        """Begin a session, with one reference.

        Parameters
        ----------
        idle, live
            Milliseconds, see `Session`.
        agent, ip
            What the client says of itself, and where it calls from.
        sudoer
            Who begins it, when that is somebody else.
        """
        with self._state.change():
            row = self._state.new(
                "Session",
                uuid=str(uuid.uuid4()),
                owner=person,
                sudoer=sudoer,
                timeToIdle=idle,
                timeToLive=live,
                started=_now(),
                userAgent=agent,
                userIP=ip,
                defaultEventType="User",
            )
        session = Session(row, group, idle, live)
        with self._lock:
            self._by_key[session.uuid] = session
        self._say("opened", session)
        return session

    def find(self, key: str) -> Session:
        """The open session with a key. Does not keep it alive.

        Raises
        ------
        SessionGone
            There is none; SessionTimedOut when its time was over.
        """
        with self._lock:
            session = self._by_key.get(key)
            if session is None and key in self._timed_out:
                raise SessionTimedOut
        if session is None:
            raise SessionGone(f"No session with uuid: {key}")
        self.check(session)
        return session

    def check(self, session: Session) -> None:
        """Raise `SessionGone` when a session has ended, or ends now because its time is over."""
        if session.ended is None and session.is_over(time.monotonic()):
            self.end(session, SessionTimedOut)
        if session.ended is not None:
            raise session.ended(f"No session with uuid: {session.uuid}")

    def touch(self, session: Session) -> None:
        """Keep a session alive: somebody calls.

        Raises
        ------
        SessionGone
            It has ended.
        """
        self.check(session)
        session.seen = time.monotonic()

    def join(self, key: str) -> Session:
        """Add a reference to an open session. Raises `SessionGone` as `find` does."""
        session = self.find(key)  # without the lock: to end a session takes the state's
        with self._lock:
            if session.ended is not None:
                raise session.ended(f"No session with uuid: {key}")
            session.references += 1
            session.seen = time.monotonic()
        self._say("joined", session)
        return session

    def leave(self, session: Session, *, detach: bool = False) -> int:
        """Take a reference away; the last ends the session, unless `detach`. Returns how many are left."""
        with self._lock:
            session.references = max(0, session.references - 1)
            left = session.references
        self._say("left", session)
        if left == 0 and not detach:
            self.close(session)
        return left

    def close(self, session: Session) -> None:
        """End a session, whatever refers to it. A repeat changes nothing."""
        self.end(session, SessionGone)

    def end(self, session: Session, how: type[SessionGone]) -> None:
        """End a session; `how` is what its callers meet from now on. A repeat changes nothing."""
        with self._lock:
            if self._by_key.pop(session.uuid, None) is None:
                return
            session.ended = how
            if how is SessionTimedOut:
                self._timed_out[session.uuid] = None
                while len(self._timed_out) > 1000:
                    del self._timed_out[next(iter(self._timed_out))]
        self._say("timed out" if how is SessionTimedOut else "closed", session)
        for listener in self._listeners:
            listener(session)
        with self._state.change():
            self._write_closed(session.row)

    def extend(self, session: Session, *, idle: int | None = None, live: int | None = None) -> None:
        """Give a session other times, in milliseconds; None leaves one as it is."""
        session.idle = session.idle if idle is None else idle
        session.live = session.live if live is None else live
        with self._state.change():
            self._state.set(session.row, timeToIdle=session.idle, timeToLive=session.live)

    def all(self) -> list[Session]:
        """The open ones, oldest first."""
        with self._lock:
            return list(self._by_key.values())

    def close_all(self) -> None:
        """End all sessions."""
        for session in self.all():
            self.close(session)

    def expire(self, name: str = "*") -> int:
        """End all sessions of the person with this login name ("*": of all), as if their time were over."""
        ended = [s for s in self.all() if name in ("*", s.person["omeName"])]
        for session in ended:
            self.end(session, SessionTimedOut)
        return len(ended)

    def reap(self) -> None:
        """End those whose time is over."""
        now = time.monotonic()
        for session in self.all():
            if session.is_over(now):
                self.end(session, SessionTimedOut)

    def _write_closed(self, row: Row) -> None:
        # A session in which nothing was written leaves no row: there may be ten thousand of them.
        if self._state.many(row, "events") or self._state.many(row, "annotationLinks"):
            self._state.set(row, closed=_now())
        else:
            self._state.delete(row)

    def _say(self, what: str, session: Session) -> None:
        # The key is a credential: the log has the number of the row.
        log.info(
            "session %d of %s %s, %d references",
            session.row.id,
            session.person["omeName"],
            what,
            session.references,
        )


def _now() -> int:
    return int(time.time() * 1000)
