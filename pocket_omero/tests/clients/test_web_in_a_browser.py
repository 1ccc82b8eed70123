# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO.web, OMERO.iviewer and OMERO.figure, unmodified, in Chromium: no request fails, and no script."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import omero
import pytest
from omero.gateway import BlitzGateway, TagAnnotationWrapper
from playwright.sync_api import Browser, Page, Response, expect
from pocket_omero.testing import Omero
from pocket_omero.web import Web

from .visit import draw_rectangle, node, opener, save_button
from .world import World

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.needs("omero-web", "chromium"),
    pytest.mark.client("omero-web in Chromium"),
]
PATIENCE = 40_000


class Seen:
    """What went wrong in a browser."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("response", self._answered)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error} at {page.url}"))
        page.on("requestfailed", self._failed)

    def _answered(self, answer: Response) -> None:
        # OMERO.iviewer asks whether there is a microservice for regions; most servers have none
        if answer.status >= 400 and "omero_ms_image_region" not in answer.url:
            self.wrong.append(f"{answer.status} {answer.request.method} {answer.url}")

    def _failed(self, request: Any) -> None:
        # a page that was left; or the internet, where OMERO.web asks for the newest version of OMERO.insight
        if "ERR_ABORTED" not in (request.failure or "") and "//127.0.0.1" in request.url:
            self.wrong.append(f"{request.failure} {request.url}")


expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def conn(place: Omero) -> Iterator[BlitzGateway]:
    with place.gateway() as opened:
        yield opened


@pytest.fixture(scope="module")
def world(conn: BlitzGateway) -> World:
    made = World.make(conn)
    tag = TagAnnotationWrapper(conn)
    tag.setValue("a tag")
    tag.save()
    conn.getObject("Image", made.image).linkAnnotation(tag)
    return made


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def window(chromium: Browser, web: Web, place: Omero, seen: Seen) -> Iterator[Page]:
    """A window in which somebody has logged in; what it loads is watched."""
    context = chromium.new_context(viewport={"width": 1500, "height": 900}, base_url=web.url)
    context.set_default_timeout(PATIENCE)
    context.on("page", seen.watch)
    page = context.new_page()
    page.goto("/webclient/login/")
    name, password = place.person("member")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("input[type=submit]")
    page.wait_for_url(re.compile("/webclient/(\\?.*)?$"))
    yield page
    context.close()


@pytest.fixture(autouse=True)
def _nothing_went_wrong(seen: Seen) -> Iterator[None]:
    """No request is refused and no script stops while a test runs."""
    seen.wrong.clear()
    yield
    assert seen.wrong == []


@pytest.fixture
def picture(window: Page, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Page, str], None]:
    """Keep a picture of a window, where POCKET_PICTURES says a folder."""
    import os

    folder = os.environ.get("POCKET_PICTURES")

    def take(page: Page, name: str) -> None:
        if folder:
            page.screenshot(path=f"{folder}/{name}.png")

    return take


def _settled(page: Page) -> None:
    page.wait_for_load_state("networkidle")


def test_the_tree_opens_down_to_the_images(window: Page, world: World, picture: Any) -> None:
    window.goto("/webclient/")
    expect(node(window, world.name)).to_be_visible()
    opener(window, world.name).click()
    expect(node(window, world.name)).to_have_count(2)
    opener(window, world.name).click()
    expect(node(window, "third")).to_be_visible()
    picture(window, "tree")


def test_an_image_is_shown_with_its_thumbnails_and_panel(window: Page, world: World, picture: Any) -> None:
    window.goto(f"/webclient/?show=image-{world.image}")
    expect(window.locator("#dataTree .jstree-clicked")).to_contain_text("first")
    expect(window.locator("#dataIcons li.row")).to_have_count(3)
    expect(window.locator("#metadata_general")).to_contain_text("first")
    _settled(window)
    loaded = "nodes => nodes.every(one => one.complete && one.naturalWidth > 0)"
    assert window.locator("#dataIcons li.row img").evaluate_all(loaded)
    picture(window, "image")


def test_annotations_are_shown_and_written_in_the_panel(
    window: Page, world: World, conn: BlitzGateway, picture: Any
) -> None:
    window.goto(f"/webclient/?show=image-{world.image}")
    expect(window.locator("#metadata_general")).to_contain_text("first")
    window.locator("#metadata_general").get_by_text("Comments", exact=False).first.click()
    box = window.locator("textarea[name=comment]")
    box.fill("typed in the browser")
    window.locator("#add_comment_form input[type=submit]").click()
    expect(window.locator("#metadata_general")).to_contain_text("typed in the browser")
    _settled(window)
    picture(window, "annotations")
    said = [one.getValue() for one in conn.getObject("Image", world.image).listAnnotations()]
    assert "typed in the browser" in said


def test_the_preview_shows_the_image_and_its_channels(window: Page, world: World, picture: Any) -> None:
    window.goto(f"/webclient/?show=image-{world.image}")
    expect(window.locator("#metadata_general")).to_contain_text("first")
    window.locator("a[href='#preview_tab']").click()
    expect(window.locator("#preview_tab .rdef-channel, #preview_tab .rdef-window").first).to_be_visible()
    _settled(window)
    picture(window, "preview")


def test_acquisition_metadata_are_shown(window: Page, world: World, picture: Any) -> None:
    window.goto(f"/webclient/?show=image-{world.image}")
    expect(window.locator("#metadata_general")).to_contain_text("first")
    window.locator("a[href='#metadata_tab']").click()
    _settled(window)
    picture(window, "acquisition")


def test_the_viewer_shows_an_image(window: Page, world: World, picture: Any) -> None:
    window.goto(f"/webgateway/img_detail/{world.image}/")
    _settled(window)
    shown = window.locator("#viewport-img, .viewport-img, #weblitz-viewport-img").first
    expect(shown).to_be_visible()
    picture(window, "viewer")


@pytest.mark.pocket
def test_the_viewer_loads_a_slide_in_tiles(window: Page, conn: BlitzGateway, picture: Any) -> None:
    [image] = conn.getObjects("Image", attributes={"name": "slide.tif"})
    tiles: list[str] = []
    window.on(
        "response", lambda answer: tiles.append(answer.url) if "render_image_region" in answer.url else None
    )
    window.goto(f"/webgateway/img_detail/{image.getId()}/")
    _settled(window)
    picture(window, "slide")
    assert len(tiles) >= 4


def test_a_dataset_is_made_in_the_tree(window: Page, world: World, conn: BlitzGateway, picture: Any) -> None:
    window.goto(f"/webclient/?show=project-{world.project}")
    expect(window.locator("#dataTree .jstree-clicked")).to_contain_text(world.name)
    window.locator("#adddatasetButton").click()
    window.locator("#new-container-form input[name=name]").fill("made in the browser")
    window.get_by_role("button", name="OK").click()
    expect(node(window, "made in the browser")).to_be_visible()
    _settled(window)
    project = conn.getObject("Project", world.project)
    assert "made in the browser" in [one.getName() for one in project.listChildren()]


def test_a_search_finds_and_shows(window: Page, world: World, picture: Any) -> None:
    window.goto("/webclient/search/")
    window.locator("#searching_form input[name=query]").fill(world.name)
    window.locator("#search_button").click()
    window.get_by_role("cell", name=world.name).first.wait_for()
    _settled(window)
    picture(window, "search")


@pytest.mark.parametrize("page", ["history", "usertags"])
def test_the_other_pages_open(window: Page, page: str, picture: Any) -> None:
    window.goto(f"/webclient/{page}/")
    _settled(window)
    picture(window, page)


@pytest.mark.pocket
def test_a_script_runs_from_the_menu(window: Page, world: World, conn: BlitzGateway, picture: Any) -> None:
    number = conn.getScriptService().getScriptID("/pocket_omero/Describe_Images.py")
    window.goto(f"/webclient/script_ui/{number}/?Image={world.second}")
    expect(window.locator("input[name=IDs]")).to_have_value(str(world.second))
    picture(window, "script")
    window.goto(f"/webclient/?show=image-{world.second}")
    expect(window.locator("#metadata_general")).to_contain_text("second")
    window.locator("#scriptButton").click()
    _settled(window)
    picture(window, "scripts")


def test_pages_of_administrators_open(
    chromium: Browser, web: Web, place: Omero, seen: Seen, picture: Any
) -> None:
    context = chromium.new_context(viewport={"width": 1500, "height": 900}, base_url=web.url)
    context.on("page", seen.watch)
    page = context.new_page()
    page.goto("/webclient/login/")
    name, password = place.person("admin")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("input[type=submit]")
    page.wait_for_url(re.compile("/webclient/(\\?.*)?$"))
    for address in ("experimenters", "groups", "stats", "myaccount"):
        page.goto(f"/webadmin/{address}/")
        _settled(page)
        picture(page, f"admin-{address}")
    context.close()


def _shapes(conn: BlitzGateway, image: int) -> list[Any]:
    found = conn.getRoiService().findByImage(image, None).rois
    return [shape for roi in found for shape in roi.copyShapes()]


@pytest.mark.needs("omero-iviewer")
@pytest.mark.client("omero-iviewer")
class TestIviewer:
    def test_it_opens_an_image(self, window: Page, world: World, picture: Any) -> None:
        window.goto(f"/iviewer/?images={world.image}")
        window.locator("canvas").first.wait_for()
        _settled(window)
        picture(window, "iviewer")

    @pytest.mark.pocket
    def test_it_opens_a_slide(self, window: Page, conn: BlitzGateway, picture: Any) -> None:
        [image] = conn.getObjects("Image", attributes={"name": "slide.tif"})
        window.goto(f"/iviewer/?images={image.getId()}")
        window.locator("canvas").first.wait_for()
        _settled(window)
        picture(window, "iviewer-slide")

    def test_a_region_that_is_drawn_is_saved(
        self, window: Page, world: World, conn: BlitzGateway, picture: Any
    ) -> None:
        window.goto(f"/iviewer/?images={world.second}")
        _settled(window)
        draw_rectangle(window)
        picture(window, "iviewer-drawn")
        save_button(window).click()
        until = time.monotonic() + 20
        while not _shapes(conn, world.second) and time.monotonic() < until:
            window.wait_for_timeout(200)
        shape, *_ = _shapes(conn, world.second)  # iviewer may have taken clicks that seemed lost
        assert isinstance(shape, omero.model.Rectangle)
        _settled(window)


@pytest.mark.needs("omero-figure")
@pytest.mark.client("omero-figure")
class TestFigure:
    def test_a_figure_is_made_and_saved(
        self, window: Page, world: World, conn: BlitzGateway, picture: Any
    ) -> None:
        window.goto(f"/figure/new/?image={world.image}&image={world.second}")
        expect(window.locator(".imagePanel")).to_have_count(2)
        _settled(window)
        picture(window, "figure")
        window.once("dialog", lambda dialog: dialog.accept("a figure"))  # asks for a name
        window.locator("button.save_figure").click()
        window.wait_for_url(re.compile(r"/figure/file/\d+"))
        [note] = conn.getObjects("FileAnnotation", attributes={"ns": "omero.web.figure.json"})
        assert note.getFileName() == "a figure"
        window.goto("about:blank")

    def test_the_list_of_figures_opens(self, window: Page, picture: Any) -> None:
        window.goto("/figure/open/")
        _settled(window)
        picture(window, "figures")
