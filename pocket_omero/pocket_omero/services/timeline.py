# SPDX-License-Identifier: GPL-2.0-or-later
"""What was made when."""

from __future__ import annotations

from typing import Any

import omero
from omero.rtypes import rlong, rstring, rtime

from pocket_omero.errors import WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.ice.entities import entity, java_name

__all__ = ["Timeline"]

_KINDS = ("Project", "Dataset", "Image", "Screen", "Plate")
_ANYBODY = -1


class Timeline(Service, omero.api.ITimeline, name="omero.api.ITimeline"):
    """Objects by the time at which they were made. Changes and deletions are not written down."""

    def do_getMostRecentObjects(
        self, kinds: list[str], params: Any, merge: bool, current: Any
    ) -> dict[str, list[Any]]:
        """The newest of each kind, newest first; `merge`: the newest of all kinds together.

        Parameters
        ----------
        params
            Its filter may narrow down to an owner and a group, and say how many.
        """
        found = [(kind, row) for kind in self._kinds(kinds) for row in self._rows(kind, params, current)]
        found.sort(key=lambda one: _made(one[1]), reverse=True)
        limit = _number(params, "limit", len(found))
        answer: dict[str, list[Any]] = {kind: [] for kind in self._kinds(kinds)}
        for place, (kind, row) in enumerate(found):
            if place < limit if merge else len(answer[kind]) < limit:
                answer[kind].append(self._loaded(row, current))
        return answer

    def do_getByPeriod(
        self, kinds: list[str], start: Any, end: Any, params: Any, merge: bool, current: Any
    ) -> dict[str, list[Any]]:
        """What was made in a time, by kind; parameters as of `getMostRecentObjects`."""
        offset, limit = _number(params, "offset", 0), _number(params, "limit", None)
        answer = {}
        for kind in self._kinds(kinds):
            rows = self._rows(kind, params, current, start, end)
            chosen = rows[offset:] if limit is None else rows[offset : offset + limit]
            answer[kind] = [self._loaded(row, current) for row in chosen]
        return answer

    def do_countByPeriod(
        self, kinds: list[str], start: Any, end: Any, params: Any, current: Any
    ) -> dict[str, int]:
        return {kind: len(self._rows(kind, params, current, start, end)) for kind in self._kinds(kinds)}

    def do_getEventLogsByPeriod(self, start: Any, end: Any, params: Any, current: Any) -> list[Any]:
        """One log of action INSERT for all that was made."""
        logs = []
        for kind in _KINDS:
            for row in self._rows(kind, params, current, start, end):
                log = omero.model.EventLogI()
                log.entityId = rlong(row.id)
                log.entityType = rstring(java_name(kind))
                log.action = rstring("INSERT")
                log.event = omero.model.EventI(row["details.creationEvent"].id, True)
                log.event.time = rtime(_made(row))
                logs.append(log)
        return logs

    def _kinds(self, kinds: list[str] | None) -> list[str]:
        return [entity(kind).name for kind in kinds or _KINDS]

    def _rows(self, kind: str, params: Any, current: Any, start: Any = None, end: Any = None) -> list[Any]:
        """What the caller sees of a kind, made in a time, newest first."""
        visible = self.house.rights.visible(self.caller(current))
        owner, group = _number(params, "ownerId", _ANYBODY), _number(params, "groupId", _ANYBODY)
        first, last = (None if one is None else one.val for one in (start, end))
        if first is not None and last is not None and last < first:
            raise WrongUse("The time ends before it begins")
        with self.house.state.lock:
            rows = [
                row
                for row in self.house.state.all(kind)
                if visible(row)
                and owner in (_ANYBODY, row.owner)
                and group in (_ANYBODY, row.group)
                and (first is None or _made(row) >= first)
                and (last is None or _made(row) <= last)
            ]
        return sorted(rows, key=lambda row: (_made(row), row.id), reverse=True)

    def _loaded(self, row: Any, current: Any) -> Any:
        params = omero.sys.ParametersI().addId(row.id)
        text = (
            f"select o from {row.kind} o join fetch o.details.owner join fetch o.details.group "  # noqa: S608
            "join fetch o.details.creationEvent join fetch o.details.updateEvent where o.id = :id"
        )
        return self.query(text, params, current).rows[0][0]


def _made(row: Any) -> int:
    event = row["details.creationEvent"]
    return 0 if event is None else int(event["time"])


def _number(params: Any, name: str, without: Any) -> Any:
    """A number of a filter, or `without` where there is none."""
    told = params.theFilter if params is not None else None
    value = getattr(told, name, None)
    return without if value is None else value.val
