# SPDX-License-Identifier: GPL-2.0-or-later
"""What an image is here, whatever file it lies in: five axes, one pixel type, some levels."""

from __future__ import annotations

import struct
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocket_omero.errors import PocketError, WrongUse

Array = NDArray[Any]
Length = tuple[float, str]  # a value and the name of its unit in OMERO: (0.325, "MICROMETER")

# OMERO's names of pixel types, and numpy's
PIXEL_TYPES = {
    "int8": "i1", "int16": "i2", "int32": "i4",
    "uint8": "u1", "uint16": "u2", "uint32": "u4",
    "float": "f4", "double": "f8",
}  # fmt: skip


# What libraries raise for broken files, as met by trying many. Only used around calls of these libraries.
BROKEN: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class ImageError(PocketError):
    """An image cannot be read, or not as it was asked for."""

    raised = "ResourceError"


class OutsideError(WrongUse):
    """Somebody asks for planes, tiles or levels that the image does not have."""


def served_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """As what numpy type (native byte order) pixels of a file's type are served.

    One bit per pixel becomes uint8 (0 and 1), half floats become floats; both lose nothing.

    Raises
    ------
    ImageError
        for types that OMERO's clients cannot read: 64 bit integers, complex numbers.
    """
    kind = {"bool": "uint8", "float16": "float32"}.get(dtype.name, dtype.name)
    if np.dtype(kind).str[1:] not in PIXEL_TYPES.values():
        raise ImageError(f"pixels of type {dtype.name} cannot be served: OMERO's clients know no such type")
    return np.dtype(kind)


def pixel_type(dtype: np.dtype[Any]) -> str:
    """Name a served numpy type as OMERO does."""
    return next(name for name, code in PIXEL_TYPES.items() if code == dtype.str[1:])


@dataclass(frozen=True, slots=True)
class Channel:
    """What a file says of a channel: None where it says nothing."""

    name: str | None = None
    color: tuple[int, int, int, int] | None = None  # red, green, blue, alpha
    emission: Length | None = None
    excitation: Length | None = None
    window: tuple[float, float] | None = None  # intensities shown as black and as full colour
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One image of a file.

    `shape` is (t, c, z, y, x); `levels` are (height, width) from the full size down, the first is the full
    size; `tile` is the (height, width) that is quick to read.
    """

    name: str
    series: int
    shape: tuple[int, int, int, int, int]
    dtype: np.dtype[Any]
    levels: tuple[tuple[int, int], ...]
    tile: tuple[int, int]
    format: str
    channels: tuple[Channel, ...] = ()
    sizes: tuple[Length | None, Length | None, Length | None] = (None, None, None)  # of a pixel: z, y, x
    increment: tuple[float, str] | None = None  # between time points
    acquired: int | None = None  # milliseconds since 1970
    description: str = ""
    rgb: bool = False
    well: tuple[int, int] | None = None  # of a plate: row and column, from 0
    files: tuple[str, ...] = field(default=())  # absolute paths of all files that it lies in


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane by its place on the axes t, c and z."""

    t: int
    c: int
    z: int


class Reader(ABC):
    """Reads one image. Safe to use from many threads; it closes its files when nobody holds it any more."""

    info: ImageInfo
    coarse = False  # whether reading any region decodes (nearly) the whole plane

    @abstractmethod
    def region(self, level: int, plane: Plane, y: int, x: int, height: int, width: int) -> Array:
        """Read part of a plane; the place is known to lie inside. Returns (y, x), any byte order."""

    def read(self, level: int, plane: Plane, y: int, x: int, height: int, width: int) -> Array:
        """Read part of a plane of one level.

        Parameters
        ----------
        level : int
            0 is the full size.
        plane : Plane
        y, x, height, width : int
            In pixels of that level.

        Returns
        -------
        Array
            (height, width), of `info.dtype` but for the byte order.

        Raises
        ------
        OutsideError
            when any of it lies outside.
        ImageError
            when the file cannot be read (any more).
        """
        self.check(level, plane, y, x, height, width)
        try:
            return self.region(level, plane, y, x, height, width)
        except PocketError:
            raise
        except BROKEN as error:  # the image's name stays out of it, as it may name people
            raise ImageError(f"this part of the image cannot be read: {error}") from error

    def check(self, level: int, plane: Plane, y: int, x: int, height: int, width: int) -> None:
        """Refuse places outside the image in words."""
        t, c, z = self.info.shape[:3]
        for name, at, size in (("t", plane.t, t), ("c", plane.c, c), ("z", plane.z, z)):
            if not 0 <= at < size:
                raise OutsideError(f"{name}={at} lies outside the image, which has {size} of them")
        if not 0 <= level < len(self.info.levels):
            raise OutsideError(f"there is no resolution level {level}; there are {len(self.info.levels)}")
        rows, columns = self.info.levels[level]
        if y < 0 or x < 0 or height < 1 or width < 1 or y + height > rows or x + width > columns:
            raise OutsideError(
                f"x={x}, y={y}, width={width}, height={height} lies outside {columns} x {rows} pixels"
            )
