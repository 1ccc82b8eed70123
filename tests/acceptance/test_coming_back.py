# SPDX-License-Identifier: BSD-3-Clause
"""A server that was away for an hour or a week, or is not the one that it was, with a real gate."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from slidegate.domain.values import RunId
from slidegate.store.backup import back_up, restore
from slidegate.wiring import House
from slidegate.worker import Runs
from slidegate.worker.views import RunView
from tests.acceptance.embedded import Place, check_one_effect, step_until, work

pytestmark = pytest.mark.slow
HOUR, WEEK = 3600.0, 7 * 86400.0
NOT_AT_SITE = ("waiting", "staging", "submitting")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home with its site, where nothing was done yet."""
    made = Place(tmp_path_factory.mktemp("back"))
    made.prepare()
    return made


@pytest.fixture
def place(installed: Place) -> Iterator[Place]:
    """The same home, empty again in the end: its site names its own folder."""
    fresh = installed.root / "fresh.db"
    if not fresh.exists():
        back_up(installed.settings.database, fresh)
    yield installed
    for name in ("out", "images"):
        shutil.rmtree(installed.root / name, ignore_errors=True)
    for name in ("state/keys/local", "data/keys/local"):
        for path in (installed.site / name).glob("*"):
            if path.is_dir():
                shutil.rmtree(path)
    lose_the_database(installed)
    restore(installed.settings.database, fresh, time.time())
    with installed.open() as house:
        house.store.sites.reset("local")
        house.store.sites.reconciled("local")


def lose_the_database(place: Place) -> None:
    for path in place.settings.home.glob("slidegate.db*"):
        path.unlink()


@contextmanager
def later(place: Place, seconds: float) -> Iterator[House]:
    """Open the house with a clock that is ahead by so much."""
    with place.open() as house:
        tools = replace(house.tools, clock=lambda: time.time() + seconds)
        yield replace(house, tools=tools, runs=Runs(tools))


def begin(place: Place, images: int, reached: Callable[[RunView], bool]) -> RunId:
    """Ask for a Run and work on it until it is as wanted; what the site computes goes on alone."""
    with place.open() as house:
        paths = place.make_images(images)
        run = house.runs.request("ada", "count_bytes", paths, {}, str(place.out)).run
        step_until(house, run, reached)
    return run


def is_at_site(view: RunView) -> bool:
    return all(task.state in ("queued", "running") for task in view.tasks)


def wait_for_results(place: Place, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(place.site.glob("state/keys/local/attempts/*/result.json"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_ended_while_the_server_was_away_is_taken_up_though_no_cursor_holds(place: Place) -> None:
    run = begin(place, 3, is_at_site)
    wait_for_results(place, 3)
    submits = place.traffic.submits
    with later(place, WEEK) as house:
        cursor = house.store.sites.row("local")["cursor"]
        view = work(house, run)
        assert view.state == "succeeded"
        assert {task.attempt for task in view.tasks} == {1}
        # each connection counts for itself: what an earlier one had told is told anew
        assert house.store.sites.row("local")["cursor"].partition(".")[0] != cursor.partition(".")[0]
    assert place.traffic.submits == submits
    check_one_effect(place, run, 3)


def test_work_that_died_with_its_crew_while_the_server_was_away_goes_on(place: Place) -> None:
    run = begin(place, 2, is_at_site)
    place.kill("runner")
    with later(place, HOUR) as house:
        view = work(house, run)
    assert view.state == "succeeded"
    assert {task.attempt for task in view.tasks} == {1}
    check_one_effect(place, run, 2)


def test_data_that_were_purged_while_the_server_was_away_are_brought_again_or_computed_again(
    place: Place,
) -> None:
    run = begin(place, 2, is_at_site)
    wait_for_results(place, 2)
    place.purge()
    with later(place, WEEK) as house:
        view = work(house, run)
        assert view.state == "succeeded"
        published = [event.task for event in house.store.history.of(run) if event.kind == "published"]
    assert len(published) == len(set(published)) == 2
    assert {task.attempt for task in view.tasks} == {2}


@pytest.mark.parametrize("state", ["waiting", "submitting", "collecting"])
def test_a_server_restored_from_a_backup_hears_what_its_site_has_done_since_and_does_nothing_twice(
    place: Place, state: str, tmp_path: Path
) -> None:
    run = begin(place, 2, lambda view: any(task.state == state for task in view.tasks))
    back_up(place.settings.database, tmp_path / "backup.db")
    with place.open() as house:
        step_until(house, run, lambda view: all(task.state not in NOT_AT_SITE for task in view.tasks))
    wait_for_results(place, 2)
    lose_the_database(place)
    assert restore(place.settings.database, tmp_path / "backup.db", time.time()) == ["local"]
    with later(place, HOUR) as house:
        assert list(house.store.sites.reconciling()) == ["local"]
        assert house.store.queue.claim("me", time.time(), 1.0) is None
        view = work(house, run)
        assert house.store.sites.reconciling() == {}
    assert view.state == "succeeded"
    assert {task.attempt for task in view.tasks} == {1}
    check_one_effect(place, run, 2)
