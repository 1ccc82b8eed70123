# SPDX-License-Identifier: BSD-3-Clause
"""Results in OMERO, on the image, as the person: written once, completed by a repeat, removed by undo.

OMERO has no transactions over several calls. So each call writes something that is whole and says whose it
is, and the key-values that complete a result come last.
"""

import hashlib
import os
import re
import stat
import tempfile
import threading
import weakref
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import omero
from omero.rtypes import unwrap

from slidegate.domain.values import ImageRef, RunId, digest_of
from slidegate.sources.base import Output, Publication, Published, part_of
from slidegate.sources.errors import ImageNotFoundError, ResultDamagedError, UnsafeResultError

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
    sha1_of,
)
from .connection import Connection, speaking
from .errors import OmeroNotFoundError, OmeroResultRefusedError
from .rois import Drawing, object_of, sample, write_rois
from .table import rows_of, write_table
from .undo import Found, Piece, delete, find, find_ends, remove

MOST_ROIS = 500
"""Objects that are drawn as ROIs: what OMERO.iviewer shows on one page."""

_BLOCK = 4 * 2**20
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_LABELS = "labels"
_TABLE = "table/objects"


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a result, as it was looked through; `name` with its folders below the result."""

    name: str
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Work:
    """What writing one result needs at every step."""

    publication: Publication
    files: dict[str, _File]
    connection: Connection
    image: int
    group: int
    there: Found

    @property
    def mark(self) -> Mark:
        return Mark.of(self.publication)

    @property
    def pieces(self) -> dict[str, Piece]:
        """What hangs on the image already, by part."""
        return {piece.mark.part: piece for piece in reversed(self.there.on(self.image))}

    def of_type(self, kind: str) -> Iterator[tuple[str, Output]]:
        for role, output in sorted(self.publication.outputs.items()):
            if output.type == kind:
                yield role, output


class OmeroSink:
    """A ResultSink that writes to the image in OMERO, as the person of the connection.

    Parameters
    ----------
    connect
        Makes a connection as the person; this sink closes it.
    rois
        How many objects of a table become ROIs at most.
    labels
        Whether label images are attached, as zipped OME-Zarr.
    tags
        Tags that images with a complete result get.
    """

    name = "omero"

    def __init__(
        self,
        connect: Callable[[], Connection],
        rois: int = MOST_ROIS,
        labels: bool = False,
        tags: tuple[str, ...] = (),
    ) -> None:
        self._connect, self._rois, self._labels, self._tags = connect, rois, labels, tags

    def publish(self, publication: Publication, files: Path) -> Published:
        """Write ROIs, table and files, then the key-values that complete them.

        A repeat, also after it was killed at any moment, writes what is missing and doubles nothing. The
        later Attempt of the same Task replaces the earlier result, but not what people changed of it. Where
        two processes write the same result at once, one of them may fail, and the last to end leaves one
        result; threads of one process wait for each other.

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
        listed = {file.name: file for file in _listed(files)}
        _check_parts(publication, listed)
        with _alone(publication), self._connect() as connection:
            image, group = _target(connection, publication.image)
            there = find(connection, publication.run, publication.task, image=image)
            old, there = _split(there, publication)
            work = _Work(publication, listed, connection, image, group, there)
            published = _published(connection, publication, image)
            end = work.pieces.get(RESULT)
            if end is None:
                remove(connection, old)
                _sweep(work)
                self._write(work, files)
            _settle(work)
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
            remove(connection, find(connection, published.run, published.task, published.tree, image))

    def _write(self, work: _Work, files: Path) -> None:
        facts: list[tuple[str, str]] = []
        rois: dict[int, int] = {}
        drawn = self._drawing(work, files)
        if drawn is not None:
            role, drawing = drawn
            write_rois(work.connection, drawing, work.image, work.group, work.mark, _oldest(_rois(work)))
            rois = _oldest(_rois(work))
            facts.append(("ROIs", _how_many(drawing)))
        for role, output in work.of_type(_TABLE):
            file = work.files.get(output.path)
            if file is not None:
                self._table(work, role, file, rois if drawn is not None and drawn[0] == role else {})
                facts.append((f"Objects ({role})", str(rows_of(file.path))))
        self._attach(work, files, facts)
        self._complete(work, facts)

    def _drawing(self, work: _Work, files: Path) -> tuple[str, Drawing] | None:
        """Return what is drawn: objects of the first table that says where they are."""
        labels = next(
            (files / one.path for _, one in work.of_type(_LABELS) if (files / one.path).is_dir()), None
        )
        for role, output in work.of_type(_TABLE):
            if output.path in work.files:
                path = work.files[output.path].path
                drawing = sample(path, labels, self._rois, digest_of([work.publication.tree, role]))
                if drawing is not None:
                    return role, drawing
        return None

    def _table(self, work: _Work, role: str, file: _File, rois: dict[int, int]) -> None:
        part = f"table:{role}"
        if part in work.pieces:
            return
        name = f"{work.mark.folder}{role}"
        number, sha1 = write_table(work.connection, file.path, name, work.image, work.group, rois)
        mark = replace(work.mark, part=part, sha1=sha1)
        hang_file(work.connection, work.image, work.group, mark, number, NS_TABLE)

    def _attach(self, work: _Work, files: Path, facts: list[tuple[str, str]]) -> None:
        """Attach all files; label images, zipped, where they are asked for."""
        folders = {output.path: role for role, output in work.of_type(_LABELS)}
        for name, file in sorted(work.files.items()):
            if not any(name == folder or name.startswith(f"{folder}/") for folder in folders):
                self._file(work, name, file.path)
        for folder in sorted(folders):
            inside = [file for name, file in sorted(work.files.items()) if name.startswith(f"{folder}/")]
            if not (self._labels and inside):
                facts.append((f"Label image ({folders[folder]})", "not attached"))
                continue
            if f"{folder}.zip" not in work.pieces:
                with tempfile.TemporaryDirectory(prefix="slidegate-") as scratch:
                    packed = Path(scratch) / "labels.zip"
                    _pack(packed, files, inside)
                    self._file(work, f"{folder}.zip", packed)
            facts.append((f"Label image ({folders[folder]})", f"{folder}.zip"))

    def _file(self, work: _Work, name: str, path: Path) -> None:
        if name in work.pieces:
            return
        facts = {"size": str(path.stat().st_size), "sha1": sha1_of(path)}
        mark = replace(work.mark, part=name)
        attach_file(work.connection, work.image, work.group, mark, path, facts)

    def _complete(self, work: _Work, facts: list[tuple[str, str]]) -> None:
        """Write key-values and tags, by one call."""
        p, mark = work.publication, replace(work.mark, part=RESULT)
        tags = links_of_tags(work.connection, work.image, mark, self._tags, work.group)
        pairs = [
            ("Run", p.run),
            ("Task", p.task),
            *p.facts.items(),
            ("Result (SHA-256 of its files)", p.tree),
            *facts,
            *((TAG, text) for text in tags),
        ]
        saved = [*tags.values(), link(work.image, key_values(mark, pairs))]
        with speaking():
            work.connection.services("Update").saveArray(saved, work.connection.context(work.group))


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
    return Published(p.run, p.task, p.attempt, p.tree, _where(connection, image, Mark.of(p)))


