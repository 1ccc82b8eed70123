# SPDX-License-Identifier: BSD-3-Clause
"""What lies in OMERO of a Run, and removing exactly that."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import omero.cmd

from slidegate.domain.values import RunId

from .annotations import RESULT, TAG, Mark
from .connection import Connection, speaking
from .errors import OmeroError

_KINDS = ("MapAnnotation", "FileAnnotation", "TagAnnotation")
_HOLDERS = ("Image", "Dataset", "Project", "Plate", "Screen", "Well")
_AT_ONCE = 500
_PATIENCE_SECONDS = 600  # that a deletion may take


@dataclass(frozen=True, slots=True)
class Piece:
    """One annotation that a Run wrote.

    Attributes
    ----------
    kind, id, group
        What it is, and where.
    mark
        What it says of itself.
    same
        Whether the file's contents are still what was written.
    event
        When it was written: the id of OMERO's event.
    """

    kind: str
    id: int
    group: int
    mark: Mark
    same: bool
    event: int


@dataclass(frozen=True, slots=True)
class Link:
    """What joins an annotation to something: the `kind` of link, its id, what it leads from and to."""

    kind: str
    id: int
    parent: int
    child: int
    event: int
    mine: bool


@dataclass(slots=True)
class Found:
    """All that lies in OMERO of a Run, or of one of its Tasks.

    Attributes
    ----------
    pieces
        Annotations.
    rois
        Mark of each ROI, its id and group.
    files
        Files without annotation, half-written: id and group.
    links
        All links to the annotations.
    """

    pieces: list[Piece] = field(default_factory=list)
    rois: list[tuple[Mark, int, int]] = field(default_factory=list)
    files: list[tuple[int, int]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def on(self, image: int) -> list[Piece]:
        """The annotations that hang on an image, as they were written."""
        here = {link.child for link in self.links if link.kind == "Image" and link.parent == image}
        return [piece for piece in self.pieces if piece.id in here and piece.same]


def find(connection: Connection, run: RunId, wanted: Callable[[Mark], bool] = lambda mark: True) -> Found:
    """Look for what the person of this connection wrote for a Run; nothing is changed.

    Parameters
    ----------
    wanted
        Which of it.
    """
    me = {"me": person_id(connection)}
    found = Found()
    begins = {**me, "begins": f"slidegate run={run} %"}
    for kind in _KINDS:
        content = "a.file.hash" if kind == "FileAnnotation" else "a.description"
        rows = connection.query(
            f"select a.id, a.description, {content}, a.details.group.id,"  # noqa: S608
            " a.details.creationEvent.id"
            f" from {kind} a where a.details.owner.id = :me and a.description like :begins order by a.id",
            begins,
        )
        for number, text, digest, group, event in rows:
            mark = Mark.read(text)
            if mark is not None and mark.run == run and wanted(mark):
                same = not mark.sha1 or digest == mark.sha1
                found.pieces.append(Piece(kind, number, group, mark, same, event))
    rows = connection.query(
        "select r.description, r.id, r.details.group.id from Roi r"
        " where r.details.owner.id = :me and r.description like :begins order by r.id",
        begins,
    )
    for text, number, group in rows:
        mark = Mark.read(text)
        if mark is not None and mark.run == run and wanted(mark):
            found.rois.append((mark, number, group))
    found.files = _half_written(connection, run, me, wanted)
    found.links = _links(connection, [piece.id for piece in found.pieces], me["me"])
    return found


def remove(connection: Connection, found: Found) -> int:
    """Remove what was found, the key-values that complete a result last; returns how much was removed.

    What people changed since, or attached to something else as well, stays. A repeat is safe.

    Raises
    ------
    OmeroError
        It failed in the middle; a repeat removes the rest.
    """
    groups: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, group in found.files:
        groups["OriginalFile"][group].append(number)
    for number, group in _untouched(connection, found.rois):
        groups["Roi"][group].append(number)
    ends: dict[int, list[int]] = defaultdict(list)
    for piece in found.pieces:
        if not piece.same:
            continue
        links = [link for link in found.links if link.child == piece.id]
        others = [link for link in links if not is_ours(link, piece)]
        if not others:
            (ends if piece.mark.part == RESULT else groups[piece.kind])[piece.group].append(piece.id)
            continue
        for link in links:
            if link not in others:
                groups[f"{link.kind}AnnotationLink"][piece.group].append(link.id)
    for tagged, group in _tag_links(connection, found, person_id(connection)):
        groups["ImageAnnotationLink"][group].append(tagged)
    removed = sum(delete(connection, kind, by_group) for kind, by_group in groups.items())
    return removed + delete(connection, "MapAnnotation", ends)


def undo_run(connection: Connection, run: RunId) -> int:
    """Remove all that a Run wrote as this person, complete or not; returns how much was removed.

    Safe to repeat: undoing what is gone removes nothing.
    """
    return remove(connection, find(connection, run))


def delete(connection: Connection, kind: str, by_group: dict[int, list[int]]) -> int:
    """Delete rows, and what belongs to them, in their groups; those that are gone already are passed over.

    Raises
    ------
    OmeroError
        OMERO did not.
    """
    removed = 0
    for group, numbers in by_group.items():
        for start in range(0, len(numbers), _AT_ONCE):
            part = numbers[start : start + _AT_ONCE]
            while part and not _deleted(connection, kind, part, group):
                rows = connection.query(
                    f"select o.id from {kind} o where o.id in (:part)",  # noqa: S608
                    {"part": part},
                )
                left = [row[0] for row in rows]
                if len(left) == len(part):
                    raise OmeroError("it could not be removed")
                part = left  # somebody else removed some meanwhile
            removed += len(part)
    return removed


def _deleted(connection: Connection, kind: str, numbers: list[int], group: int) -> bool:
    request = omero.cmd.Delete2(targetObjects={kind: numbers})
    return isinstance(_done(connection, request, connection.context(group)), omero.cmd.Delete2Response)


def _done(connection: Connection, request: Any, context: dict[str, str]) -> Any:
    """Let OMERO carry out a request and wait for its answer."""
    until = time.monotonic() + _PATIENCE_SECONDS
    pause = 0.01
    with speaking():
        handle = connection.client.getSession().submit(request, context)
        try:
            while (answer := handle.getResponse()) is None and time.monotonic() < until:
                time.sleep(pause)
                pause = min(2 * pause, 0.5)
        finally:
            handle.close()
    return answer


def person_id(connection: Connection) -> int:
    """Return the id of the person who is logged in."""
    with speaking():
        return int(connection.services("Admin").getEventContext().userId)


def is_ours(link: Link, piece: Piece) -> bool:
    """Return whether a link was saved together with the annotation that it leads to."""
    return link.mine and link.event == piece.event


def _half_written(
    connection: Connection, run: RunId, me: dict[str, int], wanted: Callable[[Mark], bool]
) -> list[tuple[int, int]]:
    """Return the files in the Run's folders that no annotation holds."""
    rows = connection.query(
        "select f.id, f.path, f.details.group.id from OriginalFile f where f.details.owner.id = :me"
        " and f.path like :path"
        " and not exists (select a.id from FileAnnotation a where a.file.id = f.id)",
        {**me, "path": f"slidegate/{run}/%"},
    )
    found = []
    for number, path, group in rows:
        mark = Mark.of_folder(path)
        if mark is not None and mark.run == run and wanted(mark):
            found.append((number, group))
    return found


