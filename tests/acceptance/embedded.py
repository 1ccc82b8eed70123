# SPDX-License-Identifier: BSD-3-Clause
"""The embedded default in a folder of its own, with a count of all that is read and sent."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tifffile

from slidegate.domain.events import fold
from slidegate.domain.values import ImageRef, RunId
from slidegate.settings import Settings
from slidegate.sites import Link
from slidegate.sites.link import Frame, Message
from slidegate.sources.folder import FolderSource
from slidegate.wiring import House, open_house
from slidegate.worker import Runs
from slidegate.worker.views import RunView

WORKFLOW = Path(__file__).parents[1] / "data" / "workflows" / "count_bytes"
SECONDS = 90


@dataclass
class Traffic:
    """What was read from the source and sent to the site, in bytes; and how often something was submitted."""

    read: int = 0
    staged: int = 0
    sent: int = 0
    submits: int = 0


class CountedSource(FolderSource):
    """The real source, counted."""

    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self._traffic = traffic

    def content_digest(self, ref: ImageRef, progress: Callable[[int, int], None] | None = None) -> str:
        self._traffic.read += Path(ref.image).stat().st_size
        return super().content_digest(ref, progress)

    def stage(
        self,
        ref: ImageRef,
        folder: Path,
        progress: Callable[[int, int], None] | None = None,
        *,
        parts: Path | None = None,
    ) -> None:
        self._traffic.read += Path(ref.image).stat().st_size
        self._traffic.staged += 1
        super().stage(ref, folder, progress, parts=parts)


class CountedLink:
    """The real link, counted."""

    def __init__(self, link: Link, traffic: Traffic) -> None:
        self._link = link
        self._traffic = traffic

    closed = False

    def exchange(self, request: Message, body: bytes = b"") -> Frame:
        return self._link.exchange(request, body)

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        return self._link.stream(self._counted(requests))

    def _counted(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        for request, body in requests:
            if request["verb"] == "put" and not body.startswith(
                (b'{"attempts"', b'{"entries":[["plan.json"')
            ):
                self._traffic.sent += len(body)
            self._traffic.submits += request["verb"] == "submit"
            yield request, body

    def close(self) -> None:
        self._link.close()


@dataclass
class Place:
    """A folder with a home, images and room for results."""

    root: Path
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.root / "home", workflows_dir=self.root / "workflows", person="ada", cores=2)

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def site(self) -> Path:
        return self.settings.local_site

    @property
    def data(self) -> Path:
        return self.site / "data" / "keys" / "local"

    def make_images(self, count: int, side: int = 64) -> list[str]:
        folder = self.root / "images"
        folder.mkdir(exist_ok=True)
        paths = []
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 4000, (side, side), dtype=np.uint16)
            paths.append(str(folder / f"image{number}.tif"))
            tifffile.imwrite(paths[-1], pixels)
        return paths

    def prepare(self) -> None:
        """Set the site up, with short leases, so that takeovers are quick."""
        shutil.copytree(WORKFLOW, self.root / "workflows" / "count_bytes")
        with open_house(self.settings) as house:
            house.tools.gate("local").hello()
        path = self.site / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"lease_seconds": 1}))

    @contextmanager
    def open(self) -> Iterator[House]:
        with open_house(self.settings) as house:
            gate = house.tools.gates["local"]
            connect = gate._connect
            gate._connect = lambda: CountedLink(connect(), self.traffic)
            tools = replace(house.tools, sources={"folder": CountedSource(self.traffic)})
            yield replace(house, tools=tools, runs=Runs(tools))

    def command(self, *images: str, again: bool = False, out: Path | None = None) -> RunView:
        """Do what the command line does: ask, and work until the Run has ended."""
        with self.open() as house:
            asked = house.runs.request("ada", "count_bytes", images, {}, str(out or self.out), again=again)
            return work(house, asked.run)

    def start(self, *images: str) -> subprocess.Popen[bytes]:
        """Do the same in a process of its own, in a session of its own."""
        argv = [sys.executable, "-m", "tests.acceptance.embedded", str(self.root), *images]
        return subprocess.Popen(
            argv, cwd=Path(__file__).parents[2], start_new_session=True, stdout=subprocess.DEVNULL
        )

    def purge(self) -> None:
        """Let all data at the site vanish, as a scratch file system does."""
        for name in ("blobs", "trees"):
            shutil.rmtree(self.data / name, ignore_errors=True)

    def processes(self, *words: str) -> list[int]:
        """Return the ids of the processes of this place whose command lines hold all of these words."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            except OSError:
                continue
            if any(str(self.root) in part for part in line) and set(words) <= set(line):
                found.append(int(folder.name))
        return found

    def kill(self, *words: str) -> int:
        """Kill -9 those processes."""
        found = self.processes(*words)
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return len(found)


def step_until(house: House, run: RunId, reached: Callable[[RunView], bool]) -> RunView:
    """Work on a Run until it is as wanted; fail when it takes too long."""
    worker = house.worker([run])
    deadline = time.monotonic() + SECONDS
    try:
        while not reached(view := house.runs.show(run)):
            if time.monotonic() > deadline:
                raise AssertionError(f"still {view}")
            if not worker.step():
                time.sleep(0.02)
    finally:
        worker.close()
    return view


def work(house: House, run: RunId) -> RunView:
    """Work on a Run until it has ended."""
    return step_until(house, run, lambda view: view.state not in ("waiting", "active"))


def check_one_effect(place: Place, run: RunId, images: int) -> None:
    """Check that each Task of the only Run was published once, and that history and rows agree."""
    with open_house(place.settings) as house:
        history = house.store.history.of(run)
        assert house.store.runs.view(run) == fold(run, history)
        assert [view.run for view in house.runs.list()] == [run]
        view = house.runs.show(run)
        assert view.counts == {"succeeded": images}
        published = [event.task for event in history if event.kind == "published"]
        assert sorted(published) == sorted(task.task for task in view.tasks)
        keys = {task.attempt_key for task in view.tasks}
    results = [
        json.loads(path.read_bytes()) for path in place.site.glob("state/keys/local/attempts/*/result.json")
    ]
    assert sum(result["state"] == "succeeded" for result in results) == len(results)
    assert len(keys) == images
    folders = sorted(path.name for path in place.out.iterdir())
    assert folders == [f"image{number}" for number in range(images)]
    for number in range(images):
        summary = json.loads((place.out / f"image{number}" / "summary.json").read_text())
        assert summary["files"] >= 2


if __name__ == "__main__":
    ended = Place(Path(sys.argv[1])).command(*sys.argv[2:])
    sys.exit(0 if ended.state == "succeeded" else 1)
