# SPDX-License-Identifier: GPL-2.0-or-later
"""Large images without levels get them, once; images made here keep what was written."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pocket_omero.images import ImageError, ImageInfo, MadeReader, OutsideError, Plane, Reader, made, pyramid
from pocket_omero.images.pyramid import Levelled, halve, level_sizes
from pocket_omero.images.tiff import TiffReader


@given(arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_level_is_the_mean_of_four_rounded_half_up(plane: np.ndarray) -> None:
    padded = np.pad(plane, [(0, size % 2) for size in plane.shape], mode="edge").astype(float)
    mean = (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4
    np.testing.assert_array_equal(halve(plane), np.floor(mean + 0.5))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_levels_of_extreme_values_do_not_run_over(dtype: str) -> None:
    kind = np.dtype(dtype)
    limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    for value in (limits.min, limits.max):
        plane = np.full((3, 3), value, kind)
        if dtype != "f8":  # a sum of four largest doubles is infinite
            np.testing.assert_array_equal(halve(plane), plane[:2, :2])


def cascade(plane: np.ndarray) -> list[np.ndarray]:
    """All levels, each from the whole of the one before."""
    levels = [plane]
    while max(levels[-1].shape) > pyramid.SMALLEST:
        levels.append(halve(levels[-1]))
    return levels


@pytest.mark.parametrize("coarse", [False, True])
def test_levels_made_strip_by_strip_are_those_of_the_whole(tmp_path: Path, coarse: bool) -> None:
    data = np.random.default_rng(1).integers(0, 65535, (2, 2500, 1301), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", data, metadata={"axes": "CYX"}, compression="zlib", tile=(256, 256)
    )
    plain: Reader = TiffReader(tmp_path / "a.ome.tif", 0)
    plain.coarse = coarse
    reader = Levelled(plain, tmp_path / "kept")
    levels = cascade(data[1])
    assert reader.info.levels == tuple(level.shape for level in levels) == level_sizes(2500, 1301)
    for number, level in enumerate(levels):
        np.testing.assert_array_equal(reader.read(number, Plane(0, 1, 0), 0, 0, *level.shape), level)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["0-1-0"]  # only what was looked at
    (tmp_path / "a.ome.tif").rename(tmp_path / "gone")
    again = Levelled(plain, tmp_path / "kept")
    np.testing.assert_array_equal(again.read(2, Plane(0, 1, 0), 0, 0, *levels[2].shape), levels[2])


def test_many_who_look_at_once_make_the_levels_of_a_plane_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(1).integers(0, 250, (3, 1200, 900), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata={"axes": "CYX"})
    reader = Levelled(TiffReader(tmp_path / "a.ome.tif", 0), tmp_path / "kept")
    built = []
    build = Levelled._build
    monkeypatch.setattr(Levelled, "_build", lambda *args: (built.append(args[1].c), build(*args)))
    with ThreadPoolExecutor(12) as pool:
        planes = [Plane(0, number % 3, 0) for number in range(24)]
        tiles = list(pool.map(lambda plane: reader.read(1, plane, 10, 20, 30, 40), planes))
    assert sorted(built) == [0, 1, 2]
    for plane, tile in zip(planes, tiles, strict=True):
        np.testing.assert_array_equal(tile, halve(data[plane.c])[10:40, 20:60])


def test_levels_that_were_cut_short_are_made_again(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((700, 900), 9, "u1"))
    plain = TiffReader(tmp_path / "a.tif", 0)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "0-0-0").write_bytes(b"half")
    assert (Levelled(plain, tmp_path / "kept").read(1, Plane(0, 0, 0), 0, 0, 350, 450) == 9).all()


def test_levels_that_cannot_be_kept_are_refused_in_words(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((700, 900), "u1"))
    (tmp_path / "kept").write_text("a file where a folder should be")
    reader = Levelled(TiffReader(tmp_path / "a.tif", 0), tmp_path / "kept" / "deeper")
    with pytest.raises(ImageError):
        reader.read(1, Plane(0, 0, 0), 0, 0, 1, 1)
    assert reader.read(0, Plane(0, 0, 0), 0, 0, 1, 1) == 0


def info(shape: tuple[int, int, int, int, int], dtype: str) -> ImageInfo:
    return ImageInfo("", 0, shape, np.dtype(dtype), (shape[3:],), (256, 256), "")


def test_what_is_written_into_a_made_image_is_there_for_the_next_reader(tmp_path: Path) -> None:
    shape = (2, 2, 3, 20, 30)
    made.make(tmp_path / "1", shape, np.dtype("i2"))
    image = MadeReader(tmp_path / "1", info(shape, "i2"))
    expected = np.zeros(shape, "i2")
    random = np.random.default_rng(2)
    for t, c, z, y, x, height, width in [
        (0, 0, 0, 0, 0, 20, 30),
        (1, 1, 2, 3, 5, 7, 11),
        (1, 0, 1, 19, 0, 1, 30),
    ]:
        values = random.integers(-999, 999, (height, width)).astype("i2")
        image.write(Plane(t, c, z), y, x, height, width, values.astype(">i2").tobytes())
        expected[t, c, z, y : y + height, x : x + width] = values
    again = MadeReader(tmp_path / "1", info(shape, "i2"))
    for place in np.ndindex(2, 2, 3):
        np.testing.assert_array_equal(again.read(0, Plane(*place), 0, 0, 20, 30), expected[place])
    assert b"".join(again.blocks()) == expected.astype(">i2").tobytes()
    assert (tmp_path / "1").stat().st_mode & 0o777 == 0o600


def test_too_many_or_too_few_bytes_are_refused_and_change_nothing(tmp_path: Path) -> None:
    made.make(tmp_path / "1", (1, 1, 1, 4, 4), np.dtype("u2"))
    image = MadeReader(tmp_path / "1", info((1, 1, 1, 4, 4), "u2"))
    for box, data in [((0, 0, 2, 2), b"1234567"), ((0, 0, 2, 2), b"123456789"), ((3, 3, 2, 2), b"12345678")]:
        with pytest.raises(OutsideError):
            image.write(Plane(0, 0, 0), *box, data)
    assert not image.read(0, Plane(0, 0, 0), 0, 0, 4, 4).any()


def test_an_image_larger_than_the_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(ImageError, match="there is no room"):
        made.make(tmp_path / "1", (1, 1, 1, free // 1000 + 1_000_000, 10_000), np.dtype("f8"))
    assert not (tmp_path / "1").exists()
