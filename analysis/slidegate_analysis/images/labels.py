# SPDX-License-Identifier: BSD-3-Clause
"""Label images: OME-Zarr 0.5 ``image-label``, axes (y, x), uint32, written by many in whole shards."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from . import arrays, layout
from .errors import (
    AlreadyThereError,
    BadImageMetadataError,
    NotAnImageFolderError,
    NotWholeShardsError,
    UnsupportedPixelsError,
    WrongPixelsError,
)
from .image import check_bounds, shape_of
from .multiscale import read_json, read_multiscale

LARGEST_CHUNK = 256


def chunk_for(shard: int) -> int:
    """Return the largest divisor of `shard` that is at most 256."""
    return next(size for size in range(min(shard, LARGEST_CHUNK), 0, -1) if shard % size == 0)


class Labels:
    """A label image: 0 is background, every other number one object.

    Attributes
    ----------
    shape
        (y, x) of the full resolution.
    shard
        Side of a shard, in pixels: one file, one writer.
    pixel_size_um
        Micrometres per pixel, or None.
    level_shapes
        (y, x) per pyramid level.
    """

    def __init__(self, levels: list[Any], shard: int, pixel_size_um: float | None) -> None:
        self._levels = levels
        self.shape: tuple[int, int] = tuple(levels[0].shape)
        self.shard = shard
        self.pixel_size_um = pixel_size_um
        self.level_shapes: tuple[tuple[int, int], ...] = tuple(tuple(level.shape) for level in levels)

    def write(self, y0: int, x0: int, labels: np.ndarray) -> None:
        """Write a (y, x) array of labels whose first pixel is (y0, x0); on return it is on the disk.

        Each shard file is replaced as a whole, so a repeat, or a second worker doing the same, is safe.

        Raises
        ------
        NotWholeShardsError
            The array does not begin and end at borders of shards (or at the edge of the image).
        WrongPixelsError
            The labels are not whole numbers from 0 to 2**32 - 1.
        """
        self._write(0, y0, x0, labels)

    def read(self, y0: int, y1: int, x0: int, x1: int, level: int = 0) -> np.ndarray:
        """Read a half-open region, in pixels of `level`, as a (y, x) array of uint32.

        Raises
        ------
        OutOfBoundsError
            The level or the region does not exist.
        PixelsMissingError
            A part was never written: that is not background.
        PixelsDamagedError
            A file is broken.
        """
        check_bounds(shape_of(self.level_shapes, level), y0, y1, x0, x1)
        return arrays.read_array(self._levels[level][y0:y1, x0:x1])

    def _write(self, level: int, y0: int, x0: int, labels: np.ndarray) -> None:
        if labels.ndim != 2:
            raise WrongPixelsError(f"{labels.ndim} axes instead of y, x")
        shape = self.level_shapes[level]
        y1, x1 = y0 + labels.shape[0], x0 + labels.shape[1]
        check_bounds(shape, y0, y1, x0, x1)
        starts = y0 % self.shard == 0 and x0 % self.shard == 0
        ends = (y1 % self.shard == 0 or y1 == shape[0]) and (x1 % self.shard == 0 or x1 == shape[1])
        if not (starts and ends):
            raise NotWholeShardsError(f"y {y0} to {y1}, x {x0} to {x1} with shards of {self.shard}")
        arrays.finish_write(self._levels[level][y0:y1, x0:x1].write(_as_labels(labels)))


def create_labels(
    path: str | os.PathLike[str], shape: tuple[int, int], *, shard: int, pixel_size_um: float | None
) -> None:
    """Lay out an empty label image with its pyramid levels; no label is written.

    Everything about it follows from the arguments, so any number of workers may call this at the same time or
    later: the same bytes are written, each file as a whole, and labels already there stay.

    Parameters
    ----------
    shape
        (y, x).
    shard
        Side of a shard in pixels; need not be a power of two. The chunk is its largest divisor up to 256.
    pixel_size_um
        Micrometres per pixel, or None where it is not known.

    Raises
    ------
    AlreadyThereError
        There is a label image of another shape, shard or pixel size.
    UnreasonableSizeError, CannotWriteError
        The size is beyond any slide; the disk does not take it.
    """
    shape = (int(shape[0]), int(shape[1]))
    layout.check_size(1, *shape, 4)
    layout.check_pixel_size(pixel_size_um)
    if shard < 1:
        raise ValueError("a shard has at least one pixel")
    folder = Path(path).resolve()
    shapes = layout.level_shapes(shape)
    files = {"zarr.json": layout.encode(layout.label_group(len(shapes), pixel_size_um))}
    for level, level_shape in enumerate(shapes):
        metadata = layout.array_metadata(level_shape, "uint32", shard, chunk_for(shard), ("y", "x"))
        files[f"{level}/zarr.json"] = layout.encode(metadata)
    for name in sorted(files, reverse=True):
        file = folder / name
        if file.exists():
            if layout.encode(read_json(file)) != files[name]:
                raise AlreadyThereError(f"{folder.name} holds other labels")
            continue
        arrays.write_file(file, files[name])


def open_labels(path: str | os.PathLike[str]) -> Labels:
    """Open a label image for reading and writing.

    Raises
    ------
    NotAnImageFolderError, BadImageMetadataError, PathOutsideImageError, UnsupportedPixelsError
        It is not a label image as `create_labels` makes it.
    """
    multiscale = read_multiscale(Path(path))
    if multiscale.version != "0.5" or multiscale.axes != ("y", "x") or not multiscale.is_label:
        raise NotAnImageFolderError("not a label image with axes y, x in OME-Zarr 0.5")
    context = arrays.writing_context(flushed=True)
    levels = [arrays.open_array(folder, "zarr3", context) for folder in multiscale.datasets]
    if any(level.dtype.name != "uint32" for level in levels):
        raise UnsupportedPixelsError(f"labels of {levels[0].dtype.name}")
    shards = {tuple(level.chunk_layout.write_chunk.shape) for level in levels}
    if len(shards) != 1 or any(level.rank != 2 for level in levels):
        raise BadImageMetadataError("its levels differ in axes or shards")
    side_y, side_x = shards.pop()
    if side_y != side_x:
        raise BadImageMetadataError("its shards are not squares")
    size = multiscale.pixel_size_um
    return Labels(levels, side_y, None if size is None else size[1])


def build_label_pyramid(path: str | os.PathLike[str]) -> None:
    """Fill the coarser levels by taking every second pixel of the level below, which never invents a label.

    Safe to repeat: the same labels give the same files.

    Raises
    ------
    PixelsMissingError
        A part of the full resolution was never written.
    """
    labels = open_labels(path)
    for level in range(1, len(labels.level_shapes)):
        height, width = labels.level_shapes[level]
        below = labels.level_shapes[level - 1]
        for y0 in range(0, height, labels.shard):
            for x0 in range(0, width, labels.shard):
                y1 = min(2 * (y0 + labels.shard), below[0])
                x1 = min(2 * (x0 + labels.shard), below[1])
                fine = labels.read(2 * y0, y1, 2 * x0, x1, level - 1)
                labels._write(level, y0, x0, np.ascontiguousarray(fine[::2, ::2]))


def _as_labels(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind not in "ui":
        raise WrongPixelsError(f"labels of {labels.dtype}")
    if labels.dtype != np.uint32 and labels.size and (labels.min() < 0 or labels.max() > 2**32 - 1):
        raise WrongPixelsError("a label beyond 32 bits or below 0")
    return np.ascontiguousarray(labels, np.uint32)
