# SPDX-License-Identifier: BSD-3-Clause
"""Small pictures of large images: few pixels read, little memory, fixed colours.

Every channel is stretched between two percentiles of itself and added up in a colour of its own, so that a
picture shows what is there and not how bright it was stored.
"""

import io
import math
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image as Picture

from .base import Level, Overview, Pixels

COLOURS = (
    (80, 140, 255),
    (0, 220, 100),
    (255, 75, 60),
    (255, 0, 220),
    (0, 210, 220),
    (240, 210, 0),
    (200, 200, 200),
)
"""Of channel 0, 1, ...; a single channel is white. Blue first: the stain of nuclei."""

_BLOCK_BYTES = 8 * 2**20
_BLOCK_SIDE = 4096
_ROWS_KEPT = 4
_LOW, _HIGH = 1.0, 99.8
_GAMMA = 0.75
_QUALITY = 85


def overview(pixels: Pixels, side: int, note: Callable[[int, int], None] | None = None) -> Overview:
    """Make an image at most `side` pixels high and wide; a smaller one stays as it is.

    The coarsest level of the file that is large enough is read, in blocks; of many rows that become one, only
    some are read where rows are stored one by one. Memory stays below two hundred megabytes, whatever the
    size of the image.

    Parameters
    ----------
    note
        Called with (blocks read, blocks); what it raises ends the work.
    """
    channels, height, width = pixels.shape
    source = _level(pixels, side)
    y, x = source.shape
    factor = max(1, math.ceil(max(y, x) / (2 * side)) if max(y, x) > 2 * side else 1)
    small = np.empty((channels, -(-y // factor), -(-x // factor)), np.float32)
    blocks = list(_blocks(source, small.shape, factor, pixels.dtype.itemsize))
    for number, (c, rows, columns) in enumerate(blocks):
        if note is not None:
            note(number, len(blocks))
        small[c, rows, columns] = _block(source, c, rows, columns, factor)
    scaled = np.stack([_resized(plane, side) for plane in small])
    return Overview(scaled, max(height / scaled.shape[1], width / scaled.shape[2]))


def smaller(found: Overview, side: int) -> Overview:
    """Make an overview smaller still: at most `side` pixels high and wide."""
    pixels = np.stack([_resized(plane, side) for plane in found.pixels])
    shrunk = max(found.pixels.shape[1] / pixels.shape[1], found.pixels.shape[2] / pixels.shape[2])
    return Overview(pixels, found.scale * shrunk)


def compose(planes: np.ndarray) -> np.ndarray:
    """Return a (y, x, 3) uint8 picture of (c, y, x) intensities: stretched, and added in fixed colours."""
    height, width = planes.shape[1:]
    total = np.zeros((height, width, 3), np.float32)
    for c, plane in enumerate(planes):
        colour = (255, 255, 255) if len(planes) == 1 else COLOURS[c % len(COLOURS)]
        total += _stretched(plane)[:, :, None] * np.asarray(colour, np.float32)
    return np.clip(total, 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray) -> bytes:
    """Return a (y, x, 3) uint8 picture as JPEG."""
    return _encoded(picture, "JPEG", quality=_QUALITY)


def png(picture: np.ndarray) -> bytes:
    """Return a (y, x, 3) uint8 picture as PNG."""
    return _encoded(picture, "PNG", compress_level=3)


def _encoded(picture: np.ndarray, form: str, **options: int) -> bytes:
    written = io.BytesIO()
    Picture.fromarray(picture).save(written, form, **options)
    return written.getvalue()


def _level(pixels: Pixels, side: int) -> Level:
    """Return the coarsest level that is not smaller than what is wanted."""
    whole = Level((pixels.shape[1], pixels.shape[2]), pixels.read, pixels.by_rows)
    enough = [level for level in pixels.levels if side <= max(level.shape) < max(whole.shape)]
    return min(enough, key=lambda level: max(level.shape), default=whole)


def _blocks(
    source: Level, shape: tuple[int, ...], factor: int, itemsize: int
) -> Iterator[tuple[int, slice, slice]]:
    """Yield the parts of a small image that are made one after the other: whole rows, or about squares."""
    channels, height, width = shape
    if source.by_rows:
        rows, columns = max(1, _BLOCK_BYTES // (factor * source.shape[1] * itemsize)), width
    else:
        rows = columns = max(1, _BLOCK_SIDE // factor)
    for c in range(channels):
        for row in range(0, height, rows):
            for column in range(0, width, columns):
                yield c, slice(row, min(row + rows, height)), slice(column, min(column + columns, width))


def _block(source: Level, c: int, rows: slice, columns: slice, factor: int) -> np.ndarray:
    """Return a part of an image made smaller by a whole factor: means."""
    y, x = source.shape
    y0, y1 = rows.start * factor, min(rows.stop * factor, y)
    x0, x1 = columns.start * factor, min(columns.stop * factor, x)
    if factor <= 2 * _ROWS_KEPT or not source.by_rows:
        return _means(source.read(c, y0, y1, x0, x1), factor, factor)
    kept = [
        source.read(c, top, min(top + _ROWS_KEPT, y), x0, x1)
        for top in (min(start + (factor - _ROWS_KEPT) // 2, y - 1) for start in range(y0, y1, factor))
    ]
    return np.concatenate([_means(part, part.shape[0], factor) for part in kept])


def _means(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return the means of blocks of so many rows and columns; those at the end average what they have."""
    starts_y, starts_x = np.arange(0, pixels.shape[0], rows), np.arange(0, pixels.shape[1], columns)
    sums = np.add.reduceat(pixels, starts_y, axis=0, dtype=np.uint32)
    sums = np.add.reduceat(sums, starts_x, axis=1, dtype=np.float32)
    high = np.diff(np.append(starts_y, pixels.shape[0])).astype(np.float32)
    wide = np.diff(np.append(starts_x, pixels.shape[1])).astype(np.float32)
    means: np.ndarray = sums / (high[:, None] * wide[None, :])
    return means


def _resized(plane: np.ndarray, side: int) -> np.ndarray:
    """Return a plane whose longer side is at most `side`."""
    height, width = plane.shape
    if max(height, width) <= side:
        return plane
    shrink = side / max(height, width)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(Picture.fromarray(plane).resize(size, Picture.Resampling.BOX))


def _stretched(plane: np.ndarray) -> np.ndarray:
    """Return intensities from 0 to 1, the two percentiles, the dark ones raised; 0 where all are equal."""
    low, high = np.percentile(plane, (_LOW, _HIGH))
    high = max(float(high), float(low) + 1.0)
    linear = np.clip((plane.astype(np.float32) - float(low)) / (high - float(low)), 0, 1)
    stretched: np.ndarray = linear**_GAMMA
    return stretched
