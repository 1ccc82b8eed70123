# SPDX-License-Identifier: BSD-3-Clause
"""Pages that need no worker: a Run of a thousand images, live news, people, and signing in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from slidegate.domain import events
from slidegate.domain.states import State
from tests.acceptance.browser.visitor import serious, visiting
from tests.unit.api.service import Service, serving

PAGES = Path(__file__).parents[3] / "src" / "slidegate" / "api" / "pages"
MANY = 1000

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Place:
    """A service with a Run of a thousand images, and its administrator."""

    service: Service
    run: str
    state: Any
    chromium: Browser


@pytest.fixture(scope="module")
def place(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(tmp_path_factory.mktemp("many"), pages=PAGES) as service:
        service.person("ada", "administrator", "lab")
        service.offer()
        run = service.run("ada", "many", MANY)
        context = chromium.new_context()
        page = context.new_page()
        link = service.store.login_links.make("ada", service.now())
        page.goto(f"{service.url}/login?link={link}")
        page.wait_for_url("**/runs")  # there is one: the first page is the list
        state = context.storage_state()
        context.close()
        yield Place(service, str(run), state, chromium)


@pytest.fixture
def page(place: Place) -> Iterator[Page]:
    with visiting(place.chromium, place.state, place.service.url) as made:
        yield made


def work(session: Any) -> float:
    """Return the processor seconds that the page has taken so far: scripts, styles, layout."""
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return float(sum(metrics[name] for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")))


def test_a_run_of_a_thousand_images_stays_fluent(place: Place, page: Page) -> None:
    page.goto(f"/runs/{place.run}")
    rows = page.locator("sg-task-row")
    page.get_by_role("button", name=f"All {MANY:,}").wait_for()
    page.get_by_text("1.tif", exact=True).wait_for()
    expect(page.get_by_role("listitem").first).to_have_attribute("aria-setsize", str(MANY))
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = work(session)
    steps = 20
    for _ in range(steps):
        page.mouse.wheel(0, 76 * MANY / steps)
        page.evaluate("() => new Promise(requestAnimationFrame)")
        assert rows.count() < 60  # only what is seen is built
    page.get_by_text(f"{MANY}.tif", exact=True).wait_for()
    each = (work(session) - before) / steps
    assert each < 0.1, f"the page works {1000 * each:.0f} ms for a step of scrolling"


def test_what_happens_is_on_the_page_within_seconds(place: Place, page: Page) -> None:
    run = place.service.run("ada", "live", 2)
    page.goto(f"/runs/{run}")
    page.get_by_text("2 images wait for their turn.").wait_for()
    first = place.service.store.runs.tasks(run)[0]["id"]
    failed = events.Failed(first, State.WAITING, "bad-image", "The image cannot be read.")
    place.service.store.history.append(run, failed, place.service.now())
    expect(page.get_by_text("0 of 2 images finished, 1 failed.", exact=True)).to_be_visible()
    expect(page.get_by_text("The image cannot be read.")).to_be_visible()
    page.get_by_role("button", name="Failed 1").click()
    expect(page.locator("sg-task-row")).to_have_count(1)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the run").click()
    page.get_by_role("button", name="All 2").click()
    expect(page.get_by_text("Being cancelled")).to_be_visible()  # until a worker has done it


def test_a_page_says_that_the_server_does_not_answer_and_goes_on_when_it_does(
    place: Place, page: Page
) -> None:
    run = place.service.run("ada", "unheard", 2)
    answers = True
    page.route(
        re.compile(f"/v1/(runs/{run}|events)"), lambda route: route.continue_() if answers else route.abort()
    )
    page.goto(f"/runs/{run}")
    page.get_by_text("2 images wait for their turn.").wait_for()
    answers = False
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")  # the stream begins anew
    silent = page.get_by_text("The server does not answer at the moment")
    expect(silent).to_be_visible()
    first = place.service.store.runs.tasks(run)[0]["id"]
    failed = events.Failed(first, State.WAITING, "bad-image", "The image cannot be read.")
    place.service.store.history.append(run, failed, place.service.now())
    answers = True
    expect(page.get_by_text("0 of 2 images finished, 1 failed.", exact=True)).to_be_visible()
    expect(silent).to_have_count(0)


def test_runs_are_found_by_state_and_by_the_name_of_an_image(place: Place, page: Page) -> None:
    place.service.fail(place.service.run("ada", "lost", 3))
    page.goto("/runs")
    page.get_by_role("combobox", name="State").select_option("failed")
    expect(page.get_by_text("All 3 images failed.")).to_be_visible()
    expect(page.locator("a.run").filter(has_text="Failed")).to_have_count(page.locator("a.run").count())
    page.get_by_role("searchbox", name="Name of an image").fill("nothing like it")
    expect(page.get_by_text("No run fits these filters")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(page.get_by_text(f"{MANY:,} images wait")).to_be_visible()


def test_an_administrator_adds_somebody_who_then_signs_in(place: Place, page: Page) -> None:
    page.goto("/administration")
    page.get_by_role("button", name="Add a person").click()
    page.get_by_label("Name to sign in with").fill("grace")
    page.get_by_label("Group").fill("lab")
    page.get_by_label("Password").fill("a long sentence")
    assert serious(page) == []
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("cell", name="grace", exact=True)).to_be_visible()
    with visiting(place.chromium, None, place.service.url) as other:
        other.goto("/runs")
        other.get_by_label("Name").fill("grace")
        other.get_by_label("Password").fill("not it, I fear")
        other.get_by_role("button", name="Sign in").click()
        expect(other.get_by_role("alert")).to_be_visible()
        assert serious(other) == []
        other.get_by_label("Password").fill("a long sentence")
        other.get_by_role("button", name="Sign in").click()
        expect(other.get_by_text("No runs yet")).to_be_visible()
        other.get_by_role("button", name="All I may see").click()
        expect(other.get_by_text(f"{MANY:,} images wait")).to_be_visible()
        other.goto("/account")
        other.get_by_role("button", name="Sign out").click()
        expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


def test_who_changes_their_password_is_signed_out_elsewhere(place: Place) -> None:
    service = place.service
    service.person("hilde", "researcher", "lab")
    service.set_password("hilde", "what it was at first")
    with (
        visiting(place.chromium, None, service.url) as page,
        visiting(place.chromium, None, service.url) as elsewhere,
    ):
        for one in (page, elsewhere):
            one.goto("/account")
            one.get_by_label("Name").fill("hilde")
            one.get_by_label("Password").fill("what it was at first")
            one.get_by_role("button", name="Sign in").click()
            one.get_by_label("Present password").wait_for()
        page.get_by_label("Present password").fill("what it never was")
        page.get_by_label("New password", exact=True).fill("what it is from now on")
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_text("The present password is not right.")).to_be_visible()
        page.get_by_label("Present password").fill("what it was at first")
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_text("Your password is changed")).to_be_visible()
        page.get_by_label("What it is for").fill("what is done with the new session")
        page.get_by_role("button", name="Make a key").click()
        expect(page.locator("code")).to_be_visible()
        elsewhere.reload()
        elsewhere.get_by_label("Name").fill("hilde")
        elsewhere.get_by_label("Password").fill("what it is from now on")
        elsewhere.get_by_role("button", name="Sign in").click()
        expect(elsewhere.get_by_label("Present password")).to_be_visible()


def test_who_only_looks_is_offered_nothing_that_would_be_refused(place: Place) -> None:
    place.service.person("mary", "viewer", "lab")
    with visiting(place.chromium, None, place.service.url) as page:
        link = place.service.store.login_links.make("mary", place.service.now())
        page.goto(f"/login?link={link}")
        page.get_by_role("button", name="All I may see").click()
        page.get_by_role("link", name=f"{MANY - 1} more").click()
        page.get_by_role("button", name=f"All {MANY:,}").wait_for()
        for refused in ("New run", "Cancel", "Run again", "Delete"):
            expect(page.get_by_text(refused, exact=True)).to_have_count(0)


def test_a_used_link_and_a_mistyped_address_say_what_to_do(place: Place, page: Page) -> None:
    with visiting(place.chromium, None, place.service.url) as other:
        other.goto("/login?link=used")
        expect(other.get_by_text("This link has been used, or is too old")).to_be_visible()
        assert serious(other) == []
    page.goto("/nowhere")
    page.get_by_role("link", name="Go to your runs").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()


def test_a_key_for_a_program_is_shown_once_and_taken_back(page: Page) -> None:
    page.goto("/account")
    page.get_by_label("What it is for").fill("my notebook")
    page.get_by_role("button", name="Make a key").click()
    expect(page.locator("code")).to_have_text(re.compile(r"sg_[\w-]+"))
    page.reload()
    expect(page.locator("code")).to_have_count(0)
    page.get_by_role("button", name="Take back the key my notebook").click()
    expect(page.get_by_role("button", name="Take back the key my notebook")).to_have_count(0)


def test_colours_follow_the_computer_until_they_are_chosen(page: Page) -> None:
    page.goto("/account")
    colour = "() => getComputedStyle(document.body).backgroundColor"
    page.get_by_role("button", name="Dark", exact=True).wait_for()
    light = page.evaluate(colour)
    page.get_by_role("button", name="Dark", exact=True).click()
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    page.get_by_role("button", name="Dark", exact=True).wait_for()
    assert page.evaluate(colour) == dark
