# SPDX-License-Identifier: BSD-3-Clause
"""Pixels out of OMERO: tiles over a few connections at once, asked again where OMERO or the network failed.

BlitzGateway turns each pixel into a number of Python, ten to a hundred times slower than the bytes come;
here they are taken as they are, big-endian, and swapped while they are put in place.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import Ice
import numpy as np
import omero

from slidegate.domain.errors import SlidegateError
from slidegate.sources.errors import DamagedImageError

from .connection import Connection, speaking
from .errors import OmeroBusyError, OmeroSessionGoneError

Connect = Callable[[], Connection]
T = TypeVar("T")

TILE = 1024
"""Side of a tile in pixels: a whole part of a shard, and far below the size of a message."""
CONNECTIONS = 4
PATIENCE_S = 120.0
_PAUSE_S = (0.1, 10.0)
_ANSWER_S = 120.0  # a server that has not sent a tile by then is asked over a new connection


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
        self._connect, self._plane, self._patience_s = connect, plane, patience_s
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="omero-tiles")
        self._lanes: queue.LifoQueue[_Lane] = queue.LifoQueue()
        for _ in range(connections):
            self._lanes.put(_Lane(connect, plane))
        self._ending = threading.Event()

    def levels(self) -> list[tuple[int, int]]:
        """Return the (y, x) shapes of the levels, the full size first.

        Raises
        ------
        OmeroError
            It failed again and again.
        """
        return self._kept_at(lambda lane: lane.levels())

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
            self._pool.submit(self._fill, region, (y0, x0), c, tile, level) for tile in _tiles(y0, y1, x0, x1)
        ]
        _join(waiting)
        return region

    def close(self) -> None:
        """End all connections. Safe to repeat."""
        self._ending.set()
        self._pool.shutdown(cancel_futures=True)
        while not self._lanes.empty():
            self._lanes.get().close()

    def _fill(
        self, region: np.ndarray, corner: tuple[int, int], c: int, tile: tuple[int, int, int, int], level: int
    ) -> None:
        y0, y1, x0, x1 = tile
        found = self._kept_at(lambda lane: lane.tile(c, y0, y1, x0, x1, level))
        region[y0 - corner[0] : y1 - corner[0], x0 - corner[1] : x1 - corner[1]] = found

    def _kept_at(self, ask: Callable[[_Lane], T]) -> T:
        """Ask over a free connection, again and again as long as that can help."""
        lane = self._lanes.get()
        until = time.monotonic() + self._patience_s
        pause = _PAUSE_S[0]
        try:
            while True:
                try:
                    return ask(lane)
                except SlidegateError as error:
                    if not isinstance(error, OmeroBusyError):
                        lane.close()
                    gone = isinstance(error, OmeroSessionGoneError) and lane.was_open
                    if not (error.transient or gone) or time.monotonic() + pause > until:
                        raise
                    if self._ending.wait(pause):
                        raise
                pause = min(2 * pause, _PAUSE_S[1])
        finally:
            self._lanes.put(lane)


class _Lane:
    """One connection and what reads on it; both are made when they are needed."""

    def __init__(self, connect: Connect, plane: Plane) -> None:
        self._connect, self._plane = connect, plane
        self._connection: Connection | None = None
        self._store: Any = None
        self._levels: list[tuple[int, int]] = []
        self._level = 0
        self.was_open = False

    def levels(self) -> list[tuple[int, int]]:
        """The (y, x) shapes of the levels, the full size first."""
        self._open()
        return self._levels

    def tile(self, c: int, y0: int, y1: int, x0: int, x1: int, level: int) -> np.ndarray:
        """One tile as it came: big-endian."""
        self._open()
        plane = self._plane
        with speaking():
            if level != self._level:
                self._store.setResolutionLevel(len(self._levels) - 1 - level, self._context)
                self._level = level
            sent = self._store.getTile(plane.z, c, plane.t, x0, y0, x1 - x0, y1 - y0, self._context)
        if len(sent) != (y1 - y0) * (x1 - x0) * plane.dtype.itemsize:
            raise DamagedImageError("OMERO sent a tile of another size")
        return np.frombuffer(sent, plane.dtype.newbyteorder(">")).reshape(y1 - y0, x1 - x0)

    def close(self) -> None:
        """End the connection, in whatever state it is."""
        store, self._store = self._store, None
        connection, self._connection = self._connection, None
        if store is not None:
            with suppress(Ice.Exception, omero.ClientError):
                store.close(self._context)
        if connection is not None:
            connection.close()

    def _open(self) -> None:
        if self._store is not None:
            return
        self.was_open = False  # a session that is gone already when a connection is made will not come back
        self.close()
        self._connection = self._connect()
        self.was_open = True
        self._context = self._connection.context(self._plane.group)
        with speaking():
            made = self._connection.client.getSession().createRawPixelsStore(self._context)
            store = made.ice_invocationTimeout(int(_ANSWER_S * 1000))
            store.setPixelsId(self._plane.pixels, True, self._context)
            found = store.getResolutionDescriptions(self._context)
        self._levels = [(one.sizeY, one.sizeX) for one in found]
        self._store, self._level = store, 0


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
