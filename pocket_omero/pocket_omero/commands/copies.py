# SPDX-License-Identifier: GPL-2.0-or-later
"""Duplicate: copies of rows with all that is below them, owned by who asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from omero.cmd import Duplicate, DuplicateResponse

from pocket_omero.commands.edges import contents, links_of, parts
from pocket_omero.commands.plan import GraphRefused, by_name, shown, targets
from pocket_omero.commands.work import Work, command
from pocket_omero.errors import Forbidden
from pocket_omero.ice.entities import entity
from pocket_omero.people.kinds import is_link, is_system

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__: list[str] = []

_MARKS = {"IAnnotationLink": "AnnotationLink"}  # interfaces of the Java model that people name


class _Wishes:
    """What to do with rows of an entity: copy, refer to, or pass over; the nearest class decides."""

    def __init__(self, request: Any) -> None:
        self._said: dict[str, str] = {}
        for what, names in (
            ("ignore", request.typesToIgnore),
            ("reference", request.typesToReference),
            ("copy", request.typesToDuplicate),
        ):
            self._said |= {name if name in _MARKS else entity(name).name: what for name in names or ()}

    def of(self, kind: str) -> str:
        """``copy``, ``reference`` or ``ignore``."""
        marks = [mark for mark, ending in _MARKS.items() if kind.endswith(ending)]
        names: Sequence[str] = (kind, *entity(kind).bases, *marks)
        return next((self._said[name] for name in names if name in self._said), "copy")


def _below(work: Work, row: Row) -> Iterator[Row]:
    yield from (part for part in parts(work.state, row) if _goes_along(part, row))
    yield from (each for each in contents(work.state, row) if each.kind not in ("Fileset", "Experiment"))
    yield from (link for link in links_of(work.state, row) if link["parent"] is row)
    if row.kind == "Folder":
        yield from work.state.many(row, "childFolders")


def _goes_along(part: Row, row: Row) -> bool:
    """Thumbnails and rendering settings of others stay theirs."""
    return part.kind not in ("RenderingDef", "Thumbnail") or part.owner == row.owner


def _chosen(work: Work, wishes: _Wishes, first: Iterable[Row]) -> list[Row]:
    waiting = list(first)
    found: dict[int, Row] = {}
    while waiting:
        row = waiting.pop()
        work.check()
        if id(row) in found or is_system(row.kind) or wishes.of(row.kind) != "copy" or not work.visible(row):
            continue
        found[id(row)] = row
        waiting += _below(work, row)
    return _with_filesets(work, wishes, found)


def _with_filesets(work: Work, wishes: _Wishes, found: dict[int, Row]) -> list[Row]:
    images = [row for row in found.values() if row.kind == "Image" and row["fileset"] is not None]
    for image in images:
        fileset = image["fileset"]
        if id(fileset) in found or wishes.of("Fileset") != "copy":
            continue
        other = next((i for i in work.state.many(fileset, "images") if id(i) not in found), None)
        if other is not None:
            raise GraphRefused(
                f"within {shown(fileset)} may not duplicate {shown(image)} without {shown(other)} also"
            )
        found[id(fileset)] = fileset
        for entry in work.state.many(fileset, "usedFiles"):
            found[id(entry)] = entry
    return list(found.values())


class _Copying:
    """Rows on their way to copies."""

    def __init__(self, work: Work, wishes: _Wishes, rows: list[Row]) -> None:
        self._work, self._wishes = work, wishes
        self._rows = {id(row): row for row in rows}
        self._copies: dict[int, Row] = {}
        self._event: Row | None = None

    def all(self) -> list[Row]:
        """Make the copies, those first that others refer to."""
        made = [self._copy(row) for row in self._rows.values()]
        for old, new in zip(self._rows.values(), made, strict=True):
            self._order(old, new)
        return made

    def _copy(self, row: Row) -> Row:
        if id(row) in self._copies:
            return self._copies[id(row)]
        state, references = self._work.state, {}
        values = {
            n: row[n] for n, f in row.entity.fields.items() if f.kind == "scalar" and row[n] is not None
        }
        for name, field in row.entity.fields.items():
            other = row[name] if field.kind == "one" else None
            if other is not None:
                references[name] = self._reference(row, name, other)
        new = state.new(row.kind, **self._details(row), **values)
        self._copies[id(row)] = new
        for name, other in references.items():
            if other is not None:
                state.set(new, **{name: self._copy(other) if id(other) in self._rows else other})
        self._bytes(row, new)
        return new

    def _reference(self, row: Row, name: str, other: Row) -> Row | None:
        if is_system(other.kind) or id(other) in self._rows:
            return other
        wish = self._wishes.of(other.kind)
        if wish == "ignore":
            if is_link(row.kind):
                raise GraphRefused(f"cannot duplicate {shown(row)}: its {name} is to be ignored")
            return None
        return other

    def _details(self, row: Row) -> dict[str, Row]:
        state, me = self._work.state, self._work.caller.person
        group = state.get("ExperimenterGroup", row.group)
        if group is None:
            return {}
        if self._event is None:
            self._event = state.event(me, group, self._work.session.row)
        return {
            "details.owner": me,
            "details.group": group,
            "details.creationEvent": self._event,
            "details.updateEvent": self._event,
        }

    def _order(self, old: Row, new: Row) -> None:
        """Keep the order of collections that have one."""
        for name, field in old.entity.fields.items():
            if field.kind == "many":
                copies = [
                    self._copies[id(r)] for r in self._work.state.many(old, name) if id(r) in self._copies
                ]
                there = self._work.state.many(new, name)
                if len(copies) > 1 and copies != there and set(copies) == set(there):
                    self._work.state.order(new, name, copies)

    def _bytes(self, old: Row, new: Row) -> None:
        house = self._work.house
        if old.kind == "OriginalFile" and house.files.path(old).is_file():
            shutil.copyfile(house.files.path(old), house.files.path(new))
        if old.kind == "Pixels":
            house.images.copy(old.id, new.id)


def _check(work: Work, rows: list[Row]) -> None:
    """Refuse copies linked to what the caller may not link to, or where the caller may not write."""
    going = {id(row) for row in rows}
    for group in {row.group for row in rows if row.group >= 0}:
        here = work.rights.caller(work.session, {**work.context, "omero.group": str(group)})
        for row in rows:
            if row.group == group:
                ends = [row[name] for name, field in row.entity.fields.items() if field.kind == "one"]
                linked = [end for end in ends if end is not None and id(end) not in going]
                try:
                    work.rights.details_of_new(here, row.kind, linked=linked if is_link(row.kind) else ())
                except Forbidden as error:
                    raise GraphRefused(f"may not duplicate {shown(row)}: {error}") from error


@command(Duplicate)
def duplicate(work: Work, request: Any) -> Any:
    """Copy what is named with all that is below it; the copies are the caller's, in the same group."""
    wishes = _Wishes(request)
    rows = _chosen(work, wishes, targets(work.state, work.visible, request.targetObjects))
    _check(work, rows)
    if request.dryRun:
        return DuplicateResponse(by_name(rows))
    with work.state.change():
        made = _Copying(work, wishes, rows).all()
        work.commit()
    return DuplicateResponse(by_name(made))
