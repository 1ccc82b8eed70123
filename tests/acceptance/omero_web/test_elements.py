# SPDX-License-Identifier: BSD-3-Clause
"""The elements in OMERO.web, in a real browser: launching, the right panel, Runs, granting, what is wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from playwright.sync_api import Browser, Page, Route, expect

from tests.acceptance.browser.visitor import AXE
from tests.acceptance.omero_web.place import APP, PASSWORDS, Place, fill, open_place

BUILT = APP / "static" / "omero_slidegate"
MANY = 300
SECONDS = 120
RUDE = """
    * { text-transform: uppercase }
    main, section, h1, h2, p, li, button, label, div { color: red !important; font-size: 40px !important }
    button, input { display: none !important }
    h1, sg-omero-launch { letter-spacing: 9px; font-style: italic }
"""
GLOBAL = """() => [
    document.documentElement.getAttributeNames().join(),
    document.body.getAttributeNames().join(),
    document.adoptedStyleSheets.length,
    document.querySelectorAll('link[rel=stylesheet], style').length,
]"""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def fill_many(folder: Path) -> None:
    fill(folder)
    (folder / "many").mkdir()
    for number in range(MANY):
        pixels = np.full((16, 16), number, np.uint16)
        tifffile.imwrite(folder / "many" / f"many{number:03}.tif", pixels)
    with (folder / "people.yml").open("a") as people:
        people.write('  Many: {owner: alice, group: lab, images: ["many/*"]}\n')


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where people let slidegate work in OMERO by themselves."""
    without = {"SLIDEGATE_OMERO_ACCOUNT": ""}
    with open_place(tmp_path_factory.mktemp("place"), fill=fill_many, environment=without) as started:
        yield started


