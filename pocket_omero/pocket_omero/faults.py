# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: N818  (a situation is named as what it is)
"""Faults on demand: what goes wrong at a real OMERO now and then, whenever a test wants it.

In process, a test calls `Faults.set` (a server's `faults`). From another process, it writes the same names as
JSON into the server's control file (see `pocket_omero.server.Server.act`).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from pocket_omero.errors import NotReady, PocketError, ReadOnlyServer, WrongUse
from pocket_omero.ice.slices import Operation

__all__ = ["ConnectionDropped", "Faults"]

_READS = ("Tile", "Plane", "PlaneRegion", "Region", "Row", "Col", "Stack", "Timepoint", "Hypercube")
TILES = (
    *(f"RawPixelsStore.get{what}" for what in _READS),
    "RenderingEngine.render*",
    "ThumbnailStore.getThumbnail*",
)
# What writes, though slice cannot say so; `Faults.read_only` refuses these before anything happens.
_WRITES = (
    "IUpdate.*",
    "IAdmin.create*",
    "IAdmin.update*",
    "IAdmin.add*",
    "IAdmin.remove*",
    "IAdmin.delete*",
    "IAdmin.change*",
    "IAdmin.set*",
    "IAdmin.un*",
    "IPixels.c*",
    "IPixels.saveRndSettings",
    "IPixels.setChannelGlobalMinMax",
    "IRenderingSettings.*set*",
    "IScript.upload*",
    "IScript.edit*",
    "IScript.delete*",
    "RawFileStore.write",
    "RawFileStore.truncate",
    "RawPixelsStore.set*",
    "RawPixelsStore.save",
    "RenderingEngine.save*",
    "SharedResources.newTable",
    "Table.add*",
    "Table.update",
    "Table.initialize",
    "Table.set*",
    "Table.delete",
)


class ConnectionDropped(Exception):
    """The connection of this call is to be cut, without an answer."""


@dataclass(slots=True)
class Faults:
    """What goes wrong from now on: say so with `set`; `clear` makes everything well again.

    Attributes
    ----------
    drop_after
        Calls that are still answered; the one after them loses its connection (once). None: never.
    drop_on
        Only calls of this name ("RawPixelsStore.getTile", with * for anything) count for `drop_after`.
    tile_delay
        Seconds that each reading of pixels takes longer.
    tile_failures
        How many readings of pixels fail, with omero.ResourceError; -1: all.
    tiles_until
        How many readings of pixels are still answered; those after them wait until this is set otherwise.
        None: they do not wait.
    fail
        Calls of these names fail: {"IQuery.findAllByQuery": "ResourceError"}, an omero exception by its name.
    delay
        Calls of these names take longer: {"IUpdate.*": 2.0}, in seconds.
    read_only
        Nothing can be written, as at an OMERO that is kept read-only.
    """

    drop_after: int | None = None
    drop_on: str = "*"
    tile_delay: float = 0.0
    tile_failures: int = 0
    tiles_until: int | None = None
    fail: dict[str, str] = field(default_factory=dict)
    delay: dict[str, float] = field(default_factory=dict)
    read_only: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _heard: list[Callable[["Faults"], None]] = field(default_factory=list, repr=False)

    def on_change(self, listener: Callable[["Faults"], None]) -> None:
        """Call `listener` after each `set` and `clear`."""
        self._heard.append(listener)

    def set(self, **what: Any) -> None:
        """Set attributes by name.

        Raises
        ------
        WrongUse
            There is no such fault.
        """
        known = {f.name for f in fields(self) if not f.name.startswith("_")}
        if unknown := set(what) - known:
            raise WrongUse(
                f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
            )
        for name, value in what.items():
            setattr(self, name, value)
        for listener in self._heard:
            listener(self)

    def clear(self) -> None:
        """Everything goes well from now on. Safe to repeat."""
        fresh = Faults()
        self.set(**{f.name: getattr(fresh, f.name) for f in fields(self) if not f.name.startswith("_")})

    def before(self, label: str, _operation: Operation, _current: Any) -> None:
        """Let the call "Interface.operation" fail or wait, where that is wanted.

        Raises
        ------
        ConnectionDropped, ReadOnlyServer, NotReady, PocketError
        """
        if self.drop_after is not None and fnmatchcase(label, self.drop_on) and self._counts_down():
            raise ConnectionDropped
        for pattern, seconds in list(self.delay.items()):
            if fnmatchcase(label, pattern):
                time.sleep(seconds)
        for pattern, raised in list(self.fail.items()):
            if fnmatchcase(label, pattern):
                raise _failure(raised, label)
        if self.read_only and any(fnmatchcase(label, w) for w in _WRITES):
            raise ReadOnlyServer(f"{label}: the server only reads at the moment")
        wanted = self.tile_delay or self.tile_failures or self.tiles_until is not None
        if wanted and any(fnmatchcase(label, t) for t in TILES):
            self._tile(label)

    def _counts_down(self) -> bool:
        with self._lock:
            if self.drop_after is None:
                return False
            self.drop_after = self.drop_after - 1 if self.drop_after > 0 else None
            return self.drop_after is None

    def _tile(self, label: str) -> None:
        with self._lock:
            waits = self.tiles_until == 0
            if self.tiles_until:
                self.tiles_until -= 1
        while waits and self.tiles_until == 0:
            time.sleep(0.01)
        time.sleep(self.tile_delay)
        with self._lock:
            fails = self.tile_failures != 0
            if self.tile_failures > 0:
                self.tile_failures -= 1
        if fails:
            raise NotReady(f"{label}: pixels cannot be read (a fault that was asked for)")


def _failure(raised: str, label: str) -> PocketError:
    error = PocketError(f"{label} fails (a fault that was asked for)")
    error.raised = raised
    return error
