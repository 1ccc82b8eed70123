# SPDX-License-Identifier: BSD-3-Clause
"""Reading the metadata of an OME-Zarr 0.4 or 0.5 image, trusting none of it."""

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BadImageMetadataError, NotAnImageFolderError, PathOutsideImageError, UnreadableImageError

MAX_METADATA_BYTES = 4 * 2**20
MAX_LEVELS = 32
MAX_FILES = 2_000_000
_SAFE_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,199}")
_MICROMETRES = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}


@dataclass(frozen=True)
class Multiscale:
    """What an OME-Zarr image says about itself.

    Attributes
    ----------
    folder
        The image group.
    version
        ``0.4`` (Zarr 2) or ``0.5`` (Zarr 3).
    axes
        Axis names, slowest first; the last two are ``y`` and ``x``.
    datasets
        Folder of each level, inside `folder`, full resolution first.
    pixel_size_um
        (y, x) micrometres per pixel of the first level, or None where it is not stated.
    channels
        Channel labels; may be empty.
    is_label
        Whether this is a label image.
    """

    folder: Path
    version: str
    axes: tuple[str, ...]
    datasets: tuple[Path, ...]
    pixel_size_um: tuple[float, float] | None
    channels: tuple[str, ...]
    is_label: bool

    @property
    def driver(self) -> str:
        """The name of the array format in tensorstore."""
        return "zarr" if self.version == "0.4" else "zarr3"


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises
    ------
    BadImageMetadataError
        It is not a JSON object, too large or too deep.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_METADATA_BYTES + 1)
    except OSError as error:
        raise BadImageMetadataError(f"{path.name}: {error.strerror}") from error
    if len(content) > MAX_METADATA_BYTES:
        raise BadImageMetadataError(f"{path.name} is larger than {MAX_METADATA_BYTES} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadImageMetadataError(f"{path.name} is not JSON") from error
    if not isinstance(document, dict):
        raise BadImageMetadataError(f"{path.name} is not a JSON object")
    return document


def refuse_links(folder: Path) -> None:
    """Refuse an image folder with any symbolic link or special file in it; reads no file.

    Raises
    ------
    PathOutsideImageError
        There is a symbolic link, a device, a pipe or a socket.
    """
    waiting = [folder]
    seen = 0
    while waiting:
        for entry in _entries(waiting.pop()):
            seen += 1
            if seen > MAX_FILES:
                raise BadImageMetadataError(f"more than {MAX_FILES} files")
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False) and os.path.lexists(entry.path):
                name = Path(entry.path).relative_to(folder)
                raise PathOutsideImageError(f"{name} is a link or a special file")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UnreadableImageError(f"{folder.name}: {error.strerror}") from error


def read_multiscale(folder: Path) -> Multiscale:
    """Read and check the image metadata of an OME-Zarr group.

    Raises
    ------
    NotAnImageFolderError
        There is no OME-Zarr image metadata of version 0.4 or 0.5.
    BadImageMetadataError
        It contradicts the specification.
    PathOutsideImageError
        A level's path, or a link, leads out of the folder.
    UnreadableImageError
        A folder of it may not be read.
    """
    folder = folder.resolve()
    attributes, version = _attributes(folder)
    multiscales = attributes.get("multiscales")
    if not (isinstance(multiscales, list) and multiscales and isinstance(multiscales[0], dict)):
        raise NotAnImageFolderError("no multiscales in its metadata")
    first = multiscales[0]
    axes, units = _axes(first)
    datasets = first.get("datasets")
    if not (isinstance(datasets, list) and 0 < len(datasets) <= MAX_LEVELS):
        raise BadImageMetadataError("no list of levels")
    levels = tuple(_level_folder(folder, dataset) for dataset in datasets)
    scale = _scale(first, datasets[0], len(axes))
    size = _pixel_size(scale[-2:], units[-2:])
    is_label = "image-label" in attributes
    return Multiscale(folder, version, axes, levels, size, _channels(attributes), is_label)


