# SPDX-License-Identifier: BSD-3-Clause
"""What images are called outside this computer: ``shelf:relative/path#choice``, never an absolute path.

A shelf is a folder that people may choose images from. Signs that cannot be shown, that have a meaning here
or that are not text stand as ``%XX``, one for each byte, so that every file of a disk has exactly one name.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import unquote_to_bytes

from slidegate.domain.errors import BadRequest

SHELF = re.compile("[a-z0-9][a-z0-9_-]{0,39}")
OMERO = "omero"
"""No shelf is called so: ``omero:12`` is an image in OMERO, by its number there."""
_CHOICE = re.compile("(?:series|z|t)=[0-9]{1,9}(?:,(?:series|z|t)=[0-9]{1,9}){0,2}")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MOST = 4096
_PART_BYTES = 255
_NUMBER = re.compile("[1-9][0-9]{0,17}")


class BadImageName(BadRequest):
    """That is no name of an image: it is written shelf:folder/image.tif."""

    code = "bad-image-name"


@dataclass(frozen=True, slots=True)
class ShelfName:
    """A place on a shelf.

    Attributes
    ----------
    parts
        Names of folders and, last, of the image, as the system has them; empty for the shelf itself.
    choice
        Which plane of it is meant, such as ``z=3,t=0``; empty where nothing was chosen.
    """

    shelf: str
    parts: tuple[str, ...] = ()
    choice: str = ""

    @property
    def text(self) -> str:
        """The name, as it is written outside."""
        path = "/".join(_escape(part) for part in self.parts)
        return f"{self.shelf}:{path}" + (f"#{self.choice}" if self.choice else "")

    def below(self, name: str) -> "ShelfName":
        """Return the name of something in this folder."""
        return ShelfName(self.shelf, (*self.parts, name))


def parse_shelf_name(text: str) -> ShelfName:
    """Read a name.

    Raises
    ------
    BadImageName
        It has another form, leads up or out, or names something hidden.
    """
    shelf, colon, rest = text.partition(":")
    path, hash_sign, choice = rest.partition("#")
    if not colon or not SHELF.fullmatch(shelf) or len(text) > _MOST:
        raise BadImageName
    if hash_sign and not (_CHOICE.fullmatch(choice) and path):
        raise BadImageName
    parts = tuple(_unescape(part) for part in path.split("/")) if path else ()
    if not all(is_shown(part) for part in parts):
        raise BadImageName
    return ShelfName(shelf, parts, choice)


def name_in(roots: Mapping[str, PurePath], image: str) -> str | None:
    """Return what an image of the folder source is called outside; None where it is on no shelf.

    Parameters
    ----------
    roots
        The folder of each shelf, absolute and without links.
    image
        An absolute path, with ``#choice`` where a plane was chosen.
    """
    path, hash_sign, choice = image.rpartition("#")
    if not hash_sign or not _CHOICE.fullmatch(choice):
        path, choice = image, ""
    for shelf in sorted(roots, key=lambda name: (-len(roots[name].parts), name)):
        if PurePath(path).is_relative_to(roots[shelf]):
            parts = PurePath(path).relative_to(roots[shelf]).parts
            return ShelfName(shelf, parts, choice).text if all(map(is_shown, parts)) else None
    return None


def in_omero(name: str) -> str | None:
    """Return what an image is called in OMERO (``12``, or ``12#z=3,t=0``); None for one of another shelf.

    Raises
    ------
    BadImageName
        It is no name, or leads into OMERO and is no number.
    """
    place = parse_shelf_name(name)
    if place.shelf != OMERO:
        return None
    if len(place.parts) != 1 or not _NUMBER.fullmatch(place.parts[0]):
        raise BadImageName("An image in OMERO is written omero:12, by its number.")
    return place.parts[0] + (f"#{place.choice}" if place.choice else "")


def name_of(roots: Mapping[str, PurePath], source: str, image: str) -> str | None:
    """Return what an image of a source is called outside; None for one of a folder that is on no shelf.

    Parameters
    ----------
    roots
        See `name_in`.
    """
    return f"{OMERO}:{image}" if source == OMERO else name_in(roots, image)


def is_shown(name: str) -> bool:
    """Say whether a file or folder of this name is one that people get to see: none that is hidden."""
    if name.startswith(".") or "/" in name or "\0" in name or not name:
        return False
    try:
        return len(name.encode("utf-8", "surrogateescape")) <= _PART_BYTES
    except UnicodeEncodeError:
        return False


def shown(name: str) -> str:
    """Return a name for people to read: what cannot be shown stands as a question mark in a box."""
    return "".join("\ufffd" if unicodedata.category(sign) in _UNSEEN else sign for sign in name)


def _escape(part: str) -> str:
    return "".join(_escaped_sign(sign) for sign in part)


def _escaped_sign(sign: str) -> str:
    if sign in "%#" or unicodedata.category(sign) in _UNSEEN:
        return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "surrogateescape"))
    return sign


def _unescape(part: str) -> str:
    """Read ``%XX``; a part that could be written in another way is refused, so that names are unique."""
    try:
        raw = unquote_to_bytes(part)
    except UnicodeEncodeError:
        raise BadImageName from None
    name = raw.decode("utf-8", "surrogateescape")
    if _escape(name) != part:
        raise BadImageName
    return name
