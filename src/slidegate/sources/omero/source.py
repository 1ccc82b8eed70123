# SPDX-License-Identifier: BSD-3-Clause
"""Images in OMERO, read with the rights of the person who is logged in.

What is written at a site holds pixels, channel labels and the pixel size, and nothing else that OMERO knows
of an image. Photographs of labels and of whole glasses are never looked at.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import numpy as np
import omero.sys
from omero.constants.permissions import BINARYACCESS
from slidegate_analysis.images import write_image
from slidegate_analysis.images.arrays import writing
from slidegate_analysis.images.image import check_bounds

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef
from slidegate.sources.base import (
    CONVERTER,
    Choice,
    ImageInfo,
    Level,
    Overview,
    Pixels,
    Progress,
    Region,
    check_pixels,
    clean_label,
    pick,
    split_choice,
    square_pixel_size,
    text_digest,
)
from slidegate.sources.errors import (
    BrightfieldError,
    ImageChangedError,
    NoPixelsError,
    NoSuchPlaneError,
    PixelTypeError,
    translated,
)
from slidegate.sources.overview import overview

from .connection import EVERY_GROUP, Connection, speaking
from .errors import OmeroLabelImageError, OmeroNotFoundError, OmeroPlaneNeededError, OmeroSessionGoneError
from .lanes import CONNECTIONS, PATIENCE_S, Connect, Lanes
from .originals import ORIGINAL, FileLane, Read, original_of, reading_original
from .pixels import Plane, Tiles, reading
from .regions import read_regions

__all__ = ["OmeroSource"]

T = TypeVar("T")

_PLACE = re.compile(r"(?:(image|dataset|project)/)?([0-9]{1,18})", re.IGNORECASE)
_TYPES = {
    "bit": "bool", "int8": "int8", "int16": "int16", "int32": "int32", "uint8": "uint8", "uint16": "uint16",
    "uint32": "uint32", "float": "float32", "double": "float64", "complex": "complex64",
    "double-complex": "complex128",
}  # fmt: skip
_MICROMETRES = {
    "PICOMETER": 1e-6, "ANGSTROM": 1e-4, "NANOMETER": 1e-3, "MICROMETER": 1.0, "MILLIMETER": 1e3,
    "CENTIMETER": 1e4, "METER": 1e6, "INCH": 25_400.0,
}  # fmt: skip
# The names that Bio-Formats gives to the pictures beside a slide.
_PHOTOGRAPH = re.compile(
    r"(?:^|[^0-9a-z])(?:label|macro|barcode)[ _-]?image\W*$"
    r"|[\[(](?:label|macro|barcode|slide[ _-]?preview)(?:[ _-]?image)?[\])]"
    r"|^(?:label|macro|barcode)$",
    re.IGNORECASE,
)
_IMAGE = (
    "select p from Pixels p join fetch p.pixelsType join fetch p.image i join fetch i.details.group "
    "left outer join fetch p.channels c left outer join fetch c.logicalChannel where i.id = :id"
)
_BELOW = {
    "image": "select i.id, i.name from Image i where i.id = :id",
    "dataset": "select i.id, i.name from DatasetImageLink l join l.child i where l.parent.id = :id",
    "project": (
        "select i.id, i.name from ProjectDatasetLink d, DatasetImageLink l join l.child i "
        "where d.child.id = l.parent.id and d.parent.id = :id"
    ),
}
_THERE = {
    "dataset": "select d.id from Dataset d where d.id = :id",
    "project": "select p.id from Project p where p.id = :id",
}
_FILES = (
    "select f.id, f.hash, f.size from FilesetEntry e join e.originalFile f "
    "where e.fileset.id = (select i.fileset.id from Image i where i.id = :id) order by f.id"
)
_ROWS = 1024
_PAUSE_S = 1.0
_SERIES = "select i.series from Image i where i.id = :id"
_HASH = re.compile("[0-9a-f]{32,128}")


class Told:
    """Tells of several things, one after the other, as of one.

    Parameters
    ----------
    progress
        Is told.
    total
        What all of it counts for.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def part(self, share: float) -> Progress:
        """Return what is told of the next thing, which is so much (0 to 1) of what is left."""
        begin = self._done
        length = int((self._total - begin) * share)

        def tell(done: int, total: int) -> None:
            self._done = begin + length * done // total
            if self._progress is not None:
                self._progress(self._done, self._total)

        return tell