def _attributes(folder: Path) -> tuple[dict[str, Any], str]:
    if not folder.is_dir():
        raise NotAnImageFolderError("no such folder")
    refuse_links(folder)
    if (folder / "zarr.json").is_file():
        document = read_json(folder / "zarr.json").get("attributes")
        ome = document.get("ome") if isinstance(document, dict) else None
        if not isinstance(ome, dict):
            raise NotAnImageFolderError("no ome metadata")
        if ome.get("version") != "0.5":
            raise NotAnImageFolderError("its ome metadata is not of version 0.5")
        return ome, "0.5"
    if (folder / ".zattrs").is_file():
        attributes = read_json(folder / ".zattrs")
        multiscales = attributes.get("multiscales")
        first = multiscales[0] if isinstance(multiscales, list) and multiscales else None
        version = first.get("version", "0.4") if isinstance(first, dict) else "0.4"
        if version != "0.4":
            raise NotAnImageFolderError("its metadata is neither of version 0.4 nor 0.5")
        return attributes, "0.4"
    raise NotAnImageFolderError("no zarr.json and no .zattrs")


def _axes(multiscale: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    axes = multiscale.get("axes")
    if not (isinstance(axes, list) and 2 <= len(axes) <= 5 and all(isinstance(axis, dict) for axis in axes)):
        raise BadImageMetadataError("no list of axes")
    names = tuple(axis.get("name") for axis in axes)
    allowed = [n for n in ("t", "c", "z", "y", "x") if n in names]
    if list(names) != allowed or names[-2:] != ("y", "x"):
        raise BadImageMetadataError("its axes are not some of t, c, z, y, x in this order")
    units = tuple(axis.get("unit") for axis in axes)
    return names, tuple(unit if isinstance(unit, str) else None for unit in units)


def _level_folder(folder: Path, dataset: object) -> Path:
    path = dataset.get("path") if isinstance(dataset, dict) else None
    if not isinstance(path, str):
        raise BadImageMetadataError("a level has no path")
    steps = path.split("/")
    if len(steps) > 8 or not all(_SAFE_STEP.fullmatch(step) for step in steps):
        raise PathOutsideImageError("a level's path is not a plain name below the folder")
    level = folder.joinpath(*steps)
    if not level.is_dir():
        raise BadImageMetadataError(f"level {path} is not there")
    return level


def _scale(multiscale: dict[str, Any], dataset: dict[str, Any], axes: int) -> list[float]:
    """Return the scale of a level: the product of its own and the multiscale's common transformation."""
    product = [1.0] * axes
    for holder in (dataset, multiscale):
        transforms = holder.get("coordinateTransformations", [])
        if not isinstance(transforms, list):
            raise BadImageMetadataError("coordinateTransformations is not a list")
        for transform in transforms:
            if not (isinstance(transform, dict) and transform.get("type") == "scale"):
                continue
            values = transform.get("scale")
            if not (
                isinstance(values, list) and len(values) == axes and all(_is_positive(v) for v in values)
            ):
                raise BadImageMetadataError("a scale is not a list of positive numbers, one per axis")
            product = [a * float(b) for a, b in zip(product, values, strict=True)]
    return product


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value) and value > 0
    except OverflowError:
        return False


def _pixel_size(scale: list[float], units: tuple[str | None, ...]) -> tuple[float, float] | None:
    factors = [_MICROMETRES.get(unit) if unit else None for unit in units]
    if factors[0] is None or factors[1] is None:
        return None
    return (scale[0] * factors[0], scale[1] * factors[1])


def _channels(attributes: dict[str, Any]) -> tuple[str, ...]:
    omero = attributes.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return ()
    labels = [channel.get("label") if isinstance(channel, dict) else None for channel in channels]
    return tuple(label if isinstance(label, str) else "" for label in labels)
