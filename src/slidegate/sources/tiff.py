# SPDX-License-Identifier: BSD-3-Clause
"""Reading regions of TIFF and OME-TIFF files without holding a plane in memory."""

import errno
import itertools
import logging
import os
import struct
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from slidegate_analysis.images.arrays import threads
from tifffile import TiffFile, TiffFileError, TiffPage

from .base import Choice, Level, Pixels, check_pixels
from .errors import (
    BadMetadataError,
    DamagedImageError,
    DiskFullError,
    EmptyFileError,
    ImageUnreadableError,
    NotAnImageError,
    NotEnoughMemoryError,
    SourceError,
    StorageFailedError,
    TargetNotWritableError,
    TruncatedImageError,
)
from .tiff_layout import MAX_PAGES, Layout, Plane, lay_out

SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".btf", ".tf8")
MAX_SEGMENT_BYTES = 2**31
_DAMAGE = (
    TiffFileError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    OSError,
    EOFError,
    struct.error,
    zlib.error,
)

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # its messages name files, which can name patients


def accepts(path: Path) -> bool:
    """Return whether this is a file with the name of a TIFF."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


@contextmanager
def open_pixels(path: Path, choice: Choice, scratch: Path | None = None) -> Iterator[Pixels]:
    """Open a TIFF or OME-TIFF file, of which one focal plane and time point is read, with all its channels.

    Parameters
    ----------
    path
        The file.
    choice
        Which plane is meant, where there are several.
    scratch
        A folder for one plane, uncompressed, of a file that is stored in compressed strips and not in tiles.

    Raises
    ------
    SourceError
        One of them, for each thing that can be wrong with a file; also while reading.
    """
    with _open(path) as tiff:
        try:
            layout = lay_out(tiff, choice)
            for plane in layout.planes:
                _check_plane(plane, layout.planes[0].page)
            size = path.stat().st_size
        except _DAMAGE as error:
            raise DamagedImageError from error
        page = layout.planes[0].page
        shape = (len(layout.planes), int(page.imagelength), int(page.imagewidth))
        dtype = np.dtype(page.dtype) if page.dtype is not None else np.dtype("V")
        check_pixels(shape, dtype, layout.labels)
        for plane in layout.planes:
            _check_complete(plane, size)
        with _Reader(path, layout, scratch) as reader:
            levels = tuple(
                Level(
                    (int(planes[0].page.imagelength), int(planes[0].page.imagewidth)),
                    reader.of(planes),
                    not planes[0].page.is_tiled,
                )
                for planes in _coarser(layout.planes, size)
            )
            yield Pixels(
                shape, dtype, layout.labels, layout.pixel_size_um, reader.read, levels, not page.is_tiled
            )


@contextmanager
def _open(path: Path) -> Iterator[TiffFile]:
    try:
        if path.stat().st_size == 0:
            raise EmptyFileError
        with path.open("rb") as file:
            _check_directories(file)
        tiff = TiffFile(path)
    except PermissionError as error:
        raise ImageUnreadableError from error
    except TiffFileError as error:
        raise NotAnImageError from error
    except _DAMAGE as error:
        raise _read_failure(error) from error
    try:
        yield tiff
    finally:
        tiff.close()


def _check_directories(file: IO[bytes]) -> None:
    """Follow the chain of a file's directories; a lenient reader would drop channels behind a bad link.

    Source: TIFF 6.0, section 2; BigTIFF. Raises what is wrong with the chain.
    """
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    kind = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 8 else 0
    if kind not in (42, 43):
        raise NotAnImageError
    # where the first offset is; formats of offset and of entry count; bytes of an entry
    first, offset_format, count_format, entry = (4, "I", "H", 12) if kind == 42 else (8, "Q", "Q", 20)
    size = os.fstat(file.fileno()).st_size
    seen: set[int] = set()
    at = first
    while offset := _unpack_at(file, at, f"{order}{offset_format}"):
        if offset in seen:
            raise DamagedImageError("its directories point in a circle")
        if len(seen) >= MAX_PAGES:
            raise DamagedImageError(f"more than {MAX_PAGES} directories")
        seen.add(offset)
        count = _unpack_at(file, offset, f"{order}{count_format}")
        at = offset + struct.calcsize(f"{order}{count_format}") + count * entry
        if at > size:
            raise TruncatedImageError


def _unpack_at(file: IO[bytes], at: int, format_: str) -> int:
    file.seek(at)
    content = file.read(struct.calcsize(format_))
    if len(content) != struct.calcsize(format_):
        raise TruncatedImageError
    return int(struct.unpack(format_, content)[0])


def _check_plane(plane: Plane, first: TiffPage) -> None:
    page = plane.page
    if page.imagedepth != 1 or page.tiledepth > 1:
        raise BadMetadataError("its pages have depth")
    if (page.imagelength, page.imagewidth, page.dtype) != (first.imagelength, first.imagewidth, first.dtype):
        raise BadMetadataError("its channels differ in size or type")


def _check_complete(plane: Plane, size: int) -> None:
    """Check a plane's tables of offsets against its shape and the file's size; reads nothing."""
    page = plane.page
    try:
        offsets = np.asarray(page.dataoffsets, np.float64)
        counts = np.asarray(page.databytecounts, np.float64)
        rows, columns = _grid(page)
        expected = rows * columns * (page.samplesperpixel if page.planarconfig == 2 else 1)
        segment = page.tilelength * page.tilewidth if page.is_tiled else _strip_rows(page) * page.imagewidth
        start = _contiguous_start(plane)
        segment *= (1 if page.planarconfig == 2 else page.samplesperpixel) * np.dtype(page.dtype).itemsize
    except _DAMAGE as error:
        raise DamagedImageError from error
    if not _is_plain(page) and segment > MAX_SEGMENT_BYTES:
        raise BadMetadataError(
            f"it is stored in pieces of {segment} bytes, at most {MAX_SEGMENT_BYTES} are taken"
        )
    if _is_plain(page):
        plane_bytes = page.imagelength * page.imagewidth * np.dtype(page.dtype).itemsize
        if start <= 0:
            raise DamagedImageError
        if start + plane_bytes > size:
            raise TruncatedImageError
        return
    if offsets.size != expected or counts.size != expected:
        raise DamagedImageError(f"{offsets.size} pieces instead of {expected}")
    if bool(np.any(offsets + counts > size)):
        raise TruncatedImageError
    if not bool(np.any(counts)):
        raise TruncatedImageError("no pixel is stored")


def _coarser(planes: tuple[Plane, ...], size: int) -> list[tuple[Plane, ...]]:
    """Return the planes of each coarser level, as OME-TIFF keeps them below its pages; only sound ones."""
    found: list[tuple[Plane, ...]] = []
    try:
        below = [list(plane.page.pages or ()) for plane in planes]
        for pages in zip(*below, strict=True):
            level = tuple(Plane(page, plane.sample) for page, plane in zip(pages, planes, strict=True))
            for plane, whole in zip(level, planes, strict=True):
                if plane.page.dtype != whole.page.dtype or plane.shift or whole.shift:
                    raise DamagedImageError
                if plane.page.samplesperpixel != whole.page.samplesperpixel:
                    raise DamagedImageError
                _check_plane(plane, level[0].page)
                _check_complete(plane, size)
            found.append(level)
    except (SourceError, *_DAMAGE):
        return found  # an overview is then made from what is finer
    return found


def _is_plain(page: TiffPage) -> bool:
    """Return whether each channel lies in the file as one uncompressed piece."""
    return bool(page.is_contiguous) and (page.samplesperpixel == 1 or page.planarconfig == 2)


def _strip_rows(page: TiffPage) -> int:
    return min(int(page.rowsperstrip), int(page.imagelength)) or int(page.imagelength)


def _grid(page: TiffPage) -> tuple[int, int]:
    """Return the rows and columns of tiles (or strips) of one plane."""
    if page.is_tiled:
        if page.tilelength < 1 or page.tilewidth < 1:
            raise DamagedImageError
        return (-(-page.imagelength // page.tilelength), -(-page.imagewidth // page.tilewidth))
    return (-(-page.imagelength // _strip_rows(page)), 1)


def _contiguous_start(plane: Plane) -> int:
    """Return where an uncompressed plane begins in the file."""
    page = plane.page
    rows, columns = _grid(page)
    index = plane.sample * rows * columns if page.planarconfig == 2 and page.samplesperpixel > 1 else 0
    return int(page.dataoffsets[index]) + plane.shift


class _Reader:
    """Regions of the planes of one open file; a plane of compressed strips is unpacked to a file, once."""

    def __init__(self, path: Path, layout: Layout, scratch: Path | None) -> None:
        self._layout = layout
        self._scratch = scratch
        self._file = path.open("rb")
        self._unpacked: tuple[Plane, IO[bytes]] | None = None
        self._pool = ThreadPoolExecutor(threads())

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._file.close()
        self._drop()

    def read(self, c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Read a half-open region of a channel, native byte order."""
        return self._region(self._layout.planes[c], y0, y1, x0, x1)

    def of(self, planes: tuple[Plane, ...]) -> Callable[[int, int, int, int, int], np.ndarray]:
        """Return what reads regions of other planes of the file."""
        return lambda c, y0, y1, x0, x1: self._region(planes[c], y0, y1, x0, x1)

    def _region(self, plane: Plane, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        page = plane.page
        try:
            if _is_plain(page):
                stored = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
                return _rows(
                    self._file.fileno(), _contiguous_start(plane), stored, page.imagewidth, y0, y1, x0, x1
                )
            if page.is_tiled:
                return self._tiles(plane, y0, y1, x0, x1)
            unpacked = self._unpack(plane)
            return _rows(unpacked.fileno(), 0, np.dtype(page.dtype), page.imagewidth, y0, y1, x0, x1)
        except _DAMAGE as error:
            raise _read_failure(error) from error

    def _tiles(self, plane: Plane, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        page = plane.page
        region = np.zeros((y1 - y0, x1 - x0), page.dtype)
        height, width = page.tilelength, page.tilewidth

        def place(at: tuple[int, int]) -> None:
            tile = self._segment(plane, at[0] * _grid(page)[1] + at[1])
            if tile is None:
                return
            ty, tx = at[0] * height, at[1] * width
            top, left = max(y0, ty), max(x0, tx)
            bottom, right = min(y1, ty + tile.shape[0]), min(x1, tx + tile.shape[1])
            part = tile[top - ty : bottom - ty, left - tx : right - tx]
            region[top - y0 : bottom - y0, left - x0 : right - x0] = part

        rows, columns = range(y0 // height, -(-y1 // height)), range(x0 // width, -(-x1 // width))
        deque(self._pool.map(place, itertools.product(rows, columns)), maxlen=0)
        return region

    def _segment(self, plane: Plane, index: int) -> np.ndarray | None:
        """Decode one tile or strip of a plane to (y, x), or None where the file stores none."""
        page = plane.page
        planar = page.planarconfig == 2 and page.samplesperpixel > 1
        if planar:
            rows, columns = _grid(page)
            index += plane.sample * rows * columns
        offset, count = int(page.dataoffsets[index]), int(page.databytecounts[index])
        if count == 0:
            return None
        data = os.pread(self._file.fileno(), count, offset)
        if len(data) != count:
            raise TruncatedImageError
        decoded = page.decode(data, index, jpegtables=page.jpegtables)[0]
        if decoded is None or decoded.ndim != 4:
            raise DamagedImageError
        return decoded[0, :, :, 0 if planar else plane.sample]

    def _unpack(self, plane: Plane) -> IO[bytes]:
        if self._unpacked is not None and self._unpacked[0] is plane:
            return self._unpacked[1]
        self._drop()
        page = plane.page
        file = tempfile.TemporaryFile(dir=self._scratch, buffering=0)  # noqa: SIM115 (the reader closes it)
        self._unpacked = (plane, file)
        rows, height = _grid(page)[0], _strip_rows(page)
        for row in range(rows):
            strip = self._segment(plane, row)
            wanted = (min(height, page.imagelength - row * height), page.imagewidth)
            if strip is None:
                strip = np.zeros(wanted, page.dtype)
            if strip.shape[0] < wanted[0] or strip.shape[1] != wanted[1]:
                raise DamagedImageError
            _write_all(file, np.ascontiguousarray(strip[: wanted[0]], page.dtype))
        return file

    def _drop(self) -> None:
        if self._unpacked is not None:
            self._unpacked[1].close()
        self._unpacked = None


def _read_failure(error: BaseException) -> SourceError:
    """Tell storage that fails, which may pass, from a file that is damaged, which will not."""
    if isinstance(error, OSError) and error.errno in (
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
    ):
        return StorageFailedError(error.strerror or "")
    if isinstance(error, MemoryError):
        return NotEnoughMemoryError()
    return DamagedImageError()


def _write_all(file: IO[bytes], pixels: np.ndarray) -> None:
    left = memoryview(pixels.data).cast("B")
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError from error
        raise TargetNotWritableError(error.strerror or "") from error


def _rows(
    file: int, start: int, stored: np.dtype, width: int, y0: int, y1: int, x0: int, x1: int
) -> np.ndarray:
    """Read a region of an uncompressed plane row by row: a file cut short is an error and no crash."""
    region = np.empty((y1 - y0, x1 - x0), stored)
    wanted = region.shape[1] * stored.itemsize
    for row in range(region.shape[0]):
        offset = start + ((y0 + row) * width + x0) * stored.itemsize
        if os.preadv(file, [region[row]], offset) != wanted:
            raise TruncatedImageError
    return region.astype(stored.newbyteorder("="), copy=False)
