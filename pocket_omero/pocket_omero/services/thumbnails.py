# SPDX-License-Identifier: GPL-2.0-or-later
"""ThumbnailStore: small pictures, as everybody wants to see them, kept on disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import omero.all

from pocket_omero.errors import PocketError, WrongUse
from pocket_omero.ice.dispatch import Stateful
from pocket_omero.images import ImageError, Reader, rendering, rows, settings
from pocket_omero.images.rendering import Settings
from pocket_omero.services.pixels import readable, readable_pixels

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["Thumbnails"]

_USUAL, _MOST = 48, 4096


class Thumbnails(Stateful, omero.api.ThumbnailStore, name="ThumbnailStore"):
    """Makes thumbnails with the caller's settings, else those of the owner, else the usual ones."""

    pixels: Row | None = None
    definition: Row | None = None

    # ---- which image, which settings

    def do_setPixelsId(self, id: int, current: Any) -> bool:
        """Choose an image; answers whether there are settings for it."""
        self.pixels = readable_pixels(self, id, current)
        person = self.caller(current).person.id
        self.definition = settings.fallback(self.house.state, self.pixels, person)
        return self.definition is not None

    def do_setRenderingDefId(self, id: int, current: Any) -> None:
        row = readable(self, "RenderingDef", id, current)
        if row["pixels"] is not self._chosen():
            raise WrongUse(f"the rendering settings {id} are those of another image")
        self.definition = row

    def do_getRenderingDefId(self, current: Any) -> int:
        self._chosen()
        if self.definition is None:
            raise WrongUse("there are no rendering settings for this image")
        return self.definition.id

    def do_resetDefaults(self, current: Any) -> None:
        """Keep the usual settings as the caller's, where the caller may have some."""
        row, caller = self._chosen(), self.caller(current)
        made = settings.usual(self.house.state, self.house.images, row)
        if self.house.rights.can_annotate(caller, row):
            with self.house.state.change():
                event = self.house.state.event(caller.person, row["details.group"], caller.session)
                self.definition = settings.write(self.house.state, row, caller.person, made, event)

    def _chosen(self) -> Row:
        if self.pixels is None:
            raise WrongUse("no pixels were chosen: call setPixelsId first")
        return self.pixels

    def _reader(self, row: Row) -> Reader:
        return self.house.images.open(row.id, rows.info_of(row))

    # ---- one image

    def do_getThumbnail(self, width: Any, height: Any, current: Any) -> bytes:
        return self._picture(self._chosen(), self.definition, _box(width, height))

    def do_getThumbnailWithoutDefault(self, width: Any, height: Any, current: Any) -> bytes:
        """Show the image, or nothing at all where it has no settings yet."""
        return self.do_getThumbnail(width, height, current=current) if self.definition is not None else b""

    def do_getThumbnailByLongestSide(self, size: Any, current: Any) -> bytes:
        row = self._chosen()
        return self._picture(row, self.definition, _longest(row, size))

    def do_getThumbnailDirect(self, width: Any, height: Any, current: Any) -> bytes:
        return self.do_getThumbnail(width, height, current=current)

    def do_getThumbnailByLongestSideDirect(self, size: Any, current: Any) -> bytes:
        return self.do_getThumbnailByLongestSide(size, current=current)

    def do_getThumbnailForSectionDirect(self, z: int, t: int, width: Any, height: Any, current: Any) -> bytes:
        return self._picture(self._chosen(), self.definition, _box(width, height), (z, t))

    def do_getThumbnailForSectionByLongestSideDirect(self, z: int, t: int, size: Any, current: Any) -> bytes:
        row = self._chosen()
        return self._picture(row, self.definition, _longest(row, size), (z, t))

    # ---- several images

    def do_getThumbnailSet(self, width: Any, height: Any, ids: list[int], current: Any) -> dict[int, bytes]:
        return self._set(ids, lambda _: _box(width, height), current)

    def do_getThumbnailByLongestSideSet(self, size: Any, ids: list[int], current: Any) -> dict[int, bytes]:
        return self._set(ids, lambda row: _longest(row, size), current)

    def _set(self, ids: list[int], box: Any, current: Any) -> dict[int, bytes]:
        """Thumbnails of all images that the caller sees; of one that cannot be read, no bytes."""
        person = self.caller(current).person.id
        found = {}
        for id in ids:
            try:
                row = readable_pixels(self, id, current)
                definition = settings.fallback(self.house.state, row, person)
                found[id] = self._picture(row, definition, box(row))
            except PocketError:  # one broken file must not hide the others
                found[id] = b""
        return found

    # ---- the cache

    def do_isInProgress(self, current: Any) -> bool:
        return False

    def do_thumbnailExists(self, width: Any, height: Any, current: Any) -> bool:
        row = self._chosen()
        return self._path(row, self._settings(row, self.definition), _box(width, height)).is_file()

    def do_createThumbnail(self, width: Any, height: Any, current: Any) -> None:
        self.do_getThumbnail(width, height, current=current)

    def do_createThumbnails(self, current: Any) -> None:
        """Do nothing: a thumbnail that does not fit the settings is never found in the cache."""
        self._chosen()

    def do_createThumbnailsByLongestSideSet(self, size: Any, ids: list[int], current: Any) -> None:
        self.do_getThumbnailByLongestSideSet(size, ids, current=current)

    def _settings(self, row: Row, definition: Row | None) -> Settings:
        if definition is not None:
            return settings.read(self.house.state, definition)
        return settings.usual(self.house.state, self.house.images, row)

    def _path(self, row: Row, how: Settings, box: tuple[int, int]) -> Path:
        name = hashlib.sha256(repr((how, box)).encode()).hexdigest()[:32]
        images = self.house.images
        return Path(images.home, "thumbnails", images.version(row.id), f"{name}.jpg")

    def _picture(
        self, row: Row, definition: Row | None, box: tuple[int, int], section: tuple[int, int] | None = None
    ) -> bytes:
        how = self._settings(row, definition)
        if section is not None:
            how = replace(how, z=section[0], t=section[1])
        path = self._path(row, how, box)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            made = rendering.thumbnail(self._reader(row), how, *box)
        _keep(path, made)
        return made


def _keep(path: Path, data: bytes) -> None:
    """Write a file as a whole, or not at all."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(number, "wb") as file:
            file.write(data)
        Path(temporary).rename(path)
    except OSError as error:
        raise ImageError(f"the thumbnail cannot be kept: {error.strerror}") from error


def _box(width: Any, height: Any) -> tuple[int, int]:
    """(height, width) from what clients ask for; None is the usual size."""
    sides = tuple(_USUAL if side is None else int(side.val) for side in (height, width))
    if min(sides) < 1 or max(sides) > _MOST:
        raise WrongUse(f"thumbnails are 1 to {_MOST} pixels high and wide")
    return sides[0], sides[1]


def _longest(row: Row, size: Any) -> tuple[int, int]:
    """(height, width) of a whole image of which the longer side is `size`."""
    side, _ = _box(size, size)
    height, width = row["sizeY"], row["sizeX"]
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))
