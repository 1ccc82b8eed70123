# SPDX-License-Identifier: BSD-3-Clause
"""A desk with a real store, real folders and the real embedded site, set up when it is first asked."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from slidegate_analysis.images import create_labels, open_labels

from slidegate.cache import Cache
from slidegate.domain.values import RunId
from slidegate.local_site import PREVIEW
from slidegate.settings import Settings
from slidegate.sources.shelves import Shelves
from slidegate.store import Store
from slidegate.store.wishes import Wish
from slidegate.wiring.gateways import Gateways
from slidegate.wiring.house import tools_of
from slidegate.worker import Runs, Worker
from slidegate.worker.views import RunView
from slidegate.worker.wishes.desk import Desk
from slidegate.worker.wishes.granter import Granter
from tests.small_workflow import manifest, three_steps

SIDE = 64
PROGRAM = """
import json, os, shutil, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))


def plan(request):
    return {"ok": True, "units": ["a", "b", "c"]}


def look(request):
    print("looked at", request["unit"], file=sys.stderr, flush=True)
    time.sleep(request["parameters"]["seconds"])
    if request["parameters"]["fail"]:
        return {"ok": False, "code": "too-dark", "message": "It is \\x1b[31mtoo dark.", "transient": False}
    return {"ok": True}


def finish(request):
    shutil.copytree(os.path.join(HERE, "labels.zarr"), os.path.join(request["out"], "labels.zarr"))
    with open(os.path.join(request["out"], "summary.json"), "w") as file:
        json.dump({"nuclei": 2, "deep": {"a": {"b": 1}, "c": 2}, "long": "x" * 1000, "list": [1]}, file)
    return {"ok": True}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"plan": plan, "look": look, "finish": finish}[request["step"]](request)), flush=True)
"""
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "fail": {"type": "boolean", "default": False},
        "times": {"type": "integer", "default": 1},
        "seconds": {"type": "number", "default": 0},
    },
}


def write_workflow(folder: Path) -> None:
    """Write the workflow `squares`: it finds the same two squares in any image of 64 by 64 pixels."""
    outputs = {
        "labels": {"type": "labels", "path": "labels.zarr"},
        "summary": {"type": "summary", "path": "summary.json"},
    }
    folder.mkdir(parents=True)
    document = manifest("squares", "squares.py", three_steps("look", "fresh"), outputs)
    (folder / "workflow.json").write_text(json.dumps(document))
    (folder / "squares.py").write_text(PROGRAM)
    (folder / "parameters.schema.json").write_text(json.dumps(SCHEMA))
    (folder / "runtime.lock").write_text("")
    labels = np.zeros((SIDE, SIDE), np.uint32)
    labels[8:16, 8:16], labels[8:16, 16:24] = 1, 2
    create_labels(folder / "labels.zarr", labels.shape, shard=256, pixel_size_um=None)
    open_labels(folder / "labels.zarr").write(0, 0, labels)


def write_image(path: Path, seed: int = 0, channels: int = 2, side: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 4000, (channels, side, side), dtype=np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    return path


def has_ended(view: RunView) -> bool:
    return view.state not in ("waiting", "active")


@dataclass
class Office:
    """A place where wishes are asked and granted."""

    root: Path
    store: Store
    desk: Desk
    now: float = field(default_factory=time.time)

    def ask(self, kind: str, body: Mapping[str, Any], person: str = "ada") -> Wish:
        """Ask for something; nothing is granted yet."""
        return self.store.wishes.ask(kind, person, body, self.desk.tools.clock())

    def grant(self, kind: str, body: Mapping[str, Any], person: str = "ada") -> Wish:
        """Ask for something, and let one granter take it once."""
        wish = self.ask(kind, body, person)
        Granter(self.desk).step()
        return self.store.wishes.get(wish.id)

    def answer(self, kind: str, body: Mapping[str, Any], person: str = "ada") -> dict[str, Any]:
        """Return the answer to a wish that is granted at once."""
        wish = self.grant(kind, body, person)
        assert wish.answer is not None, wish
        return wish.answer

    def work(self, run: RunId, reached: Callable[[RunView], bool] = has_ended) -> None:
        """Work on a Run until it is as wanted."""
        worker = Worker(self.desk.tools, [run])
        until = time.monotonic() + 60
        try:
            while not reached(self.desk.runs.show(run)):
                assert time.monotonic() < until
                if not worker.step():
                    time.sleep(0.02)
        finally:
            worker.close()


def open_office(root: Path) -> Iterator[Office]:
    write_workflow(root / "workflows" / "squares")
    (root / "shelf").mkdir()
    settings = Settings(home=root / "home", workflows_dir=root / "workflows", person="ada", cores=2)
    settings.home.mkdir()
    store = Store.open(settings.database)
    gateways = Gateways(settings, store, lambda _words: None)
    cache = Cache(settings.cache, 10**9)
    tools = replace(tools_of(settings, store, gateways), cache=cache)
    desk = Desk(
        tools=tools,
        cache=cache,
        shelves=Shelves({"here": root / "shelf"}),
        results=settings.results_dir,
        gate_at=lambda person, site: gateways.gate_at(site, person),
        runs=Runs(tools, gateways.embedded.releases),
        preview=gateways.embedded.gate(PREVIEW),
    )
    yield Office(root, store, desk)
    desk.preview.close()
    tools.hang_up()
    store.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A new one for a test that asks no site."""
    yield from open_office(tmp_path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One for the tests of a module that ask the site."""
    yield from open_office(tmp_path_factory.mktemp("office"))
