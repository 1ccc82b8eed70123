# SPDX-License-Identifier: BSD-3-Clause
"""What an ImageSource and a ResultSink are, and the values that pass between them and the rest."""

import hashlib
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from slidegate_analysis.images.layout import check_size
from slidegate_analysis.images.regions import Region as Region

from slidegate.domain.values import AttemptKey, Digest, ImageRef, RunId, TaskId

from .errors import (
    BadMetadataError,
    NoSuchPlaneError,
    PixelsNotSquareError,
    PixelTypeError,
    PlaneNeededError,
    translated,
)

CONVERTER = "1"
"""Part of every fingerprint; counted up when the same source would be staged as other bytes."""

Progress = Callable[[int, int], None]

_LABEL_LENGTH = 64
_SQUARE_WITHIN = 0.01


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of an image before its pixels are read.

    Attributes
    ----------
    name
        For people, and for naming results: the last part of the path, with the plane if one was named.
    shape
        (c, y, x).
    dtype
        ``uint8`` or ``uint16``.
    channels
        One label per channel, ``""`` where none is known.
    pixel_size_um
        Micrometres per pixel in y and x, or None where the image does not say.
    bytes
        Size of the full-resolution pixels in memory.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: str
    channels: tuple[str, ...]
    pixel_size_um: float | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Overview:
    """An image made small.

    Attributes
    ----------
    pixels
        (c, y, x) float32, in the image's own intensities.
    scale
        Full-resolution pixels per pixel of it.
    """

    pixels: np.ndarray
    scale: float


@dataclass(frozen=True, slots=True)
class Output:
    """One result of a Task: its type, such as ``labels`` or ``table/objects``, and where it lies."""

    type: str
    path: str


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be written to a sink: the result of one Attempt for one image.

    Attributes
    ----------
    run, task, attempt
        Whose result it is; a repeat with the same `run`, `task` and `tree` changes nothing.
    image
        The image that was analysed.
    name
        `ImageInfo.name` of that image.
    tree
        Digest of the result's Tree.
    outputs
        Role to `Output`, as the workflow's manifest states them.
    names
        The names of all images of the Run. With them, images of equal stem get names that do not depend on
        the order of publishing.
    parts
        Role to the digest of the Tree that `part_of` gives of the files, as they were when they were fetched.
        Files that are not so any more are refused.
    facts
        What people want to know of the Run beside the result: its workflow, version and parameters, in
        words. A sink that shows such things shows these.
    """

    run: RunId
    task: TaskId
    attempt: AttemptKey
    image: ImageRef
    name: str
    tree: Digest
    outputs: Mapping[str, Output] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    parts: Mapping[str, Digest] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


def part_of(entries: Iterable[tuple[str, int, str]], output: Output) -> list[tuple[str, int, str]]:
    """Return the files (name, size, SHA-256) of one output: itself, or what lies in its folder."""
    return [
        (name.removeprefix(output.path + "/"), size, sha256)
        for name, size, sha256 in entries
        if name == output.path or name.startswith(output.path + "/")
    ]


@dataclass(frozen=True, slots=True)
class Published:
    """A result that lies in a sink.

    Attributes
    ----------
    run, task, attempt, tree
        As in `Publication`.
    where
        For a person: a path or an address.
    """

    run: RunId
    task: TaskId
    attempt: AttemptKey
    tree: Digest
    where: str


class ImageSource(Protocol):
    """Where images are read from. No method changes anything in the source."""

    name: str

    def find(self, where: str) -> list[ImageRef]:
        """List the images at a place, in a stable order, without opening them."""
        ...

    def describe(self, ref: ImageRef) -> ImageInfo:
        """Read an image's metadata; refuses what cannot be analysed, with a sentence that says why."""
        ...

    def fingerprint(self, ref: ImageRef) -> str:
        """Return text that changes whenever the image may have changed; no pixel is read."""
        ...

    def content_digest(self, ref: ImageRef, progress: Progress | None = None) -> str:
        """Return a SHA-256 (64 hex) of all that determines the staged image; reads the image once."""
        ...

    def stage(
        self, ref: ImageRef, folder: Path, progress: Progress | None = None, *, parts: Path | None = None
    ) -> None:
        """Write the image as OME-Zarr 0.5 to `folder`, which appears whole or not at all.

        `folder` must be absent or empty. Equal images give equal bytes. `parts` is the name of a folder on
        the same disk for this image and fingerprint alone: a source from which images come slowly makes it
        and keeps there what it has when the work ends early, however it ends, and goes on from there when it
        is called again. An empty one beside a whole `folder` says that all of that is on the disk; the caller
        removes it. A source whose images lie here makes none.
        """
        ...

    def overview(
        self, ref: ImageRef, side: int, scratch: Path | None = None, progress: Progress | None = None
    ) -> Overview:
        """Return the image made small, at most `side` pixels high and wide, in little memory."""
        ...

    def regions(self, ref: ImageRef) -> list[Region]:
        """Return what people drew on the image, holes taken out; none where nobody drew any.

        Neither the order in which it was drawn nor by whom matters. No pixel is read.
        """
        ...

    def crop(self, ref: ImageRef, region: tuple[int, int, int, int], folder: Path) -> None:
        """Write a region, half-open (y0, y1, x0, x1) in full-resolution pixels, as a staged image is."""
        ...


