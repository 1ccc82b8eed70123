# SPDX-License-Identifier: BSD-3-Clause
"""Folders that people may choose images from, by names that say nothing of the rest of this computer."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slidegate.domain.errors import BadRequest
from slidegate.domain.shelf_names import (
    SHELF,
    BadImageName,
    ShelfName,
    is_shown,
    name_in,
    parse_shelf_name,
    shown,
)
from slidegate.domain.values import ImageRef

from .errors import ImageNotFoundError, ImageUnreadableError, NotAnImageError, looking
from .folder import FolderSource, is_image, is_result

MOST_LISTED = 2000
_MOST_SEEN = 20_000


class BadShelf(BadRequest):
    """A shelf is a folder that exists, under a name of small letters, digits, - and _."""

    code = "bad-shelf"


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder or an image on a shelf: its name for programs, and the last part of it for people."""

    at: str
    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in a folder.

    Attributes
    ----------
    trail
        The folders above it and itself, from the shelf on; empty for the list of shelves.
    truncated
        Whether there is more than is listed.
    """

    at: str
    trail: tuple[Entry, ...] = ()
    folders: tuple[Entry, ...] = ()
    images: tuple[Entry, ...] = ()
    truncated: bool = False


class Shelves:
    """Named folders.

    Nothing outside them is found: neither by ``..``, nor through a link that leads out, nor hidden files.
    Whoever may write to a shelf decides what lies on it.

    Parameters
    ----------
    folders
        Each shelf's folder, by its name.

    Raises
    ------
    BadShelf
        A name cannot be one.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        for name in folders:
            if not SHELF.fullmatch(name):
                raise BadShelf(f"A shelf cannot be called {name!r}: take small letters, digits, - and _.")
        self._roots = {name: folder.resolve() for name, folder in folders.items()}

    @property
    def roots(self) -> dict[str, Path]:
        """The folder of each shelf, absolute and without links."""
        return dict(self._roots)

    def image(self, name: str) -> ImageRef:
        """Return the image of a name; that it can be read is not looked at.

        Raises
        ------
        BadImageName
            That is no name.
        ImageNotFoundError, ImageUnreadableError, NotAnImageError
            There is no such image on a shelf.
        """
        place = parse_shelf_name(name)
        path = self._path(place)
        with looking():
            if not is_image(path):
                raise NotAnImageError
        return ImageRef(FolderSource.name, f"{path}#{place.choice}" if place.choice else str(path))

    def name(self, ref: ImageRef) -> str | None:
        """Return what an image is called outside; None where it is on no shelf."""
        return name_in(self._roots, ref.image) if ref.source == FolderSource.name else None

    def list(self, at: str) -> Listing:
        """List a folder, folders and images each sorted by name; of ``""`` the shelves.

        Raises
        ------
        BadImageName, ImageNotFoundError, ImageUnreadableError, NotAnImageError
            There is no such folder.
        """
        if not at:
            found = tuple(Entry(f"{name}:", name) for name in sorted(self._roots))
            return Listing("", folders=found)
        place = parse_shelf_name(at)
        path = self._path(place)
        if place.choice or not path.is_dir() or is_image(path):
            raise NotAnImageError("it is no folder")
        with looking():
            names, truncated = _names(path)
        folders: list[Entry] = []
        images: list[Entry] = []
        for name in names:
            if len(folders) + len(images) >= MOST_LISTED:
                truncated = True
                break
            entry = Entry(place.below(name).text, shown(name))
            match self._kind(place, name):
                case "image":
                    images.append(entry)
                case "folder":
                    folders.append(entry)
        return Listing(place.text, _trail(place), tuple(folders), tuple(images), truncated)

    def _kind(self, place: ShelfName, name: str) -> Literal["image", "folder"] | None:
        """Say what something in a folder is to people; None for what they do not get to see."""
        try:
            path = self._path(place.below(name))
            if is_image(path):
                return "image"
            return "folder" if path.is_dir() and not is_result(path) else None
        except (ImageNotFoundError, ImageUnreadableError, OSError):
            return None

    def _path(self, place: ShelfName) -> Path:
        """Return where something lies, without links, once it is sure that it lies on its shelf."""
        root = self._roots.get(place.shelf)
        if root is None:
            raise ImageNotFoundError
        try:
            path = root.joinpath(*place.parts).resolve(strict=True)
        except PermissionError as error:
            raise ImageUnreadableError from error
        except (OSError, ValueError, RuntimeError) as error:
            raise ImageNotFoundError from error
        if not path.is_relative_to(root) or not all(map(is_shown, path.relative_to(root).parts)):
            raise ImageNotFoundError
        if not stat.S_ISDIR(mode := path.lstat().st_mode) and not stat.S_ISREG(mode):
            raise ImageNotFoundError
        return path


def _names(folder: Path) -> tuple[list[str], bool]:
    """Return the names in a folder, sorted, at most so many; and whether there are more."""
    names: list[str] = []
    with os.scandir(folder) as entries:
        for seen, entry in enumerate(entries):
            if seen >= _MOST_SEEN:
                return sorted(names, key=str.casefold), True
            if is_shown(entry.name):
                names.append(entry.name)
    return sorted(names, key=str.casefold), False


def _trail(place: ShelfName) -> tuple[Entry, ...]:
    steps = [ShelfName(place.shelf, place.parts[:count]) for count in range(len(place.parts) + 1)]
    return tuple(Entry(step.text, shown(step.parts[-1]) if step.parts else step.shelf) for step in steps)


__all__ = ["BadImageName", "BadShelf", "Entry", "Listing", "Shelves"]
