# SPDX-License-Identifier: GPL-2.0-or-later
"""TIFF of all kinds: OME-TIFF with pyramids, ImageJ's, slides, RGB, plain."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

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
from pocket_omero.images.files import DECODED, Mapped, OpenFile

SUFFIXES = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".svs", ".ndpi", ".scn", ".lsm", ".qptiff")
COARSE = 64 << 20  # decoding more than this for one tile is too slow for a viewer
_NAMES = {
    "Label": "label image",
    "Macro": "macro image",
    "Baseline": "",
}  # of slides
_OPEN = 16  # files of one image that are kept open
TOO_COARSE = 8 << 30
_JPEG = {6, 7, 33007, 34892}
_numbers = itertools.count()
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what is wrong is raised; nothing on stderr


def open_file(path: Path) -> tifffile.TiffFile:
    """Open a TIFF and read what it says of itself.

    Raises
    ------
    ImageError
        in words, whatever is wrong with the file.
    """
    try:
        return tifffile.TiffFile(path)
    except BROKEN as error:
        raise ImageError(f"this TIFF cannot be read: {error}") from error


def inspect(path: Path) -> list[ImageInfo]:
    """Describe all images of a TIFF.

    Raises
    ------
    ImageError
        when the file is broken, or holds what cannot be served.
    """
    with open_file(path) as file:
        try:
            if not file.series:
                raise ImageError("this TIFF holds no image")
            return [_describe(file, number, path) for number in range(len(file.series))]
        except BROKEN as error:
            raise ImageError(f"this TIFF cannot be read: {error}") from error


def _axes(series: tifffile.TiffPageSeries) -> dict[str, int]:
    """Where t, c, z, s, y, x stand in the series' own axes; -1 where missing.

    Planes of unknown meaning count as time points, as Bio-Formats has it (or as z or c where t is taken).
    """
    places = dict.fromkeys("tczsyx", -1)
    unknown = []
    for place, (axis, size) in enumerate(zip(series.axes, series.shape, strict=True)):
        if axis in "TCZSYX":
            places[axis.lower()] = place
        elif size > 1:
            unknown.append(place)
    for place in unknown:
        free = next((axis for axis in "tzc" if places[axis] < 0), None)
        if free is None:
            raise ImageError(f"images with axes {series.axes} cannot be served: they have more than five")
        places[free] = place
    if places["y"] < 0 or places["x"] < 0:
        raise ImageError(f"images with axes {series.axes} cannot be served: they have no height or no width")
    return places


def _size(series: tifffile.TiffPageSeries, place: int) -> int:
    return 1 if place < 0 else int(series.shape[place])


def _describe(file: tifffile.TiffFile, number: int, path: Path) -> ImageInfo:
    series = file.series[number]
    places = _axes(series)
    samples = _size(series, places["s"])
    dtype = served_type(series.dtype)
    shape = (
        _size(series, places["t"]),
        _size(series, places["c"]) * samples,
        _size(series, places["z"]),
        _size(series, places["y"]),
        _size(series, places["x"]),
    )
    if min(shape) < 1:
        raise ImageError("this TIFF holds an image without pixels")
    said = _said(file, number, series, shape[1])
    page = series.keyframe
    tile = (page.tilelength, page.tilewidth) if page.is_tiled else (256, 256)
    rgb = samples in (3, 4) and dtype == np.uint8
    channels = said.channels
    if rgb and len(channels) == samples == shape[1] and not any(channel.color for channel in channels):
        names = [channel.name for channel in channels] if len({c.name for c in channels}) > 1 else "RGBA"
        colors = ((255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 255, 255, 255))
        channels = tuple(
            Channel(name=name, color=color, window=(0, 255), active=place < 3)
            for place, (_, name, color) in enumerate(zip(channels, names, colors, strict=False))
        )
    files = {str(path)}
    if series.is_multifile:
        files |= {str(Path(p.parent.filehandle.path)) for p in series.pages if p is not None}
    return ImageInfo(
        name=said.name,
        series=number,
        shape=shape,
        dtype=dtype,
        levels=tuple((_size(level, places["y"]), _size(level, places["x"])) for level in _levels(series)),
        tile=tile,
        format="OMETiff" if file.is_ome else "TIFF",
        channels=channels,
        sizes=said.sizes,
        increment=said.increment,
        acquired=said.acquired,
        description=said.description,
        rgb=rgb,
        files=tuple(sorted(files)),
    )


def _levels(series: tifffile.TiffPageSeries) -> list[tifffile.TiffPageSeries]:
    """The full size, then all smaller ones that really are the same image."""
    levels = [series]
    for level in series.levels[1:]:
        smaller = math.prod(level.shape) < math.prod(levels[-1].shape)
        if smaller and level.axes == series.axes and level.dtype == series.dtype:
            levels.append(level)
    return levels


def _said(
    file: tifffile.TiffFile, number: int, series: tifffile.TiffPageSeries, channels: int
) -> ome_xml.Described:
    """What the file says of an image, in whichever dialect."""
    if file.is_ome and file.ome_metadata:
        images = ome_xml.describe(file.ome_metadata)
        if number < len(images):
            return images[number]
    if file.is_imagej and number == 0:
        return _said_by_imagej(file, channels)
    name = _NAMES.get(series.name, series.name) if len(file.series) > 1 else ""
    size: Length | None = None
    description = ""
    if file.is_svs:
        description = file.pages.first.description
        marker = description.partition("MPP = ")[2].split("|")[0].strip() if number == 0 else ""
        size = ome_xml.length(marker or None, "µm")
    elif number == 0:
        description = file.pages.first.description if not file.is_shaped else ""
        size = _resolution(file, "cm" if file.pages.first.resolutionunit == 3 else None)
    return ome_xml.Described(
        name=name,
        description=description if description.isprintable() else "",
        channels=(Channel(),) * channels,
        sizes=(None, size, size),
        increment=None,
        acquired=None,
        rgb=False,
    )


def _resolution(file: tifffile.TiffFile, unit: str | None) -> Length | None:
    """Size of a pixel from the tag XResolution, which counts pixels per `unit`."""
    tag = file.pages.first.tags.get("XResolution")
    if tag is None or unit is None or not isinstance(tag.value, tuple) or not all(tag.value):
        return None
    return ome_xml.length(tag.value[1] / tag.value[0], unit)


def _said_by_imagej(file: tifffile.TiffFile, channels: int) -> ome_xml.Described:
    said = file.imagej_metadata or {}
    unit = str(said.get("unit", "")).replace("\\u00B5", "µ")
    size = _resolution(file, unit or None)
    ranges = said.get("Ranges") or ()
    tables = said.get("LUTs") or []
    found = []
    for channel in range(channels):
        color = None
        if channel < len(tables):
            red, green, blue = (int(value) for value in np.asarray(tables[channel])[:, -1])
            color = (red, green, blue, 255)
        low_high = ranges[2 * channel : 2 * channel + 2]
        window = (float(low_high[0]), float(low_high[1])) if len(low_high) == 2 else None
        found.append(Channel(color=color, window=window))
    every = said.get("finterval")
    return ome_xml.Described(
        name="",
        description=str(said.get("Info", "")),
        channels=tuple(found),
        sizes=(ome_xml.length(said.get("spacing"), unit) if unit else None, size, size),
        increment=(float(every), "SECOND") if every else None,
        acquired=None,
        rgb=False,
    )


class _Level:
    """One resolution level: where each plane lies, and how to get at its tiles or strips."""

    def __init__(self, series: tifffile.TiffPageSeries, reader: TiffReader, level: int) -> None:
        self.reader = reader
        self.level = level
        self.series = series
        self.places = _axes(series)
        self.page: Any = series.keyframe
        self.outer = len(series.shape) - len(self.page.axes)
        self.mapped: Mapped | None = None
        if self.page.dtype is None:
            raise ImageError("this TIFF does not say of which kind its pixels are")
        if series.dataoffset is not None:
            file = reader.file(self.page.parent.filehandle.path)
            dtype = series.dtype.newbyteorder(self.page.parent.byteorder)
            self.mapped = Mapped(file, series.dataoffset, series.shape, dtype)
        elif math.prod(self.page.chunks) * series.dtype.itemsize > TOO_COARSE:
            raise ImageError("this TIFF cannot be read in parts: its tiles or strips are too large")
        elif series.shape[self.outer :] != self.page.shape or set(self.page.axes) - set("YXS"):
            raise ImageError(f"images with axes {series.axes} stored as {self.page.axes} cannot be served")

    def coarse(self) -> bool:
        """Whether its smallest part that can be decoded is a big one."""
        part = math.prod(self.page.chunks) * self.page.dtype.itemsize
        return self.mapped is None and part > COARSE

    def region(self, plane: Plane, y: int, x: int, height: int, width: int) -> Array:
        samples = _size(self.series, self.places["s"])
        index = {"t": plane.t, "c": plane.c // samples, "z": plane.z, "s": plane.c % samples}
        place: list[Any] = [0] * len(self.series.shape)
        for axis, value in index.items():
            if self.places[axis] >= 0:
                place[self.places[axis]] = value
        if self.mapped is not None:
            place[self.places["y"]] = slice(y, y + height)
            place[self.places["x"]] = slice(x, x + width)
            return self.mapped[tuple(place)]
        outer = self.series.shape[: self.outer]
        number = int(np.ravel_multi_index(place[: self.outer], outer)) if self.outer else 0
        return self._decode(number, index["s"], y, x, height, width)

    def _decode(self, number: int, sample: int, y: int, x: int, height: int, width: int) -> Array:
        page = self.page
        out = np.zeros((height, width), page.dtype)
        with self.reader.lock:  # pages are read when they are first asked for
            stored = self.series.pages[number]
        if stored is None:
            return out
        separate = page.planarconfig == 2 and page.samplesperpixel > 1
        for segment, top, left in self._segments(sample if separate else 0, y, x, height, width):
            part = DECODED.get(
                (self.reader.number, self.level, number, segment), partial(self._segment, stored, segment)
            )
            part = part[..., 0 if separate else sample]
            y0, x0 = max(y, top), max(x, left)
            y1, x1 = min(y + height, top + part.shape[0]), min(x + width, left + part.shape[1])
            out[y0 - y : y1 - y, x0 - x : x1 - x] = part[y0 - top : y1 - top, x0 - left : x1 - left]
        return out

    def _segments(
        self, sample: int, y: int, x: int, height: int, width: int
    ) -> Iterator[tuple[int, int, int]]:
        """Number, top and left of each tile or strip that a region touches."""
        page = self.page
        high = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
        wide = page.tilewidth if page.is_tiled else page.imagewidth
        rows, columns = -(-page.imagelength // high), -(-page.imagewidth // wide)
        for row in range(y // high, -(-(y + height) // high)):
            for column in range(x // wide, -(-(x + width) // wide)):
                yield (sample * rows + row) * columns + column, row * high, column * wide

    def _segment(self, page: Any, segment: int) -> Array:
        """Decode one tile or strip: (height, width, samples)."""
        count = page.databytecounts[segment]
        tables = {}
        if self.page.compression in _JPEG:
            tables = {"jpegtables": page.jpegtables, "jpegheader": self.page.jpegheader}
        data = None
        if count:
            data = self.reader.file(page.parent.filehandle.path).bytes(page.dataoffsets[segment], count)
        array, _, shape = self.page.decode(data, segment, **tables)
        if array is None:
            return np.full(shape[1:], self.page.nodata, self.page.dtype)
        return array[0, : shape[1], : shape[2]]  # type: ignore[no-any-return]


class TiffReader(Reader):
    """Reads one image of a TIFF.

    Raises
    ------
    ImageError
        when the file is broken, or has no such image.
    """

    def __init__(self, path: Path, series: int) -> None:
        self.lock = threading.RLock()
        self.number = next(_numbers)
        self._files: dict[str, OpenFile] = {}
        tiff = open_file(path)
        weakref.finalize(self, tiff.close)
        try:
            if not 0 <= series < len(tiff.series):
                raise ImageError(f"this TIFF has {len(tiff.series)} images, and no number {series}")
            self.info = _describe(tiff, series, path)
            self._levels = [
                _Level(level, weakref.proxy(self), number)
                for number, level in enumerate(_levels(tiff.series[series]))
            ]
        except BROKEN as error:
            raise ImageError(f"this TIFF cannot be read: {error}") from error
        self.coarse = self._levels[0].coarse()

    def file(self, path: str) -> OpenFile:
        """The opened file of this path."""
        with self.lock:
            if path not in self._files:
                while len(self._files) >= _OPEN:  # they close when nobody reads them any more
                    self._files.pop(next(iter(self._files)))
                self._files[path] = OpenFile(Path(path))
            return self._files[path]

    def region(self, level: int, plane: Plane, y: int, x: int, height: int, width: int) -> Array:
        """Read part of a plane."""
        return self._levels[level].region(plane, y, x, height, width)