@contextmanager
def visiting(place: Place, chromium: Browser, person: str) -> Iterator[Page]:
    """Open a page of somebody who has logged in at OMERO.web; nothing may go wrong in it by itself."""
    context = chromium.new_context(base_url=place.web.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    with place.visit(person) as visit:
        context.add_cookies(
            [{"name": name, "value": value, "url": place.web.url} for name, value in visit.cookies.items()]
        )
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            yield page
            assert errors == []
        finally:
            context.close()


@pytest.fixture(scope="module")
def alice(place: Place, chromium: Browser) -> Iterator[Page]:
    with visiting(place, chromium, "alice") as page:
        yield page


@pytest.fixture
def page(alice: Page) -> Iterator[Page]:
    """The page of somebody who has let slidegate work in OMERO."""
    alice.goto("/slidegate/")
    button = alice.get_by_role("button", name="Permit")
    expect(button.or_(alice.get_by_role("button", name="Take the permission back"))).to_be_visible()
    if button.is_visible():
        permit(alice)
    yield alice
    alice.unroute_all()


def permit(page: Page) -> None:
    page.get_by_label("Password of alice in OMERO").fill(PASSWORDS["alice"])
    page.get_by_role("button", name="Permit").click()
    expect(page.get_by_role("button", name="Take the permission back")).to_be_visible()


def choose(page: Page, place: Place, *names: str) -> None:
    numbers = ",".join(str(place.image(name)) for name in names)
    page.goto("/slidegate/launch/?image=" + numbers)


def launch(page: Page) -> str:
    button = page.get_by_role("button", name="Launch", exact=True)
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()
    page.wait_for_url(re.compile(r"/slidegate/#/runs/\w+$"))
    return page.url.rsplit("/", 1)[1]


def serious(page: Page, element: str) -> list[str]:
    """What axe finds inside of an element that is serious or worse."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("of => axe.run(of, {resultTypes: ['violations']})", element)
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_no_part_asks_for_the_entry_again_which_has_a_version_behind_its_name() -> None:
    entry = (BUILT / "slidegate.js").read_text()
    parts = sorted(BUILT.glob("assets/*.js"))
    assert re.findall(r"import\(.\./assets/[\w-]+\.js.\)", entry), entry
    assert [part.name for part in parts if "slidegate.js" in part.read_text()] == []


def test_somebody_lets_slidegate_work_in_omero_before_the_first_launch_and_takes_it_back(
    place: Place, chromium: Browser
) -> None:
    with visiting(place, chromium, "alice") as page:
        choose(page, place, "cell0.tif")
        button = page.get_by_role("button", name="Launch", exact=True)
        expect(page.get_by_text("Let slidegate work in OMERO for you first.")).to_be_visible()
        expect(button).to_have_attribute("aria-disabled", "true")
        page.get_by_label("Password of alice in OMERO").fill("another one")
        page.get_by_role("button", name="Permit").click()
        expect(page.get_by_role("alert")).to_contain_text("password")
        permit(page)
        expect(page.get_by_text("96 × 64 px").first).to_be_visible()
        expect(button).to_have_attribute("aria-disabled", "false")
        page.get_by_role("button", name="Take the permission back").click()
        expect(page.get_by_role("button", name="Permit")).to_be_visible()


def test_what_was_selected_is_shown_and_what_cannot_be_used_stands_apart_with_the_reason(
    page: Page, place: Place
) -> None:
    choose(page, place, "cell0.tif", "private.tif", "stack.ome.tif", "float.tif", "colour.tif")
    expect(page.get_by_role("heading", name="2 images")).to_be_visible()
    used = page.get_by_role("list", name="Images", exact=True)
    expect(used.get_by_role("listitem")).to_have_count(2)
    expect(used).to_contain_text("Private · other")
    apart = page.get_by_role("list", name="Images that cannot be used")
    expect(apart).to_contain_text("only unsigned")
    expect(apart).to_contain_text("in colour")
    expect(page.get_by_text("in the group of each image (lab, other)")).to_be_visible()
    page.get_by_role("button", name="Take the middle plane").click()
    expect(page.get_by_role("spinbutton", name="Plane of stack.ome.tif")).to_have_value("2")
    expect(page.get_by_text("3 images chosen")).to_be_visible()
    page.get_by_role("button", name="Leave out private.tif").click()
    expect(page.get_by_text("2 images chosen")).to_be_visible()
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_text("3 images chosen")).to_be_visible()
    assert serious(page, "sg-omero-launch") == []


def test_where_nothing_can_be_used_the_page_says_why_and_offers_no_launch(page: Page, place: Place) -> None:
    choose(page, place, "float.tif")
    expect(page.get_by_text("The selected image cannot be used")).to_be_visible()
    expect(page.get_by_text("only unsigned")).to_be_visible()
    expect(page.get_by_role("button", name="Launch", exact=True)).to_have_count(0)


def test_from_the_right_panel_to_results_and_back_out_of_omero(page: Page, place: Place) -> None:
    image = place.image("cell2.tif")
    page.goto(f"/webclient/?show=image-{image}")
    page.get_by_role("link", name="Cluster", exact=True).click()
    panel = page.locator("sg-omero-image")
    expect(panel.get_by_text("Nothing was run on this image so far.")).to_be_visible()
    way = panel.get_by_role("link", name="Run on cluster")
    expect(way).to_have_attribute("href", f"/slidegate/launch/?image={image}")
    with page.context.expect_page() as opened:
        way.click()
    tab = opened.value
    tab.get_by_label("Tags for images that are finished").fill("counted,  by slidegate ")
    with tab.expect_request("**/v1/launches") as asked:
        run = launch(tab)
    assert asked.value.post_data_json["publish"]["tags"] == ["counted", "by slidegate"]
    expect(panel.get_by_role("link", name=re.compile("^Results of"))).to_have_attribute(
        "href", f"/slidegate/#/runs/{run}/results/1"
    )
    expect(panel.get_by_text("Finished")).to_be_visible()
    assert serious(page, "sg-omero-image") == []

    expect(tab.get_by_text("The image is finished.", exact=True)).to_be_visible()
    expect(tab.get_by_role("link", name="cell2.tif in OMERO")).to_have_attribute(
        "href", f"/webclient/?show=image-{image}"
    )
    assert serious(tab, "sg-omero-runs") == []
    tab.get_by_role("link", name="Results of cell2.tif").click()
    expect(tab.get_by_role("heading", name="cell2.tif")).to_be_visible()
    expect(tab.get_by_role("application")).to_be_visible()
    tab.goto(f"/slidegate/#/runs/{run}")
    tab.get_by_role("button", name="Undo or delete").click()
    tab.get_by_role("radio", name="Undo: take the results out of OMERO too").check()
    tab.get_by_role("button", name="Delete run and results").click()
    tab.wait_for_url("**/slidegate/#/runs")
    expect(panel.get_by_text("Nothing was run on this image so far.")).to_be_visible()
    tab.close()


def test_nothing_of_the_page_around_comes_in_and_nothing_gets_out(page: Page, place: Place) -> None:
    choose(page, place, "cell0.tif")
    expect(page.get_by_role("heading", name="1 image")).to_be_visible()
    looks = """() => {
        const style = getComputedStyle(document.querySelector('sg-omero-launch').shadowRoot
            .querySelector('sg-omero-choice').shadowRoot.querySelector('h1'));
        return [style.color, style.fontSize, style.letterSpacing, style.fontStyle, style.textTransform];
    }"""
    before, around = page.evaluate(looks), page.evaluate(GLOBAL)
    page.add_style_tag(content=RUDE)
    assert page.evaluate(looks) == before
    expect(page.get_by_role("button", name="Launch", exact=True)).to_be_visible()
    page.route("**/omero_slidegate/slidegate.js*", lambda route: route.abort())
    page.reload()
    page.get_by_role("link", name="Data", exact=True).wait_for()
    assert page.evaluate(GLOBAL) == around


@pytest.mark.parametrize(
    ("status", "problem", "heading", "button"),
    [
        (401, {"code": "not-signed-in", "title": "Not signed in"}, "You are signed out", "Sign in again"),
        (
            502,
            {"code": "slidegate-unreachable", "title": "Away", "detail": "slidegate does not answer."},
            "slidegate does not answer.",
            "Try again",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words_with_what_to_do(
    page: Page, place: Place, status: int, problem: dict[str, str], heading: str, button: str
) -> None:
    page.route("**/api/v1/session", lambda route: route.fulfill(status=status, json=problem))
    choose(page, place, "cell0.tif")
    expect(page.get_by_text(heading, exact=True)).to_be_visible()
    page.unroute_all()
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("heading", name="1 image")).to_be_visible()


def test_who_may_not_launch_is_told_so(page: Page, place: Place) -> None:
    def see(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"may": ["runs.see"], "role": "viewer"})

    page.route("**/api/v1/session", see)
    choose(page, place, "cell0.tif")
    expect(page.get_by_text("You may look at runs, but not launch any")).to_be_visible()
    expect(page.get_by_role("link", name="Go to the runs")).to_have_attribute("href", "/slidegate/#/runs")


def test_a_click_launches_on_three_hundred_images_and_they_can_be_cancelled(page: Page, place: Place) -> None:
    page.goto(f"/slidegate/launch/?dataset={place.container('Dataset', 'Many')}")
    expect(page.get_by_role("heading", name=f"{MANY} images")).to_be_visible()
    page.get_by_role("button", name=f"Show all {MANY}").click()
    expect(page.get_by_role("list", name="Images").get_by_role("listitem")).to_have_count(MANY)
    launch(page)
    expect(page.get_by_text(f"{MANY} images · launched")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text(re.compile("cancelled")).first).to_be_visible()
