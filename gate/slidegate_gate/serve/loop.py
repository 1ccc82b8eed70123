# SPDX-License-Identifier: BSD-3-Clause
"""The gate: read a request, decide, write it down, answer; until the channel ends.

This is where to begin reading.  ``authorized_keys`` starts ``serve --key NAME``; the name of the key comes
from that line and never from a request.  Requests come in on standard input as frames (``frames``), have
one of nine forms (``messages``), and are handled one after the other by the methods of ``Gate`` below,
which hold no knowledge of their own: contents are the matter of ``trees``, accepted work of ``journal``
(its order of steps is the heart of the gate), what became of it of ``status``, how much of ``limits``, the
record of ``audit``.

The only program that is ever started is the runner, by the scheduler's adapter, from an argument list that
``journal`` puts together out of checked names.
"""

import contextlib
import errno
import os
import signal
import traceback
from typing import Any, Callable, Dict, Set, Tuple

from ..errors import BadFrame, GateError, Internal, NoSpace, OverLimit
from ..protocol import frames, messages
from ..protocol.canonical import canonical, digest_of
from . import audit, limits, status, trees
from .journal import Journal
from .layout import Layout

Fields = Dict[str, Any]
RECORDED = ("hello", "submit", "cancel", "release")


class Gate:
    """One connection of one key."""

    def __init__(self, layout: Layout, scheduler: Any, version: str, program: str, peer: str) -> None:
        self._layout = layout
        self._version = version
        self._audit = audit.Audit(layout.audit, layout.key, peer)
        self.limits = limits.Limits(layout)
        self._uploads = trees.Uploads(layout, self.limits.check_bytes)
        self._journal = Journal(layout, scheduler, self.limits, program)
        self._board = status.Board(layout, scheduler)
        self._verbs: Dict[str, Callable[[Fields, frames.Frame], Fields]] = {}
        self._verbs.update(hello=self._hello, put=self._put, read=self._read, audit=self._records)
        self._read_before: Set[Any] = set()
        self._verbs["have"] = lambda fields, _: trees.have(layout, fields["blobs"])
        self._verbs["submit"] = lambda fields, _: self._journal.submit(fields["plan"], fields["round"])
        self._verbs["status"] = lambda fields, _: self._board.changes(fields["cursor"])
        self._verbs["cancel"] = lambda fields, _: self._journal.cancel(fields["attempts"])
        self._verbs["release"] = lambda fields, _: self._journal.release(fields["attempts"])

    def handle(self, frame: frames.Frame) -> Tuple[Fields, bytes]:
        """Return the answer to a request, and its body; whatever happens, there is an answer."""
        name, verb = messages.request_id(frame.message), "?"
        fields: Fields = {}
        try:
            verb, fields = messages.check_request(frame.message, len(frame.body))
            if verb not in limits.UNCOUNTED:
                self.limits.count_request()
            answer = self._verbs[verb](fields, frame)
            if answer.pop("record", verb in RECORDED):
                self._audit.record(verb, name, _summary(fields), "ok")
        except Exception as error:  # noqa: BLE001 - the edge of the gate
            return self.refuse(error, name, verb, fields), b""
        body = answer.pop("body", b"")
        return dict(answer, id=name, ok=True, head=self._audit.head), body

    def refuse(self, error: Exception, name: str = "", verb: str = "?", fields: Any = None) -> Fields:
        """Return the answer to what is refused, and record it as long as that does not happen too often."""
        told = self._explain(error)
        with contextlib.suppress(OSError, OverLimit):  # a full disk must not keep the answer back
            if verb in limits.UNCOUNTED:
                self.limits.count_request()  # which takes its time where there were too many
            self._audit.record(verb, name, _summary(fields or {}), told.code)
        what = {"code": told.code, "message": str(told), "transient": told.transient, "detail": told.detail}
        return {"id": name, "ok": False, "head": self._audit.head, "error": what}

    def _explain(self, error: Exception) -> GateError:
        if isinstance(error, GateError):
            return error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return NoSpace()
        number = os.urandom(6).hex()
        with contextlib.suppress(OSError), open(self._layout.errors, "a") as file:
            file.write("{} {}\n".format(number, traceback.format_exc()))
        return Internal("The gate failed; the reason is in its log under {}.".format(number), id=number)

    def _hello(self, fields: Fields, frame: frames.Frame) -> Fields:
        shown = ("digest", "name", "version", "manifest", "schema", "runtime")
        releases = [{name: release[name] for name in shown} for release in self._journal.releases()]
        answer = {"protocol": 1, "gate": self._version, "site": self._layout.config["site"]}
        return dict(answer, key=self._layout.key, releases=releases, limits=self.limits.values)

    def _put(self, fields: Fields, frame: frames.Frame) -> Fields:
        if trees.held(self._layout, fields["digest"], fields["size"]):
            return {"next": fields["size"], "committed": True}
        place, committed = self._uploads.put(fields["digest"], fields["size"], fields["offset"], frame.body)
        return {"next": place, "committed": committed, "record": committed}

    def _read(self, fields: Fields, frame: frames.Frame) -> Fields:
        work = self._journal.work_of(fields["attempt"]) if "attempt" in fields else ("", "")
        if "units" in fields:
            self.limits.count_request()
            body = canonical(status.units_of(self._layout, *work))
            return {"size": len(body), "body": body, "record": False}
        path = self._layout.log(*work) if "log" in fields else self._layout.blob(fields["digest"])
        size, body = trees.read_piece(path, fields["offset"], fields["length"])
        first = path not in self._read_before
        if first:
            self.limits.count_request()
            self._read_before.add(path)
        return {"size": size, "body": body, "record": first}

    def _records(self, fields: Fields, frame: frames.Frame) -> Fields:
        used = dict(self.limits.used(), **self._journal.alive())
        used = dict({limit: used[limit] for limit in limits.FIGURES}, bytes=self.limits.bytes_kept())
        return {"records": audit.records_since(self._layout.audit, fields["since"]), "usage": used}


def _summary(fields: Fields) -> Fields:
    """Return what the audit keeps of a request: short values as they are, lists by length and digest."""
    kept = dict(fields)
    for name, value in fields.items():
        if isinstance(value, list):
            kept[name] = {"count": len(value), "sha256": digest_of(canonical(value))}
    return kept


def serve(gate: Gate) -> int:
    """Answer the requests on standard input until it ends; return the exit code."""
    idle = gate.limits.values["idle_seconds"]
    reader = frames.FrameReader(0, idle)
    with contextlib.suppress(ConnectionError):  # nobody listens any more
        try:
            for frame in frames.read_ahead(reader):
                answer = gate.handle(frame)
                signal.setitimer(signal.ITIMER_REAL, idle)  # ends a gate that nobody listens to
                frames.write_frame(1, *answer)
                signal.setitimer(signal.ITIMER_REAL, 0)
            return 0
        except BadFrame as error:
            signal.setitimer(signal.ITIMER_REAL, idle)
            frames.write_frame(1, gate.refuse(error))
            return 2
    return 1
