# SPDX-License-Identifier: BSD-3-Clause
"""The page of one image's results, in a real browser, on a real result."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Picture
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request
from slidegate_analysis.images import Image, Labels

from tests.acceptance.browser.visitor import brush
from tests.finished import Computed, Finished, compute, finish, image_of
from tests.unit.api.service import Service, serving

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "src" / "slidegate" / "api" / "pages"
HEIGHT, WIDTH = 1200, 1600
SECONDS = 20

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Place:
    """A service with a finished Run of two images, and the person who may see it."""

    service: Service
    computed: Computed
    finished: Finished
    chromium: Browser

    @property
    def labels(self) -> Labels:
        return self.finished.labels

    @property
    def table(self) -> pa.Table:
        return self.finished.table

    @property
    def image(self) -> Image:
        return image_of(self.computed)

    def column(self, name: str) -> np.ndarray:
        return np.asarray(self.table.column(name)).astype(np.float32)

    def context(self, theme: str = "light") -> BrowserContext:
        """Return a browser that has signed in as Ada."""
        made = self.chromium.new_context(viewport={"width": 1360, "height": 860}, color_scheme=theme)
        link = self.service.store.login_links.make("ada", self.service.now())
        page = made.new_page()
        page.goto(f"{self.service.url}/login?link={link}")
        page.close()
        return made


class Results:
    """The results page as a person has it before them."""

    def __init__(self, place: Place, context: BrowserContext, number: int = 1) -> None:
        self.place = place
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", self._asked)
        self.page.goto(f"{place.service.url}/runs/{place.finished.run}/results/{number}")

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    @property
    def element(self) -> Locator:
        return self.page.locator("sg-results")

    @property
    def slide(self) -> Locator:
        return self.page.locator("sg-slide")

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition holds, and return what it gave."""
        deadline = time.monotonic() + SECONDS
        while not (found := condition()):
            assert time.monotonic() < deadline, f"never happened; errors: {self.errors}"
            self.page.wait_for_timeout(30)
        return found

    def settle(self) -> "Results":
        """Wait until nothing moves and all tiles that are seen are there."""
        self.slide.wait_for()
        self.until(lambda: self.element.evaluate("e => e.nuclei !== null"))
        before = None
        for _ in range(200):
            now = self.slide.evaluate("e => [e.ratio, e.middle().x, e.middle().y, e.settled]")
            if now[3] and now == before:
                return self
            before = now
            self.page.wait_for_timeout(60)
        raise AssertionError("the picture never came to rest")

    def at(self, x: float, y: float, ratio: float) -> "Results":
        """Show a place of the image, so many screen pixels per pixel."""
        self.slide.evaluate(
            """(e, [x, y, ratio]) => {
                const item = e.viewer.world.getItemAt(0), view = e.viewer.viewport;
                view.zoomTo(item.imageToViewportZoom(ratio), null, true);
                view.panTo(item.imageToViewportCoordinates(x, y), true);
            }""",
            [x, y, ratio],
        )
        return self.settle()

    def pixels(self) -> np.ndarray:
        """Return what is seen of the picture: (y, x, 3)."""
        return np.asarray(Picture.open(BytesIO(self.slide.screenshot())).convert("RGB")).astype(int)

    def place_of(self, x: float, y: float) -> tuple[float, float]:
        """Return where a place of the image is in the picture, in screen pixels."""
        found = self.slide.evaluate("(e, [x, y]) => e.toElement(x, y)", [x, y])
        return found["x"], found["y"]

    def mouse_at(self, x: float, y: float) -> tuple[float, float]:
        box = self.slide.bounding_box()
        left, top = self.place_of(x, y)
        return box["x"] + left, box["y"] + top

    def hide_channels(self) -> None:
        for button in self.page.get_by_role("group", name="Channels shown").get_by_role("button").all()[:2]:
            button.click()

    def count(self) -> tuple[int, int]:
        """Return how many nuclei are said to be selected, and of how many."""
        words = self.page.locator("sg-results .count").inner_text()
        one, all_ = re.fullmatch(r"([\d,]+)\s+of ([\d,]+) nuclei selected.*", words).groups()
        return int(one.replace(",", "")), int(all_.replace(",", ""))

    def brush(self, plot: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag over a plot from one place to another, as shares of its width and height."""
        brush(self.page, plot, start, end)

    def filters(self) -> dict[str, Any]:
        return self.element.evaluate("e => e.filters")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("results-page")
    computed = compute(folder, HEIGHT, WIDTH, seed=5)
    with serving(folder / "service", pages=PAGES) as service:
        service.person("ada")
        done = finish(service.store, service.cache, folder / "published", "ada", computed, images=2)
        yield Place(service, computed, done, chromium)


@pytest.fixture(scope="module")
def context(place: Place) -> Iterator[BrowserContext]:
    made = place.context()
    yield made
    made.close()


@pytest.fixture
def results(place: Place, context: BrowserContext) -> Iterator[Results]:
    shown = Results(place, context)
    yield shown.settle()
    assert shown.errors == []
    shown.page.close()


def edges(labels: np.ndarray) -> np.ndarray:
    """Return which pixels of labels touch another label."""
    inside = labels[1:-1, 1:-1]
    around = (labels[:-2, 1:-1], labels[2:, 1:-1], labels[1:-1, :-2], labels[1:-1, 2:])
    found = np.zeros(labels.shape, bool)
    found[1:-1, 1:-1] = (inside > 0) & np.any([side != inside for side in around], axis=0)
    return found


def crowded(labels: np.ndarray, side: int = 90) -> tuple[int, int]:
    """Return the middle (y, x) of a place that is well within one tile, and has most nuclei."""
    best, found = -1, (256, 256)
    for y in range(150, 400, 40):
        for x in (*range(150, 400, 40), *range(662, 900, 40)):
            nuclei = len(np.unique(labels[y - side : y + side, x - side : x + side]))
            if nuclei > best:
                best, found = nuclei, (y, x)
    return found


def test_outlines_lie_on_the_pixels_that_the_labels_say(results: Results) -> None:
    labels = results.place.labels.read(0, HEIGHT, 0, WIDTH)
    y, x = crowded(labels)
    results.hide_channels()
    results.at(x, y, 4)
    results.element.evaluate("e => e.outlines = {visible: true, opacity: 1, colour: '#ffffff'}")
    results.page.wait_for_timeout(150)
    seen = results.pixels()
    wanted = edges(labels)
    same = 0
    drawn = 0
    for row in range(y - 50, y + 50):
        for column in range(x - 70, x + 70):
            left, top = results_place(results, column + 0.5, row + 0.5, x, y, seen.shape)
            lit = seen[int(top), int(left)].min() > 128
            same += lit == wanted[row, column]
            drawn += lit
    assert drawn > 300
    assert same / (100 * 140) > 0.998


def results_place(
    results: Results, x: float, y: float, middle_x: float, middle_y: float, shape: tuple[int, ...]
) -> tuple[float, float]:
    """Return where a place is on the screen, with four screen pixels per pixel around the middle."""
    return shape[1] / 2 + 4 * (x - middle_x), shape[0] / 2 + 4 * (y - middle_y)


def test_brushing_the_histogram_selects_the_nuclei_of_that_range_which_light_up(results: Results) -> None:
    results.brush("sg-histogram", (0.35, 0.3), (0.55, 0.6))
    chosen = results.filters()["histogram"]
    area = results.place.column("area_um2")
    inside = (area >= chosen["from"]) & (area <= chosen["to"])
    assert results.count() == (int(inside.sum()), len(area))
    assert 0 < inside.sum() < len(area)
    means = results.page.locator("table.means tbody tr").first.locator("td").all_inner_texts()
    assert [float(one.replace(",", "")) for one in means] == pytest.approx(
        [area[inside].mean(), area.mean()], rel=1e-3
    )
    results.hide_channels()
    labels = results.place.labels.read(0, HEIGHT, 0, WIDTH)
    y, x = crowded(labels)
    results.at(x, y, 4)
    seen = results.pixels()
    ids = results.place.table.column("id").to_numpy()
    lit = dict(zip(ids.tolist(), inside.tolist(), strict=True))
    tried = 0
    for row in range(y - 50, y + 50, 3):
        for column in range(x - 70, x + 70, 3):
            label = int(labels[row, column])
            if label == 0 or len(np.unique(labels[row - 1 : row + 2, column - 1 : column + 2])) > 1:
                continue
            left, top = results_place(results, column + 0.5, row + 0.5, x, y, seen.shape)
            red, _, blue = seen[int(top), int(left)]
            assert (red > 40 and red > 2 * blue) == lit[label], (row, column)
            tried += 1
    assert tried > 50


def test_brushes_of_both_plots_and_a_region_of_the_picture_hold_together(results: Results) -> None:
    place = results.place
    results.brush("sg-scatter", (0.3, 0.2), (0.8, 0.75))
    across, up = results.filters()["scatter"]
    inside = np.ones(place.table.num_rows, bool)
    for one in (across, up):
        values = place.column(one["column"])
        inside &= (values >= one["from"]) & (values <= one["to"])
    assert results.count()[0] == inside.sum() > 0
    left, top = results.mouse_at(300, 200)
    right, bottom = results.mouse_at(1100, 900)
    results.page.keyboard.down("Shift")
    results.page.mouse.move(left, top)
    results.page.mouse.down()
    results.page.mouse.move((left + right) / 2, (top + bottom) / 2)
    results.page.mouse.move(right, bottom)
    results.page.mouse.up()
    results.page.keyboard.up("Shift")
    region = results.filters()["region"]
    assert [region["x0"], region["y0"], region["x1"], region["y1"]] == pytest.approx(
        [300, 200, 1100, 900], abs=4
    )
    x, y = place.column("x_px"), place.column("y_px")
    within = (x >= region["x0"]) & (x < region["x1"]) & (y >= region["y0"]) & (y < region["y1"])
    assert results.count()[0] == (inside & within).sum()
    results.page.get_by_role("button", name="Clear all").click()
    results.page.get_by_text(re.compile(r"nuclei found")).wait_for()


def test_contrast_colour_and_visibility_change_at_once_and_download_nothing(results: Results) -> None:
    results.at(800, 600, 1)
    before = results.pixels()
    asked = len(results.requests)
    results.page.get_by_role("tab", name="Picture").click()
    slider = results.page.get_by_label("DAPI: brightest from")
    slider.focus()
    for _ in range(8):
        results.page.keyboard.press("PageDown")
    darker = results.pixels()
    assert darker[200:400, 200:400].mean() > before[200:400, 200:400].mean() + 1
    results.page.get_by_label("Colour of DAPI").fill("#ff0000")
    red = results.pixels()
    assert red[200:400, 200:400, 0].sum() > 2 * before[200:400, 200:400, 0].sum()
    results.page.get_by_role("checkbox", name="Outlines of nuclei").uncheck()
    results.page.get_by_role("checkbox", name="CD3").uncheck()
    results.settle()
    assert results.requests[asked:] == []


def test_what_lies_under_the_pointer_is_what_the_arrays_hold(results: Results) -> None:
    place = results.place
    labels = place.labels.read(0, HEIGHT, 0, WIDTH)
    results.at(700, 500, 2)
    row = int(np.argmin(np.hypot(place.column("x_px") - 700, place.column("y_px") - 500)))
    around = (int(place.column("y_px")[row]), int(place.column("x_px")[row]))
    for y, x in (around, (500, 640), (450, 777), (611, 702)):
        results.page.mouse.move(*results.mouse_at(x + 0.5, y + 0.5))
        words = results.until(lambda: results.page.locator("sg-results .readout .values").inner_text())
        values = [int(place.image.read(channel, y, y + 1, x, x + 1)[0, 0]) for channel in range(2)]
        found = dict(re.findall(r"(DAPI|CD3) ([\d,]+)", words))
        assert [int(found[name].replace(",", "")) for name in ("DAPI", "CD3")] == values
        said = re.search(r"nucleus (\d+)", results.page.locator("sg-results .readout").inner_text())
        assert int(said.group(1) if said else 0) == labels[y, x]


def test_a_click_tells_of_a_nucleus_and_its_line_in_the_list_leads_to_it(results: Results) -> None:
    place = results.place
    ids = place.table.column("id").to_numpy()
    row = int(np.argmin(np.hypot(place.column("x_px") - 900, place.column("y_px") - 700)))
    results.at(900, 700, 2)
    y, x = np.argwhere(place.labels.read(0, HEIGHT, 0, WIDTH) == ids[row]).mean(axis=0)
    results.page.mouse.click(*results.mouse_at(x, y))
    results.page.get_by_role("heading", name=f"Nucleus {ids[row]}").wait_for()
    card = results.page.locator("sg-results .one")
    assert f"{place.column('area_um2')[row]:.4g} µm²" in card.inner_text()
    results.page.get_by_label("Next page").click()
    first = results.page.get_by_role("button", name=re.compile("Show nucleus")).first
    other = int(np.flatnonzero(ids == int(first.inner_text()))[0])
    first.click()
    results.settle()
    middle = results.slide.evaluate("e => e.middle()")
    assert [middle["x"], middle["y"]] == pytest.approx(
        [place.column("x_px")[other], place.column("y_px")[other]], abs=300
    )
    assert results.slide.evaluate("e => e.ratio") >= 1.9


def test_selected_nuclei_are_saved_with_all_their_measurements(results: Results) -> None:
    results.brush("sg-histogram", (0.35, 0.3), (0.5, 0.6))
    selected, _ = results.count()
    with results.page.expect_download() as saved:
        results.page.get_by_role("button", name=re.compile("^Save the")).click()
    lines = Path(saved.value.path()).read_text().splitlines()
    assert saved.value.suggested_filename.endswith("-selected.csv")
    assert lines[0].split(",") == results.place.table.column_names
    assert len(lines) == selected + 1


def test_everything_can_be_done_with_the_keyboard(results: Results) -> None:
    page = results.page
    press = page.keyboard.press
    results.slide.locator(".openseadragon-canvas").focus()
    start = results.slide.evaluate("e => [e.ratio, e.middle().x]")
    for key in ("+", "+", "+"):
        press(key)
    results.settle()
    zoomed = results.slide.evaluate("e => [e.ratio, e.middle().x]")
    assert zoomed[0] > 2 * start[0]
    press("ArrowRight")
    results.settle()
    assert results.slide.evaluate("e => e.middle().x") > zoomed[1] + 5
    press("Enter")
    page.get_by_role("heading", name=re.compile(r"Nucleus \d+")).wait_for()
    press("Escape")
    press("0")
    results.settle()
    assert results.slide.evaluate("e => e.ratio") == pytest.approx(start[0], rel=0.05)
    seen = set()
    for _ in range(60):
        press("Tab")
        seen.add(page.evaluate(ACTIVE))
        if "Area from" in seen:
            break
    assert {"Nuclei", "Area from"} <= seen
    page.keyboard.type("40")
    press("Enter")
    press("Tab")
    area = results.place.column("area_um2")
    results.until(lambda: results.page.locator("sg-results .chips button").count())
    upper = results.filters()["histogram"]["to"]
    assert results.count()[0] == ((area >= 40) & (area <= upper)).sum()
    page.get_by_role("tab", name="Nuclei").focus()
    press("ArrowRight")
    assert page.get_by_role("tab", name="Picture").get_attribute("aria-selected") == "true"


ACTIVE = """() => {
    let e = document.activeElement;
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
    return e?.getAttribute('aria-label') ?? e?.textContent.trim() ?? '';
}"""


def test_the_next_image_of_the_run_is_a_click_away(results: Results) -> None:
    results.page.get_by_role("link", name="Next image").click()
    results.page.wait_for_url("**/results/2")
    results.page.get_by_role("heading", name="slide 2.tif").wait_for()
    results.settle()
    assert results.page.get_by_role("link", name="Next image").get_attribute("aria-disabled") == "true"


def test_a_picture_that_is_fetched_again_is_waited_for(place: Place, context: BrowserContext) -> None:
    tree = place.service.cache.tree(place.finished.tree)
    away = tree.with_name("away")
    tree.rename(away)

    def grant(_body: object) -> dict[str, Any]:
        time.sleep(0.5)
        away.rename(tree)
        return {"tree": place.finished.tree, "labels": True}

    with place.service.worker(picture=grant):
        results = Results(place, context)
        results.page.get_by_text("The picture is being made ready.").wait_for()
        results.settle()
    assert results.errors == []
    results.page.close()
