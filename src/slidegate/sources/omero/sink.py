# SPDX-License-Identifier: BSD-3-Clause
"""Results in OMERO, on the image, as the person: written once, completed by a repeat, removed by undo.

OMERO has no transactions over several calls. So each call writes something that is whole and says whose it
is, and the key-values that complete a result come last.
"""

import re
import tempfile
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import omero
from omero.rtypes import unwrap

from slidegate.domain.omero_places import Labels, Objects
from slidegate.domain.values import ImageRef, RunId, digest_of
from slidegate.sources.base import Output, Publication, Published

from .annotations import (
    NS_TABLE,
    RESULT,
    TAG,
    Mark,
    attach_file,
    hang_file,
    key_values,
    link,
    links_of_tags,
    named_values,
    place_of,
    sha1_of,
)
from .connection import Connection, speaking
from .datasets import Dataset, datasets_of
from .drawn import REGIONS, regions_of, row_of, write_regions
from .duplicate import duplicate
from .errors import OmeroNotFoundError, OmeroResultRefusedError
from .files import ResultFile, check_parts, listed, pack
from .label_images import labels_part, write_label_image
from .rois import ROIS, Drawing, object_of, sample, write_rois
from .summaries import FIGURES, NS_FIGURES, as_pairs, figures_of, settle
from .table import rows_of, write_table
from .undo import BEGUN, Found, Piece, delete, find, find_ends, remove, rois_on

MOST_ROIS = 500
"""Objects that are drawn as ROIs: what OMERO.iviewer shows on one page."""

_LABELS = "labels"
_SUMMARY = "summary"
_TABLE = "table/objects"
_REGIONS = "table/regions"
_ALL = "All objects"
_NONE = "not attached"
_IMAGE = re.compile(r"\bImage:([0-9]{1,18})\b")
_NAME = 200  # characters of an image's name

Pairs = list[tuple[str, str]]
"""Key-values, in order."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What writing one result needs at every step."""

    publication: Publication
    files: dict[str, ResultFile]
    folder: Path
    connection: Connection
    image: int
    group: int
    there: Found
    datasets: list[Dataset]

    @property
    def mark(self) -> Mark:
        return Mark.of(self.publication, self.image)

    @property
    def pieces(self) -> dict[str, Piece]:
        """What hangs on the image already, by part."""
        return {piece.mark.part: piece for piece in reversed(self.there.on(self.image))}

    def of_type(self, kind: str) -> Iterator[tuple[str, Output]]:
        for role, output in sorted(self.publication.outputs.items()):
            if output.type == kind:
                yield role, output

    def labels(self) -> Iterator[tuple[str, Output]]:
        """The label images that there are."""
        for role, output in self.of_type(_LABELS):
            if (self.folder / output.path).is_dir():
                yield role, output

    def look(self) -> Found:
        """Ask again what lies there."""
        p = self.publication
        return find(self.connection, p.run, p.task, p.tree, self.image)


