# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions about graphs: what contains what, what commands may work on, how much space is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from omero.api import LongPair
from omero.cmd import (
    Chgrp2,
    Chown2,
    Delete2,
    DiskUsage2,
    DiskUsage2Response,
    Duplicate,
    FindChildren,
    FindParents,
    FoundChildren,
    FoundParents,
    LegalGraphTargets,
    LegalGraphTargetsResponse,
)

from pocket_omero.commands.edges import CONTAINS
from pocket_omero.commands.plan import Options, Plan, by_name, targets
from pocket_omero.commands.work import Work, command
from pocket_omero.errors import Unsupported
from pocket_omero.ice.entities import entities, entity, is_a, java_name
from pocket_omero.people.kinds import CHGRP_TARGETS, CHOWN_TARGETS, is_system

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__: list[str] = []


def _below(work: Work, row: Row) -> Iterator[Row]:
    for container, collection, onward in CONTAINS:
        if is_a(row.kind, container):
            field = row.entity.fields[collection]
            if field.kind == "one":
                found = [row[collection]]
            else:
                found = [r if onward is None else r[onward] for r in work.state.many(row, collection)]
            yield from (each for each in found if each is not None)


def _above(work: Work, row: Row) -> Iterator[Row]:
    for container, collection, onward in CONTAINS:
        field = entity(container).fields[collection]
        if field.kind == "one":
            if is_a(row.kind, field.of):
                yield from work.state.where(container, collection, row)
            continue
        kind, back = entity(container).inverse[collection]
        if onward is not None:
            if is_a(row.kind, entity(kind).fields[onward].of):
                yield from (link[back] for link in work.state.where(kind, onward, row))
        elif is_a(row.kind, kind) and row[back] is not None:
            yield row[back]


def _walk(
    work: Work, request: Any, step: Callable[[Work, Row], Iterator[Row]], wanted: Iterable[str]
) -> dict[str, list[int]]:
    stops = [entity(name).name for name in request.stopBefore or ()]
    kinds = [entity(name).name for name in wanted]
    waiting, seen = targets(work.state, work.visible, request.targetObjects), {}
    while waiting:
        work.check()
        for row in step(work, waiting.pop()):
            key = (row.entity.root, row.id)
            if key in seen or not work.visible(row) or any(is_a(row.kind, stop) for stop in stops):
                continue
            seen[key] = row
            waiting.append(row)
    return by_name(row for row in seen.values() if any(is_a(row.kind, kind) for kind in kinds))


@command(FindChildren)
def find_children(work: Work, request: Any) -> Any:
    """What of certain entities lies below rows."""
    return FoundChildren(_walk(work, request, _below, request.typesOfChildren))


@command(FindParents)
def find_parents(work: Work, request: Any) -> Any:
    """What of certain entities rows lie in."""
    return FoundParents(_walk(work, request, _above, request.typesOfParents))


@command(LegalGraphTargets)
def legal_targets(work: Work, request: Any) -> Any:
    """The entities that a request may name; derived ones included."""
    of = request.request
    if isinstance(of, Delete2):
        names = {name for name in entities() if not is_system(name)} | {"GroupExperimenterMap"}
    elif isinstance(of, Chgrp2 | Chown2):
        roots = CHGRP_TARGETS if isinstance(of, Chgrp2) else CHOWN_TARGETS
        names = {name for name in entities() if any(is_a(name, root) for root in roots)}
    elif isinstance(of, Duplicate):
        names = {name for name in entities() if not is_system(name)}
    else:
        raise Unsupported(f"pocket OMERO does not know the targets of {of.ice_id()}")
    return LegalGraphTargetsResponse(sorted(java_name(name) for name in names))


# What refers to a file, as the answer names it, and the field in which it does.
_REFERERS = (
    ("Annotation", "FileAnnotation", "file"),
    ("FilesetEntry", "FilesetEntry", "originalFile"),
    ("Job", "JobOriginalFileLink", "child"),
    ("Pixels", "PixelsOriginalFileMap", "parent"),
)


@command(DiskUsage2)
def disk_usage(work: Work, request: Any) -> Any:
    """How many files rows and what belongs to them use, and how many bytes, by owner and group."""
    state = work.state
    kinds = [entity(name).name for name in request.targetClasses or ()]
    rows = [row for kind in kinds for row in state.all(kind) if work.visible(row)]
    rows += targets(state, work.visible, request.targetObjects)
    plan = Plan(state, lambda _row: True, Options(None), check=work.check)
    plan.take(row for row in rows if not is_system(row.kind))
    files = {row.id: row for row in plan.of_kinds(["OriginalFile"])}
    for row in rows:
        detail = {"Experimenter": "details.owner", "ExperimenterGroup": "details.group"}.get(row.kind)
        if detail is not None:
            files |= {f.id: f for f in state.where("OriginalFile", detail, row) if work.visible(f)}
    answer = DiskUsage2Response({}, {}, {}, {})
    for file in files.values():
        key, size = LongPair(file.owner, file.group), file["size"] or 0
        answer.totalFileCount[key] = answer.totalFileCount.get(key, 0) + 1
        answer.totalBytesUsed[key] = answer.totalBytesUsed.get(key, 0) + size
        for name, kind, field in _REFERERS:
            if state.where(kind, field, file):
                counts = answer.fileCountByReferer.setdefault(key, {})
                counts[name] = counts.get(name, 0) + 1
                sizes = answer.bytesUsedByReferer.setdefault(key, {})
                sizes[name] = sizes.get(name, 0) + size
    return answer
