# SPDX-License-Identifier: BSD-3-Clause
"""Writing staged images: one pass, each shard once, the same bytes, whole or not at all."""

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slidegate_analysis.images import open_image, write_image
from slidegate_analysis.images.errors import (
    AlreadyThereError,
    CannotWriteError,
    DiskFullError,
    UnreasonableSizeError,
    UnsupportedPixelsError,
    WrongPixelsError,
)
from slidegate_analysis.images.image import halve

pytestmark = pytest.mark.slow

SMALL = {"shard": 128, "chunk": 32}


def picture(shape, dtype="uint16", seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, shape, dtype, endpoint=True)


def write(path, pixels, **options):
    options = {"channels": [f"c{i}" for i in range(len(pixels))], "pixel_size_um": 0.5} | SMALL | options
    write_image(
        path, pixels.shape, pixels.dtype, lambda c, y0, y1, x0, x1: pixels[c, y0:y1, x0:x1], **options
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def exact_halving(pixels: np.ndarray) -> np.ndarray:
    """The mean of what there is in each 2 x 2 block, in fractions, rounded half to even."""
    height, width = -(-pixels.shape[0] // 2), -(-pixels.shape[1] // 2)
    halved = np.empty((height, width), pixels.dtype)
    for y in range(height):
        for x in range(width):
            block = pixels[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
            halved[y, x] = round(Fraction(int(block.sum(dtype=np.uint64)), block.size))
    return halved


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_pixel_of_every_channel_comes_back(tmp_path, dtype):
    pixels = picture((2, 601, 1003), dtype)
    write(tmp_path / "image", pixels)
    image = open_image(tmp_path / "image")
    assert (image.shape, image.dtype) == ((2, 601, 1003), np.dtype(dtype))
    assert (image.channels, image.pixel_size_um) == (("c0", "c1"), 0.5)
    for c in range(2):
        np.testing.assert_array_equal(image.read(c, 0, 601, 0, 1003), pixels[c])
    np.testing.assert_array_equal(image.read(1, 127, 130, 250, 1003), pixels[1, 127:130, 250:1003])


def test_levels_halve_rounding_up_until_both_sides_are_at_most_512(tmp_path):
    write(tmp_path / "image", picture((1, 1025, 2051)))
    assert open_image(tmp_path / "image").level_shapes == ((1025, 2051), (513, 1026), (257, 513), (129, 257))


def test_each_level_is_the_exact_mean_of_the_level_below_across_shard_borders(tmp_path):
    pixels = picture((1, 605, 1027))
    write(tmp_path / "image", pixels)
    image = open_image(tmp_path / "image")
    expected = pixels[0]
    for level, (height, width) in enumerate(image.level_shapes):
        np.testing.assert_array_equal(image.read(0, 0, height, 0, width, level), expected)
        expected = exact_halving(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from(["uint8", "uint16"]))
def test_halving_is_exact_for_any_size_and_never_overflows(height, width, seed, dtype):
    pixels = picture((height, width), dtype, seed)
    np.testing.assert_array_equal(halve(pixels), exact_halving(pixels))


def test_a_saturated_image_stays_saturated_at_every_level(tmp_path):
    write(tmp_path / "image", np.full((1, 700, 600), 65535, np.uint16))
    image = open_image(tmp_path / "image")
    for level, (height, width) in enumerate(image.level_shapes):
        assert image.read(0, 0, height, 0, width, level).min() == 65535


def test_an_image_of_one_pixel_is_an_image(tmp_path):
    write(tmp_path / "image", np.full((1, 1, 1), 7, np.uint8))
    assert open_image(tmp_path / "image").read(0, 0, 1, 0, 1) == 7


def test_each_pixel_is_asked_for_once_in_blocks_of_a_shard_in_z_order(tmp_path):
    pixels = picture((1, 520, 520))
    asked = []

    def read(c, y0, y1, x0, x1):
        asked.append((y0, y1, x0, x1))
        return pixels[c, y0:y1, x0:x1]

    write_image(tmp_path / "i", pixels.shape, "uint16", read, channels=[""], pixel_size_um=None, **SMALL)
    assert sum((y1 - y0) * (x1 - x0) for y0, y1, x0, x1 in asked) == 520 * 520
    assert len(set(asked)) == len(asked) == 25
    starts = [(y0 // 128, x0 // 128) for y0, _, x0, _ in asked]
    assert starts[:4] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert starts[4:8] == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_each_shard_is_written_exactly_once(tmp_path):
    if shutil.which("strace") is None:
        assert "CI" not in os.environ, "CI must have strace"
        pytest.skip("strace is not installed")
    pixels = picture((2, 900, 1300))
    program = (
        "import sys, numpy\n"
        "from slidegate_analysis.images import write_image\n"
        "pixels = numpy.load(sys.argv[1])\n"
        "write_image(sys.argv[2], pixels.shape, pixels.dtype, lambda c, a, b, d, e: pixels[c, a:b, d:e],\n"
        "            channels=['', ''], pixel_size_um=None, shard=128, chunk=32)\n"
    )
    np.save(tmp_path / "pixels.npy", pixels)
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-s", "500", "-e", "trace=rename,renameat,renameat2", "-o", str(trace)]
    command += [sys.executable, "-c", program, str(tmp_path / "pixels.npy"), str(tmp_path / "image")]
    subprocess.run(command, check=True, timeout=120)
    files = {p for p in (tmp_path / "image").rglob("*") if p.is_file() and p.name != "zarr.json"}
    targets = re.findall(r'rename[a-z0-9]*\(.*"([^"]*/c/[^"]*)"', trace.read_text())
    assert len(targets) == len(set(targets)) == len(files) > 200


def test_the_same_image_gives_the_same_bytes(tmp_path):
    pixels = picture((2, 601, 1003))
    write(tmp_path / "a", pixels)
    write(tmp_path / "b", pixels)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path, monkeypatch):
    pixels = picture((1, 601, 1003))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write(tmp_path / "one", pixels)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    write(tmp_path / "four", pixels)
    assert contents(tmp_path / "one") == contents(tmp_path / "four")


def test_big_endian_pixels_are_stored_like_little_endian_ones(tmp_path):
    pixels = picture((1, 100, 200))
    write(tmp_path / "a", pixels)
    write(tmp_path / "b", pixels.astype(">u2"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_black_chunks_are_stored_too_so_that_a_missing_one_shows(tmp_path):
    write(tmp_path / "image", np.zeros((1, 600, 600), np.uint16))
    assert len(list((tmp_path / "image" / "0" / "c").rglob("*/*/*"))) == 25


def test_a_big_slide_needs_few_files(tmp_path):
    pixels = np.zeros((1, 4097, 4097), np.uint8)
    write(tmp_path / "image", pixels, shard=4096, chunk=256)
    assert len(contents(tmp_path / "image")) == 1 + 5 + 4 + 1 + 1 + 1 + 1


def test_the_metadata_is_valid_ome_zarr_by_an_independent_reader(tmp_path):
    import ome_zarr_models.v05
    import zarr

    pixels = picture((2, 601, 1003))
    write(tmp_path / "image", pixels)
    group = zarr.open_group(tmp_path / "image", mode="r")
    image = ome_zarr_models.v05.Image.from_zarr(group)
    multiscale = image.ome_attributes.multiscales[0]
    assert [axis.name for axis in multiscale.axes] == ["c", "y", "x"]
    assert [axis.unit for axis in multiscale.axes][1:] == ["micrometer", "micrometer"]
    scale, shift = multiscale.datasets[1].coordinateTransformations
    assert (scale.scale, shift.translation) == ([1.0, 1.0, 1.0], [0.0, 0.25, 0.25])
    np.testing.assert_array_equal(group["0"][:], pixels)
    assert group["0"].shards == (1, 128, 128)
    assert group["0"].chunks == (1, 32, 32)


def test_ome_zarr_py_reads_the_same_pixels(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations
        from ome_zarr.io import parse_url
        from ome_zarr.reader import Reader

        pixels = picture((2, 601, 1003))
        write(tmp_path / "image", pixels)
        node = next(iter(Reader(parse_url(str(tmp_path / "image")))()))
        assert len(node.data) == 2
        np.testing.assert_array_equal(np.asarray(node.data[0]), pixels)


def test_an_unknown_pixel_size_is_written_as_no_unit(tmp_path):
    write(tmp_path / "image", picture((1, 9, 9)), pixel_size_um=None)
    assert b"unit" not in (tmp_path / "image" / "zarr.json").read_bytes()
    assert open_image(tmp_path / "image").pixel_size_um is None


def test_the_metadata_holds_no_name_and_no_time(tmp_path):
    write(tmp_path / "Jane Doe 1970", picture((1, 9, 9)))
    attributes = json.loads((tmp_path / "Jane Doe 1970" / "zarr.json").read_text())["attributes"]["ome"]
    assert sorted(attributes) == ["multiscales", "omero", "version"]
    assert sorted(attributes["multiscales"][0]) == ["axes", "datasets"]


def test_progress_counts_the_bytes_of_the_full_resolution(tmp_path):
    seen = []
    write(tmp_path / "image", picture((2, 300, 200)), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (240_000, 240_000)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize("dtype", ["float32", "int16", "complex64", "uint32", "bool", "float16"])
def test_pixels_of_another_type_are_refused_in_a_sentence(tmp_path, dtype):
    with pytest.raises(UnsupportedPixelsError, match="Only unsigned 8-bit and 16-bit") as caught:
        write_image(tmp_path / "i", (1, 4, 4), dtype, None, channels=[""], pixel_size_um=None)
    assert (caught.value.code, list(tmp_path.iterdir())) == ("pixels-unsupported", [])


@pytest.mark.parametrize(
    "shape", [(1, 0, 5), (1, 5, 0), (0, 5, 5), (1, 2**31, 2**31), (65, 4, 4), (3, 2**20, 2**20)]
)
def test_sizes_that_no_slide_has_are_refused_before_anything_is_read(tmp_path, shape):
    with pytest.raises(UnreasonableSizeError) as caught:
        write_image(tmp_path / "i", shape, "uint8", None, channels=[""] * shape[0], pixel_size_um=None)
    assert (caught.value.code, list(tmp_path.iterdir())) == ("image-size-unreasonable", [])


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 4), np.uint8), np.zeros((4, 4), np.uint16), np.zeros(16, np.uint8)]
)
def test_a_reader_that_returns_something_else_than_announced_is_found_out(tmp_path, wrong):
    with pytest.raises(WrongPixelsError):
        write_image(tmp_path / "i", (1, 4, 4), "uint8", lambda *_: wrong, channels=[""], pixel_size_um=None)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_fails_half_way_leaves_nothing(tmp_path):
    def read(c, y0, y1, x0, x1):
        if y0:
            raise ConnectionResetError("gone")
        return np.zeros((y1 - y0, x1 - x0), np.uint8)

    with pytest.raises(ConnectionResetError):
        write_image(tmp_path / "i", (1, 300, 100), "uint8", read, channels=[""], pixel_size_um=None, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_someone_elses_folder_is_not_overwritten(tmp_path):
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "thesis.txt").write_text("precious")
    with pytest.raises(AlreadyThereError):
        write(tmp_path / "image", picture((1, 9, 9)))
    assert (tmp_path / "image" / "thesis.txt").read_text() == "precious"


def test_a_path_below_a_file_is_said_to_be_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWriteError) as caught:
        write(tmp_path / "file" / "image", picture((1, 9, 9)))
    assert caught.value.transient


@pytest.mark.parametrize(
    "name", ["../here/image", "./image", "a #1?%20;é|*", "with\nnewline", "~", "folder/deeper/image"]
)
def test_any_path_of_a_file_system_will_do(tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    pixels = picture((1, 9, 9))
    write(Path(name), pixels)
    np.testing.assert_array_equal(open_image(Path(name)).read(0, 0, 9, 0, 9), pixels[0])
    np.testing.assert_array_equal(open_image(Path.cwd() / name).read(0, 0, 9, 0, 9), pixels[0])


# ---- going on


class Stopped(Exception):  # noqa: N818 (a situation in a test)
    """The writing ends in the middle."""


def begin(path, pixels, parts, shards=0, **options):
    """Write, and stop when so many shards were asked for (0: never); return which were."""
    asked = []

    def read(c, y0, y1, x0, x1):
        if len(asked) == shards > 0:
            raise Stopped
        asked.append((c, y0, x0))
        return pixels[c, y0:y1, x0:x1]

    labels = {"channels": [f"c{i}" for i in range(len(pixels))], "pixel_size_um": 0.5} | SMALL | options
    try:
        write_image(path, pixels.shape, pixels.dtype, read, parts=parts, **labels)
    except Stopped:
        assert not path.exists()
    return asked


@pytest.mark.parametrize("shards", [1, 9, 31])
def test_what_was_written_whole_is_not_asked_for_again_and_the_bytes_are_the_same(tmp_path, shards):
    pixels = picture((2, 500, 470))
    write(tmp_path / "at once", pixels)
    first = begin(tmp_path / "image", pixels, tmp_path / "parts", shards)
    told = []
    second = begin(
        tmp_path / "image",
        pixels,
        tmp_path / "parts",
        progress=lambda done, total: told.append((done, total)),
    )
    assert (len(first), len(second), set(first) & set(second)) == (shards, 32 - shards, set())
    assert contents(tmp_path / "image") == contents(tmp_path / "at once")
    assert not (tmp_path / "parts").exists()
    assert len(told) == 32
    assert told == sorted(told)
    assert told[-1] == (pixels.nbytes, pixels.nbytes)


@pytest.mark.parametrize("harm", ["cut", "emptied", "zeroed", "gone", "grown"])
def test_a_shard_that_was_harmed_meanwhile_is_asked_for_again(tmp_path, harm):
    pixels = picture((1, 500, 470))
    write(tmp_path / "at once", pixels)
    begin(tmp_path / "image", pixels, tmp_path / "parts", 9)
    shard = tmp_path / "parts/0/c/0/1/0"
    content = shard.read_bytes()
    if harm == "gone":
        shard.unlink()
    else:
        cut = content[: len(content) // 2]
        new = {"cut": cut, "emptied": b"", "zeroed": bytes(len(content)), "grown": content + b"x"}
        shard.write_bytes(new[harm])
    again = begin(tmp_path / "image", pixels, tmp_path / "parts")
    assert len(again) == 16 - 9 + 1
    assert contents(tmp_path / "image") == contents(tmp_path / "at once")


@pytest.mark.parametrize("other", [{"channels": ["another"]}, {"pixel_size_um": 0.25}, {"shard": 256}])
def test_parts_of_another_image_are_thrown_away(tmp_path, other):
    pixels = picture((1, 300, 470))
    begin(tmp_path / "image", pixels, tmp_path / "parts", 4)
    write(tmp_path / "at once", pixels, **other)
    begin(tmp_path / "image", pixels, tmp_path / "parts", **other)
    assert contents(tmp_path / "image") == contents(tmp_path / "at once")


def test_a_process_that_was_killed_leaves_parts_that_another_goes_on_with(tmp_path):
    pixels = picture((1, 500, 470))
    write(tmp_path / "at once", pixels)
    code = """
import os, sys
import numpy as np
from slidegate_analysis.images import write_image
pixels = np.load(sys.argv[1])
def read(c, y0, y1, x0, x1):
    if (y0, x0) == (256, 128):
        os.kill(os.getpid(), 9)
    return pixels[c, y0:y1, x0:x1]
write_image(sys.argv[2], pixels.shape, "uint16", read, channels=["c0"], pixel_size_um=0.5, shard=128,
            chunk=32, parts=sys.argv[3])
"""
    np.save(tmp_path / "pixels.npy", pixels)
    argv = [sys.executable, "-c", code, tmp_path / "pixels.npy", tmp_path / "image", tmp_path / "parts"]
    assert subprocess.run(argv, check=False).returncode == -9
    (tmp_path / "parts/0/c/0/1/0.__lock").write_bytes(b"half a shard")
    again = begin(tmp_path / "image", pixels, tmp_path / "parts")
    assert 0 < len(again) <= 16 - 9 + 2  # two shards may have been on their way to the disk
    assert contents(tmp_path / "image") == contents(tmp_path / "at once")


@pytest.mark.root
def test_a_full_disk_is_called_a_full_disk_and_leaves_nothing(small_disk):
    with pytest.raises(DiskFullError) as caught:
        write(small_disk / "image", picture((1, 2000, 2000)))
    assert (caught.value.code, list(small_disk.iterdir())) == ("disk-full", [])
