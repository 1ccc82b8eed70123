# SPDX-License-Identifier: BSD-3-Clause
import re

import pytest

import slidegate.sites.errors
import slidegate.store.database
import slidegate.worker.errors  # noqa: F401  (all errors are to be known)
from slidegate.domain import errors, events
from slidegate.domain.run import identity, run_id, run_of, task_id
from slidegate.domain.values import Digest, ImageRef, RunId, Selection, TaskId, attempt_key, canonical_json

PARTS = {
    "person": "ada",
    "release": Digest("r"),
    "parameters": {"a": 1},
    "contents": [Digest("x"), Digest("y")],
}


def test_the_same_request_has_the_same_identity_whatever_the_order_of_images_and_parameters() -> None:
    first = identity("ada", Digest("r"), {"a": 1, "b": 2.5}, [Digest("x"), Digest("y")])
    assert first == identity("ada", Digest("r"), {"b": 2.5, "a": 1}, [Digest("y"), Digest("x")])


@pytest.mark.parametrize(
    "other",
    [
        {"person": "bob"},
        {"release": Digest("s")},
        {"parameters": {"a": 2}},
        {"contents": [Digest("x")]},
        {"contents": [Digest("x"), Digest("x"), Digest("y")]},
    ],
)
def test_another_person_release_parameter_or_image_makes_another_identity(other: dict) -> None:
    assert identity(**PARTS) != identity(**(PARTS | other))


def test_attempts_of_different_runs_tasks_and_numbers_have_different_keys() -> None:
    runs = [run_id(Digest("i"), 0), run_id(Digest("i"), 1)]
    keys = {attempt_key(run, task_id(run, n), attempt) for run in runs for n in (1, 2) for attempt in (1, 2)}
    assert len(keys) == 8
    assert all(len(key) == 64 for key in keys)


def test_a_task_names_its_run() -> None:
    assert run_of(task_id(RunId("0123456789ab"), 7)) == "0123456789ab"
    assert task_id(RunId("r"), 7) == TaskId("r.7")


def test_a_selection_holds_each_image_once_in_the_order_of_choosing() -> None:
    a, b = ImageRef("folder", "/a"), ImageRef("folder", "/b")
    assert list(Selection.of([b, a, b])) == [b, a]


def test_canonical_json_is_ascii_and_sorted_and_refuses_what_is_not_a_number() -> None:
    assert canonical_json({"b": "µ", "a": [1.5, None]}) == b'{"a":[1.5,null],"b":"\\u00b5"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


ROOMS = ("domain", "store", "sites", "worker")


def every_error(base: type[errors.SlidegateError]) -> list[type[errors.SlidegateError]]:
    found = [base] + [deeper for sub in base.__subclasses__() for deeper in every_error(sub)]
    return [kind for kind in found if kind.__module__.split(".")[1] in ROOMS]


@pytest.mark.parametrize("kind", every_error(errors.SlidegateError), ids=lambda kind: kind.__name__)
def test_every_error_has_a_sentence_a_code_and_an_exit_code(kind: type[errors.SlidegateError]) -> None:
    assert kind().message.endswith(".")
    assert re.fullmatch("[a-z]+(-[a-z]+)*", kind.code)
    assert kind.exit_code > 0


def test_error_codes_are_not_used_twice() -> None:
    codes = [kind.code for kind in every_error(errors.SlidegateError)]
    assert sorted(codes) == sorted(set(codes))


def test_every_kind_of_event_has_its_own_name() -> None:
    assert len(events.KINDS) == len(set(events.KINDS)) == 18
