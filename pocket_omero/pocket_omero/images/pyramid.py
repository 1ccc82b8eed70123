# SPDX-License-Identifier: GPL-2.0-or-later
"""Levels for large images whose files have none: made when somebody looks, and kept on disk.

A level is the 2 x 2 mean of the one before, rounded half up; odd edges are repeated. The levels of a plane
lie in one file, row after row, so that reading a tile touches little. The folder can be deleted at any time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pocket_omero.images.base import Array, ImageError, Plane, Reader
from pocket_omero.images.files import Mapped, OpenFile

LARGE = 3192 * 3192  # pixels of a plane from which OMERO speaks of "big images"
SMALLEST = 512  # the last level is not higher or wider
_OPEN = 16  # planes of one image whose levels are kept open
_ROWS = 1024  # at a time; a power of two, so that all levels of a strip end at its end


def is_large(height: int, width: int) -> bool:
    """Whether clients show an image of this size by tiles."""
    return height * width > LARGE


def level_sizes(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """(height, width) of all levels from the full size down."""
    sizes = [(height, width)]
    while max(sizes[-1]) > SMALLEST:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return tuple(sizes)


def halve(plane: Array) -> Array:
    """The 2 x 2 mean of a plane, (y, x) to (ceil(y / 2), ceil(x / 2)), of the same type."""
    odd = [(0, size % 2) for size in plane.shape]
    if any(more for _, more in odd):
        plane = np.pad(plane, odd, mode="edge")
    wide: type[Any] = np.int64 if plane.dtype.itemsize > 2 else np.int32
    if plane.dtype.kind == "f":
        wide = np.float64
    total = plane[::2, ::2].astype(wide)
    total += plane[1::2, ::2]
    total += plane[::2, 1::2]
    total += plane[1::2, 1::2]
    mean = total / 4 if plane.dtype.kind == "f" else (total + 2) >> 2
    return mean.astype(plane.dtype)


class Levelled(Reader):
    """An image with levels made here."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader = reader
        self.folder = folder
        self.first = 0 if reader.coarse else 1  # what is only readable as a whole is kept as a whole, too
        self.info = replace(reader.info, levels=level_sizes(*reader.info.shape[3:]))
        self._lock = threading.Lock()
        self._planes: dict[Plane, list[Mapped]] = {}
        self._making: dict[Plane, threading.Lock] = {}

    def region(self, level: int, plane: Plane, y: int, x: int, height: int, width: int) -> Array:
        """Read part of a plane; the first time that a smaller level is asked for, all its levels are made."""
        if level < self.first:
            return self.reader.read(level, plane, y, x, height, width)
        return self._levels(plane)[level - self.first][y : y + height, x : x + width]

    def _levels(self, plane: Plane) -> list[Mapped]:
        with self._lock:
            found = self._planes.get(plane)
            making = self._making.setdefault(plane, threading.Lock())
        if found is not None:
            return found
        with making:  # who comes second waits, and finds the file
            found = self._open(plane)
        with self._lock:
            while len(self._planes) >= _OPEN:
                self._planes.pop(next(iter(self._planes)))
            self._planes[plane] = found
            return found

    def _open(self, plane: Plane) -> list[Mapped]:
        path = self.folder / f"{plane.t}-{plane.c}-{plane.z}"
        sizes = self.info.levels[self.first :]
        offsets = [0]
        for height, width in sizes:
            offsets.append(offsets[-1] + height * width * self.info.dtype.itemsize)
        if not path.is_file() or path.stat().st_size != offsets[-1]:
            self._build(plane, path, offsets)
        file = OpenFile(path)
        return [
            Mapped(file, offset, size, self.info.dtype) for offset, size in zip(offsets, sizes, strict=False)
        ]

    def _build(self, plane: Plane, path: Path, offsets: list[int]) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=self.folder)
        try:
            if offsets[-1] > shutil.disk_usage(self.folder).free:
                raise ImageError("there is no room for the smaller levels of this image")
            os.posix_fallocate(number, 0, offsets[-1])
            self._fill(plane, number, offsets)
            Path(temporary).rename(path)
        except OSError as error:
            Path(temporary).unlink(missing_ok=True)
            raise ImageError(f"the smaller levels of this image cannot be kept: {error.strerror}") from error
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        finally:
            os.close(number)

    def _fill(self, plane: Plane, number: int, offsets: list[int]) -> None:
        height, width = self.info.levels[0]
        whole = self.reader.read(0, plane, 0, 0, height, width) if self.reader.coarse else None
        at = list(offsets)
        for top in range(0, height, _ROWS):
            rows = min(_ROWS, height - top)
            if whole is not None:
                part = whole[top : top + rows]
            else:
                part = self.reader.read(0, plane, top, 0, rows, width)
            for level in range(len(self.info.levels)):
                if level:
                    part = halve(part)
                if level >= self.first and at[level - self.first] < offsets[level - self.first + 1]:
                    data = np.ascontiguousarray(part, self.info.dtype).tobytes()
                    os.pwrite(number, data, at[level - self.first])
                    at[level - self.first] += len(data)
