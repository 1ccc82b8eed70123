# SPDX-License-Identifier: BSD-3-Clause
"""What lies in OMERO of a Run, and removing exactly that."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import omero.cmd

from slidegate.domain.values import Digest, RunId, TaskId

from .annotations import NS_RESULT, RESULT, TAG, Mark, place_of
from .connection import EVERY_GROUP, Connection, speaking
from .errors import OmeroError

_KINDS = ("MapAnnotation", "FileAnnotation", "TagAnnotation")
_HOLDERS = ("Image", "Dataset", "Project", "Plate", "Screen", "Well")
_AT_ONCE = 500
_PAGE = 10_000  # rows of one answer, where there can be a hundred thousand
_PATIENCE_SECONDS = 600  # that a deletion, or a copy, may take
COPY = "duplicate"
"""Part of what says of an image that it is a Run's duplicate."""
BEGUN = "begun:"
"""What the part of a label image begins with until it is whole."""


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
    """

    kind: str
    id: int
    group: int
    mark: Mark
    same: bool


@dataclass(frozen=True, slots=True)
class Link:
    """What joins an annotation to something: the `kind` of link, its id, what it leads from and to."""

    kind: str
    id: int
    parent: int
    child: int
    mine: bool

    @property
    def holder(self) -> str:
        """What the annotation hangs on, as marks say it."""
        return place_of(self.kind, self.parent)


@dataclass(frozen=True, slots=True)
class Made:
    """An image that a Run made: a duplicate, or a label image.

    Attributes
    ----------
    note
        Id of the annotation that marks it; None where its own description does.
    """

    mark: Mark
    id: int
    group: int
    note: int | None = None


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
    made
        Images that were made, the oldest first.
    notes
        Annotations (id and group) of originals that were about to be duplicated, and superfluous ones.
    """

    pieces: list[Piece] = field(default_factory=list)
    rois: list[tuple[Mark, int, int]] = field(default_factory=list)
    files: list[tuple[int, int]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    notes: list[tuple[int, int]] = field(default_factory=list)

    def on(self, image: int) -> list[Piece]:
        """The annotations that hang on an image, as they were written."""
        place = place_of("Image", image)
        here = {link.child for link in self.links if link.holder == place}
        return [piece for piece in self.pieces if piece.mark.on == place and piece.id in here and piece.same]

    @property
    def copies(self) -> list[Made]:
        """Duplicates, the oldest first."""
        return [made for made in self.made if made.mark.part == COPY]

    def labels(self, part: str) -> list[Made]:
        """Label images of that part, begun or whole."""
        return [made for made in self.made if made.mark.part.removeprefix(BEGUN) == part]


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

    me = {"me": connection.user_id}
    found = Found()
    begins = {**me, "begins": f"slidegate run={run} " + (f"task={task} %" if task else "%")}
    for kind in _KINDS:
        found.pieces += [piece for piece in pieces_of(connection, kind, begins) if wanted(piece.mark)]
    found.rois = [roi for roi in _rois(connection, begins, image) if wanted(roi[0])]
    found.files = [
        (number, group) for mark, number, group in _half_written(connection, run, me) if wanted(mark)
    ]
    found.links = links_to(connection, [piece.id for piece in found.pieces], me["me"])
    made, found.notes = _duplicates(connection, begins, found, wanted)
    found.made = made + [one for one in _label_images(connection, begins) if wanted(one.mark)]
    return found


def rois_on(connection: Connection, mark: Mark) -> Iterator[tuple[int, str]]:
    """Yield id and name of the ROIs of a result where its mark says, of that part, the oldest first."""
    for number, name, text in _paged(
        connection,
        "select r.id, r.name, r.description from Roi r where r.image.id = :image"
        " and r.description like :begins and r.id > :after order by r.id",
        {"image": mark.number, "begins": _begin(mark)},
    ):
        one = Mark.read(text)
        if one is not None and (one.on, one.part) == (mark.on, mark.part):
            yield number, name


def _begin(mark: Mark) -> str:
    return f"slidegate run={mark.run} task={mark.task} tree={mark.tree} %"


def _paged(connection: Connection, hql: str, params: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield rows by pages; the first value of each is what they are sorted by, and follows ``:after``."""
    after = -1
    while rows := connection.query(hql, {**params, "after": after}, EVERY_GROUP, _PAGE):
        yield from rows
        after = rows[-1][0]


def _rois(
    connection: Connection, begins: Mapping[str, Any], image: int | None
) -> Iterator[tuple[Mark, int, int]]:
    """Yield mark, id and group of the ROIs that are where they were drawn."""
    on_image = " and r.image.id = :image" if image is not None else ""
    hql = (
        "select r.id, r.description, r.details.group.id, r.image.id from Roi r"  # noqa: S608
        f" where r.details.owner.id = :me and r.description like :begins{on_image}"
        " and r.id > :after order by r.id"
    )
    params = {**begins, **({"image": image} if image is not None else {})}
    marks: dict[str, Mark | None] = {}  # many ROIs, few texts
    for number, text, group, where in _paged(connection, hql, params):
        mark = marks.setdefault(text, Mark.read(text))
        if mark is not None and mark.on == place_of("Image", where):
            yield mark, number, group


def _duplicates(
    connection: Connection,
    begins: Mapping[str, Any],
    found: Found,
    wanted: Callable[[Mark | None], bool],
) -> tuple[list[Made], list[tuple[int, int]]]:
    """Return the duplicates that a Run made, and the notes on channels of images that were to have one.

    The note on the original's first channel is copied with it. Who copies the duplicate copies the note as
    well, and what says of the duplicate which image it is: such a copy is that person's.
    """
    rows = connection.query(
        "select i.id, i.details.group.id, a.id, a.description from ChannelAnnotationLink l"
        " join l.child a join l.parent c join c.pixels p join p.image i"
        " where a.details.owner.id = :me and a.description like :begins order by i.id",
        begins,
    )
    says = {
        link.parent: piece.mark.on
        for piece in found.pieces
        if piece.mark.part == COPY
        for link in found.links
        if link.child == piece.id and link.kind == "Image"
    }
    made: dict[int, Made] = {}
    notes: list[tuple[int, int]] = []
    for image, group, note, text in rows:
        mark, here = Mark.read(text), place_of("Image", image)
        if mark is None or not wanted(mark):
            continue
        if mark.on == here or image in made:  # it has two where two processes wrote at once
            notes.append((note, group))
        elif says.get(image, here) == here:
            made[image] = Made(mark, image, group, note)
    return list(made.values()), notes


def _label_images(connection: Connection, begins: Mapping[str, Any]) -> Iterator[Made]:
    rows = connection.query(
        "select i.id, i.description, i.details.group.id from Image i"
        " where i.details.owner.id = :me and i.description like :begins order by i.id",
        begins,
    )
    for image, text, group in rows:
        mark = Mark.read(text)
        if mark is not None and (mark.part.startswith(BEGUN) or mark.on == place_of("Image", image)):
            yield Made(mark, image, group)  # else somebody has copied one


def find_ends(connection: Connection, run: RunId) -> list[tuple[Mark, int]]:
    """Return the complete results of a Run that this person wrote, each with its image."""
    me = connection.user_id
    begins = {"me": me, "begins": f"slidegate run={run} %", "ns": NS_RESULT}
    pieces = pieces_of(connection, "MapAnnotation", begins, " and a.ns = :ns")
    ends = {piece.id: piece for piece in pieces if piece.mark.run == run}
    return [
        (ends[link.child].mark, link.parent)
        for link in links_to(connection, list(ends), me, ("Image",))
        if ends[link.child].mark.part == RESULT and is_ours(link, ends[link.child])
    ]


def pieces_of(connection: Connection, kind: str, begins: Mapping[str, Any], more: str = "") -> list[Piece]:
    """Return annotations of that kind of the person ``me`` whose marks begin as ``begins`` says."""
    content = "a.file.hash" if kind == "FileAnnotation" else "a.description"
    rows = connection.query(
        f"select a.id, a.description, {content}, a.details.group.id from {kind} a"  # noqa: S608
        f" where a.details.owner.id = :me and a.description like :begins{more} order by a.id",
        begins,
    )
    found = []
    for number, text, digest, group in rows:
        mark = Mark.read(text)
        if mark is not None:
            same = not mark.sha1 or digest == mark.sha1
            found.append(Piece(kind, number, group, mark, same))
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
    for number, group in found.notes:
        groups["CommentAnnotation"][group].append(number)
    rois = {number: group for _, number, group in found.rois}
    me = connection.user_id
    for made in found.made:
        drawn = _rois(connection, {"me": me, "begins": _begin(made.mark)}, made.id)
        rois |= {number: group for _, number, group in drawn}
    for number, group in _untouched(connection, rois):
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
    for tagged, group in _tag_links(connection, found, me):
        groups["ImageAnnotationLink"][group].append(tagged)
    removed = sum(delete(connection, kind, by_group) for kind, by_group in groups.items())
    removed += sum(_remove_image(connection, made) for made in found.made)
    return removed + delete(connection, "MapAnnotation", ends)


def _remove_image(connection: Connection, made: Made) -> int:
    """Remove an image that was made, and those that came with it, if nobody has put anything on them."""
    images = of_one_file(connection, made.id)
    used = {"images": images}
    if any(
        connection.query(hql, used, most=1)
        for hql in (
            "select r.id from Roi r where r.image.id in (:images)",
            "select l.id from ImageAnnotationLink l where l.parent.id in (:images)",
        )
    ):
        # it is theirs now
        return 0 if made.note is None else delete(connection, "CommentAnnotation", {made.group: [made.note]})
    return delete(connection, "Image", {made.group: images})


def of_one_file(connection: Connection, image: int) -> list[int]:
    """Return an image and those that came in the same file; OMERO copies and deletes them together only."""
    with_it = connection.query(
        "select i.id from Image i where i.fileset.id ="
        " (select j.fileset.id from Image j where j.id = :image)",
        {"image": image},
    )
    return sorted({image, *(row[0] for row in with_it)})


def undo_run(connection: Connection, run: RunId) -> int:
    """Remove all that a Run wrote as this person, complete or not; returns how much was removed.

    Safe to repeat: undoing what is gone removes nothing.
    """
    return remove(connection, find(connection, run))


def delete(connection: Connection, kind: str, by_group: Mapping[int, list[int]]) -> int:
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
    return isinstance(carried_out(connection, request, group), omero.cmd.Delete2Response)


def carried_out(connection: Connection, request: Any, group: int) -> Any:
    """Let OMERO carry out a request in a group, wait, and return its answer; None where it took too long."""
    until = time.monotonic() + _PATIENCE_SECONDS
    pause = 0.01
    with speaking():
        handle = connection.client.getSession().submit(request, connection.context(group))
        try:
            while (answer := handle.getResponse()) is None and time.monotonic() < until:
                time.sleep(pause)
                pause = min(2 * pause, 0.5)
        finally:
            handle.close()
    return answer


def is_ours(link: Link, piece: Piece) -> bool:
    """Return whether a link is the one that was saved together with the annotation that it leads to."""
    return link.mine and link.holder == piece.mark.on


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


def links_to(
    connection: Connection, children: Sequence[int], me: int, holders: Iterable[str] = _HOLDERS
) -> list[Link]:
    """Return the links that lead to some annotations."""
    found = []
    for holder in holders:
        for start in range(0, len(children), _AT_ONCE):
            rows = connection.query(
                "select l.id, l.parent.id, l.child.id, l.details.owner.id"  # noqa: S608
                f" from {holder}AnnotationLink l where l.child.id in (:children)",
                {"children": list(children[start : start + _AT_ONCE])},
            )
            found += [Link(holder, one, parent, child, owner == me) for one, parent, child, owner in rows]
    return found


def _untouched(connection: Connection, groups: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return those ROIs (id, group) whose shapes nobody changed and that nobody annotated."""
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
    ends = {piece.id: piece for piece in found.pieces if piece.mark.part == RESULT}
    made = {piece.id for piece in found.pieces}
    rows = []
    for end in [link for link in found.links if link.child in ends and is_ours(link, ends[link.child])]:
        rows += connection.query(
            "select l.id, l.details.group.id, l.child.id from ImageAnnotationLink l, TagAnnotation t"
            " where l.child.id = t.id and l.parent.id = :image and l.details.owner.id = :me"
            " and t.textValue in (select v.value from MapAnnotation a join a.mapValue v"
            " where a.id = :end and v.name = :name)",
            {"image": end.parent, "me": me, "end": end.child, "name": TAG},
        )
    return [(link, group) for link, group, child in rows if child not in made]
