# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slidegate.domain import events
from slidegate.domain.errors import Outdated
from slidegate.domain.states import State
from slidegate.domain.values import RunId
from slidegate.store import Store
from tests.unit.domain.histories import request


def test_a_task_is_handed_to_one_worker_until_its_lease_runs_out(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    first = store.queue.claim("a", 10.0, 5.0)
    assert first is not None
    assert store.queue.claim("b", 14.9, 5.0) is None
    second = store.queue.claim("b", 15.0, 5.0)
    assert second is not None
    assert second.token == first.token + 1


def test_who_lost_the_lease_changes_nothing(store: Store) -> None:
    asked = request(tasks=1)
    task = asked.tasks[0].task
    store.history.request(asked, 1.0)
    late = store.queue.claim("a", 10.0, 5.0)
    now = store.queue.claim("a", 20.0, 5.0)
    assert late is not None
    assert now is not None
    with pytest.raises(Outdated):
        store.history.append(asked.run, events.StagingBegan(task, State.WAITING), 21.0, late.held)
    assert not store.queue.renew([late], 99.0)
    assert not store.queue.progress(late, "staging", 1, 2, 21.0)
    store.queue.finish([late], trouble="late")
    assert store.runs.task(task)["trouble"] is None
    assert store.queue.claim("b", 22.0, 5.0) is None
    store.history.append(asked.run, events.StagingBegan(task, State.WAITING), 22.0, now.held)


def test_a_renewed_lease_lasts(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    claim = store.queue.claim("a", 10.0, 5.0)
    assert claim is not None
    assert store.queue.renew([claim], 30.0)
    assert store.queue.claim("b", 29.0, 5.0) is None


def test_a_task_given_back_waits_until_its_time_and_says_why(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    claim = store.queue.claim("a", 10.0, 5.0)
    assert claim is not None
    store.queue.finish([claim], not_before=12.0, trouble="the site does not answer")
    assert store.queue.claim("b", 11.0, 5.0) is None
    again = store.queue.claim("b", 12.0, 5.0)
    assert again is not None
    assert (again.row["tries"], again.row["trouble"]) == (1, "the site does not answer")


def test_a_task_that_was_put_off_before_the_clock_was_set_back_is_handed_out(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    claim = store.queue.claim("a", 100_000.0, 5.0)
    assert claim is not None
    store.queue.finish([claim], not_before=100_015.0, trouble="the site does not answer")
    assert store.queue.claim("b", 1000.0, 5.0) is not None


def test_a_move_clears_trouble_progress_and_waiting(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    claim = store.queue.claim("a", 10.0, 5.0)
    assert claim is not None
    assert store.queue.progress(claim, "reading", 5, 9, 10.5)
    assert store.runs.task(claim.task)["done"] == 5
    store.history.append(asked.run, events.StagingBegan(claim.task, State.WAITING), 11.0, claim.held)
    row = store.runs.task(claim.task)
    assert (row["done"], row["step"], row["tries"]) == (None, None, 0)


def test_tasks_that_are_at_a_site_or_ended_are_not_handed_out(store: Store) -> None:
    asked = request(tasks=2)
    store.history.request(asked, 1.0)
    first, second = (new.task for new in asked.tasks)
    store.history.append(asked.run, events.Cancelled(first, State.WAITING), 2.0)
    for event in (
        events.StagingBegan(second, State.WAITING),
        events.Staged(second, State.STAGING, "t" * 64),
        events.Submitted(second, State.SUBMITTING),
    ):
        store.history.append(asked.run, event, 2.0)
    assert store.queue.claim("a", 10.0, 5.0) is None


def test_a_worker_may_keep_to_some_runs(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    assert store.queue.claim("a", 10.0, 5.0, [RunId("other")]) is None
    assert store.queue.claim("a", 10.0, 5.0, [asked.run]) is not None


def test_mates_are_of_the_same_run_state_and_submission(store: Store) -> None:
    asked, other = request("one"), request("two")
    for event in (asked, other):
        store.history.request(event, 1.0)
    store.history.append(asked.run, events.StagingBegan(asked.tasks[2].task, State.WAITING), 2.0)
    claim = store.queue.claim("a", 10.0, 5.0, [asked.run])
    assert claim is not None
    mates = store.queue.claim_mates(claim, 10.0, 5.0, 10)
    assert [mate.task for mate in mates] == [asked.tasks[1].task]


def test_the_leases_of_the_dead_are_freed_at_once(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    store.queue.claim("dead", 10.0, 500.0)
    store.sites.claim("local", "dead", 10.0, 500.0)
    assert store.queue.owners(11.0) == ["dead"]
    store.queue.free("dead")
    assert store.queue.claim("b", 11.0, 5.0) is not None
    assert store.sites.claim("local", "b", 11.0, 5.0) is not None


WORKER = """
import sys
from slidegate.domain import events
from slidegate.domain.errors import Outdated
from slidegate.domain.states import State
from slidegate.store import Store
import time
store = Store.open(sys.argv[1])
moved = 0
for _ in range(2000):
    if not any(task["state"] == "waiting" for task in store.runs.tasks(sys.argv[3])):
        break
    claim = store.queue.claim(sys.argv[2], time.time(), 0.01)
    if claim is None or claim.row["state"] != "waiting":
        continue
    try:
        began = events.StagingBegan(claim.task, State.WAITING)
        store.history.append(claim.run, began, time.time(), claim.held)
        moved += 1
    except Outdated:
        pass
    store.queue.finish([claim], not_before=time.time() + 500)
print(moved)
"""


@pytest.mark.slow
def test_two_worker_processes_on_one_file_never_both_move_a_task(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    store = Store.open(url)
    asked = request(tasks=150)
    store.history.request(asked, time.time())
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, name, asked.run], stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    moved = [int(process.communicate(timeout=120)[0]) for process in processes]
    history = store.history.of(asked.run)
    store.close()
    assert sum(moved) == 150
    assert min(moved) > 0
    assert [event.kind for event in history].count("staging-began") == 150
    assert len({event.task for event in history[1:]}) == 150
