# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of a step that fails, and of the Task that it was for."""

import errno
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from slidegate.domain import events
from slidegate.domain.errors import SlidegateError
from slidegate.domain.states import State
from slidegate.domain.values import Digest, RunId, TaskId
from slidegate.sites import Gate
from slidegate.sites.errors import LinkDown, Refused
from slidegate.sites.gate import News
from slidegate.sources.errors import BrightfieldError, ImageChangedError
from slidegate.store import Store
from slidegate.store.database import StoreUnusable
from slidegate.worker import Worker
from slidegate.worker.holding import Holding
from slidegate.worker.tools import Pace, Tools
from tests.unit.domain.histories import request
from tests.unit.worker.conftest import Clock, Source

ROOT = Path(__file__).parents[3]
NAME = "/data/Jane_Doe.tif"


@pytest.fixture
def task(store: Store) -> str:
    """A Task that is to be staged."""
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    store.history.append(asked.run, events.StagingBegan(asked.tasks[0].task, State.WAITING), 2.0)
    return asked.tasks[0].task


CRASHING = """
import os, sys, time
from pathlib import Path
from slidegate.store import Store
from slidegate.worker import Worker
from slidegate.worker.places import Places
from slidegate.worker.tools import Pace, Tools
from tests.unit.worker.conftest import Source

class Crashing(Source):
    def fingerprint(self, ref):
        if ref.image == "/images/1.tif":
            os.abort()  # as a library does that meets what it cannot bear
        return "another one"  # which ends the Task with words

home = Path(sys.argv[1])
store = Store.open(f"sqlite:///{home}/slidegate.db")
pace = Pace(retry_seconds=0.001, tries=1)
tools = Tools(store, {"folder": Crashing()}, None, {}, time.time, Places(home), pace)
worker = Worker(tools)
until = time.time() + 5
while store.runs.unfinished() and time.time() < until:
    worker.step()
worker.close()
store.close()
"""


@pytest.mark.slow
def test_an_image_that_makes_workers_die_fails_in_the_end_and_holds_up_no_other(
    store: Store, tmp_path: Path
) -> None:
    asked = request(tasks=3)
    store.history.request(asked, 1.0)
    ends = []
    while not ends or (ends[-1] and len(ends) < 20):
        done = subprocess.run(
            [sys.executable, "-c", CRASHING, str(tmp_path)], check=False, cwd=ROOT, stderr=subprocess.DEVNULL
        )
        ends.append(done.returncode)
    assert ends == [-6] * Pace().deaths + [0]
    codes = [task["error_code"] for task in store.runs.tasks(asked.run)]
    assert codes == ["workers-died", "image-changed-since", "image-changed-since"]


def raising(error: BaseException) -> object:
    def do() -> None:
        raise error

    return do


def test_a_task_begins_and_nothing_is_left_in_the_workers_hands(
    store: Store, worker: Worker, clock: Clock
) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    assert worker.step()
    row = store.runs.task(asked.tasks[0].task)
    assert (row["state"], row["owner"]) == ("staging", None)


def test_a_bad_image_fails_its_task_with_the_sentence_and_the_code(
    store: Store, worker: Worker, source: Source, task: str
) -> None:
    source.do = raising(BrightfieldError())
    assert worker.step()
    row = store.runs.task(task)
    assert (row["state"], row["error_code"], row["owner"]) == ("failed", "image-brightfield", None)
    assert "colour" in row["error"]
    assert not worker.step()


def test_what_may_pass_is_tried_again_later_and_not_for_ever(
    store: Store, worker: Worker, source: Source, clock: Clock, task: str
) -> None:
    source.do = raising(ImageChangedError())
    assert worker.step()
    row = store.runs.task(task)
    assert (row["state"], row["tries"]) == ("staging", 1)
    assert row["trouble"]
    assert not worker.step()
    for pause in (1.0, 2.0):
        clock.now += pause
        assert worker.step()
    assert store.runs.task(task)["error_code"] == "image-changed"


@pytest.mark.parametrize("error", [LinkDown(), Refused("Too much.", "limit", True)])
def test_a_site_that_does_not_answer_or_asks_for_patience_is_waited_for(
    store: Store, worker: Worker, source: Source, clock: Clock, task: str, error: SlidegateError
) -> None:
    source.do = raising(error)
    for _ in range(20):
        clock.now += 100
        worker.step()
    row = store.runs.task(task)
    assert (row["state"], row["trouble"]) == ("staging", f"{error} [{error.code}]")
    source.do = lambda: None


def test_a_scheduler_that_does_not_answer_is_told_in_words_before_its_own(
    store: Store, worker: Worker, source: Source, task: str
) -> None:
    source.do = raising(Refused("/usr/bin/sbatch ended with 1.", "scheduler-unknown", True))
    worker.step()
    trouble = store.runs.task(task)["trouble"]
    assert trouble.startswith("The site's scheduler does not answer clearly just now; it is asked again.")
    assert trouble.endswith("It says: /usr/bin/sbatch ended with 1. [scheduler-unknown]")


