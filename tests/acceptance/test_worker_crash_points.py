# SPDX-License-Identifier: BSD-3-Clause
"""A worker dies at every point that others could tell apart: before and after each write and message."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
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

POINTS = 90


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@dataclass
class Fate:
    """Counts the points that were passed, and kills at one of them; a dead process does nothing any more."""

    dies_at: int
    passed: int = 0

    def point(self) -> None:
        self.passed += 1
        if self.passed >= self.dies_at:
            raise Killed


class MortalLink:
    """A real link; its process may die before a request is sent and before its answer is seen."""

    def __init__(self, link: Link, fate: Fate) -> None:
        self._link = link
        self._fate = fate

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


def new_image(place: Place, number: int) -> Path:
    path = place.root / f"image{number}.tif"
    tifffile.imwrite(path, np.random.default_rng(number).integers(0, 4000, (16, 16), dtype=np.uint16))
    return path


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


@pytest.mark.slow
@pytest.mark.parametrize("dies_at", range(1, POINTS))
def test_wherever_a_worker_dies_the_next_one_finishes_with_one_effect(place: Place, dies_at: int) -> None:
    out = place.root / f"out{dies_at}"
    with place.open() as house:
        run = house.runs.request("count_bytes", [str(new_image(place, dies_at))], {}, str(out)).run
        died = live_and_die(place, house, run, Fate(dies_at))
        view = work(house, run)
        history = house.store.history.of(run)
        assert house.store.runs.view(run) == fold(run, history)
    assert view.state == "succeeded"
    assert [event.kind for event in history].count("published") == 1
    assert [event.kind for event in history].count("computed") == 1
    assert view.tasks[0].attempt == 1
    assert [path.name for path in out.iterdir()] == [f"image{dies_at}"]
    assert died or dies_at > 50


@pytest.mark.slow
def test_every_point_of_a_run_is_among_those_that_are_tried(place: Place) -> None:
    with place.open() as house:
        run = house.runs.request("count_bytes", [str(new_image(place, 0))], {}, str(place.out)).run
        fate = Fate(10**9)
        assert not live_and_die(place, house, run, fate)
        assert fate.passed > 50