class OmeroSink:
    """A ResultSink that writes to the image in OMERO, as the person of the connection.

    Parameters
    ----------
    connect
        Makes a connection as the person; this sink closes it.
    rois
        How many objects of a table become ROIs at most.
    labels
        What becomes of label images: nothing, a zip of the OME-Zarr that is attached, an image of OMERO.
    objects
        Whether all objects are drawn on a duplicate of the image, besides the sample on the image.
    tags
        Tags that images with a complete result get.
    """

    name = "omero"

    def __init__(
        self,
        connect: Callable[[], Connection],
        rois: int = MOST_ROIS,
        labels: Labels = "none",
        tags: tuple[str, ...] = (),
        objects: Objects = "sample",
    ) -> None:
        self._connect, self._rois, self._labels, self._tags = connect, rois, labels, tags
        self._objects = objects

    def publish(self, publication: Publication, files: Path) -> Published:
        """Write ROIs, table and files, and what else was asked for, then the key-values that complete them.

        Last, the figures of the Run's images are made one table on each dataset that the image is in.

        A repeat, also after it was killed at any moment, writes what is missing and doubles nothing; one that
        asks for more, such as label images, adds that. The later Attempt of the same Task replaces the
        earlier result, but not what people changed of it. Where two processes write the same result at once,
        one of them may fail, and the last to end leaves one result; threads of one process wait for each
        other.

        Raises
        ------
        OmeroNotFoundError
            The image is gone, or the person may not see it any more. Nothing was written.
        OmeroResultRefusedError
            The person may not write to it. Nothing was written.
        UnsafeResultError, ResultDamagedError
            The result holds a link or a special file, or is not what was fetched. Nothing was written.
        OmeroError
            It failed in the middle: a repeat completes it, and undo finds what there is.
        """
        known = {file.name: file for file in listed(files)}
        check_parts(publication, known)
        with _alone(publication), self._connect() as connection:
            image, group = _target(connection, publication.image)
            there = find(connection, publication.run, publication.task, image=image)
            old, there = _split(there, publication)
            datasets = datasets_of(connection, image)
            work = _Work(publication, known, files, connection, image, group, there, datasets)
            published = _published(connection, publication, image)
            end = work.pieces.get(RESULT)
            said = _said(connection, end)
            if end is None:
                remove(connection, old)
            if end is None or self._lacks(work, said):
                _sweep(work)
                self._write(work, said, end)
            _settle(work)
            settle(connection, publication.run, datasets)
            return published if end is None else replace(published, attempt=end.mark.attempt)

    def find_published(self, run: RunId) -> list[Published]:
        """List the complete results of a Run that this person wrote, by image."""
        with self._connect() as connection:
            there = {
                Published(mark.run, mark.task, mark.attempt, mark.tree, _where(connection, image, mark))
                for mark, image in find_ends(connection, run)
            }
        return sorted(there, key=lambda published: (published.where, published.attempt))

    def undo(self, published: Published) -> None:
        """Remove what was written for a result, complete or not, and nothing else. A repeat changes nothing.

        Raises
        ------
        OmeroError
            It failed in the middle; a repeat removes the rest. The key-values go last.
        """
        place = re.search(r"/image/([0-9]+)/", published.where)
        image = int(place.group(1)) if place else None
        with self._connect() as connection:
            datasets = [] if image is None else datasets_of(connection, image)
            remove(connection, find(connection, published.run, published.task, published.tree, image))
            settle(connection, published.run, datasets)

    def _lacks(self, work: _Work, said: Pairs) -> bool:
        """Return whether something is asked for that a complete result does not have yet."""
        facts = dict(said)
        labels = [facts.get(_label_fact(role), "") for role, _ in work.labels()]
        return (
            (self._objects != "sample" and _ALL not in facts)
            or (self._labels == "attachment" and any(".zip" not in value for value in labels))
            or (self._labels == "image" and any("Image:" not in value for value in labels))
            or bool(self._new_tags(work, said))
        )

    def _new_tags(self, work: _Work, said: Pairs) -> dict[str, Any]:
        """Return links to tags that the image does not have, and was not given before."""
        given = {text for name, text in said if name == TAG}
        tags = [text for text in self._tags if text not in given]
        return links_of_tags(work.connection, work.image, work.mark, tags, work.group)

    def _write(self, work: _Work, said: Pairs, end: Piece | None) -> None:
        """Write what is missing; `said` is what the key-values that complete the result state already."""
        facts = {name: text for name, text in said if name != TAG}
        drawn = self._drawing(work, self._rois)
        if end is None:
            facts |= self._first(work, drawn)
        facts |= self._label_images(work, facts)
        if self._objects != "sample" and _ALL not in facts:
            facts[_ALL] = self._on_duplicate(work)
        self._complete(work, said, facts, end)

    def _first(self, work: _Work, drawn: tuple[str, Drawing] | None) -> dict[str, str]:
        """Write the sample of ROIs, tables and files."""
        facts = {}
        rois: dict[int, int] = {}
        if drawn is not None:
            role, drawing = drawn
            write_rois(work.connection, drawing, work.group, work.mark, _oldest(_rois(work)))
            rois = _oldest(_rois(work))
            facts["ROIs"] = _how_many(drawing)
        facts |= self._regions(work)
        for role, output in work.of_type(_TABLE):
            file = work.files.get(output.path)
            if file is not None:
                self._table(work, role, file, rois if drawn is not None and drawn[0] == role else {})
                facts[f"Objects ({role})"] = str(rows_of(file.path))
        folders = [output.path for _, output in work.of_type(_LABELS)]
        for name, file in sorted(work.files.items()):
            if not any(name == folder or name.startswith(f"{folder}/") for folder in folders):
                self._file(work, name, file.path)
        return facts

    def _regions(self, work: _Work) -> dict[str, str]:
        """Draw the regions that a result speaks of, with what was found in each, and write their table."""
        facts = {}
        for role, output in work.of_type(_REGIONS):
            file = work.files.get(output.path)
            if file is None:
                continue
            mark = replace(work.mark, part=REGIONS)
            regions = regions_of(file.path)
            drawn = {row_of(name): number for number, name in rois_on(work.connection, mark)}
            write_regions(work.connection, regions, work.group, mark, drawn)
            drawn = {row_of(name): number for number, name in reversed([*rois_on(work.connection, mark)])}
            self._table(work, role, file, drawn)
            facts[f"Regions ({role})"] = str(rows_of(file.path))
        return facts

    def _drawing(self, work: _Work, cap: int | None) -> tuple[str, Drawing] | None:
        """Return what is drawn: objects of the first table that says where they are."""
        labels = next((work.folder / output.path for _, output in work.labels()), None)
        for role, output in work.of_type(_TABLE):
            if output.path in work.files:
                path = work.files[output.path].path
                drawing = sample(path, labels, cap, digest_of([work.publication.tree, role]))
                if drawing is not None:
                    return role, drawing
        return None

    def _on_duplicate(self, work: _Work) -> str:
        """Draw every object on a duplicate of the image, with a table that leads to them; say so."""
        drawn = self._drawing(work, None)
        if drawn is None:
            return "not drawn: the result does not say where objects are"
        copy = duplicate(work.connection, work.look, work.mark, work.group, work.datasets)
        if copy is None:
            return "not drawn: this OMERO makes no duplicate of the image that shows its pixels"
        role, drawing = drawn
        there = replace(work, image=copy, there=work.look())
        write_rois(work.connection, drawing, work.group, there.mark, _oldest(_rois(there)))
        file = work.files[work.publication.outputs[role].path]
        self._table(there, role, file, _oldest(_rois(there)))
        return f"{drawing.total} ROIs on {place_of('Image', copy)}"

    def _table(self, work: _Work, role: str, file: ResultFile, rois: dict[int, int]) -> None:
        part = f"table:{role}"
        if part in work.pieces:
            return
        copied = work.image != image_id(work.publication.image)
        name = f"{work.mark.folder}{role}" + ("-duplicate" if copied else "")
        number, sha1 = write_table(work.connection, file.path, name, work.image, work.group, rois)
        mark = replace(work.mark, part=part, sha1=sha1)
        hang_file(work.connection, work.group, mark, number, NS_TABLE)

    def _label_images(self, work: _Work, said: dict[str, str]) -> dict[str, str]:
        """Attach label images, or make images of them, as is asked for; return what there is of each."""
        facts = {}
        for role, output in work.labels():
            fact = _label_fact(role)
            have = [part for part in said.get(fact, "").split(", ") if part not in ("", _NONE)]
            if self._labels == "attachment":
                have.append(self._packed(work, output.path))
            if self._labels == "image":
                mark = replace(work.mark, part=labels_part(role))
                name = f"{work.publication.name[:_NAME]} [{role}, run {work.publication.run}]"
                path = work.folder / output.path
                image = write_label_image(
                    work.connection, work.there, mark, work.group, path, name, work.datasets
                )
                have.append(place_of("Image", image))
            facts[fact] = ", ".join(dict.fromkeys(have)) or _NONE
        return facts

    def _packed(self, work: _Work, folder: str) -> str:
        """Attach what lies in a folder as one zip; return its name."""
        name = f"{folder}.zip"
        if name not in work.pieces:
            inside = [file for path, file in sorted(work.files.items()) if path.startswith(f"{folder}/")]
            with tempfile.TemporaryDirectory(prefix="slidegate-") as scratch:
                packed = Path(scratch) / "labels.zip"
                pack(packed, inside)
                self._file(work, name, packed)
        return name

    def _file(self, work: _Work, name: str, path: Path) -> None:
        if name in work.pieces:
            return
        facts = {"size": str(path.stat().st_size), "sha1": sha1_of(path)}
        mark = replace(work.mark, part=name)
        attach_file(work.connection, work.group, mark, path, facts)

    def _complete(self, work: _Work, said: Pairs, facts: dict[str, str], end: Piece | None) -> None:
        """Write key-values, figures and tags, by one call; what is there already is brought up to date."""
        p = work.publication
        tags = self._new_tags(work, said)
        known = said or [
            ("Run", p.run), ("Task", p.task), *p.facts.items(), ("Result (SHA-256 of its files)", p.tree)
        ]  # fmt: skip
        names = {name for name, _ in known}
        pairs = [(name, facts.get(name, text)) for name, text in known]
        pairs += [(name, text) for name, text in facts.items() if name not in names]
        pairs += [(TAG, text) for text in tags]
        if end is None:
            mark = replace(work.mark, part=RESULT)
            saved = [*tags.values(), *_figures(work), link(work.image, key_values(mark, pairs))]
        else:
            saved = [*tags.values(), _renewed(work.connection, end, pairs)]
        with speaking():
            work.connection.services("Update").saveArray(saved, work.connection.context(work.group))


