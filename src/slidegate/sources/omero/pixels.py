# SPDX-License-Identifier: BSD-3-Clause
"""Pixels out of OMERO: tiles over a few connections at once, asked again where OMERO or the network failed.

BlitzGateway turns each pixel into a number of Python, ten to a hundred times slower than the bytes come;
here they are taken as they are, big-endian, and swapped while they are put in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from slidegate.sources.errors import DamagedImageError

from .connection import speaking
from .lanes import CONNECTIONS, PATIENCE_S, Connect, Lane, Lanes

TILE = 1024
"""Side of a tile in pixels: a whole part of a shard, and far below the size of a message."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of an image in OMERO.

    Attributes
    ----------
    pixels, group
        The ids of its Pixels and of the group that it lies in.
    z, t
        Which plane.
    dtype
        ``uint8`` or ``uint16``.
    """

    pixels: int
    group: int
    z: int
    t: int
    dtype: np.dtype[Any]


class Tiles:
    """The pixels of one plane of all channels; made by `reading`. One thread at a time."""

    def __init__(self, connect: Connect, plane: Plane, connections: int, patience_s: float) -> None:
        self._plane = plane
        self._lanes = Lanes(lambda: _TileLane(connect, plane), connections, patience_s)

    def levels(self) -> list[tuple[int, int]]:
        """Return the (y, x) shapes of the levels, the full size first.

        Raises
        ------
        OmeroError
            It failed again and again.
        """
        return self._lanes.ask(lambda lane: lane.levels())

    def read(self, c: int, y0: int, y1: int, x0: int, x1: int, level: int = 0) -> np.ndarray:
        """Read a half-open region of a channel, in pixels of `level`, as a (y, x) array in native byte order.

        What fails for a moment is asked again, over a new connection where the old one was lost.

        Parameters
        ----------
        level
            0 is the full size, as in `levels`.

        Raises
        ------
        OmeroError
            It failed for longer than the patience lasts, or will fail always.
        """
        region = np.empty((y1 - y0, x1 - x0), self._plane.dtype)
        waiting = [
            self._lanes.submit(partial(self._fill, region, (y0, x0), c, tile, level))
            for tile in _tiles(y0, y1, x0, x1)
        ]
        _join(waiting)
        return region

    def close(self) -> None:
        """End all connections. Safe to repeat."""
        self._lanes.close()

    def _fill(
        self,
        region: np.ndarray,
        corner: tuple[int, int],
        c: int,
        tile: tuple[int, int, int, int],
        level: int,
        lane: _TileLane,
    ) -> None:
        y0, y1, x0, x1 = tile
        found = lane.tile(c, y0, y1, x0, x1, level)
        region[y0 - corner[0] : y1 - corner[0], x0 - corner[1] : x1 - corner[1]] = found


class _TileLane(Lane):
    """Reads tiles over one connection."""

    def __init__(self, connect: Connect, plane: Plane) -> None:
        super().__init__(connect, plane.group)
        self._plane = plane
        self._levels: list[tuple[int, int]] = []
        self._level = 0

    def levels(self) -> list[tuple[int, int]]:
        """The (y, x) shapes of the levels, the full size first."""
        self.service()
        return self._levels

    def tile(self, c: int, y0: int, y1: int, x0: int, x1: int, level: int) -> np.ndarray:
        """One tile as it came: big-endian."""
        store, plane = self.service(), self._plane
        with speaking():
            if level != self._level:
                store.setResolutionLevel(len(self._levels) - 1 - level, self.context)
                self._level = level
            sent = store.getTile(plane.z, c, plane.t, x0, y0, x1 - x0, y1 - y0, self.context)
        if len(sent) != (y1 - y0) * (x1 - x0) * plane.dtype.itemsize:
            raise DamagedImageError("OMERO sent a tile of another size")
        return np.frombuffer(sent, plane.dtype.newbyteorder(">")).reshape(y1 - y0, x1 - x0)

    def begin(self, session: Any) -> Any:
        """See Lane."""
        return session.createRawPixelsStore(self.context)

    def choose(self, service: Any) -> None:
        """See Lane."""
        service.setPixelsId(self._plane.pixels, True, self.context)
        found = service.getResolutionDescriptions(self.context)
        self._levels, self._level = [(one.sizeY, one.sizeX) for one in found], 0


@contextmanager
def reading(
    connect: Connect, plane: Plane, connections: int = CONNECTIONS, patience_s: float = PATIENCE_S
) -> Iterator[Tiles]:
    """Read the pixels of a plane, in a with block.

    Parameters
    ----------
    connect
        Makes a connection; called for each of them, and again when one was lost.
    connections
        How many tiles are asked for at once.
    patience_s
        How long a tile is asked for again when OMERO cannot give it.
    """
    tiles = Tiles(connect, plane, connections, patience_s)
    try:
        yield tiles
    finally:
        tiles.close()


def _tiles(y0: int, y1: int, x0: int, x1: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut a region along the grid of tiles, which begins at the image's corner as that of shards does."""
    for top in range(y0 - y0 % TILE, y1, TILE):
        for left in range(x0 - x0 % TILE, x1, TILE):
            yield max(top, y0), min(top + TILE, y1), max(left, x0), min(left + TILE, x1)


def _join(waiting: list[Future[None]]) -> None:
    """Wait for all; what the first raises is raised, and what has not begun then never does."""
    try:
        wait(waiting, return_when=FIRST_EXCEPTION)
    finally:
        for one in waiting:
            one.cancel()
    for one in waiting:
        if one.done() and not one.cancelled():
            one.result()
