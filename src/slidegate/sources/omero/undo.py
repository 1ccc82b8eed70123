# SPDX-License-Identifier: BSD-3-Clause
"""What lies in OMERO of a Run, and removing exactly that."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import omero.cmd

from slidegate.domain.values import Digest, RunId, TaskId

from .annotations import NS_RESULT, RESULT, TAG, Mark
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


def find(
    connection: Connection,
    run: RunId,
    task: TaskId | None = None,
    tree: Digest | None = None,
    image: int | None = None,
) -> Found:
    """Look for what the person of this connection wrote for a Run; nothing is changed.

    Parameters
    ----------
    task, tree
        Only that Task's, only that result.
    image
        Where the ROIs are, if that is known: then no others are looked through.
    """

    def wanted(mark: Mark | None) -> TypeGuard[Mark]:
        return (
            mark is not None and mark.run == run and task in (None, mark.task) and tree in (None, mark.tree)
        )

    me = {"me": person_id(connection)}
    found = Found()
    begins = {**me, "begins": f"slidegate run={run} " + (f"task={task} %" if task else "%")}
    for kind in _KINDS:
        found.pieces += [piece for piece in _pieces(connection, kind, begins) if wanted(piece.mark)]
    on_image = " and r.image.id = :image" if image is not None else ""
    rows = connection.query(
        "select r.description, r.id, r.details.group.id from Roi r"  # noqa: S608
        f" where r.details.owner.id = :me and r.description like :begins{on_image} order by r.id",
        begins | ({"image": image} if image is not None else {}),
    )
    for text, number, group in rows:
        mark = Mark.read(text)
        if wanted(mark):
            found.rois.append((mark, number, group))
    found.files = [
        (number, group) for mark, number, group in _half_written(connection, run, me) if wanted(mark)
    ]
    found.links = _links(connection, [piece.id for piece in found.pieces], me["me"])
    return found


def find_ends(connection: Connection, run: RunId) -> list[tuple[Mark, int]]:
    """Return the complete results of a Run that this person wrote, each with its image."""
    me = person_id(connection)
    begins = {"me": me, "begins": f"slidegate run={run} %", "ns": NS_RESULT}
    pieces = _pieces(connection, "MapAnnotation", begins, " and a.ns = :ns")
    ends = {piece.id: piece for piece in pieces if piece.mark.run == run}
    return [
        (ends[link.child].mark, link.parent)
        for link in _links(connection, list(ends), me, ("Image",))
        if is_ours(link, ends[link.child])
    ]


def _pieces(connection: Connection, kind: str, begins: Mapping[str, Any], more: str = "") -> list[Piece]:
    content = "a.file.hash" if kind == "FileAnnotation" else "a.description"
    rows = connection.query(
        f"select a.id, a.description, {content}, a.details.group.id,"  # noqa: S608
        f" a.details.creationEvent.id from {kind} a"
        f" where a.details.owner.id = :me and a.description like :begins{more} order by a.id",
        begins,
    )
    found = []
    for number, text, digest, group, event in rows:
        mark = Mark.read(text)
        if mark is not None:
            same = not mark.sha1 or digest == mark.sha1
            found.append(Piece(kind, number, group, mark, same, event))
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
    connection: Connection, run: RunId, me: dict[str, int]
) -> list[tuple[Mark | None, int, int]]:
    """Return whose, id and group of the files in the Run's folders that no annotation holds."""
    rows = connection.query(
        "select f.path, f.id, f.details.group.id from OriginalFile f where f.details.owner.id = :me"
        " and f.path like :path"
        " and not exists (select a.id from FileAnnotation a where a.file.id = f.id)",
        {**me, "path": f"slidegate/{run}/%"},
    )
    return [(Mark.of_folder(path), number, group) for path, number, group in rows]


def _links(
    connection: Connection, children: Sequence[int], me: int, holders: Iterable[str] = _HOLDERS
) -> list[Link]:
    found = []
    for holder in holders:
        for start in range(0, len(children), _AT_ONCE):
            rows = connection.query(
                "select l.id, l.parent.id, l.child.id, l.details.creationEvent.id,"  # noqa: S608
                f" l.details.owner.id from {holder}AnnotationLink l where l.child.id in (:children)",
                {"children": list(children[start : start + _AT_ONCE])},
            )
            found += [
                Link(holder, one, parent, child, event, owner == me)
                for one, parent, child, event, owner in rows
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
