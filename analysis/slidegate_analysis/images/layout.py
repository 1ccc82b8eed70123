# SPDX-License-Identifier: BSD-3-Clause
"""The metadata of the arrays and groups that slidegate writes: OME-Zarr 0.5, equal bytes for equal images.

Sources: OME-Zarr 0.5 (https://ngff.openmicroscopy.org/0.5/), Zarr 3 core specification and its codecs
``sharding_indexed``, ``bytes``, ``blosc`` and ``crc32c`` codecs.
"""

import json
import math
from typing import Any

from .errors import UnreasonableSizeError

MAX_SIDE = 2**20
MAX_BYTES = 2**40
MAX_CHANNELS = 64
MAX_CHUNK_BYTES = 2**30
SMALLEST_LEVEL = 512

Json = dict[str, Any]


def level_shapes(shape: tuple[int, int], smallest: int = SMALLEST_LEVEL) -> list[tuple[int, int]]:
    """Return the (y, x) shapes of a pyramid that halves, rounding up, until no side exceeds `smallest`."""
    shapes = [shape]
    while max(shapes[-1]) > smallest:
        y, x = shapes[-1]
        shapes.append((-(-y // 2), -(-x // 2)))
    return shapes


def check_size(channels: int, y: int, x: int, itemsize: int) -> None:
    """Refuse a (channels, y, x) image that is empty or larger than any slide.

    Raises
    ------
    UnreasonableSizeError
        A side is 0 or beyond `MAX_SIDE`, there are more than `MAX_CHANNELS` channels, or more than
        `MAX_BYTES` of pixels.
    """
    if min(channels, y, x) < 1:
        raise UnreasonableSizeError(f"{channels} channels of {y} x {x} pixels: nothing to analyse")
    if channels > MAX_CHANNELS:
        raise UnreasonableSizeError(f"{channels} channels, at most {MAX_CHANNELS} are taken")
    if max(y, x) > MAX_SIDE:
        raise UnreasonableSizeError(f"{y} x {x} pixels, at most {MAX_SIDE} on a side are taken")
    size = channels * y * x * itemsize
    if size > MAX_BYTES:
        raise UnreasonableSizeError(f"{size} bytes of pixels, at most {MAX_BYTES} are taken")


def check_pixel_size(pixel_size_um: float | None) -> None:
    """Raise `ValueError` unless the pixel size is unknown or a positive number."""
    if pixel_size_um is not None and not (math.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise ValueError("a pixel size is a positive number of micrometres, or None")


def array_metadata(
    shape: tuple[int, ...], dtype: str, shard: int, chunk: int, dimensions: tuple[str, ...]
) -> Json:
    """Return the ``zarr.json`` of one sharded array; leading axes before (y, x) get shards of 1.

    Inner chunks are `chunk` squared, compressed with blosc (zstd level 1, byte shuffle): measured within two
    percent of the size of zstd level 3 at 1.7 times its speed.
    """
    leading = [1] * (len(shape) - 2)
    itemsize = {"uint8": 1, "uint16": 2, "uint32": 4}[dtype]
    little: Json = {"name": "bytes"}
    if itemsize > 1:
        little = {"name": "bytes", "configuration": {"endian": "little"}}
    blosc = {"cname": "zstd", "clevel": 1, "shuffle": "shuffle", "typesize": itemsize, "blocksize": 0}
    sharding = {
        "chunk_shape": [*leading, chunk, chunk],
        "codecs": [little, {"name": "blosc", "configuration": blosc}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*leading, shard, shard]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "dimension_names": list(dimensions),
        "attributes": {},
    }


def _multiscale(dimensions: tuple[str, ...], levels: int, pixel_size_um: float | None) -> Json:
    axes: list[Json] = []
    for name in dimensions:
        axis = {"name": name, "type": "channel" if name == "c" else "space"}
        if name != "c" and pixel_size_um is not None:
            axis["unit"] = "micrometer"
        axes.append(axis)
    size = 1.0 if pixel_size_um is None else float(pixel_size_um)
    leading = len(dimensions) - 2
    datasets = []
    for level in range(levels):
        scale = [1.0] * leading + [size * 2**level] * 2
        shift = [0.0] * leading + [size * (2**level - 1) / 2] * 2
        transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    return {"axes": axes, "datasets": datasets}


def image_group(levels: int, channels: tuple[str, ...], pixel_size_um: float | None, dtype: str) -> Json:
    """Return the ``zarr.json`` of an image group (c, y, x); micrometres per pixel or None."""
    top = {"uint8": 255, "uint16": 65535}[dtype]
    window = {"min": 0, "max": top, "start": 0, "end": top}
    shown = [{"label": label, "color": "FFFFFF", "active": True, "window": window} for label in channels]
    ome = {
        "version": "0.5",
        "multiscales": [_multiscale(("c", "y", "x"), levels, pixel_size_um)],
        "omero": {"channels": shown},
    }
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}


def label_group(levels: int, pixel_size_um: float | None) -> Json:
    """Return the ``zarr.json`` of a label image group (y, x)."""
    ome = {
        "version": "0.5",
        "multiscales": [_multiscale(("y", "x"), levels, pixel_size_um)],
        "image-label": {},
    }
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}


def encode(document: Json) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
