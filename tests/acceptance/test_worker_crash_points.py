# SPDX-License-Identifier: BSD-3-Clause
"""A worker dies at every point that others could tell apart: before and after each write and message."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import tifffile

from slidegate.domain.events import fold
from slidegate.domain.values import RunId
from slidegate.sites import Gate, Link, PipeLink
from slidegate.sites.link import Frame, Message
from slidegate.store import Store
from slidegate.wiring import House, KeptHeads
from slidegate.worker import Worker
from slidegate.worker.tools import Tools
from tests.acceptance.embedded import Place, work

# How many points there are at most while a Task is in each state: what is slow notes more progress, and at a
# site they go on as long as somebody waits.
POINTS = {
    "waiting": 3,
    "staging": 34,
    "submitting": 18,
    "queued": 24,
    "running": 20,
    "collecting": 18,
    "publishing": 8,
}
WAITED_FOR = {"queued", "running"}
CERTAIN = 0.75


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@dataclass
class Fate:
    """Counts the points that were passed in each state of the Task, and kills at one of them.

    A dead process does nothing any more.
    """

    state_now: Callable[[], str]
    dies_in: str = ""
    dies_at: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    dead: bool = False

    def point(self) -> None:
        state = self.state_now()
        self.passed[state] += 1
        self.dead = self.dead or (state == self.dies_in and self.passed[state] >= self.dies_at)
        if self.dead:
            raise Killed


class MortalLink:
    """A real link; its process may die before a request is sent and before its answer is seen."""

    def __init__(self, link: Link, fate: Fate) -> None:
        self._link = link
        self._fate = fate

    closed = False

    def exchange(self, request: Message, body: bytes = b"") -> Frame:
        raise NotImplementedError

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        self._fate.point()
        for answer in self._link.stream(requests):
            self._fate.point()
            yield answer

    def close(self) -> None:
        self._link.close()


def mortal(store: Store, fate: Fate) -> Store:
    """Return the same store for a process that may die before and after each commit."""
    twin = Store.open(str(store.database.engine.url))
    write: Callable[[], Any] = twin.database.write

    @contextmanager
    def mortal_write() -> Iterator[Any]:
        fate.point()
        with write() as connection:
            yield connection
        fate.point()

    twin.database.write = mortal_write  # type: ignore[method-assign]
    return twin


@contextmanager
def mortal_tools(place: Place, house: House, fate: Fate) -> Iterator[Tools]:
    settings = place.settings
    store = mortal(house.store, fate)
    argv = [str(settings.python), "-IS", str(place.site / "current"), "serve", "--home", str(place.site)]
    links: list[PipeLink] = []

    def connect() -> MortalLink:
        fate.point()
        links.append(PipeLink([*argv, "--key", "local"]))
        return MortalLink(links[-1], fate)

    yield replace(house.tools, store=store, gates={"local": Gate(connect, KeptHeads(store, "local"))})
    for link in links:
        link.close()
    store.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("crashes"))
    made.prepare()
    return made


def live_and_die(place: Place, house: House, run: RunId, fate: Fate) -> bool:
    """Work until the process dies or the Run has ended; return whether it died."""
    with mortal_tools(place, house, fate) as tools:
        worker = None
        try:
            worker = Worker(tools, [run])
            while house.runs.show(run).state in ("waiting", "active"):
                worker.step()
        except Killed:
            return True
        finally:
            if worker is not None:
                os.close(worker._presence._handle)  # as the kernel does
    return False


def ask(place: Place, house: House, name: str) -> tuple[RunId, Callable[[], str]]:
    """Ask for a Run on a new image; return it, and what tells the state of its Task."""
    image = place.root / f"{name}.tif"
    number = int.from_bytes(name.encode(), "big")
    tifffile.imwrite(image, np.random.default_rng(number).integers(0, 4000, (16, 16), dtype=np.uint16))
    run = house.runs.request("ada", "count_bytes", [str(image)], {}, str(place.root / f"out-{name}")).run
    return run, lambda: str(house.store.runs.tasks(run)[0]["state"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "number"), [(state, number + 1) for state, most in POINTS.items() for number in range(most)]
)
def test_wherever_a_worker_dies_the_next_one_finishes_with_one_effect(
    place: Place, state: str, number: int
) -> None:
    name = f"{state}{number}"
    with place.open() as house:
        run, state_now = ask(place, house, name)
        died = live_and_die(place, house, run, Fate(state_now, state, number))
        view = work(house, run)
        history = house.store.history.of(run)
        assert house.store.runs.view(run) == fold(run, history)
    assert view.state == "succeeded"
    assert [event.kind for event in history].count("published") == 1
    assert [event.kind for event in history].count("computed") == 1
    assert view.tasks[0].attempt == 1
    assert [path.name for path in (place.root / f"out-{name}").iterdir()] == [name]
    assert died or state in WAITED_FOR or number > CERTAIN * POINTS[state]


@pytest.mark.slow
def test_every_point_of_a_run_is_among_those_that_are_tried(place: Place) -> None:
    with place.open() as house:
        run, state_now = ask(place, house, "whole")
        fate = Fate(state_now)
        assert not live_and_die(place, house, run, fate)
    for state in POINTS.keys() - WAITED_FOR:
        assert CERTAIN * POINTS[state] <= fate.passed[state] <= POINTS[state], state
