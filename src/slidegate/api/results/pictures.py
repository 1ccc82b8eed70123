# SPDX-License-Identifier: BSD-3-Clause
"""Tiles of images and of label images; what is open stays open for a while."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from slidegate_analysis.images import Image, ImagesError, Labels, histogram, open_image, open_labels

from slidegate.api.results.errors import NoSuchTile, PictureDamaged, PictureNotAtHand

TILE = 512
MOST_OPEN = 6
MOST_SHARD = 8192  # what a site sends must not fill the memory here
_FACTS_SIDE = 2600
_BINS = 64
_DARK_GROUND = (0.5, 0.998)  # shares of pixels below which all is black, and above which all is brightest
_BRIGHT_GROUND = (0.002, 0.998)


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """How bright one channel is, from a coarse level of the pyramid.

    Attributes
    ----------
    name
        Its label; ``Channel 1`` where the image has none.
    low, high
        Counts between which the channel is well seen.
    smallest, largest
        Of all counts.
    histogram
        How many pixels, in equal bins from ``smallest`` to ``largest``.
    """

    name: str
    low: int
    high: int
    smallest: int
    largest: int
    histogram: list[int]


class Pictures:
    """Opens images and label images by a key that names their content; safe to use from several threads."""

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def image(self, folder: Path, digest: str) -> Image:
        """Open an image.

        Raises
        ------
        PictureDamaged
            It cannot be read.
        """
        found: Image = self._get(("image", digest), lambda: open_image(folder))
        return found

    def facts(self, folder: Path, digest: str) -> list[ChannelFacts]:
        """Say how bright the channels of an image are."""
        image = self.image(folder, digest)
        found: list[ChannelFacts] = self._get(("facts", digest), lambda: _facts(image))
        return found

    def labels(self, folder: Path, digest: str, check: Callable[[], None]) -> Labels:
        """Open a label image; `check`, asked once, raises when its files are not what they should be."""

        def opened() -> Labels:
            check()
            found = open_labels(folder)
            if found.shard > MOST_SHARD:
                raise PictureDamaged("The outlines are stored in larger pieces than can be read.")
            return found

        found: Labels = self._get(("labels", digest), opened)
        return found

    def forget(self, digest: str) -> None:
        """Let go of what is open under a key."""
        with self._lock:
            for key in [key for key in self._open if key[1] == digest]:
                del self._open[key]

    def _get(self, key: tuple[str, str], make: Callable[[], Any]) -> Any:
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
        try:
            made = make()
        except ImagesError as error:
            if error.transient:
                raise PictureNotAtHand(str(error)) from error
            raise PictureDamaged(str(error)) from error
        with self._lock:
            self._open[key] = made
            while len(self._open) > 3 * self._most:
                self._open.popitem(last=False)
        return made


def image_tile(image: Image, level: int, row: int, column: int) -> memoryview:
    """Return a tile of all channels, as little-endian (c, y, x).

    Raises
    ------
    NoSuchTile, PictureDamaged
        The image has no such tile; its pixels cannot be read.
    """
    y0, y1, x0, x1 = bounds(image.level_shapes, level, row, column)
    try:
        tile = image.read_all(y0, y1, x0, x1, level)
    except ImagesError as error:
        raise PictureDamaged(str(error)) from error
    return _octets(tile, image.dtype.newbyteorder("<"))


def label_tile(labels: Labels, level: int, row: int, column: int) -> memoryview:
    """Return a tile of labels, as little-endian uint32 (y, x); raises as :func:`image_tile`."""
    y0, y1, x0, x1 = bounds(labels.level_shapes, level, row, column)
    try:
        return _octets(labels.read(y0, y1, x0, x1, level), np.dtype("<u4"))
    except ImagesError as error:
        raise PictureDamaged(str(error)) from error


def _octets(tile: np.ndarray, dtype: np.dtype) -> memoryview:
    """Return the octets of an array, without copying them where they are as they shall be."""
    return np.ascontiguousarray(tile, dtype).data.cast("B")


def bounds(
    shapes: tuple[tuple[int, int], ...], level: int, row: int, column: int
) -> tuple[int, int, int, int]:
    """Return the half-open (y0, y1, x0, x1) of a tile, in pixels of its level."""
    if not 0 <= level < len(shapes):
        raise NoSuchTile
    height, width = shapes[level]
    y0, x0 = row * TILE, column * TILE
    if not (0 <= y0 < height and 0 <= x0 < width):
        raise NoSuchTile
    return y0, min(y0 + TILE, height), x0, min(x0 + TILE, width)


def _facts(image: Image) -> list[ChannelFacts]:
    last = len(image.level_shapes) - 1
    level = next((n for n, shape in enumerate(image.level_shapes) if max(shape) <= _FACTS_SIDE), last)
    found = []
    for channel in range(image.shape[0]):
        counts = histogram(image, channel, level=level)
        seen = np.flatnonzero(counts)
        smallest, largest = int(seen[0]), int(seen[-1])
        below = np.cumsum(counts) / counts.sum()
        dark = np.searchsorted(below, 0.5) < (smallest + largest) / 2
        low, high = (
            int(np.searchsorted(below, share)) for share in (_DARK_GROUND if dark else _BRIGHT_GROUND)
        )
        edges = np.linspace(smallest, largest + 1, _BINS + 1).round().astype(int)
        bins = np.diff(np.concatenate([[0], np.cumsum(counts)])[edges]).astype(int)
        name = image.channels[channel] or f"Channel {channel + 1}"
        found.append(ChannelFacts(name, low, max(high, low + 1), smallest, largest, bins.tolist()))
    return found
