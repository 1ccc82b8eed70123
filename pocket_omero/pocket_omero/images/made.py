# SPDX-License-Identifier: GPL-2.0-or-later
"""Images that are made here, plane by plane, by those who log in.

Each is one file that holds all pixels as they are, big endian, in the order t, c, z, y, x. Its room on disk
is taken when it is made, so that a full disk is met then and not in the midst of a plane.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pocket_omero.images.base import Array, ImageError, ImageInfo, OutsideError, Plane, Reader
from pocket_omero.images.files import Mapped, OpenFile

_BLOCK = 4 << 20


def make(path: Path, shape: tuple[int, int, int, int, int], dtype: np.dtype[Any]) -> None:
    """Make the file of an image, full of zeros, readable by its owner only.

    Raises
    ------
    ImageError
        when there is no room; nothing is left then.
    """
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if size > shutil.disk_usage(path.parent).free:  # else the disk is full while that is found out
        raise ImageError(f"there is no room for an image of {size} bytes")
    number = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(number, 0, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise ImageError(f"there is no room for an image of {size} bytes") from error
        raise
    finally:
        os.close(number)


class MadeReader(Reader):
    """Reads and writes an image that was made here.

    Raises
    ------
    ImageError
        when its file is gone or too short.
    """

    def __init__(self, path: Path, info: ImageInfo) -> None:
        self.info = info
        self.path = path
        self.dtype = info.dtype.newbyteorder(">")
        try:
            self._mapped = Mapped(OpenFile(path), 0, info.shape, self.dtype)
        except FileNotFoundError as error:
            raise ImageError("the pixels of this image are gone") from error

    def region(self, level: int, plane: Plane, y: int, x: int, height: int, width: int) -> Array:
        """Read part of a plane."""
        return self._mapped[plane.t, plane.c, plane.z, y : y + height, x : x + width]

    def write(self, plane: Plane, y: int, x: int, height: int, width: int, data: bytes) -> None:
        """Write part of a plane.

        Parameters
        ----------
        plane : Plane
        y, x, height, width : int
            In pixels.
        data : bytes
            (height, width), big endian. Repeating is safe.

        Raises
        ------
        OutsideError
            when any of it lies outside, or these are not as many bytes as the pixels take.
        """
        self.check(0, plane, y, x, height, width)
        row = width * self.dtype.itemsize
        if len(data) != height * row:
            needed = f"{height * row} bytes are needed for {width} x {height} pixels"
            raise OutsideError(f"{needed}, not {len(data)}")
        _, c, z, rows, columns = self.info.shape
        first = ((plane.t * c + plane.c) * z + plane.z) * rows + y
        view = memoryview(data)
        with self.path.open("r+b", buffering=0) as file:
            if width == columns:
                _write(file.fileno(), view, first * row)
                return
            for number in range(height):
                at = ((first + number) * columns + x) * self.dtype.itemsize
                _write(file.fileno(), view[number * row : (number + 1) * row], at)

    def blocks(self) -> Iterator[bytes]:
        """All bytes, in order, as they count for a digest."""
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block


def _write(number: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(number, data, offset)
        data, offset = data[count:], offset + count