def _label_fact(role: str) -> str:
    return f"Label image ({role})"


def _figures(work: _Work) -> list[Any]:
    """Return the image's figures, not yet saved: those that its summaries state, else how many objects."""
    figures: dict[str, float] = {}
    for _, output in work.of_type(_SUMMARY):
        if output.path in work.files:
            figures |= figures_of(work.files[output.path].path)
    if not figures:
        tables = ((role, work.files.get(output.path)) for role, output in work.of_type(_TABLE))
        figures = {role: float(rows_of(file.path)) for role, file in tables if file is not None}
    if not figures:
        return []
    return [link(work.image, key_values(replace(work.mark, part=FIGURES), as_pairs(figures), NS_FIGURES))]


def _said(connection: Connection, end: Piece | None) -> Pairs:
    """Return what the key-values of a complete result state, in their order."""
    if end is None:
        return []
    with speaking():
        found = connection.services("Query").get("MapAnnotation", end.id, connection.context(end.group))
    return [(pair.name, pair.value) for pair in found.mapValue]


def _renewed(connection: Connection, end: Piece, pairs: Pairs) -> Any:
    """Return the key-values of a complete result, not yet saved, as they should be now."""
    with speaking():
        found = connection.services("Query").get("MapAnnotation", end.id, connection.context(end.group))
    found.mapValue = named_values(pairs)
    return found


