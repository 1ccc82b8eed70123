# SPDX-License-Identifier: BSD-3-Clause
import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slidegate.domain.errors import IllegalMove
from slidegate.domain.events import (
    BadHistory,
    CancelWanted,
    CollectAgain,
    Computed,
    Failed,
    Retried,
    event_of,
    fold,
)
from slidegate.domain.states import FINISHED, MOVES, State, check_move, run_state
from slidegate.domain.values import attempt_key
from tests.unit.domain.histories import Walker, request

WAY = ["waiting", "staging", "submitting", "queued", "running", "collecting", "publishing", "succeeded"]


def test_the_way_forward_is_allowed_step_by_step() -> None:
    for frm, to in itertools.pairwise(WAY):
        check_move(State(frm), State(to))


@pytest.mark.parametrize("state", sorted(set(State) - FINISHED))
def test_every_unfinished_task_can_fail_and_can_be_cancelled(state: State) -> None:
    assert {State.FAILED, State.CANCELLED} <= MOVES[state]


@pytest.mark.parametrize("state", sorted(State))
def test_success_can_be_reached_from_every_state(state: State) -> None:
    seen, todo = set(), [state]
    while todo:
        at = todo.pop()
        todo += MOVES[at] - seen
        seen.add(at)
    assert State.SUCCEEDED in seen


@settings(deadline=None)
@given(st.sampled_from(sorted(State)), st.sampled_from(sorted(State)))
def test_what_is_not_in_the_table_is_refused(frm: State, to: State) -> None:
    if to in MOVES[frm]:
        check_move(frm, to)
    else:
        with pytest.raises(IllegalMove):
            check_move(frm, to)


def test_success_is_reached_only_by_publishing() -> None:
    assert [state for state in State if State.SUCCEEDED in MOVES[state]] == [State.PUBLISHING]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        (["waiting", "waiting"], "waiting"),
        (["waiting", "succeeded"], "active"),
        (["failed", "running"], "active"),
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "failed", "cancelled"], "failed"),
        (["succeeded", "cancelled"], "cancelled"),
    ],
)
def test_the_state_of_a_run_is_derived_from_its_tasks(tasks: list[str], expected: str) -> None:
    assert run_state(State(task) for task in tasks) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_events_survive_json_and_fold_to_where_the_moves_lead(draw: st.DataObject) -> None:
    asked = request()
    walker = Walker.of(asked)
    history = [asked]
    for _ in range(draw.draw(st.integers(0, 25))):
        event = walker.next_event(draw)
        walker.done(event)
        history.append(event)
    read = [event_of(event.kind, json.loads(json.dumps(event.body()))) for event in history]
    assert [event.body() for event in read] == [event.body() for event in history]
    rows = fold(asked.run, read)
    assert {task: row["state"] for task, row in rows["task"].items()} == walker.state
    for task, row in rows["task"].items():
        assert row["attempt_key"] == attempt_key(asked.run, task, walker.attempt[task])


def test_a_retried_task_has_no_error_and_no_result_left() -> None:
    asked = request(tasks=1)
    task = asked.tasks[0].task
    rows = fold(
        asked.run,
        [
            asked,
            Computed(task, State.RUNNING, "d" * 64, {}),
            Failed(task, State.COLLECTING, "disk-full", "The disk is full."),
            Retried(task, State.FAILED, asked.run, 2),
        ],
    )
    row = rows["task"][task]
    assert (row["error"], row["error_code"], row["output"], row["attempt"]) == (None, None, None, 2)


@pytest.mark.parametrize(
    ("kind", "body"), [("invented", {}), ("failed", {"task": "r.1"}), ("cancel-wanted", {"task": 1, "x": 2})]
)
def test_a_fact_of_unknown_form_is_refused(kind: str, body: dict) -> None:
    with pytest.raises(BadHistory):
        event_of(kind, body)


@pytest.mark.parametrize(("frm", "wanted"), [(State.PUBLISHING, "cancel"), (State.SUCCEEDED, "run")])
def test_only_a_person_who_asks_again_takes_a_wish_to_cancel_back(frm: State, wanted: str) -> None:
    asked = request(tasks=1)
    task = asked.tasks[0].task
    rows = fold(asked.run, [asked, CancelWanted(task), CollectAgain(task, frm)])
    assert rows["task"][task]["wanted"] == wanted