def _split(found: Found, publication: Publication) -> tuple[Found, Found]:
    """Return what lies there of other results of the Task, and of this one."""
    old, new = Found(links=found.links), Found(links=found.links)
    for piece in found.pieces:
        (new if piece.mark.tree == publication.tree else old).pieces.append(piece)
    for roi in found.rois:
        (new if roi[0].tree == publication.tree else old).rois.append(roi)
    new.files = found.files
    return old, new


def _sweep(work: _Work) -> None:
    """Remove files that were sent, or begun, and never attached: they are sent again."""
    groups: dict[int, list[int]] = {}
    for number, group in work.there.files:
        groups.setdefault(group, []).append(number)
    delete(work.connection, "OriginalFile", groups)


def _rois(work: _Work) -> list[tuple[int, int]]:
    """Return object and ROI, of the ROIs of this result that are on the image now, the oldest first."""
    mark = work.mark
    whose = (mark.run, mark.task, mark.tree)
    rows = work.connection.query(
        "select r.id, r.name, r.description from Roi r"
        " where r.image.id = :image and r.description like :mine order by r.id",
        {"image": work.image, "mine": f"slidegate run={mark.run} task={mark.task} tree={mark.tree} %"},
        work.group,
    )
    found = []
    for number, name, text in rows:
        one = Mark.read(text)
        if one is not None and (one.run, one.task, one.tree) == whose:
            found.append((object_of(name), number))
    return found


def _oldest(rois: list[tuple[int, int]]) -> dict[int, int]:
    return dict(reversed(rois))


def _settle(work: _Work) -> None:
    """Remove what is there twice, all but the oldest.

    That happens where a worker was taken for dead, and wrote on beside the one that took over.
    """
    twice: dict[str, list[int]] = defaultdict(list)
    parts: set[str] = set()
    p = work.publication
    found = find(work.connection, p.run, p.task, p.tree, work.image)
    for piece in sorted(found.on(work.image), key=lambda piece: piece.id):
        if piece.mark.part in parts:
            twice[piece.kind].append(piece.id)
        parts.add(piece.mark.part)
    rois = _rois(work)
    kept = set(_oldest(rois).values())
    twice["Roi"] = [number for _, number in rois if number not in kept]
    for kind, numbers in twice.items():
        delete(work.connection, kind, {work.group: numbers})


def _how_many(drawing: Drawing) -> str:
    if drawing.total == len(drawing.ids):
        return f"all {drawing.total} objects"
    return f"{len(drawing.ids)} of {drawing.total} objects, chosen at random; all are in the table"


def _listed(files: Path) -> Iterator[_File]:
    """Yield all files below a folder, each read once."""
    if not files.is_dir():
        raise ImageNotFoundError("the result's files are gone")
    for folder, inner, names in os.walk(files):
        inner.sort()
        for name in [*inner, *sorted(names)]:
            mode = (Path(folder) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise UnsafeResultError
        for name in sorted(names):
            path = Path(folder) / name
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            yield _File(path.relative_to(files).as_posix(), path, path.stat().st_size, digest)


def _check_parts(publication: Publication, listed: dict[str, _File]) -> None:
    """Compare what is there with what was fetched."""
    entries = [(file.name, file.size, file.sha256) for file in listed.values()]
    for role, tree in publication.parts.items():
        found = part_of(entries, publication.outputs[role])
        if digest_of({"tree": 1, "entries": sorted(found)}) != tree:
            raise ResultDamagedError


def _pack(target: Path, files: Path, inside: list[_File]) -> None:
    """Write files to a zip, stored; equal files give equal bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
        for file in inside:
            entry = zipfile.ZipInfo(file.name, _ZIP_TIME)
            with file.path.open("rb") as reading, packed.open(entry, "w", force_zip64=True) as writing:
                while block := reading.read(_BLOCK):
                    writing.write(block)