@dataclass(frozen=True, slots=True)
class _Found:
    """An image as OMERO tells of it, checked."""

    image: int
    name: str
    plane: Plane
    shape: tuple[int, int, int]
    channels: tuple[str, ...]
    pixel_size_um: float | None
    choice: str
    marks: tuple[str, ...]
    """What OMERO changes when it changes the image."""

    file_permitted: bool
    """Whether OMERO lets the person have the file of the image."""

    @property
    def bytes(self) -> int:
        c, y, x = self.shape
        return c * y * x * self.plane.dtype.itemsize


class OmeroSource:
    """An ImageSource that reads images of OMERO.

    An image's name is its number there, with ``#z=3,t=0`` behind it where one plane of several is meant.
    Nothing in OMERO is ever changed. Several threads may use it at once. One connection is kept for the next
    question; `close` ends it.

    Parameters
    ----------
    connect
        Makes a connection as the person; called when a question needs one, and up to `connections` times to
        read pixels.
    connections
        How many tiles are asked for at once.
    patience_s
        How long a tile is asked for again when OMERO cannot give it.
    """

    name = "omero"

    def __init__(
        self, connect: Connect, *, connections: int = CONNECTIONS, patience_s: float = PATIENCE_S
    ) -> None:
        self._connect, self._connections, self._patience_s = connect, connections, patience_s
        self._lock = threading.Lock()
        self._idle: Connection | None = None

    def close(self) -> None:
        """End the connection that is kept. Safe to repeat; a later question makes another."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            idle.close()

    def find(self, where: str) -> list[ImageRef]:
        """List images by their numbers: ``12``, ``image/12``, or all of ``dataset/3`` or ``project/5``.

        Photographs of labels and of whole glasses are left out, unless one is named itself; then it is
        refused when it is described.

        Raises
        ------
        OmeroNotFoundError
            There is no such thing, or the person does not see it.
        OmeroError
            OMERO cannot be asked; a repeat is safe.
        """
        kind, number, choice = _place(where)
        suffix = f"#{choice.text}" if choice.text else ""
        rows = self._answer(lambda connection: connection.query(_BELOW[kind], {"id": number}))
        if not rows and kind in _THERE:
            there = self._answer(lambda connection: connection.query(_THERE[kind], {"id": number}))
        else:
            there = rows
        if not there:
            raise OmeroNotFoundError
        images = {row[0] for row in rows if kind == "image" or not _PHOTOGRAPH.search(row[1] or "")}
        return [ImageRef(self.name, f"{image}{suffix}") for image in sorted(images)]

    def describe(self, ref: ImageRef) -> ImageInfo:
        """Read what OMERO knows of an image; see `ImageSource.describe`. No pixel is read.

        Raises
        ------
        SourceError
            One of them, for each thing that makes an image unfit.
        """
        found = self._found(ref)
        name = f"{found.name}#{found.choice}" if found.choice else found.name
        return ImageInfo(
            name, found.shape, found.plane.dtype.name, found.channels, found.pixel_size_um, found.bytes
        )

    def fingerprint(self, ref: ImageRef) -> str:
        """Return text that changes when pixels are written, or when sizes, units or channels are edited.

        It holds which OMERO it is: image 12 of another is another image.
        """
        return _fingerprint(self._found(ref))

    def content_digest(self, ref: ImageRef, progress: Progress | None = None) -> str:
        """Return a SHA-256 of all that determines the staged image.

        Of an imported image the checksums that OMERO keeps of its files stand for the pixels; where it has
        none, all pixels are read.

        Parameters
        ----------
        progress
            Called with (bytes done, all of them).
        """
        found = self._found(ref)
        image, group = {"id": found.image}, found.plane.group
        files = self._answer(lambda connection: connection.query(_FILES, image, group))
        series = self._answer(lambda connection: connection.query(_SERIES, image, group))
        said = (*map(str, found.shape), found.plane.dtype.name, *found.channels, repr(found.pixel_size_um))
        plane = (str(found.plane.z), str(found.plane.t))
        if files and all(_HASH.fullmatch(row[1] or "") for row in files):
            if progress is not None:
                progress(found.bytes, found.bytes)
            hashes = [f"{digest}/{size}" for _, digest, size in files]
            return text_digest("files", *said, *plane, str(series), *hashes)
        return text_digest("pixels", *said, self._pixels_digest(found, progress))

    def stage(
        self, ref: ImageRef, folder: Path, progress: Progress | None = None, *, parts: Path | None = None
    ) -> None:
        """Write the image as OME-Zarr 0.5 to `folder`, absent or empty before, whole or untouched after.

        Pixels are asked for over several connections at once, and again where OMERO or the network fails for
        a while. Where the one file of an image is fewer bytes than its pixels, and OMERO lets the person have
        it, that is read in their place, compared with them, and removed; what is written does not depend on
        it.

        Parameters
        ----------
        progress
            Called with (bytes of pixels written, all of them); what reading a file takes is counted in.
        parts
            See `ImageSource.stage`.

        Raises
        ------
        SourceError
            The image is unfit, OMERO failed for too long, the disk is full, or the image changed meanwhile;
            nothing is left behind but what `parts` holds.
        """
        found = self._found(ref)
        told = Told(progress, found.bytes)
        folder = folder.absolute()
        with translated():
            with writing():
                folder.parent.mkdir(parents=True, exist_ok=True)
            with (
                _scratch(folder, parts) as scratch,
                self._reading(found) as tiles,
                self._best(found, tiles, scratch, told) as read,
            ):
                self._write(found, read, found.shape, folder, told.part(1.0), parts and parts / "image")
        try:
            if _fingerprint(self._patiently(lambda: self._found(ref))) != _fingerprint(found):
                raise ImageChangedError
        except BaseException:
            shutil.rmtree(folder)
            raise

    def overview(
        self, ref: ImageRef, side: int, scratch: Path | None = None, progress: Progress | None = None
    ) -> Overview:
        """Return the image made small, at most `side` pixels high and wide, from OMERO's own coarser levels.

        Parameters
        ----------
        scratch
            Not needed here.
        progress
            Called with (parts read, all of them); what it raises ends the work.

        Raises
        ------
        SourceError
            The image is unfit, or OMERO failed for too long.
        """
        found = self._found(ref)
        with self._reading(found) as tiles:
            return overview(_pixels(found, tiles), side, progress)

    def regions(self, ref: ImageRef) -> list[Region]:
        """Return what people drew on the image's plane; see `slidegate.sources.omero.regions`.

        Raises
        ------
        SourceError
            The image is unfit, something that was drawn cannot be understood, or OMERO cannot be asked.
        """
        found = self._found(ref)
        plane, shape = found.plane, found.shape[1:]
        return self._answer(
            lambda connection: read_regions(connection, found.image, plane.group, shape, z=plane.z, t=plane.t)
        )

    def crop(self, ref: ImageRef, region: tuple[int, int, int, int], folder: Path) -> None:
        """Write a region, half-open (y0, y1, x0, x1) in full-resolution pixels, as an image of its own.

        Raises
        ------
        SourceError
            The region does not lie inside the image; the image is unfit; OMERO failed for too long.
        """
        found = self._found(ref)
        y0, y1, x0, x1 = region
        shape = (found.shape[0], y1 - y0, x1 - x0)
        folder = folder.absolute()
        with translated():
            check_bounds(found.shape[1:], y0, y1, x0, x1)
            with writing():
                folder.parent.mkdir(parents=True, exist_ok=True)
            with self._reading(found) as tiles:
                self._write(
                    found,
                    lambda c, top, bottom, left, right: tiles.read(
                        c, y0 + top, y0 + bottom, x0 + left, x0 + right
                    ),
                    shape,
                    folder,
                )

    def _write(
        self,
        found: _Found,
        read: Read,
        shape: tuple[int, int, int],
        folder: Path,
        progress: Progress | None = None,
        parts: Path | None = None,
    ) -> None:
        write_image(
            folder,
            shape,
            found.plane.dtype,
            read,
            channels=found.channels,
            pixel_size_um=found.pixel_size_um,
            progress=progress,
            parts=parts,
        )

    @contextmanager
    def _best(self, found: _Found, tiles: Tiles, scratch: Path, told: Told) -> Iterator[Read]:
        """Yield what reads an image in the fewest bytes."""
        original = None
        if found.file_permitted:
            group = found.plane.group
            original = self._answer(lambda one: original_of(one, found.image, group, found.bytes))
        if original is None:
            yield tiles.read
            return
        file = original
        lanes = Lanes(lambda: FileLane(self._connect, file), self._connections, self._patience_s)
        share = told.part(original.size / (original.size + found.bytes))
        with (
            closing(lanes),
            reading_original(lanes, original, found.plane, found.shape, tiles, scratch, share) as read,
        ):
            yield read

    def _pixels_digest(self, found: _Found, progress: Progress | None) -> str:
        digest = hashlib.sha256()
        channels, height, width = found.shape
        done = 0
        with self._reading(found) as tiles:
            for c in range(channels):
                for top in range(0, height, _ROWS):
                    part = tiles.read(c, top, min(top + _ROWS, height), 0, width)
                    digest.update(part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes())
                    done += part.nbytes
                    if progress is not None:
                        progress(done, found.bytes)
        return digest.hexdigest()

    def _reading(self, found: _Found) -> AbstractContextManager[Tiles]:
        return reading(self._connect, found.plane, self._connections, self._patience_s)

    def _found(self, ref: ImageRef) -> _Found:
        """Ask for an image and check it."""
        image, choice = _named(ref)
        return self._answer(lambda connection: _asked(connection, image, choice))

    def _answer(self, question: Callable[[Connection], T]) -> T:
        """Ask over the connection that is kept, and over a new one where that one does not answer."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            try:
                return self._over(idle, question)
            except SlidegateError as error:
                if not (error.transient or isinstance(error, OmeroSessionGoneError)):
                    raise
        return self._over(self._connect(), question)

    def _over(self, connection: Connection, question: Callable[[Connection], T]) -> T:
        """Ask over a connection; it is kept for the next question if it answers and none is kept."""
        try:
            answer = question(connection)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            kept = self._idle is None
            if kept:
                self._idle = connection
        if not kept:
            connection.close()
        return answer

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask again while that can help: what took an hour is not given up for a moment without network."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                return ask()
            except SlidegateError as error:
                if not error.transient or time.monotonic() + _PAUSE_S > until:
                    raise
            time.sleep(_PAUSE_S)


