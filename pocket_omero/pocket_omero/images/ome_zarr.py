# SPDX-License-Identifier: GPL-2.0-or-later
"""OME-Zarr 0.4 (Zarr 2) and 0.5 (Zarr 3): images, several in one folder, plates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorstore

from pocket_omero.images import ome_xml
from pocket_omero.images.base import (
    BROKEN,
    Array,
    Channel,
    ImageError,
    ImageInfo,
    Length,
    Plane,
    Reader,
    served_type,
)

_CONTEXT = tensorstore.Context({"cache_pool": {"total_bytes_limit": 64 << 20}})
_ORDER = "tczyx"


def is_group(path: Path) -> bool:
    """Whether a folder is a Zarr group (of either version)."""
    return (path / ".zgroup").is_file() or (path / "zarr.json").is_file()


def attributes(path: Path) -> dict[str, Any]:
    """What a group says of itself under the rules of OME-Zarr; empty when there is no such group.

    Raises
    ------
    ImageError
        when it is no JSON.
    """
    try:
        if (path / "zarr.json").is_file():
            said = json.loads((path / "zarr.json").read_text())
            return dict(said.get("attributes", {}).get("ome", {}))
        if (path / ".zattrs").is_file():
            return dict(json.loads((path / ".zattrs").read_text()))
    except (ValueError, TypeError, AttributeError) as error:
        raise ImageError(f"the metadata of this OME-Zarr cannot be read: {error}") from error
    return {}


@dataclass(frozen=True, slots=True)
class Found:
    """An image in a group: its place below it ("" is the group itself), and its well on a plate."""

    place: str
    name: str = ""
    well: tuple[int, int] | None = None


def images(path: Path) -> list[Found]:
    """All images in a group.

    Raises
    ------
    ImageError
        when there are none by the rules of OME-Zarr.
    """
    said = attributes(path)
    if "multiscales" in said:
        return [Found("")]
    if "plate" in said:
        return list(_fields(path, said["plate"]))
    if said.get("bioformats2raw.layout") == 3:
        listed = attributes(path / "OME").get("series")
        return [Found(name) for name in listed or sorted(_numbered(path), key=int)]
    raise ImageError("this Zarr holds no images by the rules of OME-Zarr")


def _numbered(path: Path) -> Iterator[str]:
    return (below.name for below in path.iterdir() if re.fullmatch(r"[0-9]{1,6}", below.name))


def _fields(path: Path, plate: Any) -> Iterator[Found]:
    """The fields of a plate, well by well."""
    try:
        rows, columns = ([str(one["name"]) for one in plate.get(axis) or []] for axis in ("rows", "columns"))
        for well in plate["wells"]:
            row, column = well["path"].split("/")
            at = (
                int(well.get("rowIndex", rows.index(row) if row in rows else 0)),
                int(well.get("columnIndex", columns.index(column) if column in columns else 0)),
            )
            fields = attributes(_below(path, well["path"]))["well"]["images"]
            for number, field in enumerate(fields, start=1):
                yield Found(f"{well['path']}/{field['path']}", f"Well {row}{column}, Field #{number}", at)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ImageError(f"the plate of this OME-Zarr is not as it should be: {error!r}") from error


def inspect(path: Path) -> list[ImageInfo]:
    """Describe all images of an OME-Zarr.

    Raises
    ------
    ImageError
        when it is broken, or holds what cannot be served.
    """
    found = images(path)
    return [ZarrReader(path, series, found).info for series in range(len(found))]


class ZarrReader(Reader):
    """Reads one image of an OME-Zarr.

    Raises
    ------
    ImageError
        when it is broken, or there is no such image.
    """

    def __init__(self, path: Path, series: int, found: list[Found] | None = None) -> None:
        found = images(path) if found is None else found
        if not 0 <= series < len(found):
            raise ImageError(f"this OME-Zarr has {len(found)} images, and no number {series}")
        place = found[series].place
        folder = _below(path, place)
        try:
            said = attributes(folder)
            scales = said["multiscales"][0]
            self._axes = _axes(scales)
            self._arrays = [
                _open(_below(path, f"{place}/{dataset['path']}".lstrip("/")))
                for dataset in scales["datasets"]
            ]
            self.info = self._describe(path, series, found[series], said)
        except BROKEN as error:
            raise ImageError(f"this OME-Zarr cannot be read: {error!r}") from error

    def _describe(self, path: Path, series: int, found: Found, said: dict[str, Any]) -> ImageInfo:
        scales = said["multiscales"][0]
        full = self._arrays[0]
        if full.rank != len(self._axes):
            raise ImageError(f"this OME-Zarr names {len(self._axes)} axes but has {full.rank}")
        size = {axis["name"]: int(length) for axis, length in zip(self._axes, full.shape, strict=True)}
        shape = tuple(size.get(axis, 1) for axis in _ORDER)
        names = [axis["name"] for axis in self._axes]
        chunk = dict(zip(names, full.chunk_layout.read_chunk.shape, strict=True))
        if min(shape) < 1:
            raise ImageError("this OME-Zarr holds an image without pixels")
        lengths, increment = _scales(scales, self._axes)
        meta = _described(path, series)
        channels = _channels(said.get("omero"), shape[1])
        if meta and len(meta.channels) == shape[1]:
            channels = tuple(_joined(a, b) for a, b in zip(channels, meta.channels, strict=True))
        places = [names.index(axis) for axis in "yx"]
        return ImageInfo(
            name=(meta.name if meta else "") or found.name or str(scales.get("name") or ""),
            well=found.well,
            series=series,
            shape=shape,  # type: ignore[arg-type]
            dtype=served_type(full.dtype.numpy_dtype),
            levels=tuple((int(a.shape[places[0]]), int(a.shape[places[1]])) for a in self._arrays),
            tile=(min(chunk["y"], size["y"]), min(chunk["x"], size["x"])),
            format="OMEZarr",
            channels=channels,
            sizes=tuple(lengths.get(axis) for axis in "zyx"),  # type: ignore[arg-type]
            increment=increment,
            acquired=meta.acquired if meta else None,
            description=meta.description if meta else "",
            files=(str(path),),
        )

    def region(self, level: int, plane: Plane, y: int, x: int, height: int, width: int) -> Array:
        """Read part of a plane."""
        at: dict[str, Any] = {"t": plane.t, "c": plane.c, "z": plane.z}
        at |= {"y": slice(y, y + height), "x": slice(x, x + width)}
        array = self._arrays[level]
        index = tuple(at[axis["name"]] for axis in self._axes)
        values = array[index].read().result()
        names = [axis["name"] for axis in self._axes]
        return values if names.index("y") < names.index("x") else values.T  # type: ignore[no-any-return]


def _below(path: Path, place: str) -> Path:
    """A folder in an OME-Zarr, which may not lie elsewhere: others may have written it."""
    found = (path / place).resolve()
    if not found.is_relative_to(path.resolve()):
        raise ImageError("this OME-Zarr names an image outside of itself")
    return found


def _open(path: Path) -> Any:
    driver = "zarr3" if (path / "zarr.json").is_file() else "zarr"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"}}
    return tensorstore.open(spec, read=True, open=True, context=_CONTEXT).result()


def _axes(scales: Any) -> list[dict[str, str]]:
    """Name and unit of each axis; before 0.3 there were always five, in 0.3 only names."""
    axes = [{"name": a} if isinstance(a, str) else dict(a) for a in scales.get("axes") or list(_ORDER)]
    names = [axis["name"] for axis in axes]
    if len(set(names)) != len(names) or not {"y", "x"} <= set(names) <= set(_ORDER):
        raise ImageError(f"images with axes {', '.join(names)} cannot be served")
    return axes


def _scales(scales: Any, axes: list[dict[str, str]]) -> tuple[dict[str, Length], tuple[float, str] | None]:
    """Sizes of a pixel with their units, and the time between time points."""
    factors = [1.0] * len(axes)
    for said in (scales["datasets"][0], scales):
        for transform in said.get("coordinateTransformations") or []:
            if transform.get("type") == "scale":
                factors = [a * float(b) for a, b in zip(factors, transform["scale"], strict=True)]
    lengths: dict[str, Length] = {}
    increment = None
    for axis, factor in zip(axes, factors, strict=True):
        unit = axis.get("unit")
        if axis["name"] == "t" and unit in ome_xml.TIMES:
            increment = (factor, ome_xml.TIMES[unit])
        elif axis["name"] in "zyx" and unit and (found := ome_xml.length(factor, unit)):
            lengths[axis["name"]] = found
    return lengths, increment


def _channels(omero: Any, count: int) -> tuple[Channel, ...]:
    """What the part "omero" of the metadata says (it is of no version, and often half empty)."""
    listed = (omero.get("channels") if isinstance(omero, dict) else None) or []
    found = []
    for number in range(count):
        said = listed[number] if number < len(listed) and isinstance(listed[number], dict) else {}
        color = None
        if re.fullmatch(r"[0-9A-Fa-f]{6}", str(said.get("color", ""))):
            red, green, blue = bytes.fromhex(said["color"])
            color = (red, green, blue, 255)
        window = said.get("window") or {}
        ends = None
        if isinstance(window.get("start"), int | float) and isinstance(window.get("end"), int | float):
            ends = (float(window["start"]), float(window["end"]))
        name = str(said["label"]) if said.get("label") else None
        found.append(Channel(name=name, color=color, window=ends, active=said.get("active")))
    return tuple(found)


def _joined(omero: Channel, xml: Channel) -> Channel:
    return Channel(
        name=omero.name or xml.name,
        color=omero.color or xml.color,
        emission=xml.emission,
        excitation=xml.excitation,
        window=omero.window,
        active=omero.active,
    )


def _described(path: Path, series: int) -> ome_xml.Described | None:
    """What OME-XML beside the images says, where bioformats2raw left it."""
    try:
        described = ome_xml.describe((path / "OME" / "METADATA.ome.xml").read_bytes())
    except FileNotFoundError:
        return None
    return described[series] if series < len(described) else None
