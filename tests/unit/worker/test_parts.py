# SPDX-License-Identifier: BSD-3-Clause
"""The small parts of a worker."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slidegate.domain.errors import BadParameter
from slidegate.domain.events import CollectAgain, Event, Failed, Retried, Staged, StagedDataLost, StagingBegan
from slidegate.domain.parameters import complete
from slidegate.domain.states import State
from slidegate.domain.values import AttemptKey
from slidegate.sources.errors import DiskFullError, ImageUnreadableError, StorageFailedError
from slidegate.store import Store
from slidegate.worker.errors import NoLongerWanted
from slidegate.worker.holding import Holding
from slidegate.worker.places import Places
from slidegate.worker.plans import make_plan
from slidegate.worker.staging import forget_begun
from slidegate.worker.staging import stage as stage_task
from slidegate.worker.tools import Tools
from tests.unit.domain.histories import request
from tests.unit.worker.conftest import Clock, Source

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["diameter"],
    "properties": {
        "diameter": {"type": "number", "minimum": 2, "maximum": 50},
        "block": {"type": "integer", "default": 2048},
        "channel": {"type": "string", "default": "0", "maxLength": 10},
        "fast": {"type": "boolean", "default": False},
        "mode": {"type": "string", "enum": ["a", "b"]},
    },
}


def test_parameters_are_completed_with_defaults_and_read_from_text() -> None:
    found = complete(SCHEMA, {"diameter": "8.5", "block": "512", "fast": "yes", "channel": 1})
    assert found == {"diameter": 8.5, "block": 512, "fast": True, "channel": "1"}
    assert complete(SCHEMA, {"diameter": 8, "block": 512.0})["block"] == 512


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "'diameter' is a required"),
        ({"diameter": "eight"}, "'diameter' must be a number, not 'eight'"),
        ({"diameter": 1}, "'diameter' does not fit: 1 is less than"),
        ({"diameter": 8, "block": "1.5"}, "'block' must be a whole number"),
        ({"diameter": 8, "block": 1.5}, "'block' does not fit"),
        ({"diameter": 8, "fast": "maybe"}, "'fast' must be true or false"),
        ({"diameter": 8, "mode": "c"}, "'mode' does not fit"),
        ({"diameter": 8, "speed": 1}, "no parameter 'speed'. This workflow has: block, channel, diameter"),
        ({"diameter": "nan"}, "'diameter'"),
        ({"diameter": "inf"}, "'diameter'"),
        ({"diameter": True}, "'diameter' does not fit"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadParameter, match=words):
        complete(SCHEMA, given)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from([*SCHEMA["properties"], "x"]), st.text(max_size=9) | st.integers() | st.none()
    )
)
def test_whatever_is_given_is_completed_or_refused(given: dict[str, Any]) -> None:
    try:
        found = complete(SCHEMA, given)
    except BadParameter:
        return
    assert set(SCHEMA["properties"]) - {"mode"} <= set(found)


RUN = {
    "id": "0123456789ab",
    "person": "ada",
    "workflow": "count",
    "identity": "i" * 64,
    "release": "r" * 64,
    "parameters": {"byte": 0},
    "counts": {"submitting": 2},
}


def row(number: int) -> dict[str, Any]:
    return {
        "id": f"0123456789ab.{number}",
        "number": number,
        "attempt": 1,
        "attempt_key": f"{number:064d}",
        "input": "t" * 64,
        "regions": None,
        "content": "c" * 64,
        "image": "/data/Jane_Doe.tif",
        "name": "Jane_Doe.tif",
    }


def test_a_plan_is_the_same_whenever_and_in_whatever_order_it_is_made() -> None:
    assert make_plan(RUN, [row(1), row(2)]) == make_plan(RUN, [row(2), row(1)])
    assert make_plan(RUN, [row(1)]).submission != make_plan(RUN, [row(2)]).submission


def test_a_plan_names_no_image() -> None:
    assert b"Jane" not in make_plan(RUN, [row(1)]).text


def test_what_an_earlier_lease_had_is_taken_over_but_for_images_that_are_others_now(tmp_path: Path) -> None:
    places = Places(tmp_path)
    key = AttemptKey("a" * 64)
    for folder in (
        places.fetching(key, 1),
        places.converting("run.1", "as it is"),
        places.converting("run.11", "as it was"),
        places.staging / "other",
    ):
        folder.mkdir(parents=True)
        (folder / "x").write_text("x")
    (places.converting("run.1", "as it is").with_suffix(".as-it-was")).mkdir()
    assert (places.fetching(key, 2) / "x").is_file()
    assert (places.converting("run.1", "as it is") / "x").is_file()
    assert [task for task, _ in places.begun()] == ["run.1", "run.11"]
    assert not places.converting("run.1", "changed").exists()
    assert [task for task, _ in places.begun()] == ["run.11"]
    assert (places.staging / "other").exists()


def test_what_was_kept_of_images_goes_when_their_tasks_have_ended(tools: Tools, store: Store) -> None:
    asked = request(tasks=2)
    store.history.request(asked, 1.0)
    going, ended = (task["id"] for task in store.runs.tasks(asked.run))
    store.history.append(asked.run, Failed(ended, State.WAITING, "image-unusable", "No."), 2.0)
    for task in (going, ended, "0123456789ab.1"):
        tools.places.converting(task, "print").mkdir(parents=True)
    forget_begun(tools)
    assert [task for task, _ in tools.places.begun()] == [going]


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (StorageFailedError(), True),
        (NoLongerWanted(), True),
        (KeyboardInterrupt(), True),
        (ImageUnreadableError(), True),  # whoever grants it may ask again
        (DiskFullError(), False),
    ],
)
def test_what_a_source_has_kept_stays_unless_the_disk_is_full(
    tools: Tools, store: Store, clock: Clock, source: Source, error: BaseException, kept: bool
) -> None:
    def stage(ref: object, folder: Path, progress: object, *, parts: Path) -> None:
        parts.mkdir(exist_ok=True)
        (parts / str(len(list(parts.iterdir())))).write_text("a part")
        raise error

    store.history.request(request(tasks=1), 1.0)
    source.stage = stage  # type: ignore[method-assign, assignment]
    held = store.queue.claim("me", clock.now, 100.0)
    assert held is not None
    tools = replace(tools, gates={"local": object()})  # type: ignore[dict-item]
    for _ in range(2):
        with Holding(store, [held], clock, 100.0) as hold, pytest.raises(type(error)):
            stage_task(tools, held, hold)
    found = [path for _, folder in tools.places.begun() for path in folder.glob("parts/*")]
    assert len(found) == (2 if kept else 0)


@pytest.mark.parametrize("flushed", [True, False])
def test_an_image_that_was_whole_when_its_worker_died_is_read_again_only_if_it_may_not_be_on_the_disk(
    tools: Tools, store: Store, clock: Clock, source: Source, flushed: bool
) -> None:
    class Gate:
        def missing(self, *_tree: object) -> bool:
            return False

    staged = []

    def stage(ref: object, folder: Path, progress: object, *, parts: Path) -> None:
        staged.append(ref)
        folder.mkdir()
        (folder / "zarr.json").write_text("{}")
        if flushed:
            parts.mkdir(exist_ok=True)
        if len(staged) == 1:
            raise KeyboardInterrupt

    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    store.history.append(asked.run, StagingBegan(asked.tasks[0].task, State.WAITING), 2.0)
    source.stage = stage  # type: ignore[method-assign, assignment]
    held = store.queue.claim("me", clock.now, 100.0)
    assert held is not None
    tools = replace(tools, gates={"local": Gate()})  # type: ignore[dict-item]
    with Holding(store, [held], clock, 100.0) as hold, pytest.raises(KeyboardInterrupt):
        stage_task(tools, held, hold)
    with Holding(store, [held], clock, 100.0) as hold:
        stage_task(tools, held, hold)
    assert len(staged) == (1 if flushed else 2)
    assert list(tools.places.begun()) == []


def test_leftovers_are_what_no_unfinished_task_needs(tmp_path: Path) -> None:
    places = Places(tmp_path)
    for name in ("staging/run.1.2", "staging/gone.1.2", "staging/tree", "collected/key", "collected/old.1"):
        (tmp_path / name).mkdir(parents=True)
    found = places.leftovers({"run.1"}, {"tree"}, {"key"})
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "staging/gone.1.2",
        "collected/old.1",
    ]


def test_progress_of_a_task_that_is_not_wanted_any_more_ends_the_work(store: Store, clock: Clock) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    held = store.queue.claim("me", clock.now, 100.0)
    assert held is not None
    with Holding(store, [held], clock, 100.0) as hold:
        note = hold.note("reading")
        note(1, 10)
        assert store.runs.task(held.task)["done"] == 1
        note(2, 10)
        assert store.runs.task(held.task)["done"] == 1
        store.asking.cancel(asked.run, 2.0)
        clock.now += 1
        with pytest.raises(NoLongerWanted):
            note(3, 10)


def test_a_lease_is_renewed_beside_the_work(store: Store, clock: Clock) -> None:
    store.history.request(request(tasks=1), 1.0)
    held = store.queue.claim("me", clock.now, 0.1)
    assert held is not None
    with Holding(store, [held], clock, 0.1) as hold:
        clock.now += 500
        assert hold._done.wait(0.3) is False
    assert store.runs.task(held.task)["lease_until"] > clock.now


@pytest.mark.parametrize(
    "again",
    [
        lambda task, run: Retried(task, State.FAILED, run, 9),
        lambda task, _run: CollectAgain(task, State.FAILED),
    ],
)
def test_data_that_keeps_vanishing_is_given_up_and_who_asks_again_starts_the_count_anew(
    tools: Tools, store: Store, again: Callable[[str, str], Event]
) -> None:
    asked = request(tasks=1)
    task = asked.tasks[0].task
    store.history.request(asked, 1.0)
    history = store.history

    def to_submitting() -> None:
        if store.runs.task(task)["state"] == "waiting":
            history.append(asked.run, StagingBegan(task, State.WAITING), 2.0)
        history.append(asked.run, Staged(task, State.STAGING, "t" * 64), 2.0)

    for _ in range(tools.pace.restagings):
        to_submitting()
        lost = tools.lost_data(store.runs.task(task), "gone")
        assert isinstance(lost, StagedDataLost)
        history.append(asked.run, lost, 3.0)
    to_submitting()
    end = tools.lost_data(store.runs.task(task), "gone")
    assert isinstance(end, Failed)
    assert (end.code, end.message) == ("data-keeps-vanishing", "Gave up after 3 more tries: gone")
    history.append(asked.run, end, 4.0)
    history.append(asked.run, again(task, asked.run), 5.0)
    if store.runs.task(task)["state"] == "waiting":
        to_submitting()
    assert isinstance(tools.lost_data(store.runs.task(task), "gone"), StagedDataLost)