_LOCKS: weakref.WeakValueDictionary[tuple[str, str], threading.Lock] = weakref.WeakValueDictionary()
_LOCKS_LOCK = threading.Lock()


@contextmanager
def _alone(publication: Publication) -> Iterator[None]:
    """Let threads of this process publish a Task's result one after the other."""
    with _LOCKS_LOCK:
        lock = _LOCKS.setdefault((publication.run, publication.task), threading.Lock())
    with lock:
        yield


def image_id(ref: ImageRef) -> int:
    """Return the number of the image that is meant; the plane, where one was named, is not part of it.

    Raises
    ------
    OmeroNotFoundError
        It is no image of OMERO.
    """
    number = re.fullmatch(r"([0-9]{1,18})(?:#.*)?", ref.image, re.DOTALL)
    if number is None:
        raise OmeroNotFoundError
    return int(number.group(1))


def _target(connection: Connection, ref: ImageRef) -> tuple[int, int]:
    """Return image and group, once the person may write there."""
    number = image_id(ref)
    asked = omero.sys.ParametersI().addId(number)
    with speaking():
        found = connection.services("Query").findByQuery(
            "select i from Image i where i.id = :id", asked, connection.context(-1)
        )
    if found is None:
        raise OmeroNotFoundError
    if not found.details.permissions.canAnnotate():
        raise OmeroResultRefusedError
    return number, int(unwrap(found.details.group.id))