def _asked(connection: Connection, image: int, choice: Choice) -> _Found:
    params = omero.sys.ParametersI()
    params.addId(image)
    with speaking():
        pixels = connection.services("Query").findAllByQuery(_IMAGE, params, connection.context(EVERY_GROUP))
    if not pixels:
        if connection.query(_BELOW["image"], {"id": image}):
            raise NoPixelsError
        raise OmeroNotFoundError
    return _checked(image, choice, pixels[0], connection.database)


def _checked(image: int, choice: Choice, pixels: Any, database: str) -> _Found:
    """Refuse what cannot be analysed, or ought not to leave OMERO."""
    name = _text(pixels.image.name) or f"image {image}"
    if _PHOTOGRAPH.search(name):
        raise OmeroLabelImageError
    if choice.series is not None:
        raise NoSuchPlaneError("each image of a file has a number of its own in OMERO")
    kind = _TYPES.get(_text(pixels.pixelsType.value))
    if kind is None:
        raise PixelTypeError
    channels = [pixels.getChannel(c) for c in range(pixels.sizeOfChannels())]
    logical = [None if channel is None else channel.logicalChannel for channel in channels]
    if any(one is not None and (_value(one.samplesPerPixel) or 1) > 1 for one in logical):
        raise BrightfieldError
    shape = (int(pixels.sizeC.val), int(pixels.sizeY.val), int(pixels.sizeX.val))
    labels = [clean_label(None if one is None else _value(one.name)) for one in logical]
    labels += [""] * (shape[0] - len(labels))
    check_pixels(shape, np.dtype(kind), tuple(labels))
    z = pick("focal planes", int(pixels.sizeZ.val), choice.z, OmeroPlaneNeededError)
    t = pick("time points", int(pixels.sizeT.val), choice.t, OmeroPlaneNeededError)
    size = square_pixel_size(_micrometres(pixels.physicalSizeY), _micrometres(pixels.physicalSizeX))
    group = pixels.image.details.group.id.val
    plane = Plane(pixels.id.val, group, z, t, np.dtype(kind))
    marks = (database, str(pixels.id.val), str(pixels.details.updateEvent.id.val), _text(pixels.sha1))
    permitted = not pixels.image.details.permissions.isRestricted(BINARYACCESS)
    return _Found(image, name, plane, shape, tuple(labels), size, choice.text, marks, permitted)


