# SPDX-License-Identifier: GPL-2.0-or-later
"""Images as rows: Image, Pixels, Channel and what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from pocket_omero.images.base import PIXEL_TYPES, Channel, ImageError, ImageInfo, pixel_type
from pocket_omero.images.originals import measured

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

__all__ = ["Fileset", "Home", "container", "info_of", "new_fileset", "new_image", "new_plate", "word"]


_HASHED = 1 << 30  # larger files of the folder have no digest: reading them all would take too long


@dataclass(frozen=True, slots=True)
class Home:
    """Where an image goes: a dataset (None: nowhere), and whose it is."""

    dataset: Row | None
    owner: Row
    group: Row


@dataclass(frozen=True, slots=True)
class Fileset:
    """A fileset, and its files with their paths relative to the folder."""

    row: Row
    files: tuple[tuple[Row, str], ...]


def word(state: State, kind: str, value: str) -> Row:
    """The row of an enumeration.

    Raises
    ------
    ImageError
        when there is no such word.
    """
    for row in state.where(kind, "value", value):
        return row
    raise ImageError(f"{value!r} is no {kind}")


def container(
    state: State, kind: str, name: str, description: str, mine: dict[str, Any], below: Row | None = None
) -> Row:
    """A project or dataset by name, owner and group (a dataset: in its project), or a new one."""
    for row in state.where(kind, "name", name):
        if row.owner != mine["owner"].id or row.group != mine["group"].id:
            continue
        if below is None or any(link["parent"] is below for link in state.many(row, "projectLinks")):
            return row
    event = state.event(mine["owner"], mine["group"], None)
    row = state.new(kind, name=name, description=description, event=event, **mine)
    if below is not None:
        state.new("ProjectDatasetLink", parent=below, child=row, event=event, **mine)
    return row


def new_fileset(state: State, home: Home, folder: Path, paths: Sequence[str]) -> Fileset:
    """Make the fileset of one import.

    Parameters
    ----------
    folder : Path
        That is served.
    paths : sequence of str
        Relative to it, the main one first. An OME-Zarr stands for its metadata file.
    """
    mine: dict[str, Any] = {"owner": home.owner, "group": home.group}
    mine["event"] = state.event(home.owner, home.group, None)
    fileset = state.new("Fileset", templatePrefix=f"{PurePosixPath(paths[0]).parent}/", **mine)
    files, entries = [], []
    for path in paths:
        real = folder / path
        kind = "image/tiff"
        if real.is_dir():
            metadata = next((n for n in ("zarr.json", ".zattrs", ".zgroup") if (real / n).is_file()), "")
            path, real, kind = f"{path}/{metadata}", real / metadata, "application/json"
        stat = real.stat()
        original = state.new(
            "OriginalFile",
            name=real.name,
            path=f"{PurePosixPath(path).parent}/",
            size=stat.st_size,
            hash=measured(real)[1] if stat.st_size <= _HASHED else None,
            mtime=int(stat.st_mtime * 1000),
            mimetype=kind,
            hasher=word(state, "ChecksumAlgorithm", "SHA1-160"),
            **mine,
        )
        entries.append(
            state.new("FilesetEntry", fileset=fileset, originalFile=original, clientPath=path, **mine)
        )
        files.append((original, path))
    state.order(fileset, "usedFiles", entries)
    return Fileset(fileset, tuple(files))


def new_image(
    state: State,
    homes: Sequence[Home],
    info: ImageInfo,
    name: str,
    fileset: Row | None,
    event: Row | None = None,
) -> Row:
    """Make the rows of an image.

    Parameters
    ----------
    homes : sequence of Home
        Whose it is (the first), and the datasets that it lies in (those of the same group).
    info : ImageInfo
    name : str
    fileset : Row, optional
        None for images made plane by plane.
    event : Row, optional
        Of which it is a part; a new one when missing.

    Returns
    -------
    Row
        Its Pixels.
    """
    owner, group = homes[0].owner, homes[0].group
    mine: dict[str, Any] = {"owner": owner, "group": group, "event": event or state.event(owner, group, None)}
    image = state.new(
        "Image",
        name=name[:255],
        description=info.description[:10_000],
        series=info.series,
        archived=False,
        partial=False,
        acquisitionDate=info.acquired or (None if fileset else mine["event"]["time"]),
        format=word(state, "Format", info.format) if info.format else None,
        fileset=fileset,
        **mine,
    )
    for home in homes:
        if home.dataset is not None and home.group is group:
            state.new("DatasetImageLink", parent=home.dataset, child=image, **mine)
    t, c, z, y, x = info.shape
    size_z, size_y, size_x = info.sizes
    pixels = state.new(
        "Pixels",
        image=image,
        sizeX=x,
        sizeY=y,
        sizeZ=z,
        sizeC=c,
        sizeT=t,
        sha1="Pending...",
        significantBits=info.dtype.itemsize * 8,
        pixelsType=word(state, "PixelsType", pixel_type(info.dtype)),
        dimensionOrder=word(state, "DimensionOrder", "XYZCT"),
        physicalSizeX=size_x,
        physicalSizeY=size_y,
        physicalSizeZ=size_z,
        timeIncrement=info.increment,
        **mine,
    )
    said = info.channels if len(info.channels) == c else (Channel(),) * c
    state.order(pixels, "channels", [_channel(state, pixels, channel, info, mine) for channel in said])
    return pixels


def new_plate(state: State, home: Home, name: str, fields: Sequence[tuple[ImageInfo, Row]]) -> Row:
    """Make the rows of a plate.

    Parameters
    ----------
    fields : sequence of (ImageInfo, Row)
        Its images, in the order of the fields of each well, and their rows Image.
    """
    event = state.event(home.owner, home.group, None)
    mine: dict[str, Any] = {"owner": home.owner, "group": home.group, "event": event}
    places = [info.well for info, _ in fields if info.well is not None]
    plate = state.new(
        "Plate",
        name=name[:255],
        description="",
        rows=max(row for row, _ in places) + 1,
        columns=max(column for _, column in places) + 1,
        rowNamingConvention="letter",
        columnNamingConvention="number",
        **mine,
    )
    samples: dict[tuple[int, int], list[Row]] = {}
    wells: dict[tuple[int, int], Row] = {}
    for info, image in fields:
        if info.well is None:
            continue
        if info.well not in wells:
            row, column = info.well
            wells[info.well] = state.new("Well", plate=plate, row=row, column=column, **mine)
        sample = state.new("WellSample", well=wells[info.well], image=image, **mine)
        samples.setdefault(info.well, []).append(sample)
    for at, well in wells.items():
        state.order(well, "wellSamples", samples[at])
    return plate


def _channel(state: State, pixels: Row, channel: Channel, info: ImageInfo, mine: dict[str, Any]) -> Row:
    logical = state.new(
        "LogicalChannel",
        name=channel.name,
        emissionWave=channel.emission,
        excitationWave=channel.excitation,
        photometricInterpretation=word(
            state, "PhotometricInterpretation", "RGB" if info.rgb else "Monochrome"
        ),
        samplesPerPixel=3 if info.rgb else 1,
        **mine,
    )
    low, high = channel.window or type_range(info.dtype)
    stats = state.new("StatsInfo", globalMin=low, globalMax=high, **mine)
    red, green, blue, alpha = channel.color or (None, None, None, None)
    return state.new(
        "Channel",
        pixels=pixels,
        logicalChannel=logical,
        statsInfo=stats,
        red=red,
        green=green,
        blue=blue,
        alpha=alpha,
        **mine,
    )


def type_range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Smallest and largest value that an integer type holds; 0 and 1 for floating point."""
    if dtype.kind == "f":
        return 0.0, 1.0
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)


def info_of(pixels: Row) -> ImageInfo:
    """What the row of an image that was made here says of its pixels.

    Raises
    ------
    ImageError
        when they are of a type that nobody can read here.
    """
    kind = pixels["pixelsType"]["value"]
    if kind not in PIXEL_TYPES:
        raise ImageError(f"images of type {kind} cannot be served")
    t, c, z, y, x = (int(pixels[f"size{axis}"]) for axis in "TCZYX")
    return ImageInfo(
        name="",
        series=0,
        shape=(t, c, z, y, x),
        dtype=np.dtype(PIXEL_TYPES[kind]),
        levels=((y, x),),
        tile=(256, 256),
        format="",
    )
