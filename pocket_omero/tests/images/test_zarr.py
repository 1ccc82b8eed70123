# SPDX-License-Identifier: GPL-2.0-or-later
"""OME-Zarr of both versions reads as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from pocket_omero.images import PIXEL_TYPES, ImageError, Plane, inspect
from pocket_omero.images.ome_zarr import ZarrReader

AXES = {
    "t": {"name": "t", "type": "time", "unit": "second"},
    "c": {"name": "c", "type": "channel"},
    "z": {"name": "z", "type": "space", "unit": "micrometer"},
    "y": {"name": "y", "type": "space", "unit": "micrometer"},
    "x": {"name": "x", "type": "space", "unit": "nanometer"},
}


def write(
    path: Path,
    levels: list[np.ndarray],
    axes: str,
    version: str = "0.5",
    omero: dict[str, object] | None = None,
) -> None:
    """Write an OME-Zarr with zarr-python."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for number, level in enumerate(levels):
        chunks = tuple(min(32, size) for size in level.shape)
        group.create_array(str(number), shape=level.shape, dtype=level.dtype, chunks=chunks)[...] = level
        scale = [2.0**number * (0.5 if axis in "zyx" else 3.0 if axis == "t" else 1) for axis in axes]
        datasets.append(
            {"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        )
    scales = {
        "name": "cells",
        "axes": [AXES[axis] for axis in axes],
        "datasets": datasets,
        "version": version,
    }
    said: dict[str, object] = {"multiscales": [scales]}
    if omero is not None:
        said["omero"] = omero
    group.attrs.update({"ome": {"version": "0.5", **said}} if version == "0.5" else said)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("kind", PIXEL_TYPES)
def test_every_pixel_type_reads_as_it_was_written(tmp_path: Path, kind: str, version: str) -> None:
    data = np.random.default_rng(3).integers(0, 120, (2, 3, 4, 41, 53)).astype(PIXEL_TYPES[kind])
    write(tmp_path / "a.zarr", [data], "tczyx", version)
    reader = ZarrReader(tmp_path / "a.zarr", 0)
    assert reader.info.shape == data.shape
    assert reader.info.dtype == data.dtype
    for place in np.ndindex(2, 3, 4):
        part = reader.read(0, Plane(*place), 5, 7, 36, 46)
        np.testing.assert_array_equal(part, data[place][5:, 7:])


@pytest.mark.parametrize("axes", ["yx", "cyx", "zyx", "tyx", "czyx", "tcyx"])
def test_missing_axes_count_one(tmp_path: Path, axes: str) -> None:
    sizes = {"t": 2, "c": 3, "z": 4, "y": 30, "x": 40}
    data = np.random.default_rng(3).integers(0, 250, [sizes[axis] for axis in axes]).astype("u1")
    write(tmp_path / "a.zarr", [data], axes)
    reader = ZarrReader(tmp_path / "a.zarr", 0)
    assert reader.info.shape == tuple(sizes[axis] if axis in axes else 1 for axis in "tczyx")
    last = data[(-1,) * (data.ndim - 2)]
    plane = Plane(*(size - 1 for size in reader.info.shape[:3]))
    np.testing.assert_array_equal(reader.read(0, plane, 0, 0, 30, 40), last)


def test_levels_sizes_names_colours_and_windows_are_taken_over(tmp_path: Path) -> None:
    levels = [np.zeros((2, side, side), "u2") for side in (64, 32, 16)]
    channels = [
        {"label": "DNA", "color": "0000FF", "active": True, "window": {"start": 5, "end": 900}},
        {"label": "RNA", "color": "00FF00", "active": False},
    ]
    write(tmp_path / "a.zarr", levels, "cyx", omero={"channels": channels})
    (info,) = inspect(tmp_path / "a.zarr")
    assert info.levels == ((64, 64), (32, 32), (16, 16))
    assert info.sizes == (None, (0.5, "MICROMETER"), (0.5, "NANOMETER"))
    assert [channel.name for channel in info.channels] == ["DNA", "RNA"]
    assert info.channels[0].color == (0, 0, 255, 255)
    assert info.channels[0].window == (5.0, 900.0)
    assert [channel.active for channel in info.channels] == [True, False]


def test_several_images_in_one_folder_are_several_images(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    for number in range(3):
        write(path / str(number), [np.full((8, 8), number, "u1")], "yx", "0.4")
    assert len(inspect(path)) == 3
    assert ZarrReader(path, 2).read(0, Plane(0, 0, 0), 0, 0, 1, 1) == 2


def test_fields_of_a_plate_are_images(tmp_path: Path) -> None:
    path = tmp_path / "plate.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs["plate"] = {
        "rows": [{"name": "A"}, {"name": "B"}], "columns": [{"name": "1"}, {"name": "2"}],
        "wells": [{"path": "A/1"}, {"path": "B/2", "rowIndex": 1, "columnIndex": 1}],
    }  # fmt: skip
    for well in ("A/1", "B/2"):
        group.create_group(well).attrs["well"] = {"images": [{"path": "0"}]}
        write(path / well / "0", [np.full((8, 8), ord(well[0]), "u1")], "yx", "0.4")
    assert [info.name for info in inspect(path)] == ["Well A1, Field #1", "Well B2, Field #1"]
    assert [info.well for info in inspect(path)] == [(0, 0), (1, 1)]
    assert ZarrReader(path, 1).read(0, Plane(0, 0, 0), 0, 0, 1, 1) == ord("B")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"multiscales": []},
        {"multiscales": [{"axes": [{"name": "q"}, {"name": "x"}], "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "nowhere"}]}]},
        {"multiscales": [{"datasets": [{"path": "0"}]}]},
        {"plate": {"wells": [{"path": "A/1"}]}},
        {"multiscales": "words"},
    ],
)
def test_metadata_that_is_not_as_it_should_be_is_refused_in_words(tmp_path: Path, said: object) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=(8, 8), dtype="u1")
    group.attrs.update(said)
    with pytest.raises(ImageError):
        inspect(tmp_path / "a.zarr")


def test_a_zarr_cannot_name_images_outside_of_itself(tmp_path: Path) -> None:
    write(tmp_path / "secret.zarr", [np.zeros((8, 8), "u1")], "yx", "0.4")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    group.create_group("OME").attrs["series"] = ["../secret.zarr"]
    with pytest.raises(ImageError, match="outside"):
        inspect(tmp_path / "a.zarr")
    write(tmp_path / "b.zarr", [np.zeros((8, 8), "u1")], "yx", "0.4")
    attributes = tmp_path / "b.zarr" / ".zattrs"
    said = json.loads(attributes.read_text())
    said["multiscales"][0]["datasets"][0]["path"] = "../secret.zarr/0"
    attributes.write_text(json.dumps(said))
    with pytest.raises(ImageError, match="outside"):
        inspect(tmp_path / "b.zarr")


def test_a_broken_chunk_gives_words(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", [np.arange(64 * 64, dtype="u2").reshape(64, 64)], "yx")
    for chunk in (tmp_path / "a.zarr" / "0" / "c").rglob("1"):
        if chunk.is_file():
            chunk.write_bytes(b"not what it was")
    reader = ZarrReader(tmp_path / "a.zarr", 0)
    assert reader.read(0, Plane(0, 0, 0), 0, 0, 32, 32).shape == (32, 32)
    with pytest.raises(ImageError, match="cannot be read"):
        reader.read(0, Plane(0, 0, 0), 32, 32, 32, 32)
