# SPDX-License-Identifier: BSD-3-Clause
"""The whole way in a real browser, at `slidegate serve`: choose, launch, watch; once by keyboard alone."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from playwright.sync_api import Browser, Page, Route, expect

from tests.acceptance.browser.visitor import press_until, visiting
from tests.acceptance.served import until

ROOT = Path(__file__).parents[3]
SLIDEGATE = Path(sys.executable).with_name("slidegate")

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Served:
    """`slidegate serve`, and a browser that has used its link."""

    url: str
    state: Any
    chromium: Browser


@pytest.fixture(scope="module")
def served(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    images = folder / "slides"
    (images / "more").mkdir(parents=True)
    for number in range(1, 6):
        pixels = np.random.default_rng(number).integers(0, 4000, (2, 400, 500), dtype=np.uint16)
        where = images if number < 4 else images / "more"
        tifffile.imwrite(where / f"slide-{number}.tif", pixels, metadata={"axes": "CYX"})
    (images / "notes.tif").write_bytes(b"these are no pixels")
    environment = {
        **os.environ,
        "SLIDEGATE_HOME": str(folder / "home"),
        "SLIDEGATE_WORKFLOWS_DIR": str(ROOT / "tests" / "data" / "workflows"),
    }
    with subprocess.Popen(
        [SLIDEGATE, "serve", images], env=environment, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            if found := re.search(r"(http://\S+)/login\?link=\S+", line):
                break
        assert found is not None
        reader = threading.Thread(target=process.stdout.read)  # nobody waits for a full pipe
        reader.start()
        context = chromium.new_context()
        page = context.new_page()
        page.goto(found.group(0))
        page.wait_for_url("**/launch")  # there is no run yet: the first page is the one to make one
        state = context.storage_state()
        context.close()
        yield Served(found.group(1), state, chromium)
        process.terminate()
        reader.join()


@pytest.fixture(scope="module")
def finished(served: Served) -> str:
    """A Run of one image that has ended."""
    with visiting(served.chromium, served.state, served.url) as page:
        choose(page, "slide-3")
        page.get_by_role("button", name="Continue").click()
        page.get_by_label("The byte that is counted", exact=True).fill("3")
        run = launch(page)
        page.get_by_text("The image is finished.", exact=True).wait_for()
    return run


@pytest.fixture
def page(served: Served) -> Iterator[Page]:
    with visiting(served.chromium, served.state, served.url) as made:
        yield made


def choose(page: Page, *names: str) -> None:
    page.goto("/launch")  # there is one folder: it is open
    for name in names:
        page.get_by_role("option", name=name).click()


def launch(page: Page) -> str:
    button = page.get_by_role("button", name="Launch", exact=True)
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()
    page.wait_for_url("**/runs/*")
    return page.url.rsplit("/", 1)[1]


def test_what_cannot_be_used_says_why_and_is_not_chosen_with_all(page: Page) -> None:
    choose(page)
    expect(page.get_by_role("option", name="notes.tif")).to_contain_text("Cannot be used: It is not an image")
    page.get_by_role("button", name="Choose all 3").click()
    expect(page.get_by_text("3 images chosen")).to_be_visible()
    expect(page.get_by_role("option", name="notes.tif")).to_have_attribute("aria-selected", "false")


def test_shift_chooses_all_between_and_the_choice_lasts_over_folders_and_reloads(page: Page) -> None:
    choose(page, "slide-1")
    page.get_by_role("option", name="slide-3").click(modifiers=["Shift"])
    expect(page.get_by_text("3 images chosen")).to_be_visible()
    page.get_by_role("button", name="more").click()
    page.get_by_role("option", name="slide-4").click()
    expect(page.get_by_text("4 images chosen")).to_be_visible()
    page.reload()
    expect(page.get_by_text("4 images chosen")).to_be_visible()
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("button", name="Leave out slide-4.tif").click()
    expect(page.get_by_text("3 images chosen")).to_be_visible()


def test_from_images_to_their_results(page: Page) -> None:
    choose(page, "slide-1", "slide-2")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("radio", name="Count bytes")).to_be_checked()
    field = page.get_by_label("The byte that is counted", exact=True)
    field.fill("300")
    field.press("Tab")
    expect(page.get_by_text("Enter a number from 0 to 255.")).to_be_visible()
    expect(page.get_by_role("button", name="Launch", exact=True)).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("Some settings need your attention.").first).to_be_visible()
    field.fill("7")
    expect(page.get_by_text("How long it takes is not known")).to_be_visible()
    run = launch(page)
    expect(page.get_by_text("All 2 images are finished.", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Results of slide-1.tif")).to_have_attribute(
        "href", f"/runs/{run}/results/1"
    )
    page.get_by_role("tab", name="Settings").click()
    expect(page.locator("sg-run-settings dd").first).to_have_text("7")
    page.get_by_role("tab", name="What happened").click()
    expect(page.get_by_text("Launched", exact=True)).to_be_visible()
    page.get_by_role("tab", name="Costs").click()
    expect(page.get_by_text("Time on processor cores")).to_be_visible()
    page.get_by_role("tab", name="Files").click()
    with page.expect_download() as got:
        page.get_by_role("link", name="Download all").click()
    assert got.value.failure() is None
    page.goto("/runs")
    expect(page.get_by_role("link", name="Count bytes").first).to_contain_text("All 2 images are finished.")


def test_a_second_click_is_not_a_second_run_and_equal_work_is_offered_instead_of_repeated(page: Page) -> None:
    choose(page, "slide-3")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("The byte that is counted", exact=True).fill("9")
    keys: list[str] = []
    page.on("request", lambda request: keys.append(request.headers.get("idempotency-key", "")))
    page.get_by_role("button", name="Launch", exact=True).dblclick()
    page.wait_for_url("**/runs/*")
    run = page.url
    assert len({key for key in keys if key}) == 1
    page.get_by_text("The image is finished.", exact=True).wait_for()
    page.get_by_role("link", name="Run again").click()
    expect(page.get_by_text("1 image chosen")).to_be_visible()
    expect(page.get_by_label("The byte that is counted", exact=True)).to_have_value("9")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("You have run exactly this before")
    page.get_by_role("button", name="Show that run").click()
    page.wait_for_url(run)


def draw_region(page: Page) -> None:
    """Draw over a quarter of the picture; what is still being laid out may move away meanwhile."""
    box = page.locator("sg-region .fit img").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()


def test_a_preview_shows_what_the_settings_do_and_says_when_they_have_changed_since(page: Page) -> None:
    choose(page, "slide-1")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("The byte that is counted", exact=True)).to_be_visible()
    region = page.get_by_role("button", name="Region to try")
    before = region.get_attribute("aria-label")
    until(lambda: draw_region(page) or region.get_attribute("aria-label") != before)
    page.get_by_role("button", name="Preview this region").click()
    expect(page.get_by_role("img", name="The region", exact=True)).to_be_visible()
    page.get_by_role("button", name="Without").click()
    expect(page.get_by_role("button", name="Without")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("The byte that is counted", exact=True).fill("200")
    expect(page.get_by_text("have changed since")).to_be_visible()


def test_what_was_used_last_is_never_filled_in_under_the_hands_of_who_writes(page: Page) -> None:
    held: list[Route] = []
    known = threading.Event()

    def answer(route: Route) -> None:
        if not known.is_set():
            held.append(route)
        else:
            route.fulfill(json={"parameters": {"byte": 31}, "site": "local"})

    page.route("**/v1/last-used*", answer)
    choose(page, "slide-2")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Looking up your settings")).to_be_visible()
    field = page.get_by_label("The byte that is counted", exact=True)
    expect(field).to_have_count(0)
    known.set()
    for route in held:
        answer(route)
    expect(field).to_have_value("31")
    expect(page.get_by_role("button", name="Launch", exact=True)).to_have_attribute("aria-disabled", "false")


def test_the_page_looks_again_by_itself_while_no_workflow_can_be_used(page: Page) -> None:
    offered = threading.Event()

    def answer(route: Route) -> None:
        route.continue_() if offered.is_set() else route.fulfill(json={"items": []})

    page.route("**/v1/workflows", answer)
    choose(page, "slide-2")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("No workflow can be used yet")).to_be_visible()
    offered.set()
    expect(page.get_by_role("button", name="Launch", exact=True)).to_have_attribute("aria-disabled", "false")


def test_regions_that_were_drawn_are_used_unless_somebody_says_no(page: Page) -> None:
    def answer(route: Route) -> None:
        said = route.fetch().json()
        for one in said["items"]:
            one["each"] = ["image", "regions"]
        route.fulfill(json=said)

    page.route("**/v1/workflows", answer)
    page.route("**/v1/launches", lambda route: route.abort())
    choose(page, "slide-1")
    page.get_by_role("button", name="Continue").click()
    box = page.get_by_role("checkbox", name="Use regions that were drawn")
    expect(box).to_be_checked()
    button = page.get_by_role("button", name="Launch", exact=True)
    with page.expect_request("**/v1/launches") as asked:
        button.click()
    assert "regions" not in asked.value.post_data_json
    box.uncheck()
    expect(button).to_have_attribute("aria-disabled", "false")
    with page.expect_request("**/v1/launches") as asked:
        button.click()
    assert asked.value.post_data_json["regions"] is False


def test_the_keyboard_alone_suffices(page: Page) -> None:
    page.goto("/launch")
    keys = page.keyboard
    page.get_by_role("option", name="slide-1").wait_for()
    keys.press("Tab")
    keys.press("Enter")  # the first stop skips what stands above the page
    page.get_by_text("Cannot be used").wait_for()
    for _ in range(30):
        if page.evaluate("document.activeElement.tagName") == "SG-APP" and "option" in page.evaluate(ROLE):
            break
        keys.press("Tab")
    keys.press("Home")
    for _ in range(2):
        keys.press("ArrowRight")
    keys.press("Space")
    keys.press("Shift+ArrowRight")
    expect(page.get_by_text("2 images chosen")).to_be_visible()
    tab_to(page, "Continue")
    keys.press("Enter")
    page.get_by_label("The byte that is counted", exact=True).wait_for()
    press_until(page, "Tab", "f-byte")
    keys.press("ControlOrMeta+a")
    keys.type("31")
    page.get_by_role("button", name="Region to try").wait_for()
    press_until(page, "Tab", "Region to try")
    before = page.get_by_role("button", name="Region to try").get_attribute("aria-label")
    keys.press("-")
    keys.press("ArrowLeft")
    assert page.get_by_role("button", name="Region to try").get_attribute("aria-label") != before
    tab_to(page, "Launch")
    keys.press("Enter")
    page.wait_for_url("**/runs/*")
    page.get_by_text("All 2 images are finished.", exact=True).wait_for()
    for _ in range(40):
        if "tab" in page.evaluate(ROLE).split():
            break
        keys.press("Tab")
    keys.press("ArrowRight")
    expect(page.get_by_role("tab", name="Settings")).to_have_attribute("aria-selected", "true")
    keys.press("ArrowLeft")
    press_until(page, "Tab", "Log: ")
    keys.press("Enter")
    page.get_by_role("dialog").wait_for()
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


ROLE = """() => {
    let e = document.activeElement;
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
    return e?.getAttribute('role') ?? '';
}"""
TEXT = ROLE.replace("e?.getAttribute('role') ?? ''", "e?.textContent?.trim() ?? ''")


def tab_to(page: Page, text: str) -> None:
    for _ in range(60):
        if page.evaluate(TEXT) == text:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {text!r}")


def test_a_run_is_deleted_with_its_results_and_is_gone_from_the_list(page: Page, finished: str) -> None:
    choose(page, "slide-2")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("The byte that is counted", exact=True).fill("77")
    run = launch(page)
    page.get_by_text("The image is finished.", exact=True).wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("radio", name="Delete the results too").check()
    page.get_by_role("button", name="Delete run and results").click()
    page.wait_for_url("**/runs")
    expect(page.locator(f"a[href='/runs/{finished}']")).to_be_visible()
    expect(page.locator(f"a[href='/runs/{run}']")).to_have_count(0)
    page.goto(f"/runs/{run}")
    expect(page.get_by_text("This run is not here")).to_be_visible()
