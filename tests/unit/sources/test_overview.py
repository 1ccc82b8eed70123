# SPDX-License-Identifier: BSD-3-Clause
"""Large images become small pictures: by their pyramids where they have them, in little memory where not."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from slidegate_analysis.images import write_image

from slidegate.domain.values import ImageRef
from slidegate.sources import tiff
from slidegate.sources.base import Choice, Pixels
from slidegate.sources.folder import FolderSource
from slidegate.sources.overview import COLOURS, compose, jpeg, overview, png

SOURCE = FolderSource()


def ramp(side: int = 1200, channels: int = 2) -> np.ndarray:
    """Return planes that rise from left to right, or from top to bottom, so that every part is known."""
    rise = np.arange(side, dtype=np.uint16)
    planes = [np.broadcast_to(rise, (side, side)), np.broadcast_to(rise[:, None], (side, side))]
    return np.stack([planes[c % 2] for c in range(channels)])


def write_pyramid(path: Path, pixels: np.ndarray, coarser: np.ndarray) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        options = {"photometric": "minisblack", "tile": (256, 256), "compression": "zlib"}
        writer.write(pixels, subifds=1, metadata={"axes": "CYX"}, **options)
        writer.write(coarser, subfiletype=1, **options)


WRITERS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "plain.tif": lambda path, pixels: tifffile.imwrite(path, pixels, photometric="minisblack"),
    "tiled.tif": lambda path, pixels: tifffile.imwrite(
        path, pixels, photometric="minisblack", tile=(256, 256), compression="zlib"
    ),
    "strips.tif": lambda path, pixels: tifffile.imwrite(
        path, pixels, photometric="minisblack", compression="zlib", rowsperstrip=37
    ),
    "image.ome.zarr": lambda path, pixels: write_image(
        path,
        pixels.shape,  # type: ignore[arg-type]
        pixels.dtype,
        lambda c, y0, y1, x0, x1: pixels[c, y0:y1, x0:x1],
        channels=("", ""),
        pixel_size_um=None,
    ),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("side", [50, 256, 1000])
def test_every_part_of_an_image_is_where_it_belongs(tmp_path: Path, name: str, side: int) -> None:
    pixels = ramp()
    WRITERS[name](tmp_path / name, pixels)
    small = SOURCE.overview(ImageRef("folder", str(tmp_path / name)), side, tmp_path)
    assert small.pixels.shape == (2, side, side)
    assert small.scale == pytest.approx(1200 / side)
    middle = (np.arange(side) + 0.5) * small.scale - 0.5
    for plane, along in zip(small.pixels, (0, 1), strict=True):
        np.testing.assert_allclose(plane.mean(axis=along), middle, atol=small.scale + 1)
        assert plane.std(axis=along).max() < 1


def test_a_small_image_stays_as_it_is(tmp_path: Path) -> None:
    pixels = ramp(40)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    small = SOURCE.overview(ImageRef("folder", str(tmp_path / "a.tif")), 256)
    np.testing.assert_array_equal(small.pixels, pixels)
    assert small.scale == 1


def test_a_narrow_image_keeps_its_form(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 5000), np.uint8), photometric="minisblack")
    small = SOURCE.overview(ImageRef("folder", str(tmp_path / "a.tif")), 256)
    assert small.pixels.shape == (1, 1, 256)


def test_the_pyramid_of_a_tiff_is_used(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "a.ome.tif", ramp(1024), np.full((2, 512, 512), 7, np.uint16))
    with tiff.open_pixels(tmp_path / "a.ome.tif", Choice()) as pixels:
        assert [level.shape for level in pixels.levels] == [(512, 512)]
        assert (overview(pixels, 256).pixels == 7).all()
        assert not (overview(pixels, 1000).pixels == 7).all(), "a level that is too coarse was used"


def test_a_pyramid_that_makes_no_sense_is_left_alone(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "a.ome.tif", ramp(1024), np.full((2, 512, 512), 7, np.uint8))
    with tiff.open_pixels(tmp_path / "a.ome.tif", Choice()) as pixels:
        assert pixels.levels == ()
        assert overview(pixels, 256).pixels.shape == (2, 256, 256)


@pytest.mark.slow
def test_of_a_huge_image_only_small_parts_are_read_at_once() -> None:
    sizes: list[int] = []

    def read(_c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        sizes.append((y1 - y0) * (x1 - x0))
        return np.zeros((y1 - y0, x1 - x0), np.uint16)

    for by_rows, most in ((True, 25_000_000), (False, 120_000_000)):
        sizes.clear()
        shape = (1, 10_000, 12_000)
        pixels = Pixels(shape, np.dtype(np.uint16), ("",), None, read, (), by_rows)
        assert overview(pixels, 256).pixels.shape == (1, 214, 256)
        assert max(sizes) <= 2**24
        assert sum(sizes) <= most


@pytest.mark.slow
def test_a_slide_without_a_pyramid_becomes_small_in_little_memory(tmp_path: Path) -> None:
    slide = tmp_path / "slide.tif"
    tifffile.memmap(slide, shape=(20_000, 27_000), dtype=np.uint16, photometric="minisblack", bigtiff=True)
    program = """if True:
        import resource, sys
        from slidegate.domain.values import ImageRef
        from slidegate.sources.folder import FolderSource
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        small = FolderSource().overview(ImageRef("folder", sys.argv[1]), 1024)
        assert small.pixels.shape == (1, 759, 1024), small.pixels.shape
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", program, str(slide)], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 150_000, "kilobytes"


def test_channels_get_fixed_colours_and_their_own_contrast() -> None:
    dim, bright = np.zeros((2, 50, 50), np.float32)
    dim[:10], bright[:, :10] = 20, 60_000
    picture = compose(np.stack([dim, bright]))
    assert picture.shape == (50, 50, 3)
    assert tuple(picture[5, 40]) == COLOURS[0]
    assert tuple(picture[40, 5]) == COLOURS[1]
    assert tuple(picture[40, 40]) == (0, 0, 0)
    assert tuple(compose(dim[None])[5, 5]) == (255, 255, 255), "one channel is white"


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_an_image_without_contrast_is_black(value: int) -> None:
    assert not compose(np.full((3, 20, 20), value, np.float32)).any()


def test_pictures_are_read_by_others(tmp_path: Path) -> None:
    picture = compose(ramp(64).astype(np.float32))
    with Picture.open(io.BytesIO(png(picture))) as opened:
        np.testing.assert_array_equal(np.asarray(opened), picture)
    with Picture.open(io.BytesIO(jpeg(picture))) as opened:
        assert opened.size == (64, 64)
