# SPDX-License-Identifier: BSD-3-Clause
"""Synthetic slides: the same slide whatever the cut, and a truth that is true."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from slidegate_analysis.images import open_labels
from slidegate_analysis.nuclei.synth import MAX_DENSITY, PRESETS, BadSlideError, Slide, write_slide


@pytest.fixture(scope="module")
def slide() -> Slide:
    return Slide(height=900, width=1300, channels=2, density=PRESETS["dense"], seed=3)


@pytest.mark.parametrize("side", [113, 512])
def test_a_region_drawn_alone_equals_the_same_region_of_the_whole(slide: Slide, side: int) -> None:
    whole = slide.read(1, 0, 900, 0, 1300)
    truth = slide.truth(0, 900, 0, 1300)
    for y in range(0, 900, side):
        for x in range(0, 1300, side):
            y1, x1 = min(900, y + side), min(1300, x + side)
            assert np.array_equal(slide.read(1, y, y1, x, x1), whole[y:y1, x:x1])
            assert np.array_equal(slide.truth(y, y1, x, x1), truth[y:y1, x:x1])


def test_the_same_arguments_give_the_same_slide_and_another_seed_another_one(slide: Slide) -> None:
    again = Slide(height=900, width=1300, channels=2, density=PRESETS["dense"], seed=3)
    other = Slide(height=900, width=1300, channels=2, density=PRESETS["dense"], seed=4)
    region = (0, 300, 0, 400)
    assert np.array_equal(again.read(0, *region), slide.read(0, *region))
    assert not np.array_equal(other.read(0, *region), slide.read(0, *region))


def test_nuclei_are_brighter_than_what_surrounds_them(slide: Slide) -> None:
    picture = slide.read(0, 0, 900, 0, 1300).astype(float)
    truth = slide.truth(0, 900, 0, 1300)
    assert np.median(picture[truth > 0]) > 2 * np.median(picture[truth == 0])
    assert picture.max() == 65535


def test_the_marker_shines_in_the_nuclei_that_carry_it_and_not_in_the_others(slide: Slide) -> None:
    things = slide.things
    light = things.light[: things.nuclei, 1]
    carries = things.positive[: things.nuclei, 0]
    assert 0.1 < carries.mean() < 0.6
    assert np.median(light[carries]) > 5 * np.median(light[~carries])


def test_some_nuclei_touch_and_few_hide_another(slide: Slide) -> None:
    truth = slide.truth(0, 900, 0, 1300).astype(np.int64)
    left, right = truth[:, :-1], truth[:, 1:]
    touching = np.unique(left[(left != right) & (left > 0) & (right > 0)])
    assert 0.2 < len(touching) / slide.things.nuclei < 0.9
    areas = np.bincount(truth.ravel())[1:]
    assert np.median(areas) * slide.pixel_size_um**2 == pytest.approx(42, abs=12)


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_holds_the_density_that_it_names(preset: str) -> None:
    # A small picture lies wholly inside the tissue.
    field = Slide(height=1000, width=1000, channels=1, density=PRESETS[preset], seed=1)
    assert field.things.nuclei / (1000 * 1000 * 0.325**2 * 1e-6) == pytest.approx(PRESETS[preset], rel=0.12)


def test_what_is_written_is_what_was_drawn(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    files = write_slide(
        tmp_path / "a.ome.tif",
        height=1100,
        width=1300,
        density=800,
        seed=5,
        progress=lambda *at: seen.append(at),
    )
    drawn = Slide(height=1100, width=1300, density=800, seed=5)
    with tifffile.TiffFile(files.image) as tiff:
        assert tiff.series[0].axes == "CYX"
        assert 'PhysicalSizeX="0.325"' in tiff.ome_metadata
        assert 'Name="Marker 1"' in tiff.ome_metadata
        pixels = tiff.asarray()
    assert np.array_equal(pixels[1], drawn.read(1, 0, 1100, 0, 1300))
    truth = open_labels(files.labels).read(0, 1100, 0, 1300)
    assert np.array_equal(truth, drawn.truth(0, 1100, 0, 1300))
    table = pq.read_table(files.table).to_pydict()
    assert table["id"] == list(range(1, files.nuclei + 1)) == np.unique(truth)[1:].tolist()
    ys, xs = np.nonzero(truth == 7)
    assert (table["area_px"][6], table["y_px"][6], table["x_px"][6]) == (
        len(ys),
        pytest.approx(ys.mean() + 0.5),
        pytest.approx(xs.mean() + 0.5),
    )
    assert seen[-1] == (3 * 1100 * 1300, 3 * 1100 * 1300)
    assert seen == sorted(seen)


def test_the_same_slide_is_written_with_the_same_bytes(tmp_path: Path) -> None:
    one = write_slide(tmp_path / "one", height=300, width=400, density=2500, seed=5)
    two = write_slide(tmp_path / "two", height=300, width=400, density=2500, seed=5)
    assert one.image.read_bytes() == two.image.read_bytes()
    assert one.table.read_bytes() == two.table.read_bytes()


def test_a_single_pixel_is_a_slide_too(tmp_path: Path) -> None:
    files = write_slide(tmp_path, height=1, width=1, channels=1, density=2500, seed=0)
    assert tifffile.imread(files.image).shape == (1, 1)
    assert files.nuclei == 0


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.tif").write_bytes(b"precious")
    with pytest.raises(BadSlideError, match="already there"):
        write_slide(tmp_path / "mine.tif", height=9, width=9, density=100, seed=0)
    assert (tmp_path / "mine.tif").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.tif"]


def test_a_listener_that_stops_the_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_slide(tmp_path / "a.tif", height=200, width=200, density=800, seed=0, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"height": 0}, "height must lie between 1 and 200000, not 0"),
        ({"width": 10**7}, "width must lie"),
        ({"channels": 9}, "number of channels must lie between 1 and 8"),
        ({"density": MAX_DENSITY + 1}, "nuclei per mm²"),
        ({"density": float("nan")}, "nuclei per mm²"),
        ({"seed": -1}, "seed must lie"),
        ({"pixel_size_um": 0.0}, "pixel size in micrometres must lie between 0.1 and 2"),
    ],
)
def test_arguments_out_of_range_are_refused_with_a_sentence(wrong: dict[str, float], sentence: str) -> None:
    right = {"height": 10, "width": 10, "channels": 1, "density": 100.0, "seed": 0, "pixel_size_um": 0.5}
    with pytest.raises(BadSlideError, match=sentence) as caught:
        Slide(**{**right, **wrong})
    assert caught.value.code == "bad-slide"
