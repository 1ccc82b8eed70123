# SPDX-License-Identifier: BSD-3-Clause
"""The file that an image was imported from, read in place of its pixels: a packed slide is far fewer bytes.

The file passes through a folder that nobody else can read. It is used only if it is, byte by byte, what OMERO
says it is, and if pixels of it are those that OMERO shows; whatever speaks against it, pixels are read from
OMERO instead. Nothing but pixels is taken from it: names, labels and photographs in it are never looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from slidegate_analysis.images.arrays import writing

from slidegate.sources import tiff
from slidegate.sources.base import Choice, Pixels, Progress
from slidegate.sources.errors import SourceError

from .connection import Connection, speaking
from .errors import OmeroBusyError, OmeroError, OmeroNotPermittedError
from .lanes import Connect, Lane, Lanes
from .pixels import Plane, Tiles

Read = Callable[[int, int, int, int, int], np.ndarray]

BLOCK = 4 << 20
ORIGINAL = "original"
"""What the file is called while it is here."""
_SUFFIXES = (*tiff.SUFFIXES, ".svs", ".qptiff")  # TIFF, too; whether they are read right, OMERO shows
_SIDE = 256  # of a place that may be compared with OMERO's pixels
_PLACES = 8  # of them in a row and in a column
_SHA1 = re.compile("[0-9a-f]{40}")
_FILES = (
    "select f.id, f.name, f.size, f.hash, i.series from Image i join i.fileset s join s.usedFiles e "
    "join e.originalFile f where i.id = :id"
)


@dataclass(frozen=True, slots=True)
class Original:
    """The one file of an image.

    Attributes
    ----------
    file, group
        Its number in OMERO, and the group that it lies in.
    size, sha1
        What OMERO says of its bytes.
    series
        Which of the images in it is meant.
    """

    file: int
    group: int
    size: int
    sha1: str
    series: int


def original_of(connection: Connection, image: int, group: int, most: int) -> Original | None:
    """Return the file of an image, if there is one alone, of a kind that is read here and of fewer bytes.

    Parameters
    ----------
    most
        How many bytes its pixels are.

    Raises
    ------
    OmeroError
        It failed; a repeat is safe.
    """
    rows = connection.query(_FILES, {"id": image}, group)
    if len(rows) != 1:
        return None
    file, name, size, sha1, series = rows[0]
    if not str(name).lower().endswith(_SUFFIXES) or not 0 < (size or 0) < most:
        return None
    if not _SHA1.fullmatch(sha1 or ""):
        return None
    return Original(file, group, size, sha1, series or 0)


class FileLane(Lane):
    """Reads blocks of a file over one connection."""

    def __init__(self, connect: Connect, original: Original) -> None:
        super().__init__(connect, original.group)
        self._file = original.file

    def block(self, at: int, length: int) -> bytes:
        """Return the bytes from `at` on.

        Raises
        ------
        OmeroError
            OMERO does not have them; or as for every call.
        """
        try:
            store = self.service()
            with speaking():
                sent = store.read(at, length, self.context)
        except OmeroBusyError as error:  # so it says of a file that it cannot open
            raise OmeroError("a file of it") from error
        if len(sent) != length:
            raise OmeroError("a file of it has another size")
        return bytes(sent)

    def begin(self, session: Any) -> Any:
        """See Lane."""
        return session.createRawFileStore(self.context)

    def choose(self, service: Any) -> None:
        """See Lane."""
        service.setFileId(self._file, self.context)


@contextmanager
def reading_original(
    lanes: Lanes[FileLane],
    original: Original,
    plane: Plane,
    shape: tuple[int, int, int],
    tiles: Tiles,
    scratch: Path,
    progress: Progress,
) -> Iterator[Read]:
    """Yield what reads regions of an image: from its file if that can be trusted, else as `tiles` does.

    Parameters
    ----------
    lanes
        To read the file by; closed when it is here.
    plane, shape
        Which plane of the image is meant, and its (c, y, x) shape.
    scratch
        A folder that nobody else can read. The file stays in it: the caller removes it. What is there already
        of it, from an earlier try, is not asked for again.
    progress
        Called with (bytes of the file that are here, all of them); what it raises ends the work.

    Raises
    ------
    SourceError
        The disk is full, or OMERO could not be reached for longer than the patience lasts.
    """
    path = scratch / ORIGINAL
    with ExitStack() as stack:
        pixels = None
        fetched = _fetched(lanes, original, path, progress)
        lanes.close()
        if fetched:
            choice = Choice(plane.z, plane.t, original.series)
            pixels = _opened(stack, path, choice, plane.dtype, shape, tiles)
        if pixels is None:
            path.unlink(missing_ok=True)
        yield tiles.read if pixels is None else _either(pixels.read, tiles.read)


def _fetched(lanes: Lanes[FileLane], original: Original, path: Path, progress: Progress) -> bool:
    """Bring the file here; return whether it is the one that OMERO has noted."""
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        with writing(), _private(path) as file:
            if os.fstat(file.fileno()).st_size > original.size:
                file.truncate(0)
            while block := file.read(BLOCK):
                digest.update(block)
            for block in _blocks(lanes, file.tell(), original.size):
                file.write(block)
                digest.update(block)
                progress(file.tell(), original.size)
    except (OmeroError, OmeroNotPermittedError) as error:
        if error.transient:
            raise
        return False
    return digest.hexdigest() == original.sha1


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b")


def _blocks(lanes: Lanes[FileLane], begin: int, end: int) -> Iterator[bytes]:
    """Yield the bytes from `begin` to `end` in order; a few blocks are on their way meanwhile."""
    waiting: deque[Future[bytes]] = deque()
    for at in range(begin, end, BLOCK):
        waiting.append(lanes.submit(partial(FileLane.block, at=at, length=min(BLOCK, end - at))))
        if len(waiting) > 2 * lanes.connections:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _opened(
    stack: ExitStack,
    path: Path,
    choice: Choice,
    dtype: np.dtype[Any],
    shape: tuple[int, int, int],
    tiles: Tiles,
) -> Pixels | None:
    """Open the file and compare it with what OMERO shows; None where it is of no use."""
    try:
        pixels = stack.enter_context(tiff.open_pixels(path, choice, path.parent))
        same = (pixels.shape, pixels.dtype) == (shape, dtype) and _agree(pixels, tiles)
    except SourceError as error:
        if error.transient:
            raise
        return None
    return pixels if same else None


def _agree(pixels: Pixels, tiles: Tiles) -> bool:
    """Compare with OMERO those places of each channel that are least even, and a corner."""
    return all(
        np.array_equal(pixels.read(c, *place), tiles.read(c, *place))
        for c in range(pixels.shape[0])
        for place in _telling(pixels, c)
    )


def _telling(pixels: Pixels, c: int) -> list[tuple[int, int, int, int]]:
    _, height, width = pixels.shape
    places = [
        (y, min(y + _SIDE, height), x, min(x + _SIDE, width)) for y in _starts(height) for x in _starts(width)
    ]
    uneven = sorted(places, key=lambda place: float(pixels.read(c, *place).std()))
    return [*uneven[-2:], places[-1]]


def _starts(length: int) -> list[int]:
    """Spread a few places evenly, the first and the last at the ends."""
    last = (length - 1) // _SIDE
    return sorted({number * last // (_PLACES - 1) * _SIDE for number in range(_PLACES)})


def _either(first: Read, second: Read) -> Read:
    """Read by the first, and what that cannot give by the second."""

    def read(c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        try:
            return first(c, y0, y1, x0, x1)
        except SourceError as error:
            if error.transient:
                raise
        return second(c, y0, y1, x0, x1)

    return read
