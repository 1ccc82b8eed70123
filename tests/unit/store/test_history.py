# SPDX-License-Identifier: BSD-3-Clause
from collections import Counter
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slidegate.domain import events
from slidegate.domain.errors import IllegalMove, Outdated, RunStillActive, UnknownRun
from slidegate.domain.events import fold
from slidegate.domain.states import FINISHED, State, run_state
from slidegate.domain.values import AttemptKey, RunId
from slidegate.store import Store
from slidegate.store.history import Held
from slidegate.store.leases import CANCEL, STEPS
from tests.unit.domain.histories import Walker, request


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(draw=st.data())
def test_folding_the_history_gives_the_rows_after_any_history(store: Store, draw: st.DataObject) -> None:
    word = uuid4().hex
    asked = [request(f"{name} {word}") for name in ("one", "two")]
    walkers = [Walker.of(event) for event in asked]
    for event in asked:
        assert store.history.request(event, at=1.0)
    for at in range(draw.draw(st.integers(0, 20))):
        walker = draw.draw(st.sampled_from(walkers))
        event = walker.next_event(draw)
        store.history.append(walker.run, event, at)
        walker.done(event)
    for walker in walkers:
        check(store, walker)


def check(store: Store, walker: Walker) -> None:
    """Fail unless the rows of a Run, and what is kept beside them, are what its history says."""
    history = store.history.of(walker.run)
    tasks = store.runs.tasks(walker.run)
    assert store.runs.view(walker.run) == fold(walker.run, history)
    assert {task["id"]: task["state"] for task in tasks} == walker.state
    row = store.pages.run_row(walker.run)
    assert row.counts == Counter(walker.state.values())
    assert row.state == run_state(walker.state.values())
    assert row.seq == len(history)
    assert (row.ended_at is not None) == (row.state in FINISHED)
    for task in tasks:
        step = STEPS.get(State(task["state"]), 0)
        assert task["claimable"] == (CANCEL if step and task["wanted"] == "cancel" else step)


def test_a_run_is_made_once(store: Store) -> None:
    asked = request()
    assert store.history.request(asked, 1.0)
    store.history.append(asked.run, events.StagingBegan(asked.tasks[0].task, State.WAITING), 2.0)
    assert not store.history.request(asked, 3.0)
    assert [task["state"] for task in store.runs.tasks(asked.run)] == ["staging", "waiting", "waiting"]
    assert len(store.history.of(asked.run)) == 2
    assert store.history.request(request(generation=1), 4.0)
    assert store.runs.newest(asked.identity) == (request(generation=1).run, 2)


def test_of_two_movers_from_the_same_state_one_wins_and_the_other_writes_nothing(store: Store) -> None:
    asked = request(tasks=1)
    task = asked.tasks[0].task
    store.history.request(asked, 1.0)
    store.history.append(asked.run, events.StagingBegan(task, State.WAITING), 2.0)
    with pytest.raises(Outdated):
        store.history.append(asked.run, events.Cancelled(task, State.WAITING), 3.0)
    assert [event.kind for event in store.history.of(asked.run)] == ["run-requested", "staging-began"]


def test_a_move_that_is_not_in_the_table_is_refused_and_leaves_nothing(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    with pytest.raises(IllegalMove):
        store.history.append(asked.run, events.Published(asked.tasks[0].task, State.WAITING, "/out"), 2.0)
    assert len(store.history.of(asked.run)) == 1


def test_several_events_are_written_together_or_not_at_all(store: Store) -> None:
    asked = request(tasks=2)
    store.history.request(asked, 1.0)
    first, second = (new.task for new in asked.tasks)
    store.history.append(asked.run, events.StagingBegan(second, State.WAITING), 2.0)
    pairs = [(events.StagingBegan(task, State.WAITING), Held()) for task in (first, second)]
    with pytest.raises(Outdated):
        store.history.append_all(asked.run, pairs, 3.0)
    assert store.runs.task(first)["state"] == "waiting"
    assert len(store.history.of(asked.run)) == 2


def test_a_move_for_an_attempt_that_is_no_longer_the_tasks_is_not_written(store: Store) -> None:
    asked = request(tasks=1)
    task = asked.tasks[0].task
    store.history.request(asked, 1.0)
    held = Held(attempt_key=AttemptKey("0" * 64))
    with pytest.raises(Outdated):
        store.history.append(asked.run, events.Cancelled(task, State.WAITING), 2.0, held)
    right = Held(attempt_key=store.runs.task(task)["attempt_key"])
    store.history.append(asked.run, events.Cancelled(task, State.WAITING), 2.0, right)


def test_a_history_is_numbered_without_gaps_and_dated(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.5)
    store.history.append(asked.run, events.OutChosen("folder:/b"), 2.5)
    assert [at for at, _event in store.history.dated(asked.run)] == [1.5, 2.5]
    assert store.runs.run(asked.run)["seq"] == 2


def test_deleting_a_run_takes_its_history_too_but_never_while_it_is_active(store: Store) -> None:
    asked, other = request("one", tasks=1), request("two", tasks=1)
    for event in (asked, other):
        store.history.request(event, 1.0)
    with pytest.raises(RunStillActive):
        store.runs.delete(asked.run)
    store.history.append(asked.run, events.Cancelled(asked.tasks[0].task, State.WAITING), 2.0)
    store.runs.delete(asked.run)
    assert store.history.of(asked.run) == []
    with pytest.raises(UnknownRun):
        store.runs.run(asked.run)
    with pytest.raises(Outdated):
        store.history.append(asked.run, events.OutChosen("folder:/x"), 3.0)
    assert len(store.runs.tasks(other.run)) == 1


def test_the_name_of_a_deleted_run_is_given_to_no_other(store: Store) -> None:
    asked, second = request(tasks=1), request(generation=1, tasks=1)
    for event in (asked, second):
        store.history.request(event, 1.0)
        store.history.append(event.run, events.Cancelled(event.tasks[0].task, State.WAITING), 2.0)
    store.runs.delete(second.run)
    assert store.runs.newest(asked.identity) == (asked.run, 2)
    store.runs.delete(asked.run)
    store.runs.delete(asked.run)
    assert store.runs.newest(asked.identity) == (None, 2)
    assert store.runs.newest(request("other").identity) == (None, 0)


def test_the_wish_to_cancel_is_written_once_per_unfinished_task(store: Store) -> None:
    asked = request(tasks=2)
    store.history.request(asked, 1.0)
    store.history.append(asked.run, events.Failed(asked.tasks[0].task, State.WAITING, "x", "X."), 2.0)
    assert store.asking.cancel(asked.run, 3.0) == 1
    assert store.asking.cancel(asked.run, 4.0) == 0
    assert [task["wanted"] for task in store.runs.tasks(asked.run)] == ["run", "cancel"]


def test_a_run_is_found_by_the_beginning_of_its_name_and_as_the_last(store: Store) -> None:
    first, second = request("one"), request("two")
    store.history.request(first, 1.0)
    store.history.request(second, 2.0)
    assert store.runs.find(first.run[:6]) == first.run
    assert store.runs.find("last") == second.run
    for name in ("", "nothing", "../x"):
        with pytest.raises(UnknownRun):
            store.runs.find(RunId(name))
