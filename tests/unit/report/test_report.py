# SPDX-License-Identifier: BSD-3-Clause
"""The report: true numbers, one file, for every image that can be analysed."""

import base64
import io
import json
import re
import resource
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Picture
from slidegate_analysis.images import (
    Image,
    Labels,
    build_label_pyramid,
    create_labels,
    open_image,
    open_labels,
    write_image,
)
from slidegate_analysis.nuclei.report import write_report
from slidegate_analysis.nuclei.report_charts import histogram, nice_step, number, scale_bar
from slidegate_analysis.nuclei.report_pictures import choose_zooms, edges, map_density
from slidegate_analysis.nuclei.report_sections import PARAMETER_WORDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]

VOID = {"meta", "img", "input", "br", "link", "rect", "line", "stop", "hr"}

SUMMARY: dict[str, Any] = {
    "channel": 0,
    "parameters": {"diameter_um": 8.0, "sensitivity": 0.5, "channel": "0", "block_px": 2048},
    "workflow": {"name": "nuclei", "version": "0.1.0", "digest": "ab" * 32},
    "runtime": "cd" * 32,
    "versions": {"numpy": "2.4.6"},
    "steps": [{"step": "detect", "units": 4, "seconds": 2.0}],
    "peak_memory_bytes": 512 * 2**20,
}