def test_a_site_without_space_is_waited_for_where_others_clear_it_up_and_said_at_once_where_not(
    store: Store, tools: Tools, source: Source, clock: Clock, task: str
) -> None:
    source.do = raising(Refused("The site has no space left for this.", "no-space", True))
    patient = Worker(replace(tools, paces={"local": Pace(space_seconds=300.0)}))
    for times in range(20):
        assert patient.step(), times
        assert store.runs.task(task)["trouble"] == "The site has no space left for this. [no-space]"
        clock.now += 299.0
        assert not patient.step()
        clock.now += 1.0
    assert store.runs.task(task)["state"] == "staging"
    hasty = Worker(tools)
    hasty.step()
    assert store.runs.task(task)["error_code"] == "no-space"
    for worker in (patient, hasty):
        worker.close()


def test_a_full_disk_is_said_in_words(
    store: Store, worker: Worker, source: Source, clock: Clock, task: str
) -> None:
    source.do = raising(OSError(errno.ENOSPC, "No space left on device", "/secret/path"))
    for _ in range(3):
        clock.now += 100
        worker.step()
    row = store.runs.task(task)
    assert row["error_code"] == "disk-full-here"
    assert "/secret" not in row["error"]


def test_what_nobody_expected_is_told_by_a_number_that_stands_in_the_log(
    store: Store, worker: Worker, source: Source, task: str, caplog: pytest.LogCaptureFixture
) -> None:
    source.do = raising(ZeroDivisionError("the patient's name"))
    with caplog.at_level(logging.ERROR):
        assert worker.step()
    row = store.runs.task(task)
    assert (row["state"], row["error_code"]) == ("failed", "internal")
    assert "patient" not in row["error"]
    number = row["error"].rstrip(".").rpartition(" ")[2]
    assert number in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "patient" not in caplog.text


def test_a_log_names_no_file(
    store: Store,
    worker: Worker,
    source: Source,
    clock: Clock,
    task: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def do() -> None:
        try:
            raise PermissionError(errno.EACCES, "Permission denied", NAME)
        except OSError as error:
            raise OSError(errno.EIO, "Input/output error", NAME) from error

    source.do = do
    assert worker.step()
    assert "Input/output error" in str(store.runs.task(task)["trouble"])
    assert "Jane" not in str(store.runs.task(task)["trouble"]) + caplog.text
    assert caplog.text.index("PermissionError: Permission denied") < caplog.text.index("Input/output error")


class Unusable:
    """A database that is on a full disk."""

    def __init__(self, *_values: object) -> None:
        raise StoreUnusable


def test_a_lease_that_cannot_be_renewed_for_a_while_ends_no_work(
    store: Store, clock: Clock, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = store.queue.claim("me", clock.now, 0.1)
    assert held is not None
    with Holding(store, [held], clock, 0.1) as hold:
        with monkeypatch.context() as full:
            full.setattr(store.queue, "renew", Unusable)
            assert not hold._done.wait(0.2)
        clock.now += 500
        assert not hold._done.wait(0.2)
    assert store.runs.task(TaskId(task))["lease_until"] > clock.now


def test_a_site_that_breaks_in_an_unexpected_way_is_shown_with_a_number(
    store: Store, tools: Tools, task: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunId(task.partition(".")[0])
    store.history.append(run, events.Staged(TaskId(task), State.STAGING, Digest("t" * 64)), 2.0)
    store.history.append(run, events.Submitted(TaskId(task), State.SUBMITTING), 2.0)

    class Broken(Gate):
        def status(self, cursor: str) -> News:
            raise ZeroDivisionError(NAME)

    worker = Worker(replace(tools, gates={"local": Broken(LinkDown)}))
    assert not worker.step()
    trouble = store.sites.row("local")["trouble"]
    assert trouble.removesuffix(". [internal]").rpartition(" ")[2] in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "Jane" not in caplog.text + trouble
    worker.close()


def test_a_worker_goes_quietly_when_the_database_cannot_be_used(
    store: Store, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(replace(tools, gates={"local": Gate(LinkDown)}))
    with monkeypatch.context() as full:
        full.setattr(store.sites, "hurry", Unusable)
        worker.close()
    assert list(tools.places.workers.iterdir()) == []


def test_a_cancelled_task_is_not_begun(
    store: Store, worker: Worker, source: Source, clock: Clock, task: str
) -> None:
    store.asking.cancel(task.partition(".")[0], 3.0)
    assert worker.step()
    assert store.runs.task(task)["state"] == "cancelled"
    assert source.staged == []


def test_an_image_that_was_changed_since_is_not_staged(
    store: Store, worker: Worker, source: Source, task: str
) -> None:
    source.print = "f2"
    assert worker.step()
    assert store.runs.task(task)["error_code"] == "image-changed-since"


def test_a_worker_takes_over_from_a_dead_one_at_once_but_not_from_a_living_one(
    tools: Tools, store: Store, clock: Clock
) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    first = Worker(tools)
    claim = store.queue.claim(first._owner, clock.now, 1e6)
    assert claim is not None
    second = Worker(tools)
    assert not second.step()
    first._presence._handle, handle = -1, first._presence._handle
    import os

    os.close(handle)
    third = Worker(tools)
    assert third.step()
    for each in (second, third):
        each.close()
    assert list(tools.places.workers.iterdir()) == []


def test_a_worker_that_lost_its_task_changes_nothing(
    store: Store, worker: Worker, source: Source, clock: Clock, task: str
) -> None:
    def sleep_too_long() -> None:
        clock.now += 1000
        assert store.queue.claim("another", clock.now, 1e6) is not None
        raise BrightfieldError

    source.do = sleep_too_long
    assert worker.step()
    row = store.runs.task(task)
    assert (row["state"], row["owner"]) == ("staging", "another")