def _where(connection: Connection, image: int, mark: Mark) -> str:
    return f"omero:{connection.server.host}/image/{image}/{mark.run}/{mark.task}"


def _published(connection: Connection, publication: Publication, image: int) -> Published:
    p = publication
    return Published(p.run, p.task, p.attempt, p.tree, _where(connection, image, Mark.of(p, image)))


def _split(found: Found, publication: Publication) -> tuple[Found, Found]:
    """Return what lies there of other results of the Task, and of this one."""
    old, new = Found(links=found.links), Found(links=found.links)
    for piece in found.pieces:
        (new if piece.mark.tree == publication.tree else old).pieces.append(piece)
    for roi in found.rois:
        (new if roi[0].tree == publication.tree else old).rois.append(roi)
    for made in found.made:
        (new if made.mark.tree == publication.tree else old).made.append(made)
    new.files, old.notes = found.files, found.notes
    return old, new


def _sweep(work: _Work) -> None:
    """Remove files that were sent, or begun, and never attached: they are sent again."""
    groups: dict[int, list[int]] = {}
    for number, group in work.there.files:
        groups.setdefault(group, []).append(number)
    delete(work.connection, "OriginalFile", groups)


def _rois(work: _Work) -> list[tuple[int, int]]:
    """Return object and ROI, of this result's objects that are drawn on the image, the oldest first."""
    drawn = rois_on(work.connection, replace(work.mark, part=ROIS))
    return [(object_of(name), number) for number, name in drawn]


def _oldest(rois: list[tuple[int, int]]) -> dict[int, int]:
    return dict(reversed(rois))


def _settle(work: _Work) -> None:
    """Remove what is there twice, all but the oldest.

    That happens where a worker was taken for dead, and wrote on beside the one that took over.
    """
    found = work.look()
    kept = _kept(work, found)
    twice = [made for made in found.made if made.id not in kept]
    if twice or found.notes:
        places = {place_of("Image", made.id) for made in twice}
        pieces = [piece for piece in found.pieces if piece.mark.on in places]
        remove(work.connection, Found(pieces, links=found.links, made=twice, notes=found.notes))
    for image in (work.image, *(copy.id for copy in found.copies if copy.id in kept)):
        _settle_on(replace(work, image=image, there=found))


def _kept(work: _Work, found: Found) -> set[int]:
    """Return one of the images that were made for each part: that which the result speaks of."""
    parts: dict[str, list[int]] = defaultdict(list)
    for made in found.made:
        parts[made.mark.part.removeprefix(BEGUN)].append(made.id)
    if all(len(images) == 1 for images in parts.values()):
        return {made.id for made in found.made}
    ends = sorted(piece.id for piece in found.on(work.image) if piece.mark.part == RESULT)
    end = next((piece for piece in found.pieces if ends and piece.id == ends[0]), None)
    told = {int(number) for _, text in _said(work.connection, end) for number in _IMAGE.findall(text)}
    return {next((image for image in images if image in told), images[0]) for images in parts.values()}


def _settle_on(work: _Work) -> None:
    twice: dict[str, list[int]] = defaultdict(list)
    parts: set[str] = set()
    for piece in sorted(work.there.on(work.image), key=lambda piece: piece.id):
        if piece.mark.part in parts:
            twice[piece.kind].append(piece.id)
        parts.add(piece.mark.part)
    regions = rois_on(work.connection, replace(work.mark, part=REGIONS))
    for rois in (_rois(work), [(row_of(name), number) for number, name in regions]):
        kept = set(_oldest(rois).values())
        twice["Roi"] += [number for _, number in rois if number not in kept]
    for kind, numbers in twice.items():
        delete(work.connection, kind, {work.group: numbers})


def _how_many(drawing: Drawing) -> str:
    if drawing.total == len(drawing.ids):
        return f"all {drawing.total} objects"
    return f"{len(drawing.ids)} of {drawing.total} objects, chosen at random; all are in the table"
