# SPDX-License-Identifier: BSD-3-Clause
"""Which page of a TIFF holds which channel: OME-TIFF, ImageJ hyperstacks, tifffile's own, and plain files.

tifffile parses the file's tables; its guess of what belongs together (``series``) is not used, because it
follows OME-XML to other files and fills what is missing with zeros.
"""

import json
import math
import re
from dataclasses import dataclass

from tifffile import TiffFile, TiffPage

from . import ome_xml
from .base import Choice, pick, plane_of, square_pixel_size
from .errors import BadMetadataError, BrightfieldError, NotAnImageError, PixelTypeError, SeriesNeededError

MAX_PAGES = 100_000
_COLOUR = {"RGB", "PALETTE", "YCBCR", "CIELAB", "ICCLAB", "ITULAB", "SEPARATED", "CFA", "LOGLUV"}
_SIDE_PICTURE = re.compile(r"(?i).*\b(label|macro|thumbnail|overview|barcode)\b.*")
_MICROMETRE = {"um", "µm", "μm", "micron", "microns", "micrometer", "\\u00b5m"}
_OWN_LAYOUT = (33628, 33629, 34412)  # UIC1 and UIC2 of MetaMorph STK, CZ_LSMINFO: planes that no page lists
_PLAUSIBLE_UM = (0.01, 20.0)


@dataclass(frozen=True)
class Plane:
    """One channel's pixels in a file: a page, which of its samples, and bytes to add to its offsets."""

    page: TiffPage
    sample: int = 0
    shift: int = 0


@dataclass(frozen=True)
class Layout:
    """The planes of the image that is meant, one per channel; labels; the pixel size in micrometres."""

    planes: tuple[Plane, ...]
    labels: tuple[str, ...]
    pixel_size_um: float | None


def lay_out(tiff: TiffFile, choice: Choice) -> Layout:
    """Find the planes that are meant.

    Raises
    ------
    SourceError
        One of them, for each thing that can be wrong.
    """
    first = _page(tiff, 0)
    if any(tag in first.tags for tag in _OWN_LAYOUT):
        raise NotAnImageError("it is a MetaMorph or Zeiss file under another name")
    description = first.description
    if description.lstrip("\ufeff \r\n\t")[:5] in ("<?xml", "<OME ") and "<OME" in description[:4096]:
        layout = _from_ome(tiff, ome_xml.parse(description.strip("\ufeff \r\n\t\0")), choice)
    elif description.startswith("ImageJ="):
        layout = _from_imagej(tiff, description, choice)
    else:
        layout = _from_pages(tiff, choice)
    if not layout.planes:
        raise BadMetadataError("it has no channel")
    _refuse_colour(layout.planes)
    return layout


def _page(tiff: TiffFile, index: int) -> TiffPage:
    try:
        page = tiff.pages[index]
    except IndexError as error:
        raise BadMetadataError("it points to a page that the file does not have") from error
    if not isinstance(page, TiffPage):
        raise NotAnImageError
    return page


def _refuse_colour(planes: tuple[Plane, ...]) -> None:
    for plane in planes:
        page = plane.page
        kind = getattr(page.photometric, "name", str(page.photometric))
        if kind == "MINISWHITE":
            raise PixelTypeError("its intensities are stored inverted, white as 0")
        if kind == "RGB" and page.planarconfig == 2 and (page.dtype != "uint8" or _stated_axes(page)):
            continue  # what tifffile writes for three channels when nobody says that they are colours
        if kind in _COLOUR:
            raise BrightfieldError


