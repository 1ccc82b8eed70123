# SPDX-License-Identifier: BSD-3-Clause
"""Where people have rights of their own, a worker acts for whoever asked, and waits where that can help."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from slidegate.domain import events
from slidegate.domain.errors import SlidegateError
from slidegate.domain.states import State
from slidegate.domain.values import ImageRef, RunId
from slidegate.sources.base import ImageSource, ResultSink
from slidegate.sources.folder import FolderSink
from slidegate.store import Store
from slidegate.worker import Runs, Worker
from slidegate.worker.tools import Tools
from slidegate.worker.wishes.granting import _wake
from tests.unit.domain.histories import request
from tests.unit.worker.conftest import Clock, Source

PLACE = "omero:omero.example.org"


class NotNowError(SlidegateError):
    """Nobody has said yes."""

    code = "omero-no-grant"


@dataclass
class Acts:
    """Acts for people in a place that is not there, and remembers for whom."""

    print: str
    name: str = "omero"
    asked: list[tuple[object, ...]] = field(default_factory=list)
    refusal: SlidegateError | None = None
    patience: int = 0

    def place(self, wishes: Mapping[str, object]) -> str:
        return PLACE

    def serves(self, out: str) -> bool:
        return out.startswith("omero:")

    def source(self, person: str) -> ImageSource:
        self.asked.append(("source", person))
        return Source(name=self.name, print=self.print)  # type: ignore[return-value]

    def sink(self, out: str, person: str) -> ResultSink:
        self.asked.append(("sink", out, person))
        return FolderSink(Path("/nowhere"))

    def refusals(
        self, person: str, images: Collection[ImageRef], writing: bool
    ) -> dict[ImageRef, SlidegateError]:
        self.asked.append(("refusals", person, [image.image for image in images], writing))
        return {} if self.refusal is None else dict.fromkeys(images, self.refusal)

    def undo(self, run: RunId, out: str, person: str) -> int:
        self.asked.append(("undo", out, person))
        return 3

    def waits_for(self, error: SlidegateError, tries: int) -> bool:
        return error.code == NotNowError.code and tries < self.patience

    def grant(self, person: str, user_id: int, name: str, password: str) -> float | None:
        return None

    def revoke(self, person: str) -> None:
        return

    def unseal(self, letter: str) -> bytes:
        return b""

    def hang_up(self, all_of_it: bool) -> None:
        self.asked.append(("hang up", all_of_it))


@pytest.fixture
def acts() -> Acts:
    return Acts("f1")


@pytest.fixture
def acting(tools: Tools, acts: Acts) -> Tools:
    return replace(tools, acting=acts)


@pytest.fixture
def run(store: Store) -> RunId:
    """A Run on an image there, whose results go there; its Task is to be staged."""
    asked = request(tasks=1)
    [task] = asked.tasks
    asked = replace(asked, out=PLACE, tasks=(replace(task, source="omero", image="12"),))
    store.history.request(asked, 1.0)
    store.history.append(asked.run, events.StagingBegan(task.task, State.WAITING), 2.0)
    return asked.run


def test_sources_sinks_and_rights_are_asked_for_with_the_person(acting: Tools, acts: Acts) -> None:
    folder, there = ImageRef("folder", "/images/1.tif"), ImageRef("omero", "12")
    assert acting.source(folder, "ada").name == "folder"
    assert acting.source(there, "ada").name == "omero"
    acting.sink(PLACE, "ada")
    acting.check_rights("ada", [folder, there], PLACE)
    acting.check_rights("ada", [there], "/results")
    assert acts.asked == [
        ("source", "ada"),
        ("sink", PLACE, "ada"),
        ("refusals", "ada", ["12"], True),
        ("refusals", "ada", ["12"], False),
    ]
    acts.refusal = NotNowError()
    with pytest.raises(NotNowError):
        acting.check_rights("ada", [there], PLACE)


def test_rights_are_asked_again_before_an_image_is_read(
    acting: Tools, acts: Acts, store: Store, run: RunId
) -> None:
    acts.refusal = NotNowError()
    worker = Worker(acting)
    worker.step()
    worker.close()
    [row] = store.runs.tasks(run)
    assert (row["state"], row["error_code"]) == (State.FAILED, "omero-no-grant")
    person = store.runs.run(run)["person"]
    assert acts.asked[0] == ("refusals", person, ["12"], True)
    assert ("source", person) not in acts.asked


def test_what_somebody_mends_is_waited_for_however_often_it_failed(
    acting: Tools, acts: Acts, store: Store, clock: Clock, run: RunId
) -> None:
    acts.refusal, acts.patience = NotNowError(), 20
    worker = Worker(acting)
    for _ in range(10):
        worker.step()
        clock.now += 1000.0
    worker.close()
    [row] = store.runs.tasks(run)
    assert (row["state"], row["tries"]) == (State.STAGING, 10)
    assert row["trouble"] == "Nobody has said yes. [omero-no-grant]"
    assert row["not_before"] > clock.now - 1000.0
    _wake(store, store.runs.run(run)["person"], clock.now)
    assert store.runs.tasks(run)[0]["not_before"] == clock.now
    _wake(store, "somebody else", 0.0)
    assert store.runs.tasks(run)[0]["not_before"] == clock.now


def test_results_are_removed_as_the_one_who_had_them_written(
    acting: Tools, acts: Acts, store: Store, run: RunId
) -> None:
    acts.refusal = NotNowError()
    worker = Worker(acting)
    worker.step()
    worker.close()
    person = store.runs.run(run)["person"]
    removed = Runs(acting).delete(run, results=True)
    assert removed[1] == "3 results, tables and files in OMERO"
    assert ("undo", PLACE, person) in acts.asked


def test_a_worker_that_ends_lets_go_of_all_and_one_that_rests_of_what_is_old(
    acting: Tools, acts: Acts
) -> None:
    acting.hang_up(5.0)
    acting.hang_up()
    assert acts.asked == [("hang up", False), ("hang up", True)]
