# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that many threads read at once, and what was decoded of them a moment ago."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np

from pocket_omero.images.base import Array, ImageError


class OpenFile:
    """A file opened for reading, which closes when nobody holds it any more."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.number)

    def size(self) -> int:
        """Size in bytes at this moment."""
        return os.fstat(self.number).st_size

    def bytes(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes."""
        parts = []
        while count > 0:
            part = os.pread(self.number, count, offset)
            if not part:
                raise ImageError("the file of this image ends too early")
            parts.append(part)
            offset, count = offset + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Mapped:
    """An array that lies in a file as it is, mapped into memory."""

    def __init__(self, file: OpenFile, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.file = file
        self.end = offset + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        self._check()
        with os.fdopen(os.dup(file.number), "rb") as stream:
            self._array = np.memmap(stream, dtype=dtype, mode="r", offset=offset, shape=shape)

    def _check(self) -> None:
        if self.file.size() < self.end:  # else touching what is gone would end the process
            raise ImageError("the file of this image ends too early")

    def __getitem__(self, place: Any) -> Array:
        """Like an array's, without a copy; refused in words when the file has been cut in the meantime."""
        self._check()
        return np.asarray(self._array[place])


class Decoded:
    """Keeps what was decoded last, up to a number of bytes; shared by all images."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Array] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, decode: Callable[[], Array]) -> Array:
        """What `decode` returns for this key, perhaps from a moment ago."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = decode()
        if value.nbytes <= self.limit // 2:
            with self._lock:
                if key not in self._kept:
                    self._kept[key] = value
                    self._bytes += value.nbytes
                while self._bytes > self.limit:
                    self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return value


DECODED = Decoded(128 << 20)