class Page(HTMLParser):
    """Reads a page and refuses one whose tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


def make(
    folder: Path, labels: np.ndarray, channels: tuple[str, ...] = ("DAPI", "Marker"), um: float | None = 0.5
) -> tuple[Image, Labels, pa.Table]:
    """Stage an image that is bright where labels are, with its labels and their table."""
    pixels = (100 + 900 * (labels > 0)).astype(np.uint16)
    shape = (len(channels), *labels.shape)

    def read(c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        return pixels[y0:y1, x0:x1] + np.uint16(c)

    write_image(folder / "image", shape, "uint16", read, channels=channels, pixel_size_um=um)
    create_labels(folder / "labels.zarr", labels.shape, shard=256, pixel_size_um=um)
    written = open_labels(folder / "labels.zarr")
    for y in range(0, labels.shape[0], 256):
        for x in range(0, labels.shape[1], 256):
            written.write(y, x, labels[y : y + 256, x : x + 256])
    build_label_pyramid(folder / "labels.zarr")
    ids = np.unique(labels)[1:]
    places = [np.nonzero(labels == n) for n in ids]
    columns: dict[str, Any] = {
        "id": ids.astype(np.int64),
        "y_px": np.array([y.mean() + 0.5 for y, _ in places], np.float64),
        "x_px": np.array([x.mean() + 0.5 for _, x in places], np.float64),
        "area_px": np.array([len(y) for y, _ in places], np.int64),
        "eccentricity": np.full(len(ids), 0.4),
        "box_clipped": np.array([True] * len(ids), bool),
        "touches_edge": np.array([n == 1 for n in ids], bool),
    }
    for c in range(len(channels)):
        columns[f"c{c}_mean"] = np.full(len(ids), 1000.0 + c)
    return open_image(folder / "image"), open_labels(folder / "labels.zarr"), pa.table(columns)


def squares(height: int, width: int, pitch: int = 40, side: int = 20) -> np.ndarray:
    """Give labels of squares on a lattice, ids from 1."""
    labels = np.zeros((height, width), np.uint32)
    corners = [(y, x) for y in range(0, height - side, pitch) for x in range(0, width - side, pitch)]
    for n, (y, x) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = n
    return labels


def report(folder: Path, made: tuple[Image, Labels, pa.Table], **more: Any) -> tuple[str, Page]:
    write_report(folder / "report.html", *made, {**SUMMARY, **more.pop("summary", {})}, **more)
    text = (folder / "report.html").read_text("utf-8")
    return text, Page(text)


def test_the_headline_says_how_many_nuclei_of_what_size_lie_on_what_area(tmp_path: Path) -> None:
    labels = squares(800, 1000)
    _, page = report(tmp_path, make(tmp_path, labels))
    count = int(labels.max())
    assert f"{count:,}" in page.words
    # 400 px of 0.25 µm² each; 0.2 mm² in all.
    assert re.search(r"Median size\s+100\s+µm²", page.words)
    assert re.search(r"Area analysed\s+0\.2\s+mm²", page.words)
    assert re.search(rf"Density\s+{count / 0.2:,.0f}\s+per mm²", page.words)
    assert f"1 of {count:,} nuclei touch the edge" in page.words


def test_the_page_fetches_and_runs_nothing(tmp_path: Path) -> None:
    text, page = report(tmp_path, make(tmp_path, squares(300, 300)))
    sources = [tag["src"] for tag in page.all("img")]
    assert len(sources) >= 4
    assert all(
        str(source).startswith(("data:image/png;base64,", "data:image/webp;base64,")) for source in sources
    )
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", re.sub(r'src="data:[^"]*"', "", text))
    policy = next(tag for tag in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in str(policy["content"])


def test_every_picture_and_chart_can_be_heard_and_headings_are_in_order(tmp_path: Path) -> None:
    text, page = report(tmp_path, make(tmp_path, squares(300, 300)))
    plain = [tag for tag in page.all("img") if "outline" not in str(tag.get("class"))]
    assert all(len(str(tag["alt"])) > 20 for tag in plain)
    assert all(tag.get("aria-hidden") == "true" or tag.get("aria-label") for tag in page.all("svg"))
    assert '<html lang="en">' in text
    assert next(tag for tag, _ in page.seen if tag in ("h1", "h2", "h3")) == "h1"
    assert len(page.all("h1")) == 1


def test_an_image_without_nuclei_gets_a_report_with_advice(tmp_path: Path) -> None:
    _, page = report(tmp_path, make(tmp_path, np.zeros((300, 400), np.uint32)))
    assert "No nuclei were found" in page.words
    assert re.search(r"Nuclei\s+0", page.words)
    assert "Median size" not in page.words


@pytest.mark.parametrize("found", [0, 1])
def test_a_single_pixel_gets_a_report(tmp_path: Path, found: int) -> None:
    _, page = report(tmp_path, make(tmp_path, np.full((1, 1), found, np.uint32), ("DAPI",)))
    assert re.search(rf"Nuclei\s+{found}", page.words)


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (37, 2500)])
def test_very_long_images_get_a_report(tmp_path: Path, shape: tuple[int, int]) -> None:
    labels = np.zeros(shape, np.uint32)
    labels[:1, :1] = 1
    report(tmp_path, make(tmp_path, labels, ("DAPI",)))


def test_without_a_pixel_size_everything_is_in_pixels_and_says_so(tmp_path: Path) -> None:
    _, page = report(tmp_path, make(tmp_path, squares(300, 300), um=None))
    assert re.search(r"Median size\s+400\s+px", page.words)
    assert "µm²" not in page.words
    assert "per million px" in page.words
    assert "size of a pixel is not known" in page.words


def test_a_pixel_size_given_as_parameter_replaces_that_of_the_image(tmp_path: Path) -> None:
    made = make(tmp_path, squares(300, 300), um=None)
    _, page = report(tmp_path, made, summary={"pixel_size_um": 1.0})
    assert re.search(r"Median size\s+400\s+µm²", page.words)


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script><b x="'
    made = make(tmp_path, squares(200, 200), (evil, "Marker"))
    more = {"parameters": {evil: evil}, "versions": {evil: evil}, "workflow": {"name": evil}}
    _, page = report(tmp_path, made, image_name=evil, summary=more)
    assert page.all("script") == page.all("b") == []
    assert "alert(1)" in page.words


def test_the_image_is_named_only_when_the_caller_says_so(tmp_path: Path) -> None:
    made = make(tmp_path, squares(200, 200))
    assert "Smith_1950" not in report(tmp_path, made)[0]
    assert "<h1>Nuclei in Smith_1950</h1>" in report(tmp_path, made, image_name="Smith_1950")[0]


def test_a_repeat_writes_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    made = make(tmp_path, squares(300, 300))
    first, _ = report(tmp_path, made)
    second, _ = report(tmp_path, made)
    assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "labels.zarr", "report.html"]


def test_settings_are_shown_with_the_words_of_the_launch_form(tmp_path: Path) -> None:
    schema = json.loads((ROOT / "workflows/nuclei/parameters.schema.json").read_text("utf-8"))
    form = {name: (p["title"], p.get("x-unit", "")) for name, p in schema["properties"].items()}
    assert form == PARAMETER_WORDS
    _, page = report(tmp_path, make(tmp_path, squares(200, 200)))
    assert re.search(r"Typical diameter of a nucleus\s+8 µm\s+diameter_um", page.words)


def test_outlines_follow_the_labels_to_the_pixel(tmp_path: Path) -> None:
    labels = squares(200, 300)
    text, _ = report(tmp_path, make(tmp_path, labels))
    drawings = re.findall(r'class="outline [a-z]+" src="data:image/png;base64,([^"]+)"', text)
    assert len(drawings) == 2
    overview = np.asarray(Picture.open(io.BytesIO(base64.b64decode(drawings[0]))))
    assert np.array_equal(overview > 0, edges(labels))
    zoom = np.asarray(Picture.open(io.BytesIO(base64.b64decode(drawings[1]))))
    assert np.array_equal(zoom[::2, ::2] > 0, edges(labels))


def test_the_first_zoom_is_the_most_crowded_and_the_second_lies_apart() -> None:
    chance = np.random.default_rng(0)
    y, x = chance.uniform(0, 4000, 3000), chance.uniform(0, 5000, 3000)
    y, x = np.append(y, chance.normal(3000, 60, 500)), np.append(x, chance.normal(4200, 60, 500))
    (first, crowded), (second, typical) = choose_zooms((4000, 5000), y, x)
    assert (first, second) == ("the most crowded region", "a typical region")
    y0, y1, x0, x1 = crowded
    assert y0 <= 3000 < y1 and x0 <= 4200 < x1
    assert (y1 - y0, x1 - x0) == (480, 640)
    assert typical[0] >= y1 or typical[1] <= y0 or typical[2] >= x1 or typical[3] <= x0
    assert choose_zooms((900, 900), y[:0], x[:0])[0][0] == "the middle"
    assert choose_zooms((100, 100), y[:0], x[:0]) == [("the whole image", (0, 100, 0, 100))]


@pytest.mark.parametrize("shape", [(481, 641), (480, 2000), (100, 5000), (5000, 7)])
def test_zooms_stay_inside_the_image(shape: tuple[int, int]) -> None:
    for _, (y0, y1, x0, x1) in choose_zooms(shape, np.array([1.0]), np.array([2.0])):
        assert 0 <= y0 < y1 <= shape[0]
        assert 0 <= x0 < x1 <= shape[1]


def test_density_of_evenly_spread_nuclei_is_even_up_to_the_edge() -> None:
    y, x = (part.ravel() + 0.5 for part in np.meshgrid(np.arange(0, 640, 5), np.arange(0, 640, 5)))
    density = map_density((640, 640), y, x, 5.0)
    assert density.grid == pytest.approx(np.full(density.grid.shape, 1 / 25))


@pytest.mark.parametrize(
    ("value", "words"),
    [(17463, "17,463"), (42.13, "42.1"), (0.03123, "0.0312"), (8.0, "8"), (0, "0"), (1234.5, "1,234")],
)
def test_numbers_are_written_for_people(value: float, words: str) -> None:
    assert number(value) == words


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    drawn = scale_bar(1000, 800, 0.5, 640)
    left, right = (float(v) for v in re.findall(r'x[12]="([\d.]+)"', drawn)[:2])
    assert "100 µm" in drawn
    assert (right - left) / 1000 * 640 * 0.5 == pytest.approx(100, rel=0.001)
    assert nice_step(320, 5) == 100


@pytest.mark.parametrize(
    "values", [[5.0], [5.0] * 50, [0.0] * 9, [1e-3, 1e6], [-4.0, 3.0], [65535.0, 65535.0]]
)
def test_distributions_of_any_kind_can_be_drawn(values: list[float]) -> None:
    drawn = histogram(np.array(values), "Mean", "grey value")
    Page(drawn)
    assert "nan" not in drawn and "inf" not in drawn
    assert 'class="bar"' in drawn


@pytest.mark.slow
def test_the_report_of_a_large_slide_needs_little_memory_and_space(tmp_path: Path) -> None:
    one = np.zeros((2048, 2048), np.uint32)

    def read(c: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        chance = np.random.default_rng([c, y0, x0])
        return chance.integers(0, 3000, (y1 - y0, x1 - x0), np.uint16)

    write_image(tmp_path / "image", (1, 12000, 16000), "uint16", read, channels=("DAPI",), pixel_size_um=0.3)
    create_labels(tmp_path / "labels.zarr", (12000, 16000), shard=2048, pixel_size_um=0.3)
    labels = open_labels(tmp_path / "labels.zarr")
    for y in range(0, 12000, 2048):
        for x in range(0, 16000, 2048):
            labels.write(y, x, one[: min(2048, 12000 - y), : min(2048, 16000 - x)])
    chance = np.random.default_rng(0)
    n = 200_000
    table = pa.table(
        {
            "y_px": chance.uniform(0, 12000, n),
            "x_px": chance.uniform(0, 16000, n),
            "area_px": chance.integers(100, 900, n),
            "c0_mean": chance.lognormal(7, 0.5, n),
        }
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write_report(tmp_path / "report.html", open_image(tmp_path / "image"), labels, table, SUMMARY)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 250
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
