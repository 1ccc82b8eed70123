# SPDX-License-Identifier: BSD-3-Clause
"""The part of OME-XML that says which plane of an OME-TIFF is which, read without trusting it.

Source: OME data model 2016-06 (https://docs.openmicroscopy.org/ome-model/), ``Pixels``, ``Channel``,
``TiffData``.
"""

import math
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from .base import clean_label
from .errors import BadMetadataError, SplitImageError, UnsafeMetadataError

MAX_XML = 32 * 2**20
MAX_PLANES = 1_000_000
_ORDERS = {"XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"}
_MICROMETRES = {
    "Å": 1e-4,
    "nm": 1e-3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}


@dataclass(frozen=True)
class OmeImage:
    """One image of an OME-TIFF.

    Attributes
    ----------
    name
        Its name in the metadata; used to leave out label and overview pictures, never shown.
    sizes
        Number of pixels or planes along ``x``, ``y``, ``z``, ``c`` and ``t``.
    samples
        Channels that share one plane; 1 for fluorescence, 3 for colour.
    labels
        One per channel.
    pixel_size_um
        (y, x), each None where it is not stated.
    planes
        (c, z, t) of a plane to the number of its page in the file; c counts planes, not samples.
    """

    name: str
    sizes: dict[str, int]
    samples: int
    labels: tuple[str, ...]
    pixel_size_um: tuple[float | None, float | None]
    planes: dict[tuple[int, int, int], int]


def parse(text: str) -> list[OmeImage]:
    """Read the images that an OME-XML document describes.

    Raises
    ------
    UnsafeMetadataError
        It has a document type declaration, which could declare entities.
    BadMetadataError
        It is not OME-XML, or does not make sense.
    SplitImageError
        It sends the reader to other files.
    """
    if len(text) > MAX_XML:
        raise BadMetadataError("more than 32 MiB of OME-XML")
    lowered = text.lower()
    if "<!doctype" in lowered or "<!entity" in lowered:
        raise UnsafeMetadataError
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 (no entity can be declared: checked above)
    except (ElementTree.ParseError, ValueError) as error:
        raise BadMetadataError("its OME-XML is not well-formed") from error
    _refuse_other_files(root)
    images = [_image(element) for element in root if _kind(element) == "Image"]
    if not images:
        raise BadMetadataError("its OME-XML describes no image")
    return images


def _kind(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _refuse_other_files(root: Element) -> None:
    """An OME-TIFF may name other files, even in other folders; one that does is not whole."""
    if any(_kind(element) == "BinaryOnly" for element in root):
        raise SplitImageError
    named = {(element.text or "").strip() for element in root.iter() if _kind(element) == "UUID"}
    own = root.get("UUID")
    if len(named) > 1 or (named and own is not None and own not in named):
        raise SplitImageError


def _number(element: Element, key: str, low: int, high: int, default: int | None = None) -> int:
    text = element.get(key)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 10:
        raise BadMetadataError(f"{_kind(element)} has no whole number {key}")
    value = int(text)
    if not low <= value <= high:
        raise BadMetadataError(f"{key} is not between {low} and {high}")
    return value


def _length(element: Element, axis: str) -> float | None:
    text = element.get(f"PhysicalSize{axis}")
    factor = _MICROMETRES.get(element.get(f"PhysicalSize{axis}Unit", "µm"))
    if text is None or factor is None:
        return None
    try:
        value = float(text) * factor
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _image(image: Element) -> OmeImage:
    pixels = next((element for element in image if _kind(element) == "Pixels"), None)
    if pixels is None:
        raise BadMetadataError("an image of its OME-XML has no pixels")
    sizes = {axis: _number(pixels, f"Size{axis.upper()}", 1, 2**31) for axis in "xyzct"}
    order = pixels.get("DimensionOrder")
    if order not in _ORDERS:
        raise BadMetadataError("its OME-XML has no dimension order")
    channels = [element for element in pixels if _kind(element) == "Channel"]
    counts = {_number(channel, "SamplesPerPixel", 1, 2**16, 1) for channel in channels} or {1}
    if len(counts) > 1:
        raise BadMetadataError("its channels differ in samples per pixel")
    samples = counts.pop()
    if sizes["c"] % samples:
        raise BadMetadataError("its channels and samples do not fit together")
    grid = {"z": sizes["z"], "c": sizes["c"] // samples, "t": sizes["t"]}
    if math.prod(grid.values()) > MAX_PLANES:
        raise BadMetadataError(f"its OME-XML describes more than {MAX_PLANES} planes")
    names = [clean_label(channel.get("Name")) for channel in channels]
    labels = [
        names[c // samples] if c // samples < len(names) else "" for c in range(min(sizes["c"], 10_000))
    ]
    data = [element for element in pixels if _kind(element) == "TiffData"]
    size = (_length(pixels, "Y"), _length(pixels, "X"))
    planes = _planes(data, order[2:].lower(), grid)
    return OmeImage(image.get("Name", ""), sizes, samples, tuple(labels), size, planes)


def _planes(data: list[Element], order: str, grid: dict[str, int]) -> dict[tuple[int, int, int], int]:
    """Follow the TiffData elements; `order` names the axes that change, fastest first."""
    total = math.prod(grid.values())
    steps = (1, grid[order[0]], grid[order[0]] * grid[order[1]])
    planes: dict[tuple[int, int, int], int] = {}
    described = 0
    for element in data:
        page = _number(element, "IFD", 0, MAX_PLANES, 0)
        count = _number(element, "PlaneCount", 0, MAX_PLANES, 1 if element.get("IFD") else total)
        first = sum(
            _number(element, f"First{axis.upper()}", 0, grid[axis] - 1, 0) * step
            for axis, step in zip(order, steps, strict=True)
        )
        described += count
        if described > MAX_PLANES:
            raise BadMetadataError(f"its OME-XML describes more than {MAX_PLANES} planes")
        if first + count > total:
            raise BadMetadataError("its OME-XML describes planes that it does not have")
        for offset in range(count):
            place = {
                axis: (first + offset) // step % grid[axis] for axis, step in zip(order, steps, strict=True)
            }
            planes[place["c"], place["z"], place["t"]] = page + offset
    return planes