def _links(connection: Connection, children: Sequence[int], me: int) -> list[Link]:
    found = []
    for holder in _HOLDERS if children else ():
        rows = connection.query(
            "select l.id, l.parent.id, l.child.id, l.details.creationEvent.id,"  # noqa: S608
            f" l.details.owner.id from {holder}AnnotationLink l where l.child.id in (:children)",
            {"children": list(children)},
        )
        found += [
            Link(holder, one, parent, child, event, owner == me) for one, parent, child, event, owner in rows
        ]
    return found


def _untouched(connection: Connection, rois: Iterable[tuple[Mark, int, int]]) -> list[tuple[int, int]]:
    """Return those ROIs (id, group) whose shapes nobody changed and that nobody annotated."""
    groups = {number: group for _, number, group in rois}
    touched: set[int] = set()
    numbers = list(groups)
    for start in range(0, len(numbers), _AT_ONCE):
        part = {"rois": numbers[start : start + _AT_ONCE]}
        for hql in (
            "select s.roi.id from Shape s where s.roi.id in (:rois)"
            " and s.details.updateEvent.id <> s.roi.details.creationEvent.id",
            "select l.parent.id from RoiAnnotationLink l where l.parent.id in (:rois)",
        ):
            touched.update(row[0] for row in connection.query(hql, part))
    return [(number, group) for number, group in groups.items() if number not in touched]


def _tag_links(connection: Connection, found: Found, me: int) -> list[tuple[int, int]]:
    """Return the links (id, group) to tags that a result's key-values say it gave to the image."""
    ends = {piece.id for piece in found.pieces if piece.mark.part == RESULT}
    made = {piece.id for piece in found.pieces}
    rows = []
    for end in [link for link in found.links if link.child in ends and link.kind == "Image"]:
        rows += connection.query(
            "select l.id, l.details.group.id, l.child.id from ImageAnnotationLink l, TagAnnotation t"
            " where l.child.id = t.id and l.parent.id = :image and l.details.owner.id = :me"
            " and t.textValue in (select v.value from MapAnnotation a join a.mapValue v"
            " where a.id = :end and v.name = :name)",
            {"image": end.parent, "me": me, "end": end.child, "name": TAG},
        )
    return [(link, group) for link, group, child in rows if child not in made]
