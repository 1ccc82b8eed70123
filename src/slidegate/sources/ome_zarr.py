# SPDX-License-Identifier: BSD-3-Clause
"""Reading OME-Zarr 0.4 (Zarr 2) and 0.5 (Zarr 3) images, also in the layout of bioformats2raw."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from slidegate_analysis.images import ImagesError, arrays, multiscale
from slidegate_analysis.images.layout import MAX_CHUNK_BYTES

from .base import Choice, Level, Pixels, check_pixels, clean_label, pick, plane_of, square_pixel_size
from .errors import (
    BadMetadataError,
    NoPixelsError,
    NotAnImageError,
    SeriesNeededError,
    SourceError,
    translated,
)

MARKERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
MAX_SERIES = 10_000
_METADATA = {"zarr.json", ".zattrs", ".zgroup", ".zarray", ".zmetadata"}


def accepts(path: Path) -> bool:
    """Return whether this is a folder with Zarr metadata, or with a name that promises it."""
    return path.is_dir() and (
        path.name.lower().endswith(".zarr") or any((path / m).is_file() for m in MARKERS)
    )


def is_label(path: Path) -> bool:
    """Return whether this is a label image: a result, not an image to analyse."""
    return "image-label" in _attributes(path)


@contextmanager
def open_pixels(path: Path, choice: Choice, scratch: Path | None = None) -> Iterator[Pixels]:
    """Open an OME-Zarr image, of which one focal plane and time point is read, with all its channels.

    A chunk that is not stored counts as background, as the Zarr specification has it, unless none is stored
    at all. `scratch` is not needed.

    Raises
    ------
    SourceError
        One of them, for each thing that can be wrong with an image; also while reading.
    """
    del scratch
    with translated():
        image = multiscale.read_multiscale(_series_folder(path, choice))
        array = arrays.open_array(image.datasets[0], image.driver, arrays.reading_context(), sparse=True)
    if image.is_label:
        raise NotAnImageError("it is a label image")
    if array.rank != len(image.axes):
        raise BadMetadataError("its axes and its array do not fit together")
    sizes = dict(zip(image.axes, (int(size) for size in array.shape), strict=True))
    shape = (sizes.get("c", 1), sizes["y"], sizes["x"])
    dtype = np.dtype(array.dtype.numpy_dtype) if array.dtype.numpy_dtype is not None else np.dtype("V")
    labels = image.channels if len(image.channels) == shape[0] else ("",) * min(shape[0], 10_000)
    check_pixels(shape, dtype, labels)
    _check_chunks(array, dtype)
    chosen = plane_of(sizes, choice)
    _refuse_empty(image.datasets[0])
    size = image.pixel_size_um or (None, None)

    read = _reader(array, image.axes, chosen, dtype)
    labels = tuple(clean_label(label) for label in labels)
    levels = _levels(image, shape[0], dtype, chosen)
    yield Pixels(shape, dtype, labels, square_pixel_size(*size), read, levels)


def _reader(
    array: Any, axes: tuple[str, ...], chosen: dict[str, int], dtype: np.dtype
) -> Callable[[int, int, int, int, int], np.ndarray]:
    def read(c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        fixed = {"t": chosen["t"], "c": c, "z": chosen["z"]}
        index = tuple(fixed[axis] for axis in axes[:-2])
        with translated():
            region = arrays.read_array(array[(*index, slice(y0, y1), slice(x0, x1))])
        return region.astype(dtype.newbyteorder("="), copy=False)

    return read


def _levels(
    image: multiscale.Multiscale, channels: int, dtype: np.dtype, chosen: dict[str, int]
) -> tuple[Level, ...]:
    """Return the coarser levels that fit the first one; what is wrong with others only costs time."""
    found: list[Level] = []
    for folder in image.datasets[1:]:
        try:
            array = arrays.open_array(folder, image.driver, arrays.reading_context(), sparse=True)
            sizes = dict(zip(image.axes, (int(size) for size in array.shape), strict=True))
            fits = sizes.get("c", 1) == channels and np.dtype(array.dtype.numpy_dtype) == dtype
            _check_chunks(array, dtype)
        except (ImagesError, SourceError, ValueError, TypeError):
            continue
        if fits and all(index < sizes.get(axis, 1) for axis, index in chosen.items()):
            found.append(Level((sizes["y"], sizes["x"]), _reader(array, image.axes, chosen, dtype)))
    return tuple(found)


def _attributes(path: Path) -> dict[str, Any]:
    """Return the group's OME attributes, of either version; empty if there are none."""
    for name in ("zarr.json", ".zattrs"):
        if not (path / name).is_file():
            continue
        with translated():
            document = multiscale.read_json(path / name)
        if name == ".zattrs":
            return document
        attributes = document.get("attributes")
        ome = attributes.get("ome", attributes) if isinstance(attributes, dict) else {}
        return ome if isinstance(ome, dict) else {}
    return {}


def _series_folder(path: Path, choice: Choice) -> Path:
    """Return the image group: the folder itself, or the series of a bioformats2raw layout that is meant."""
    multiscale.refuse_links(path)
    attributes = _attributes(path)
    if "plate" in attributes or "well" in attributes:
        raise NotAnImageError("it is a plate; choose the images in it")
    if "bioformats2raw.layout" not in attributes:
        pick("images", 1, choice.series, SeriesNeededError)
        return path
    count = 0
    while count < MAX_SERIES and (path / str(count)).is_dir():
        count += 1
    if count == 0:
        raise NotAnImageError("it holds no image")
    return path / str(pick("images", count, choice.series, SeriesNeededError))


def _check_chunks(array: Any, dtype: np.dtype) -> None:
    """Refuse chunks that would not fit in memory, and shards with tables that would not."""
    inner = math.prod(int(side) for side in array.chunk_layout.read_chunk.shape)
    outer = math.prod(int(side) for side in array.chunk_layout.write_chunk.shape)
    if inner * dtype.itemsize > MAX_CHUNK_BYTES:
        raise BadMetadataError(f"it is stored in pieces of {inner} pixels")
    if outer // max(inner, 1) > 2**24:
        raise BadMetadataError(f"its shards hold {outer // inner} pieces")


def _refuse_empty(folder: Path) -> None:
    if not any(name not in _METADATA for _, _, names in os.walk(folder) for name in names):
        raise NoPixelsError