def _from_ome(tiff: TiffFile, images: list[ome_xml.OmeImage], choice: Choice) -> Layout:
    if choice.series is None:
        images = [image for image in images if not _SIDE_PICTURE.fullmatch(image.name)] or images
    image = images[pick("images", len(images), choice.series, SeriesNeededError)]
    if image.samples > 1 and image.samples == image.sizes["c"]:
        colour = _page(tiff, image.planes.get((0, 0, 0), 0))
        _refuse_colour((Plane(colour),))
    chosen = plane_of(image.sizes, choice)
    planes = []
    for c in range(len(image.labels)):
        index = image.planes.get((c // image.samples, chosen["z"], chosen["t"]))
        if index is None:
            raise BadMetadataError("its OME-XML does not say where its planes are")
        page = _page(tiff, index)
        if (page.imagelength, page.imagewidth) != (image.sizes["y"], image.sizes["x"]):
            raise BadMetadataError("its OME-XML states another size than its pixels have")
        if page.samplesperpixel != image.samples:
            raise BadMetadataError("its OME-XML states other samples than its pixels have")
        planes.append(Plane(page, c % image.samples))
    return Layout(tuple(planes), image.labels, square_pixel_size(*image.pixel_size_um))


def _from_imagej(tiff: TiffFile, description: str, choice: Choice) -> Layout:
    """Planes come channels fastest, then slices, then frames; beyond 4 GB ImageJ lists only one page."""
    entries = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    images = _count(entries.get("images"))
    keys = {"c": "channels", "z": "slices", "t": "frames"}
    if not any(key in entries for key in keys.values()):
        entries["slices"] = str(images)
    sizes = {axis: _count(entries.get(key)) for axis, key in keys.items()}
    total = math.prod(sizes.values())
    if total != images:
        raise BadMetadataError("its ImageJ description does not add up")
    chosen = plane_of(sizes, choice)
    pick("images", 1, choice.series, SeriesNeededError)
    first = _page(tiff, 0)
    start = (chosen["t"] * sizes["z"] + chosen["z"]) * sizes["c"]
    planes = []
    for index in range(start, start + min(sizes["c"], MAX_PAGES)):
        if len(tiff.pages) == 1 and total > 1:
            if not first.is_contiguous:
                raise BadMetadataError("its ImageJ description states more pages than the file has")
            planes.append(Plane(first, 0, index * first.nbytes))
        else:
            planes.append(Plane(_page(tiff, index)))
    size = square_pixel_size(*_resolution(first, entries.get("unit", "").lower()))
    return Layout(tuple(planes), ("",) * len(planes), size)


def _count(text: str | None) -> int:
    if text is None:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise BadMetadataError("its ImageJ description does not add up")
    return int(text)


def _from_pages(tiff: TiffFile, choice: Choice) -> Layout:
    """Take the largest pages of a file as its channels; smaller ones are levels, labels or thumbnails."""
    pages = [_page(tiff, index) for index in range(min(len(tiff.pages), MAX_PAGES))]
    largest = max(pages, key=lambda page: page.imagelength * page.imagewidth)
    same = [page for page in pages if _alike(page, largest)]
    _refuse_colour(tuple(Plane(page) for page in same[:1]))
    flat = [Plane(page, sample) for page in same for sample in range(min(page.samplesperpixel, MAX_PAGES))]
    pick("images", 1, choice.series, SeriesNeededError)
    stated = _stated_axes(same[0])
    if math.prod(stated.values()) != len(flat):
        stated = {"c": len(flat)}
    chosen = plane_of(stated, choice) | {"c": 0}
    start, steps = 0, {}
    step = 1
    for axis in reversed(stated):
        start += chosen[axis] * step
        steps[axis] = step
        step *= stated[axis]
    planes = tuple(flat[start + c * steps.get("c", 1)] for c in range(stated.get("c", 1)))
    return Layout(planes, ("",) * len(planes), square_pixel_size(*_resolution(same[0], "")))


def _alike(page: TiffPage, other: TiffPage) -> bool:
    keys = ("imagelength", "imagewidth", "samplesperpixel", "dtype", "photometric", "planarconfig")
    return all(getattr(page, key) == getattr(other, key) for key in keys)


def _stated_axes(page: TiffPage) -> dict[str, int]:
    """Return the sizes of the axes before y and x, slowest first, as tifffile notes them; empty if not."""
    if not page.description.startswith("{"):
        return {}
    try:
        noted = json.loads(page.description)
    except (ValueError, RecursionError):
        return {}
    axes, shape = noted.get("axes"), noted.get("shape")
    if not (isinstance(axes, str) and isinstance(shape, list) and len(axes) == len(shape)):
        return {}
    pairs = list(zip(axes.lower(), shape, strict=True))
    if axes.lower()[-2:] != "yx" or not all(
        type(size) is int and 0 < size <= MAX_PAGES for _, size in pairs[:-2]
    ):
        return {}
    sizes = {axis: size for axis, size in pairs[:-2] if size > 1}
    return sizes if set(sizes) <= {"c", "z", "t"} else {}


def _resolution(page: TiffPage, unit: str) -> tuple[float | None, float | None]:
    """Return the (y, x) micrometres per pixel of the resolution tags, if they can be a microscope's."""
    per_unit = {2: 25_400.0, 3: 10_000.0}.get(int(page.resolutionunit))
    if unit:
        per_unit = (
            1.0 if unit in _MICROMETRE else {"nm": 1e-3, "mm": 1e3, "cm": 1e4, "inch": 25_400.0}.get(unit)
        )
    if per_unit is None:
        return (None, None)
    return (_side(page, "YResolution", per_unit), _side(page, "XResolution", per_unit))


def _side(page: TiffPage, name: str, unit_um: float) -> float | None:
    value = page.tags.valueof(name)
    if not (isinstance(value, tuple) and len(value) == 2 and all(type(v) is int and v > 0 for v in value)):
        return None
    side = unit_um * value[1] / value[0]
    low, high = _PLAUSIBLE_UM
    return side if low <= side <= high else None
