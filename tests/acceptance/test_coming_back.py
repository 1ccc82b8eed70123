# SPDX-License-Identifier: BSD-3-Clause
"""A server that was away for an hour or a week, or is not the one that it was, with a real gate."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slidegate.domain.events import fold
from slidegate.domain.run import run_id
from slidegate.domain.values import RunId, TaskId, attempt_key, digest_of
from slidegate.sites.gate import Hello, News
from slidegate.store.backup import back_up, restore
from slidegate.wiring import House
from slidegate.worker import Runs
from slidegate.worker.rebuilding import kept_of, rebuild
from slidegate.worker.views import RunView
from tests.acceptance.embedded import Place, check_one_effect, step_until, work
from tests.acceptance.served import SLIDEGATE

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


def test_runs_come_back_from_the_notes_of_their_site_when_the_database_is_lost_altogether(
    place: Place,
) -> None:
    run = begin(place, 2, is_at_site)
    with place.open() as house:
        before = house.store.runs.run(run)
    wait_for_results(place, 2)
    lose_the_database(place)
    submits = place.traffic.submits
    folder = place.root / "out" / "rebuilt"
    out = folder / run
    environment = {
        **os.environ,
        "SLIDEGATE_HOME": str(place.settings.home),
        "SLIDEGATE_WORKFLOWS_DIR": str(place.settings.workflows_dir),
    }
    done = subprocess.run(
        [SLIDEGATE, "db", "rebuild", "--out", str(folder)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"local: 1 run comes back\n  {run}  ada\n", done.stdout + done.stderr
    with place.open() as house:
        assert rebuild(house.tools, "local", lambda _run: str(out)) == ()
        after = house.store.runs.run(run)
        for name in ("person", "workflow", "version", "release", "parameters", "identity", "generation"):
            assert after[name] == before[name], name
        assert house.store.people.names() == ["ada"]
        view = work(house, run)
        assert (view.state, view.person) == ("succeeded", "ada")
        assert {task.attempt for task in view.tasks} == {1}
        assert sorted(path.name for path in out.iterdir()) == ["image1", "image2"]
        assert house.store.runs.view(run) == fold(run, house.store.history.of(run))
    assert place.traffic.submits == submits + 1  # handed in again under the same names, which the site knows
    assert len(list(place.site.glob("state/keys/local/attempts/*/result.json"))) == 2

    with place.open() as house:  # who asks for the same finds it, and has it where it is wanted
        asked = house.runs.request("ada", "count_bytes", place.make_images(2), {}, str(place.out / "mine"))
        assert (asked.run, asked.outcome) == (run, "published-again")


def test_of_a_run_that_was_not_wholly_at_its_site_the_rest_fails_with_words_and_a_new_one_can_be_asked_for(
    place: Place,
) -> None:
    run = begin(place, 2, is_at_site)
    wait_for_results(place, 2)
    with place.open() as house:
        told = list(house.tools.gate("local").status("").attempts)
    lose_the_database(place)
    with place.open() as house:
        gate = Partly(told[:1])
        tools = replace(house.tools, gates={"local": gate})
        gate.hello = house.tools.gate("local").hello
        assert rebuild(tools, "local", lambda _run: str(place.out)) == (run,)
        ended, lost = sorted(house.runs.show(run).tasks, key=lambda task: task.state == "failed")
        assert (ended.state, lost.error_code) == ("submitting", "image-not-known")
        again = house.runs.request("ada", "count_bytes", place.make_images(2), {}, str(place.out))
        assert (again.run != run, again.outcome) == (True, "created")


@dataclass
class Partly:
    """A gate that tells of some Attempts only."""

    told: list[dict[str, object]]
    hello: Callable[[], Hello] | None = None

    def status(self, cursor: str) -> News:
        return News("", tuple(self.told), (), True)


@pytest.mark.parametrize(
    "change",
    [
        {"task": "0123456789ab.1"}, {"task": "../1"}, {"attempt": 2}, {"attempt": True}, {"person": "a\nb"},
        {"identity": "0" * 64}, {"release": "x"}, {"tasks": 0}, {"tasks": 10**9}, {"parameters": None},
        {"content": None}, {"input": 7},
    ],
)  # fmt: skip
def test_a_note_that_does_not_hold_together_tells_of_no_run(change: dict[str, object]) -> None:
    request = digest_of("request")
    run = run_id(request, 3)
    note = {
        "task": f"{run}.1", "attempt": 1, "tasks": 1, "person": "ada", "parameters": {}, "identity": request,
        "release": "a" * 64, "content": "b" * 64, "input": "c" * 64,
    }  # fmt: skip
    said = {"attempt": attempt_key(run, TaskId(f"{run}.1"), 1), "note": note}
    kept = kept_of(said)
    assert kept is not None and (kept.run, kept.generation) == (run, 3)
    assert kept_of({**said, "note": {**note, **change}}) is None
    for nothing in ({}, {"note": None}, {"note": {}}, {**said, "attempt": "d" * 64}):
        assert kept_of(nothing) is None
