# SPDX-License-Identifier: GPL-2.0-or-later
"""RawPixelsStore: pixels as bytes, big endian, both ways."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import omero.all

from pocket_omero.errors import Forbidden, Unsupported, WrongUse
from pocket_omero.ice.dispatch import Stateful
from pocket_omero.images import MadeReader, OutsideError, Plane, Reader, is_large, rendering, rows
from pocket_omero.images.base import Array
from pocket_omero.services.pixels import readable_pixels

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["Pyramid", "RawPixels"]

_thread = threading.local()

_ANSWER = 240_000_000  # bytes; clients take messages of 250,000 kB at most
_TILE = 4 << 20  # bytes; larger ones are not copied into memory that is kept
_STRIP = 1024  # rows that are read at a time where whole planes are looked at


class Pyramid(Stateful):
    """What is common to services that read an image level by level. OMERO counts levels from the smallest."""

    pixels: Row | None = None
    level = 0  # here 0 is the full size
    _reader: Reader | None = None

    def choose(self, pixels: int, current: Any) -> None:
        """Choose an image, at full size.

        Raises
        ------
        Invalid
            when the caller sees no such pixels.
        ImageError
            when they cannot be read; none is chosen then.
        """
        self.pixels, self._reader, self.level = None, None, 0
        row = readable_pixels(self, pixels, current)
        self._reader = self.house.images.open(row.id, rows.info_of(row))
        self.pixels = row

    def chosen(self) -> Row:
        """The Pixels of the image that was chosen.

        Raises
        ------
        WrongUse
            when none was.
        """
        if self.pixels is None:
            raise WrongUse("no pixels were chosen: call setPixelsId or lookupPixels first")
        return self.pixels

    def reader(self) -> Reader:
        """The image that was chosen."""
        row = self.chosen()
        if self._reader is None:
            self._reader = self.house.images.open(row.id, rows.info_of(row))
        return self._reader

    def do_requiresPixelsPyramid(self, current: Any) -> bool:
        return is_large(*self.reader().info.shape[3:])

    def do_getResolutionLevels(self, current: Any) -> int:
        return len(self.reader().info.levels)

    def do_getResolutionLevel(self, current: Any) -> int:
        return len(self.reader().info.levels) - 1 - self.level

    def do_setResolutionLevel(self, level: int, current: Any) -> None:
        count = len(self.reader().info.levels)
        if not 0 <= level < count:
            raise OutsideError(
                f"there is no resolution level {level}; there are {count}, and 0 is the smallest"
            )
        self.level = count - 1 - level

    def do_getResolutionDescriptions(self, current: Any) -> list[Any]:
        """From the full size down, though levels are counted the other way: so does OMERO."""
        return [omero.api.ResolutionDescription(width, height) for height, width in self.reader().info.levels]

    def do_getTileSize(self, current: Any) -> list[int]:
        info = self.reader().info
        height, width = (min(max(side, 256), 1024) for side in info.tile)
        return [min(width, info.shape[4]), min(height, info.shape[3])]


class RawPixels(Pyramid, omero.api.RawPixelsStore, name="RawPixelsStore"):
    """Reads any image; writes those made through the server."""

    written = False

    # ---- which image

    def do_setPixelsId(self, pixels: int, bypass: bool, current: Any) -> None:
        self._seal()
        self.choose(pixels, current)

    def do_getPixelsId(self, current: Any) -> int:
        return self.chosen().id

    def do_prepare(self, pixels: list[int], current: Any) -> None:
        for number in pixels:
            readable_pixels(self, number, current)

    # ---- sizes and offsets, in bytes

    def do_getByteWidth(self, current: Any) -> int:
        return int(self.reader().info.dtype.itemsize)

    def do_isSigned(self, current: Any) -> bool:
        return bool(self.reader().info.dtype.kind != "u")

    def do_isFloat(self, current: Any) -> bool:
        return bool(self.reader().info.dtype.kind == "f")

    def do_getRowSize(self, current: Any) -> int:
        return self._bytes(1)

    def do_getPlaneSize(self, current: Any) -> int:
        return self._bytes(2)

    def do_getStackSize(self, current: Any) -> int:
        return self._bytes(3)

    def do_getTimepointSize(self, current: Any) -> int:
        return self._bytes(4)

    def do_getTotalSize(self, current: Any) -> int:
        return self._bytes(5)

    def do_getRowOffset(self, y: int, z: int, c: int, t: int, current: Any) -> int:
        return self._offset(t, c, z, y)

    def do_getPlaneOffset(self, z: int, c: int, t: int, current: Any) -> int:
        return self._offset(t, c, z, 0)

    def do_getStackOffset(self, c: int, t: int, current: Any) -> int:
        return self._offset(t, c, 0, 0)

    def do_getTimepointOffset(self, t: int, current: Any) -> int:
        return self._offset(t, 0, 0, 0)

    def _shape(self) -> tuple[int, int, int, int, int]:
        """(t, c, z, y, x) of the level that was chosen."""
        info = self.reader().info
        return (*info.shape[:3], *info.levels[self.level])

    def _bytes(self, axes: int) -> int:
        return int(np.prod(self._shape()[5 - axes :], dtype=object)) * self.reader().info.dtype.itemsize

    def _offset(self, *place: int) -> int:
        shape = self._shape()[:4]
        for name, at, size in zip("tczy", place, shape, strict=True):
            if not 0 <= at < size:
                raise OutsideError(f"{name}={at} lies outside the image, which has {size} of them")
        return int(np.ravel_multi_index(place, shape)) * self._bytes(1)

    # ---- reading

    def do_getTile(self, z: int, c: int, t: int, x: int, y: int, w: int, h: int, current: Any) -> memoryview:
        return self._tile(self._read(Plane(t, c, z), y, x, h, w))

    def do_getPlane(self, z: int, c: int, t: int, current: Any) -> memoryview:
        return self._answer(self._plane(Plane(t, c, z)))

    def do_getRow(self, y: int, z: int, c: int, t: int, current: Any) -> memoryview:
        return self._answer(self._read(Plane(t, c, z), y, 0, 1, self._shape()[4]))

    def do_getCol(self, x: int, z: int, c: int, t: int, current: Any) -> memoryview:
        return self._answer(self._read(Plane(t, c, z), 0, x, self._shape()[3], 1))

    def do_getStack(self, c: int, t: int, current: Any) -> bytes:
        self._bounded(3)
        return b"".join(self._answer(self._plane(Plane(t, c, z))) for z in range(self._shape()[2]))

    def do_getTimepoint(self, t: int, current: Any) -> bytes:
        self._bounded(4)
        channels, sections = self._shape()[1:3]
        planes = (Plane(t, c, z) for c in range(channels) for z in range(sections))
        return b"".join(self._answer(self._plane(plane)) for plane in planes)

    def do_getPlaneRegion(self, z: int, c: int, t: int, size: int, offset: int, current: Any) -> memoryview:
        """Read `size` pixels of a plane from the pixel number `offset` on, row after row."""
        height, width = self._shape()[3:]
        if size < 1 or offset < 0 or offset + size > height * width:
            raise OutsideError(f"{size} pixels from {offset} on lie outside a plane of {height * width}")
        top, bottom = offset // width, -(-(offset + size) // width)
        flat = self._read(Plane(t, c, z), top, 0, bottom - top, width).ravel()
        return self._answer(flat[offset - top * width :][:size])

    def do_getRegion(self, size: int, offset: int, current: Any) -> bytes:
        """Read `size` bytes from the byte number `offset` on, in the order x, y, z, c, t."""
        if size < 1 or offset < 0 or offset + size > self._bytes(5):
            raise OutsideError(f"{size} bytes from {offset} on lie outside an image of {self._bytes(5)}")
        if size > _ANSWER:
            raise WrongUse(f"{size} bytes are too many for one answer")
        row, shape, parts = self._bytes(1), self._shape(), []
        for number in range(offset // row, -(-(offset + size) // row)):
            t, c, z, y = (int(at) for at in np.unravel_index(number, shape[:4]))
            parts.append(self._answer(self._read(Plane(t, c, z), y, 0, 1, shape[4])))
        return b"".join(parts)[offset % row :][:size]

    def do_getHypercube(self, offset: list[int], size: list[int], step: list[int], current: Any) -> bytes:
        """Read every `step`-th value from `offset` on within `size`; all are [x, y, z, c, t]."""
        if not len(offset) == len(size) == len(step) == 5 or min(size) < 1 or min(step) < 1:
            raise WrongUse(
                "offset, size and step have five values each (x, y, z, c, t), size and step above 0"
            )
        x, y, z, c, t = (range(o, o + s, every) for o, s, every in zip(offset, size, step, strict=True))
        if len(x) * len(y) * len(z) * len(c) * len(t) * self.do_getByteWidth(current) > _ANSWER:
            raise WrongUse("these are too many values for one answer")
        parts = []
        for plane in (Plane(at, of, slice_) for at in t for of in c for slice_ in z):
            values = self._read(plane, offset[1], offset[0], size[1], size[0])
            parts.append(self._answer(values[:: step[1], :: step[0]]))
        return b"".join(parts)

    def _read(self, plane: Plane, y: int, x: int, height: int, width: int) -> Array:
        reader = self.reader()
        if height * width * reader.info.dtype.itemsize > _ANSWER:
            raise WrongUse(f"{width} x {height} pixels are too many for one answer: ask for tiles")
        return reader.read(self.level, plane, y, x, height, width)

    def _plane(self, plane: Plane) -> Array:
        return self._read(plane, 0, 0, *self._shape()[3:])

    def _bounded(self, axes: int) -> None:
        if self._bytes(axes) > _ANSWER:
            raise WrongUse(f"{self._bytes(axes)} bytes are too many for one answer: ask for planes or tiles")

    def _answer(self, values: Array) -> memoryview:
        """Values as the bytes that travel, copied once at most: Ice takes them from the array."""
        dtype = self.reader().info.dtype.newbyteorder(">")
        return np.ascontiguousarray(values, dtype).reshape(-1).view(np.uint8).data

    def _tile(self, values: Array) -> memoryview:
        """The same in memory that this thread uses again: fresh memory costs more than the copy.

        Only for what goes to Ice at once, which has copied it when the thread takes its next call.
        """
        dtype = self.reader().info.dtype.newbyteorder(">")
        size = values.size * dtype.itemsize
        if size > _TILE:
            return self._answer(values)
        if not hasattr(_thread, "memory"):
            _thread.memory = np.empty(_TILE, np.uint8)
        out = _thread.memory[:size]
        np.copyto(out.view(dtype).reshape(values.shape), values)
        return out.data  # type: ignore[no-any-return]

    # ---- writing

    def do_setTile(
        self, buf: bytes, z: int, c: int, t: int, x: int, y: int, w: int, h: int, current: Any
    ) -> None:
        self._write(Plane(t, c, z), y, x, h, w, buf, current)

    def do_setPlane(self, buf: bytes, z: int, c: int, t: int, current: Any) -> None:
        self._write(Plane(t, c, z), 0, 0, *self._shape()[3:], buf, current)

    def do_setRow(self, buf: bytes, y: int, z: int, c: int, t: int, current: Any) -> None:
        self._write(Plane(t, c, z), y, 0, 1, self._shape()[4], buf, current)

    def do_setStack(self, buf: bytes, z: int, c: int, t: int, current: Any) -> None:
        """Write all planes of a channel and time point (`z` says nothing, as in OMERO)."""
        self._planes(buf, [Plane(t, c, at) for at in range(self._shape()[2])], current)

    def do_setTimepoint(self, buf: bytes, t: int, current: Any) -> None:
        channels, sections = self._shape()[1:3]
        self._planes(buf, [Plane(t, c, z) for c in range(channels) for z in range(sections)], current)

    def _planes(self, buf: bytes, planes: list[Plane], current: Any) -> None:
        size = self._bytes(2)
        if len(buf) != size * len(planes):
            raise OutsideError(
                f"{size * len(planes)} bytes are needed for {len(planes)} planes, not {len(buf)}"
            )
        for number, plane in enumerate(planes):
            part = buf[number * size : (number + 1) * size]
            self._write(plane, 0, 0, *self._shape()[3:], part, current)

    def _write(self, plane: Plane, y: int, x: int, height: int, width: int, buf: bytes, current: Any) -> None:
        row = self.chosen()
        made = self.house.images.open(row.id, rows.info_of(row), levels=False)
        if not isinstance(made, MadeReader):
            raise WrongUse("this image lies in the folder that is served; its pixels are only read")
        if self.level:
            raise Unsupported("smaller levels are made by the server; only the full size is written")
        if not self.house.rights.can_edit(self.caller(current), row):
            raise Forbidden("these pixels may not be written by this person")
        made.write(plane, y, x, height, width, bytes(buf))
        self._reader = None
        if not self.written:
            self.written = True
            self.house.images.changed(row.id)

    def do_save(self, current: Any) -> Any:
        """Note the digest of what was written; answers the Pixels, or None when nothing was written."""
        return self.reply(current).load(self.chosen()) if self._seal() else None

    def _seal(self) -> bool:
        pixels = self.pixels
        if not self.written or pixels is None:
            return False
        self.written = False
        self._reader = None
        self.house.images.changed(pixels.id)
        if self.house.state.get("Pixels", pixels.id) is pixels:
            self.house.state.set(pixels, sha1=self._digest().hex())
        return True

    def dispose(self) -> None:
        """Note what was written, as `save` does."""
        self._seal()

    # ---- looking at all pixels

    def do_calculateMessageDigest(self, current: Any) -> bytes:
        return self._digest()

    def _digest(self) -> bytes:
        digest = hashlib.sha1(usedforsecurity=False)
        t, c, z = self._shape()[:3]
        for plane in (Plane(i, j, k) for i in range(t) for j in range(c) for k in range(z)):
            for strip in self._strips(plane):
                digest.update(self._answer(strip))
        return digest.digest()

    def _strips(self, plane: Plane) -> Iterator[Array]:
        """All rows of a plane at full size, some at a time."""
        reader = self.reader()
        height, width = reader.info.levels[0]
        for top in range(0, height, _STRIP):
            yield reader.read(0, plane, top, 0, min(_STRIP, height - top), width)

    def do_findMinMax(self, channels: list[int], current: Any) -> dict[int, list[float]]:
        """Smallest and largest value of the middle plane of each channel; nothing for big images."""
        if self.do_requiresPixelsPyramid(current):
            return {}
        t, _, z = self.reader().info.shape[:3]
        found = {}
        for channel in channels:
            ends = rendering.extremes(self._strips(Plane(t // 2, channel, z // 2)))
            found[channel] = list(ends)
        return found

    def do_getHistogram(
        self, channels: list[int], bins: int, whole_range: bool, plane: Any, current: Any
    ) -> dict[int, list[int]]:
        """Count values of one plane, or of a region of it; nothing for big images."""
        if self.do_requiresPixelsPyramid(current):
            return {}
        bins = bins if bins > 0 else 256
        y, x = 0, 0
        height, width = self.reader().info.levels[0]
        region = getattr(plane, "region", None)
        if region is not None:
            y, x, height, width = region.y, region.x, region.height, region.width
        found = {}
        said = self.house.state.many(self.chosen(), "channels")
        for channel in channels:
            at = Plane(getattr(plane, "t", 0), channel, getattr(plane, "z", 0))
            values = self.reader().read(0, at, y, x, height, width)
            low, high = rendering.extremes([values])
            stats = said[channel]["statsInfo"] if channel < len(said) else None
            if whole_range and stats is not None:
                low, high = stats["globalMin"], stats["globalMax"]
            if high <= low:
                high = low + 1
            found[channel] = np.histogram(values, bins=bins, range=(low, high))[0].tolist()
        return found
