# SPDX-License-Identifier: BSD-3-Clause
"""Every page as people meet it, on a real image and on slides, in both themes; none is hard to use.

Look at build/pictures/index.html afterwards.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.browser.album import WIDE, Album
from tests.acceptance.browser.visitor import SECONDS, brush
from tests.acceptance.conftest import SLIDEGATE, call_slidegate, new_home
from tests.unit.api.service import serving

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "src" / "slidegate" / "api" / "pages"
SLIDE = "tumour-07.ome.tif"
MARGIN = "margin-02.ome.tif"
REAL = "real-tissue.tif"
PASSWORD = "a long sentence"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def album() -> Iterator[Album]:
    made = Album()
    yield made
    made.bind()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, workflows: Path) -> Path:
    """A home of its own: nobody has launched anything yet."""
    return new_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory, home: Path, real_image: Path) -> Path:
    """A folder with a real image, a slide, what is no image, and a folder without any."""
    folder = tmp_path_factory.mktemp("pictures") / "slides"
    (folder / "next week").mkdir(parents=True)
    shutil.copy(real_image / "img2d.tif", folder / REAL)
    for seed, (name, size) in enumerate({SLIDE: "4096x5120", MARGIN: "1200x1500"}.items()):
        drawn = call_slidegate(home, "sample", "slide", folder / name, "--size", size, "--seed", seed)
        assert drawn.returncode == 0, drawn.stderr
    for truth in folder.glob("*.truth"):
        shutil.rmtree(truth)
    (folder / "scan of a label.tif").write_bytes(b"these are no pixels")
    return folder


@pytest.fixture(scope="module")
def page(chromium: Browser, home: Path, slides: Path) -> Iterator[Page]:
    """The browser of somebody who has followed the link of `slidegate serve`."""
    environment = {**os.environ, "SLIDEGATE_HOME": str(home), "SLIDEGATE_PERSON": "paula"}
    with subprocess.Popen(
        [SLIDEGATE, "serve", slides], env=environment, cwd=slides.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        link = process.stdout.readline().strip()
        page = look(chromium, link.partition("/login")[0])
        page.goto(link)
        yield page
        page.context.close()
        process.send_signal(signal.SIGINT)
        process.stdout.read()


def look(chromium: Browser, url: str) -> Page:
    """Open a browser at a server; what goes wrong in it fails the test that looks."""
    context = chromium.new_context(base_url=url, viewport=WIDE, device_scale_factor=1.5)
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    return context.new_page()


def test_choosing(page: Page, album: Album) -> None:
    page.get_by_text("Cannot be used").wait_for()
    page.get_by_role("option", name=MARGIN).click()
    page.get_by_role("option", name=SLIDE).click()
    expect(page.locator("sg-thumb img")).to_have_count(5)
    album.take(page, "launch-images")
    album.take(page, "launch-images", narrow=True)
    page.get_by_role("button", name="next week").click()
    page.get_by_text("No images in this folder").wait_for()
    album.take(page, "launch-empty-folder")
    page.goto("/runs")
    page.get_by_text("No runs yet").wait_for()
    album.take(page, "runs-empty")


def test_settings_and_preview(page: Page, album: Album) -> None:
    page.goto("/launch?step=settings")
    page.get_by_role("button", name="Nuclei", exact=True).wait_for()
    page.get_by_label("Try on").select_option(label=SLIDE)
    expect(page.get_by_text("How long it takes is not known")).to_be_visible()
    album.take(page, "launch-settings", whole=True)
    album.take(page, "launch-settings", narrow=True, whole=True)
    page.get_by_role("button", name="Preview this region").click()
    page.get_by_role("img", name="with outlines").wait_for()
    album.take(page, "launch-preview")


def test_a_run_while_it_is_computed(page: Page, album: Album) -> None:
    for sensitivity in ("0.5", "0.45", "0.4"):  # a quick computer may have finished before we look
        page.get_by_label("Sensitivity", exact=True).fill(sensitivity)
        page.get_by_text("More settings").click()
        page.get_by_label("Size of a block", exact=True).fill("1024")
        page.get_by_role("button", name="Launch", exact=True).click()
        page.wait_for_url("**/runs/*")
        some = page.get_by_text(re.compile(r"^[1-9]\d* of 20 parts of the slide"))
        all_of_it = page.get_by_text("All 2 images are finished.", exact=True)
        some.or_(all_of_it).first.wait_for()
        if some.is_visible():
            album.take(page, "run-computing")
            all_of_it.wait_for()
            break
        page.get_by_role("link", name="Run again").click()
    expect(page.get_by_role("link", name=f"Results of {SLIDE}")).to_be_visible()
    album.take(page, "run-finished")


def test_results(page: Page, album: Album) -> None:
    page.get_by_role("link", name=f"Results of {SLIDE}").click()
    page.get_by_role("heading", name=SLIDE).wait_for()
    page.get_by_text("nuclei found").wait_for()
    page.wait_for_function(SETTLED)
    album.take(page, "results")
    album.take(page, "results", narrow=True, whole=True)
    brush(page, "sg-histogram", (0.45, 0.3), (0.9, 0.6))
    page.locator("sg-results .chips button").first.wait_for()
    page.wait_for_function(SETTLED)
    album.take(page, "results-selected")
    for tab in ("Picture", "Files"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        album.take(page, f"results-{tab.lower()}")
    page.goto(page.url.rpartition("/")[0] + "/9")
    page.get_by_text("There are no results here").wait_for()
    album.take(page, "results-not-there")


SETTLED = "() => document.querySelector('sg-app').shadowRoot.querySelector('sg-results')?.slide?.settled"


def test_a_run_that_failed_in_part(page: Page, album: Album) -> None:
    page.goto("/launch")
    page.get_by_role("option", name=MARGIN).click()
    page.get_by_role("option", name=REAL).click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_text(f"{REAL} does not state the size of a pixel").first.wait_for()
    page.get_by_label("Sensitivity", exact=True).fill("7")
    page.keyboard.press("Tab")
    page.get_by_text("Enter a number from 0 to 1.").wait_for()
    album.take(page, "launch-settings-wrong", whole=True)
    page.get_by_label("Sensitivity", exact=True).fill("0.6")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.get_by_text("Of 2 images, 1 finished, 1 failed.", exact=True).wait_for()
    expect(page.locator("sg-thumb img")).to_have_count(2)
    album.take(page, "run-failed")
    album.take(page, "run-failed", narrow=True)
    for tab in ("Settings", "Files", "What happened", "Costs"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(400)
        album.take(page, f"run-{tab.lower().replace(' ', '-')}", whole=True)
    page.get_by_role("tab", name="Images").click()
    page.get_by_role("button", name="Delete").click()
    album.take(page, "run-delete")
    page.keyboard.press("Escape")
    page.get_by_role("button", name=f"Why: {REAL}").click()
    page.get_by_text("Why it failed").wait_for()
    expect(page.get_by_label("Log", exact=True)).to_be_visible()
    album.take(page, "run-why")


def test_only_what_failed_is_run_with_other_settings(page: Page, album: Album) -> None:
    page.get_by_role("link", name="Run this image with other settings").click()
    expect(page.get_by_text("1 image chosen")).to_be_visible()
    page.get_by_label("Size of a pixel", exact=True).fill("0.325")
    expect(page.get_by_text("cannot be analysed without it")).to_have_count(0)
    page.get_by_role("button", name="Launch", exact=True).click()
    page.get_by_text("The image is finished.", exact=True).wait_for()
    page.get_by_role("link", name="Run again").click()
    page.get_by_text("These are the settings of the earlier run.").wait_for()
    page.get_by_role("button", name="Launch", exact=True).click()
    page.get_by_text("You have run exactly this before").wait_for()
    album.take(page, "launch-known")
    page.get_by_role("button", name="Show that run").click()
    page.goto("/runs")
    expect(page.locator("a.run").first).to_be_visible()
    album.take(page, "runs")
    album.take(page, "runs", narrow=True)
    page.get_by_role("combobox", name="State").select_option("cancelled")
    page.get_by_text("No run fits these filters").wait_for()
    album.take(page, "runs-none")
    page.get_by_role("button", name="Show all runs").click()


def test_addresses_that_lead_nowhere(page: Page, album: Album) -> None:
    page.goto("/runs/0123456789ab")
    page.get_by_text("This run is not here").wait_for()
    album.take(page, "run-not-there")
    page.goto("/nowhere")
    page.get_by_text("There is no page here").wait_for()
    album.take(page, "missing")


def test_people_and_signing_in(chromium: Browser, album: Album, tmp_path: Path) -> None:
    with serving(tmp_path / "service", pages=PAGES) as service:
        service.person("grace", "researcher", "pathology")
        service.person("mary", "viewer", "pathology")
        service.person("ada", "administrator", "pathology")
        service.set_password("ada", PASSWORD)
        for site in ("local", "institute-cluster"):
            service.offer(site)
        watch = service.store.sites.claim("institute-cluster", "test", service.now(), 60)
        service.store.sites.release(watch, service.now(), "The cluster's door does not answer.")
        page = look(chromium, service.url)
        page.goto("/login?link=used")
        page.get_by_text("This link has been used").wait_for()
        album.take(page, "sign-in-link-used")
        page.goto("/account")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("not it, I fear")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").wait_for()
        album.take(page, "sign-in-wrong")
        page.get_by_label("Password").fill(PASSWORD)
        album.take(page, "sign-in", narrow=True)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("What it is for").fill("my notebook")
        page.get_by_role("button", name="Make a key").click()
        page.get_by_text("it is shown this once").wait_for()
        album.take(page, "account", whole=True)
        page.get_by_label("Present password").fill("not it, I fear")
        page.get_by_label("New password", exact=True).fill("another long sentence")
        page.get_by_role("button", name="Change the password").click()
        page.get_by_text("The present password is not right.").wait_for()
        album.take(page, "account-password")
        album.take(page, "account", whole=True, narrow=True)
        answer = page.goto("/administration")
        assert answer is not None and answer.ok
        page.get_by_role("cell", name="grace", exact=True).wait_for()
        album.take(page, "administration-people")
        page.get_by_role("button", name="Change grace").click()
        album.take(page, "administration-person")
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Where it computes").click()
        page.get_by_text("door does not answer").wait_for()
        album.take(page, "administration-sites")
        page.get_by_role("tab", name="Record of changes").click()
        page.get_by_text("Changed the keys for programs").wait_for()
        album.take(page, "administration-record")
        album.take(page, "administration-record", narrow=True)
        page.context.close()


def test_no_page_is_without_a_picture_in_a_theme(album: Album) -> None:
    assert album.missing() == []
