# SPDX-License-Identifier: BSD-3-Clause
"""A real store and a real folder; a source that does what a test says, and a clock that a test moves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slidegate.domain.values import ImageRef
from slidegate.sources.base import ImageInfo
from slidegate.store import Store
from slidegate.worker import Worker
from slidegate.worker.places import Places
from slidegate.worker.tools import Pace, Tools


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Source:
    """An ImageSource whose staging does what the test says."""

    name: str = "folder"
    do: Callable[[], None] = lambda: None
    print: str = "f1"
    staged: list[ImageRef] = field(default_factory=list)

    def find(self, where: str) -> list[ImageRef]:
        return [ImageRef("folder", where)]

    def describe(self, ref: ImageRef) -> ImageInfo:
        return ImageInfo(ref.image, (1, 1, 1), "uint8", ("",), None, 1)

    def fingerprint(self, ref: ImageRef) -> str:
        self.do()
        return self.print

    def content_digest(self, ref: ImageRef, progress: object = None) -> str:
        return "c" * 64

    def stage(
        self, ref: ImageRef, folder: Path, progress: object = None, *, parts: Path | None = None
    ) -> None:
        self.staged.append(ref)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/slidegate.db")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def tools(store: Store, clock: Clock, source: Source, tmp_path: Path) -> Tools:
    def no_sink(out: str) -> None:
        raise NotImplementedError(out)

    return Tools(
        store=store,
        sources={"folder": source},
        sinks=no_sink,
        gates={},
        clock=clock,
        places=Places(tmp_path),
        pace=Pace(retry_seconds=1.0),
    )


@pytest.fixture
def worker(tools: Tools) -> Iterator[Worker]:
    made = Worker(tools)
    yield made
    made.close()