def _fingerprint(found: _Found) -> str:
    said = (*map(str, found.shape), found.plane.dtype.name, *found.channels, repr(found.pixel_size_um))
    return text_digest(CONVERTER, str(found.image), found.choice, *said, *found.marks)


def _pixels(found: _Found, tiles: Tiles) -> Pixels:
    """Return the image as the rest of the house reads images."""

    def at(level: int) -> Any:
        return lambda c, y0, y1, x0, x1: tiles.read(c, y0, y1, x0, x1, level)

    coarser = tuple(Level(shape, at(level)) for level, shape in enumerate(tiles.levels()) if level)
    return Pixels(found.shape, found.plane.dtype, found.channels, found.pixel_size_um, tiles.read, coarser)


@contextmanager
def _scratch(folder: Path, parts: Path | None) -> Iterator[Path]:
    """Yield a folder that nobody else can read: `parts`, which keeps what it has, or one for this time."""
    if parts is None:
        with writing():
            made = Path(mkdtemp(prefix=f"{folder.name}.original-", dir=folder.parent))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return
    with writing():
        parts.mkdir(mode=0o700, parents=True, exist_ok=True)
    yield parts
    (parts / ORIGINAL).unlink(missing_ok=True)


def _place(where: str) -> tuple[str, int, Choice]:
    path, choice = split_choice(where)
    match = _PLACE.fullmatch(str(path))
    if match is None:
        raise OmeroNotFoundError("an image of OMERO is written image/12, dataset/3 or project/5")
    return (match[1] or "image").lower(), int(match[2]), choice


def _named(ref: ImageRef) -> tuple[int, Choice]:
    kind, image, choice = _place(ref.image)
    if kind != "image":
        raise OmeroNotFoundError
    return image, choice


def _micrometres(length: Any) -> float | None:
    if length is None:
        return None
    factor = _MICROMETRES.get(str(length.getUnit()))
    return None if factor is None else float(length.getValue()) * factor


def _value(wrapped: Any) -> Any:
    return None if wrapped is None else wrapped.val


def _text(wrapped: Any) -> str:
    """Return a text of OMERO on one line; the last part where it is a path."""
    text = "".join(sign if sign.isprintable() else " " for sign in _value(wrapped) or "").strip()
    return re.split(r"[\\/]", text.rstrip("\\/"))[-1]
