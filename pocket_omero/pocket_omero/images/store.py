# SPDX-License-Identifier: GPL-2.0-or-later
"""All images of a server: those of its folder, which are only read, and those made through it."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pocket_omero.images import made, ome_zarr, tiff
from pocket_omero.images.base import PIXEL_TYPES, ImageError, ImageInfo, Reader
from pocket_omero.images.pyramid import Levelled, is_large

if TYPE_CHECKING:
    from pocket_omero.state import State

_OPEN = 64  # readers kept open


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image of the folder lies: a path relative to the folder, and the number of the image in it."""

    path: str
    series: int


def inspect(path: Path) -> list[ImageInfo]:
    """Describe all images of a file or an OME-Zarr folder.

    Raises
    ------
    ImageError
        in words, whatever is wrong with it.
    """
    return ome_zarr.inspect(path) if path.is_dir() else tiff.inspect(path)


class Images:
    """Finds and opens images by the id of their Pixels.

    Parameters
    ----------
    folder : Path
        With the images that are served; never written to.
    home : Path
        Where the server keeps what is its own.
    state : State
        In which it is written which image of the folder is which.
    """

    def __init__(self, folder: Path, home: Path, state: State) -> None:
        self.folder = folder.resolve()
        self.home = home
        self._lock = threading.RLock()
        self._open: OrderedDict[object, Reader] = OrderedDict()
        self._pixels: dict[int, Place] = {}
        self._files: dict[int, str] = {}
        self._state = state
        said = state.note("folder", {})
        self.learn(
            {int(key): Place(*place) for key, place in said.get("pixels", {}).items()},
            {int(key): path for key, path in said.get("files", {}).items()},
        )

    # ---- images of the folder

    def place(self, pixels: int) -> Place | None:
        """Where an image of the folder lies; None for images made here."""
        return self._pixels.get(pixels)

    def places(self) -> dict[int, Place]:
        """Where all images of the folder lie, by the id of their Pixels."""
        return dict(self._pixels)

    def file(self, original: int) -> Path | None:
        """The file of the folder that an OriginalFile stands for; None for files sent by clients."""
        path = self._files.get(original)
        return None if path is None else self.folder / path

    def files(self) -> dict[int, str]:
        """Relative paths of the folder's files, by the id of their OriginalFile."""
        return dict(self._files)

    def learn(self, pixels: dict[int, Place], files: dict[int, str]) -> None:
        """Know from now on what lies in the folder."""
        self._pixels, self._files = pixels, files

    def keep(self) -> None:
        """Write down what lies in the folder; call it inside the change that makes the rows."""
        pixels = {str(key): [place.path, place.series] for key, place in self._pixels.items()}
        self._state.keep(
            "folder", {"pixels": pixels, "files": {str(k): path for k, path in self._files.items()}}
        )

    # ---- images made here

    def make(self, pixels: int, shape: tuple[int, int, int, int, int], kind: str) -> None:
        """Make the pixels of a new image: zeros.

        Parameters
        ----------
        pixels : int
            The id of its Pixels.
        shape : tuple
            (t, c, z, y, x).
        kind : str
            OMERO's name of the pixel type.
        """
        if kind not in PIXEL_TYPES:
            raise ImageError(f"images of type {kind} cannot be made here")
        made.make(self._made(pixels), shape, np.dtype(PIXEL_TYPES[kind]))

    def _made(self, pixels: int) -> Path:
        return self.home / "pixels" / str(pixels)

    def copy(self, old: int, new: int) -> None:
        """Let other Pixels show the same as these; call it inside the change that makes their row.

        An image of the folder is not copied, one made here is.

        Raises
        ------
        ImageError
            when there is no room, or the old image is gone.
        """
        place = self.place(old)
        if place is not None:
            self.learn({**self._pixels, new: place}, self._files)
            self.keep()
            return
        source, target = self._made(old), self._made(new)
        try:
            if source.stat().st_size > shutil.disk_usage(self.home).free:
                raise ImageError("there is no room for a copy of this image")
            shutil.copyfile(source, target)
            target.chmod(0o600)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise ImageError(f"this image cannot be copied: {error.strerror}") from error

    def changed(self, pixels: int) -> None:
        """Forget what was derived from the pixels of an image made here, because they have changed."""
        with self._lock:
            self._open.pop((pixels, True), None)
            self._open.pop((pixels, False), None)
        for derived in ("pyramids", "thumbnails"):
            shutil.rmtree(self.home / derived / f"made-{pixels}", ignore_errors=True)

    def delete(self, pixels: int) -> None:
        """Delete the pixels of an image made here; those of the folder stay. A repeat does nothing."""
        self.changed(pixels)
        if self.place(pixels) is None:
            self._made(pixels).unlink(missing_ok=True)

    # ---- reading

    def open(self, pixels: int, made_as: ImageInfo, *, levels: bool = True) -> Reader:
        """Open an image.

        Parameters
        ----------
        pixels : int
            The id of its Pixels.
        made_as : ImageInfo
            What it is if it was made here; an image of the folder speaks for itself.
        levels : bool
            Whether to give levels to large images whose file has none.

        Raises
        ------
        ImageError
            when it is gone or broken.
        """
        place, version = self.place(pixels), self.version(pixels)
        if place is None:
            plain = self._kept((pixels, False), lambda: made.MadeReader(self._made(pixels), made_as))
            key: object = pixels
        else:
            path = self.folder / place.path
            kind = ome_zarr.ZarrReader if path.is_dir() else tiff.TiffReader
            key = version
            plain = self._kept((key, False), lambda: kind(path, place.series))
        small = len(plain.info.levels) > 1 or not is_large(*plain.info.shape[3:])
        if not levels or (small and not plain.coarse):
            return plain
        return self._kept((key, True), lambda: Levelled(plain, self.home / "pyramids" / version))

    def version(self, pixels: int) -> str:
        """A name for the pixels as they are now; another one when the file of the folder has changed.

        Raises
        ------
        ImageError
            when the file is gone.
        """
        place = self.place(pixels)
        if place is None:
            return f"made-{pixels}"
        try:
            stat = (self.folder / place.path).stat()
        except OSError as error:
            raise ImageError("the file of this image is gone") from error
        return hashlib.sha256(repr((place, stat.st_mtime_ns, stat.st_size)).encode()).hexdigest()[:24]

    def _kept(self, key: object, make: Callable[[], Reader]) -> Reader:
        with self._lock:
            found = self._open.get(key)
        found = found or make()  # outside of the lock: a big file takes its time
        with self._lock:
            found = self._open.setdefault(key, found)
            self._open.move_to_end(key)
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            return found
