# SPDX-License-Identifier: BSD-3-Clause
"""Opening and reading images that must not be trusted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from slidegate_analysis.images import ImagesError, open_image, write_image
from slidegate_analysis.images.errors import (
    BadImageMetadataError,
    NotAnImageFolderError,
    OutOfBoundsError,
    PathOutsideImageError,
    PixelsDamagedError,
    PixelsMissingError,
    UnsupportedPixelsError,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pixels = np.arange(300 * 200, dtype=np.uint16).reshape(1, 300, 200)
    write_image(
        tmp_path / "image",
        pixels.shape,
        pixels.dtype,
        lambda c, y0, y1, x0, x1: pixels[c, y0:y1, x0:x1],
        channels=["DAPI"],
        pixel_size_um=0.5,
        shard=128,
        chunk=64,
    )
    return tmp_path / "image"


def change(file: Path, edit) -> None:
    document = json.loads(file.read_text())
    edit(document)
    file.write_text(json.dumps(document))


def datasets(document):
    return document["attributes"]["ome"]["multiscales"][0]["datasets"]


STARVED = """
import resource, sys
from slidegate_analysis.images import ImagesError, open_image
(used,) = [int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmSize")]
resource.setrlimit(resource.RLIMIT_AS, (used + 9 * 2**20,) * 2)  # room for one thread
try:
    open_image(sys.argv[1]).read(0, 0, 100, 0, 100)
except ImagesError as error:
    print(error.code, error.transient)
"""


@pytest.mark.slow
def test_a_process_that_may_start_no_more_threads_says_so_and_lives(folder):
    done = subprocess.run(
        [sys.executable, "-c", STARVED, str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "too-few-threads True\n"), done.stderr


@pytest.mark.parametrize(
    "region", [(0, 301, 0, 1), (-1, 1, 0, 1), (0, 1, 0, 201), (5, 5, 0, 1), (0, 1, 9, 3), (300, 301, 0, 1)]
)
def test_a_region_outside_the_image_is_refused_and_never_cut_or_filled(folder, region):
    with pytest.raises(OutOfBoundsError) as caught:
        open_image(folder).read(0, *region)
    assert caught.value.code == "region-out-of-bounds"


@pytest.mark.parametrize(("channel", "level"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_channel_or_level_that_is_not_there_is_refused(folder, channel, level):
    with pytest.raises(OutOfBoundsError):
        open_image(folder).read(channel, 0, 1, 0, 1, level)


@pytest.mark.parametrize(
    "path", ["../..", "/etc", "..", "0/../../x", "", ".", "a//b", "~", "0\n", "file:///etc"]
)
def test_a_level_path_that_leads_elsewhere_is_refused(folder, path):
    change(folder / "zarr.json", lambda document: datasets(document)[0].update(path=path))
    with pytest.raises(PathOutsideImageError) as caught:
        open_image(folder)
    assert caught.value.code == "zarr-points-outside"


def test_a_level_that_is_a_link_to_elsewhere_is_refused(folder, tmp_path):
    (folder / "0").rename(tmp_path / "elsewhere")
    (folder / "0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PathOutsideImageError):
        open_image(folder)


def test_a_chunk_that_is_a_link_to_elsewhere_is_refused(folder, tmp_path):
    chunk = folder / "0" / "c" / "0" / "0" / "0"
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PathOutsideImageError):
        open_image(folder)


def test_a_pipe_in_the_folder_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "0" / "c" / "0" / "9")
    with pytest.raises(PathOutsideImageError):
        open_image(folder)


def test_a_missing_shard_is_an_error_and_not_black(folder):
    (folder / "0" / "c" / "0" / "1" / "0").unlink()
    image = open_image(folder)
    assert image.read(0, 0, 128, 0, 128).shape == (128, 128)
    with pytest.raises(PixelsMissingError) as caught:
        image.read(0, 100, 200, 0, 10)
    assert caught.value.code == "pixels-missing"
    assert str(folder) not in str(caught.value)


@pytest.mark.parametrize("left", [0, 3, 100, -1])
def test_a_shard_cut_short_is_an_error_and_not_black(folder, left):
    shard = folder / "0" / "c" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:left])
    with pytest.raises((PixelsDamagedError, PixelsMissingError)) as caught:
        open_image(folder).read(0, 0, 128, 0, 128)
    assert str(folder) not in str(caught.value)


def test_a_flipped_bit_in_a_shards_index_is_found(folder):
    shard = folder / "0" / "c" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[-30] ^= 1
    shard.write_bytes(content)
    with pytest.raises(PixelsDamagedError):
        open_image(folder).read(0, 0, 128, 0, 128)


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["attributes"]["ome"].update(multiscales=[]),
        lambda d: d["attributes"]["ome"].update(version="9.9"),
        lambda d: d["attributes"].pop("ome"),
        lambda d: d.pop("attributes"),
        lambda d: d["attributes"]["ome"]["multiscales"][0].update(axes=[{"name": "y"}, {"name": "x"}]),
        lambda d: d["attributes"]["ome"]["multiscales"][0].update(axes="cyx"),
        lambda d: d["attributes"]["ome"]["multiscales"][0]["axes"].reverse(),
        lambda d: datasets(d).clear(),
        lambda d: datasets(d)[0].update(path=7),
        lambda d: datasets(d)[0].update(path="17"),
        lambda d: datasets(d).extend([datasets(d)[0]] * 40),
        lambda d: datasets(d)[0]["coordinateTransformations"][0].update(scale=[1, 0, 1]),
        lambda d: datasets(d)[0]["coordinateTransformations"][0].update(scale=[1, 1]),
        lambda d: datasets(d)[0]["coordinateTransformations"][0].update(scale=[1, 10**400, 1]),
        lambda d: datasets(d)[0].update(coordinateTransformations=5),
        lambda d: d["attributes"]["ome"].update(omero={"channels": []}),
        lambda d: d["attributes"]["ome"].update(omero=None),
    ],
)
def test_metadata_that_makes_no_sense_is_refused_with_our_error(folder, edit):
    change(folder / "zarr.json", edit)
    with pytest.raises((NotAnImageFolderError, BadImageMetadataError)):
        open_image(folder)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'"' + b"x" * (5 * 2**20) + b'"']
)
def test_metadata_that_is_not_a_small_json_object_is_refused(folder, content):
    (folder / "zarr.json").write_bytes(content)
    with pytest.raises(BadImageMetadataError):
        open_image(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(shape=[1, 300]),
        lambda d: d.update(shape=[1, -3, 4]),
        lambda d: d.update(data_type="spaghetti"),
        lambda d: d.update(codecs=[]),
        lambda d: d.update(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [0, 0, 0]}}),
        lambda d: d.update(storage_transformers=[{"name": "elsewhere"}]),
    ],
)
def test_array_metadata_that_makes_no_sense_is_refused_with_our_error(folder, edit):
    change(folder / "0" / "zarr.json", edit)
    with pytest.raises(ImagesError):
        open_image(folder)


@pytest.mark.parametrize("name", ["float32", "int16", "uint64"])
def test_an_image_of_other_pixels_is_not_a_staged_image(folder, name):
    change(folder / "0" / "zarr.json", lambda document: document.update(data_type=name))
    with pytest.raises((UnsupportedPixelsError, BadImageMetadataError)):
        open_image(folder)


def test_a_folder_that_is_no_image_and_a_path_that_is_no_folder_are_told_as_such(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(NotAnImageFolderError) as caught:
            open_image(path)
        assert caught.value.code == "zarr-not-an-image"


def test_every_error_has_a_code_of_its_own_and_a_sentence():
    classes = [ImagesError]
    for class_ in classes:
        classes += class_.__subclasses__()
    assert len({class_.code for class_ in classes}) == len(classes) > 10
    for class_ in classes:
        assert str(class_()).endswith(".")
        assert "(why)" in str(class_("why"))