class ResultSink(Protocol):
    """Where results are written to."""

    name: str

    def publish(self, publication: Publication, files: Path) -> Published:
        """Write the files of a result; a repeat changes nothing, results of other Runs are never touched."""
        ...

    def find_published(self, run: RunId) -> list[Published]:
        """List what lies in the sink for a Run, by its markers."""
        ...

    def undo(self, published: Published) -> None:
        """Remove exactly what was written; what people changed or added stays. A repeat changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """Which plane of a file is meant: focal plane, time point, image, each from 0; None where not said."""

    z: int | None = None
    t: int | None = None
    series: int | None = None

    @property
    def text(self) -> str:
        """The choice as it is written behind ``#``; empty if nothing was chosen."""
        pairs = (("series", self.series), ("z", self.z), ("t", self.t))
        return ",".join(f"{key}={value}" for key, value in pairs if value is not None)


@dataclass(frozen=True, slots=True)
class Level:
    """The same image, coarser, as its file holds it.

    Attributes
    ----------
    shape
        (y, x).
    read, by_rows
        As those of `Pixels`, in pixels of this level.
    """

    shape: tuple[int, int]
    read: Callable[[int, int, int, int, int], np.ndarray]
    by_rows: bool = False


@dataclass(frozen=True, slots=True)
class Pixels:
    """An opened image: what a format's reader yields.

    Attributes
    ----------
    shape, dtype, channels, pixel_size_um
        As in `ImageInfo`.
    read
        ``read(c, y0, y1, x0, x1)`` returns a half-open region as a (y, x) array in native byte order.
    levels
        Coarser levels, for overviews; none where the file holds none.
    by_rows
        Whether some rows can be read for less than all.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    channels: tuple[str, ...]
    pixel_size_um: float | None
    read: Callable[[int, int, int, int, int], np.ndarray]
    levels: tuple[Level, ...] = ()
    by_rows: bool = False


def check_pixels(shape: tuple[int, int, int], dtype: np.dtype, channels: tuple[str, ...]) -> None:
    """Refuse what cannot be staged, before anything of its size is allocated.

    Raises
    ------
    PixelTypeError
        The pixels are floating point, complex, signed, boolean or wider than 16 bits.
    ImageRefusedError
        It is empty, has too many channels or is larger than any slide.
    """
    if dtype.name not in ("uint8", "uint16"):
        raise PixelTypeError(f"these are {dtype.name}")
    with translated():
        check_size(*shape, dtype.itemsize)
    if len(channels) != shape[0]:
        raise BadMetadataError("not one label per channel")


def square_pixel_size(y: float | None, x: float | None) -> float | None:
    """Return the pixel size in micrometres if both sides are known and agree within one percent.

    Raises
    ------
    PixelsNotSquareError
        They do not agree.
    """
    if y is None or x is None or not (math.isfinite(y) and math.isfinite(x) and y > 0 and x > 0):
        return None
    if abs(y - x) > _SQUARE_WITHIN * max(y, x):
        raise PixelsNotSquareError(f"{y:.6g} by {x:.6g} µm")
    return x


def clean_label(label: str | None) -> str:
    """Return a channel label without control characters and surplus blanks, cut to 64 characters."""
    printable = "".join(character if character.isprintable() else " " for character in label or "")
    return " ".join(printable.split())[:_LABEL_LENGTH]


def pick(kind: str, count: int, chosen: int | None, error: type[Exception]) -> int:
    """Return which of `count` planes is meant: the only one, or the chosen one."""
    if chosen is None:
        if count > 1:
            raise error(f"it has {count} {kind}")
        return 0
    if not 0 <= chosen < count:
        raise NoSuchPlaneError(f"{chosen} of {count} {kind}, counted from 0")
    return chosen


def plane_of(sizes: Mapping[str, int], choice: Choice) -> dict[str, int]:
    """Return the index of the plane that is meant along ``z`` and ``t``, given their sizes (1 where absent).

    Raises
    ------
    PlaneNeededError, NoSuchPlaneError
        There is more than one and none was chosen; the chosen one does not exist.
    """
    return {
        "z": pick("focal planes", sizes.get("z", 1), choice.z, PlaneNeededError),
        "t": pick("time points", sizes.get("t", 1), choice.t, PlaneNeededError),
    }


_CHOICE = re.compile(
    r"(series|z|t)=([0-9]{1,9})(?:,(series|z|t)=([0-9]{1,9}))?(?:,(series|z|t)=([0-9]{1,9}))?"
)


def split_choice(image: str) -> tuple[Path, Choice]:
    """Split ``path#z=3,t=0`` into the path and the plane; a file whose name holds a ``#`` stays whole."""
    path, mark, text = image.rpartition("#")
    match = _CHOICE.fullmatch(text)
    if not mark or not match or os.path.exists(image):  # noqa: PTH110 (answers for any text)
        return Path(image), Choice()
    found = [part for part in match.groups() if part is not None]
    chosen = dict(zip(found[::2], map(int, found[1::2]), strict=True))
    return Path(path), Choice(**chosen)


def text_digest(*parts: str) -> str:
    """Return the SHA-256 (64 hex) of some text, joined so that no two lists of parts collide."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogateescape")).hexdigest()
