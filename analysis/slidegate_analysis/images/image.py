# SPDX-License-Identifier: BSD-3-Clause
"""Staged images: OME-Zarr 0.5, axes (c, y, x), uint8 or uint16, written in one pass and read by region."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from . import arrays, layout
from .errors import (
    AlreadyThereError,
    BadImageMetadataError,
    NotAnImageFolderError,
    OutOfBoundsError,
    PixelsDamagedError,
    PixelsMissingError,
    UnsupportedPixelsError,
    WrongPixelsError,
)
from .multiscale import read_multiscale

PENDING_SHARDS = 2
HALVED_ROWS = 64

Read = Callable[[int, int, int, int, int], np.ndarray]
Progress = Callable[[int, int], None]


def check_bounds(shape: tuple[int, int], y0: int, y1: int, x0: int, x1: int) -> None:
    """Raise `OutOfBoundsError` unless the half-open region is inside a (y, x) shape and not empty."""
    if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
        raise OutOfBoundsError(f"y {y0} to {y1}, x {x0} to {x1} in {shape[0]} x {shape[1]}")


def shape_of(level_shapes: Sequence[tuple[int, int]], level: int) -> tuple[int, int]:
    """Return the (y, x) shape of a pyramid level, or raise `OutOfBoundsError` if there is none such."""
    if not 0 <= level < len(level_shapes):
        raise OutOfBoundsError(f"level {level} of {len(level_shapes)}")
    return level_shapes[level]


class Image:
    """A staged image; safe to read from several threads.

    Attributes
    ----------
    shape
        (c, y, x) of the full resolution.
    dtype
        uint8 or uint16.
    channels
        One label per channel; ``""`` where none is known.
    pixel_size_um
        Micrometres per pixel, the same in y and x, or None.
    level_shapes
        (y, x) per pyramid level.
    """

    def __init__(self, levels: Sequence[Any], channels: tuple[str, ...], pixel_size_um: float | None) -> None:
        self._levels = levels
        self.shape: tuple[int, int, int] = tuple(levels[0].shape)
        self.dtype: np.dtype = levels[0].dtype.numpy_dtype
        self.channels = channels
        self.pixel_size_um = pixel_size_um
        self.level_shapes: tuple[tuple[int, int], ...] = tuple(tuple(level.shape[1:]) for level in levels)

    def read(self, channel: int, y0: int, y1: int, x0: int, x1: int, level: int = 0) -> np.ndarray:
        """Read a half-open region of one channel, in pixels of `level`, as a (y, x) array.

        Raises
        ------
        OutOfBoundsError
            The channel, the level or the region does not exist.
        PixelsMissingError, PixelsDamagedError
            A file of the image is gone or broken; nothing is ever filled in.
        """
        shape = shape_of(self.level_shapes, level)
        if not 0 <= channel < self.shape[0]:
            raise OutOfBoundsError(f"channel {channel} of {self.shape[0]}")
        check_bounds(shape, y0, y1, x0, x1)
        return arrays.read_array(self._levels[level][channel, y0:y1, x0:x1])

    def read_all(self, y0: int, y1: int, x0: int, x1: int, level: int = 0) -> np.ndarray:
        """Read a region of all channels at once, as a (c, y, x) array; see `read`."""
        check_bounds(shape_of(self.level_shapes, level), y0, y1, x0, x1)
        return arrays.read_array(self._levels[level][:, y0:y1, x0:x1])


def open_image(path: str | os.PathLike[str]) -> Image:
    """Open a staged image.

    Raises
    ------
    NotAnImageFolderError, BadImageMetadataError, PathOutsideImageError, UnsupportedPixelsError
        It is not a staged image, or one that must not be trusted.
    """
    multiscale = read_multiscale(Path(path))
    if multiscale.version != "0.5" or multiscale.axes != ("c", "y", "x"):
        raise NotAnImageFolderError("not a staged image: axes c, y, x in OME-Zarr 0.5 are expected")
    context = arrays.reading_context()
    levels = [arrays.open_array(folder, "zarr3", context) for folder in multiscale.datasets]
    if any(level.rank != 3 or level.shape[0] != levels[0].shape[0] for level in levels):
        raise BadImageMetadataError("its levels do not have the axes that it states")
    name = levels[0].dtype.name
    if name not in ("uint8", "uint16"):
        raise UnsupportedPixelsError(name)
    layout.check_size(*levels[0].shape, levels[0].dtype.numpy_dtype.itemsize)
    if len(multiscale.channels) != levels[0].shape[0]:
        raise BadImageMetadataError("not one label per channel")
    size = multiscale.pixel_size_um
    return Image(levels, multiscale.channels, None if size is None else size[1])


def write_image(
    path: str | os.PathLike[str],
    shape: tuple[int, int, int],
    dtype: np.dtype | type | str,
    read: Read,
    *,
    channels: Sequence[str],
    pixel_size_um: float | None,
    shard: int = 4096,
    chunk: int = 256,
    progress: Progress | None = None,
    parts: str | os.PathLike[str] | None = None,
) -> None:
    """Write an image with its pyramid in one pass over its pixels.

    `read` is asked once for each shard of the full resolution, along a Z-order curve, so that every shard of
    every level is written exactly once and a few shards are in memory, whatever the size of the slide. Levels
    are 2 x 2 means of the level below, rounded half to even. Equal pixels and arguments give equal bytes.

    The folder appears whole or not at all: it is written beside `path`, or to `parts`, and then renamed. A
    repeat needs `path` to be absent, or an empty folder.

    Parameters
    ----------
    shape
        (c, y, x).
    dtype
        uint8 or uint16.
    read
        ``read(c, y0, y1, x0, x1)`` returns the (y, x) pixels of a half-open region.
    channels
        One label per channel.
    pixel_size_um
        Micrometres per pixel, or None where it is not known.
    shard, chunk
        Sides of a shard (one file) and of a chunk in it, in pixels; `shard` is even, a multiple of `chunk`.
    progress
        Called with (bytes of full-resolution pixels done, all of them); what it raises ends the writing.
    parts
        A folder on the same disk that belongs to this image alone. What was written whole stays there when
        the writing ends early, however it ends; a repeat for the same pixels checks it and goes on, without
        asking `read` for it. Shards then reach the disk one by one, which is slower.

    Raises
    ------
    UnsupportedPixelsError, UnreasonableSizeError, WrongPixelsError
        The image is not one that can be staged, or `read` returns something else than was announced.
    AlreadyThereError, CannotWriteError
        `path` is taken, or the disk does not take the image.
    """
    name = np.dtype(dtype).name
    if name not in ("uint8", "uint16"):
        raise UnsupportedPixelsError(name)
    shape = (int(shape[0]), int(shape[1]), int(shape[2]))
    layout.check_size(*shape, np.dtype(dtype).itemsize)
    layout.check_pixel_size(pixel_size_um)
    if len(channels) != shape[0]:
        raise WrongPixelsError(f"{len(channels)} channel labels for {shape[0]} channels")
    if shard % chunk or shard % 2 or chunk < 1:
        raise ValueError("a shard must be even and a whole number of chunks")
    target = Path(path).parent.resolve() / Path(path).name
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise AlreadyThereError(target.name)
    partial = target.with_name(f"{target.name}.partial-{os.urandom(6).hex()}")
    partial = partial if parts is None else Path(parts).absolute()
    documents = _documents(shape, name, tuple(channels), pixel_size_um, shard, chunk)
    try:
        with arrays.writing():
            target.parent.mkdir(parents=True, exist_ok=True)
        kept = parts is not None and _tidy(partial, documents)
        levels = _lay_out(partial, documents, flushed=parts is not None)
        _Pass(levels, shape, np.dtype(name), read, shard, progress, kept).run()
        with arrays.writing():
            partial.rename(target)
    finally:
        if parts is None:
            shutil.rmtree(partial, ignore_errors=True)


def _documents(
    shape: tuple[int, int, int],
    dtype: str,
    channels: tuple[str, ...],
    pixel_size_um: float | None,
    shard: int,
    chunk: int,
) -> dict[str, bytes]:
    """Return the metadata of an image by the names of its files, that of the group first, then each level."""
    shapes = layout.level_shapes(shape[1:])
    group = layout.image_group(len(shapes), channels, pixel_size_um, dtype)
    found = {"zarr.json": layout.encode(group)}
    for level, (y, x) in enumerate(shapes):
        metadata = layout.array_metadata((shape[0], y, x), dtype, shard, chunk, ("c", "y", "x"))
        found[f"{level}/zarr.json"] = layout.encode(metadata)
    return found


def _lay_out(folder: Path, documents: dict[str, bytes], *, flushed: bool) -> list[Any]:
    context = arrays.writing_context(flushed=flushed)
    for name, document in documents.items():
        arrays.write_file(folder / name, document)
    levels = [folder / str(level) for level in range(len(documents) - 1)]
    return [arrays.open_array(level, "zarr3", context) for level in levels]


def _tidy(folder: Path, documents: dict[str, bytes]) -> bool:
    """Return whether a folder may hold shards of this image; what else is in it goes.

    A shard gets its name when it is on the disk; what was being written has another, and is worth nothing.
    """
    with arrays.writing():
        for name, document in documents.items():
            path = folder / name
            if not path.is_file() or path.read_bytes() != document:
                shutil.rmtree(folder, ignore_errors=True)
                return False
        for path in folder.rglob("*"):
            if path.is_file() and not path.name.isdigit() and path.name != "zarr.json":
                path.unlink()
    return True


class _Pass:
    """One pass over the pixels: a depth-first walk of the quad-tree of shards, level 0 at its leaves."""

    def __init__(
        self,
        levels: list[Any],
        shape: tuple[int, int, int],
        dtype: np.dtype,
        read: Read,
        shard: int,
        progress: Progress | None,
        kept: bool,
    ) -> None:
        self._levels = levels
        self._dtype = dtype
        self._kept = kept
        self._read = read
        self._shard = shard
        self._progress = progress
        self._done = 0
        self._all = shape[0] * shape[1] * shape[2] * dtype.itemsize
        self._pending: deque[Any] = deque()

    def run(self) -> None:
        top = len(self._levels) - 1
        channels, height, width = self._levels[top].shape
        try:
            for c in range(channels):
                for sy in range(-(-height // self._shard)):
                    for sx in range(-(-width // self._shard)):
                        self._build(top, c, sy, sx)
        finally:
            for write in self._pending:
                write.exception()  # waits: nothing may be written after the folder is given up
        for write in self._pending:
            arrays.finish_write(write)

    def _build(self, level: int, c: int, sy: int, sx: int) -> np.ndarray | None:
        """Write one shard and what lies below it; return it halved, or None at the top."""
        _, height, width = self._levels[level].shape
        y0, x0 = sy * self._shard, sx * self._shard
        y1, x1 = min(y0 + self._shard, height), min(x0 + self._shard, width)
        pixels = self._kept_leaf(c, y0, y1, x0, x1) if level == 0 and self._kept else None
        if pixels is None:
            pixels = self._leaf(c, y0, y1, x0, x1) if level == 0 else self._joint(level, c, y0, y1, x0, x1)
            while len(self._pending) >= PENDING_SHARDS:
                arrays.finish_write(self._pending.popleft())
            self._pending.append(self._levels[level][c, y0:y1, x0:x1].write(pixels))
        if level == 0 and self._progress is not None:
            self._done += pixels.nbytes
            self._progress(self._done, self._all)
        return None if level == len(self._levels) - 1 else halve(pixels)

    def _kept_leaf(self, c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray | None:
        """Return a shard of the full resolution that was written before, if it is there and sound."""
        with suppress(PixelsMissingError, PixelsDamagedError):
            return arrays.read_array(self._levels[0][c, y0:y1, x0:x1])
        return None

    def _leaf(self, c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        pixels = np.asarray(self._read(c, y0, y1, x0, x1))
        if pixels.shape != (y1 - y0, x1 - x0):
            raise WrongPixelsError(f"{pixels.shape} instead of {(y1 - y0, x1 - x0)}")
        if pixels.dtype.newbyteorder("=") != self._dtype:
            raise WrongPixelsError(f"{pixels.dtype} instead of {self._dtype}")
        return np.ascontiguousarray(pixels, self._dtype)

    def _joint(self, level: int, c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        pixels = np.empty((y1 - y0, x1 - x0), self._dtype)
        _, height, width = self._levels[level - 1].shape
        half = self._shard // 2
        for sy in range(2 * y0 // self._shard, min(2 * y0 // self._shard + 2, -(-height // self._shard))):
            for sx in range(2 * x0 // self._shard, min(2 * x0 // self._shard + 2, -(-width // self._shard))):
                part = self._build(level - 1, c, sy, sx)
                if part is None:
                    continue
                y, x = sy * half - y0, sx * half - x0
                pixels[y : y + part.shape[0], x : x + part.shape[1]] = part
        return pixels


def halve(pixels: np.ndarray) -> np.ndarray:
    """Return the mean of each 2 x 2 block of a (y, x) array of uint8 or uint16.

    An odd edge averages what it has. Rounded half to even, because rounding half up adds an eighth of a count
    per level. Two neighbours in x are read as one wider number, which is faster than adding strided arrays.
    """
    height, width = pixels.shape
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2)), mode="edge")
    bits = 8 * pixels.itemsize
    pairs = np.ascontiguousarray(pixels).view(f"u{2 * pixels.itemsize}")
    halved = np.empty((pairs.shape[0] // 2, pairs.shape[1]), pixels.dtype)
    for y in range(0, pairs.shape[0], HALVED_ROWS):
        upper, lower = pairs[y : y + HALVED_ROWS : 2], pairs[y + 1 : y + HALVED_ROWS : 2]
        total = upper & (2**bits - 1)
        total += upper >> bits
        total += lower & (2**bits - 1)
        total += lower >> bits
        total += (
            (total >> 2) & 1
        ) + 1  # half to even: an odd mean is rounded up at a half, an even one is not
        total >>= 2
        halved[y // 2 : y // 2 + len(total)] = total
    return halved
