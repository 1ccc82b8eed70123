# SPDX-License-Identifier: BSD-3-Clause
"""What slidegate adds to the computing itself, for an image that is at the site already.

usage: python benchmarks/overhead.py [--full | --size PIXELS]

The same request is made again and again on an image that is staged, as another Run each time. Of the time
from the request to the published result, that is subtracted which the workflow itself takes: the seconds of
its Units, as the crew's members measured them around the workflow's own process, so with its start and its
imports; for each step the seconds of the member that worked longest. All the rest is slidegate: asking,
staging what is known, plan and crew, leases and commits, idle members, fetching, verifying, publishing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from slidegate.domain.values import RunId
from slidegate.settings import Settings
from slidegate.wiring import House, open_house

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "bench-overhead"
TINY = ROOT / "tests" / "data" / "workflows" / "count_bytes"
NUCLEI = Path(sys.prefix) / "share" / "slidegate" / "workflows" / "nuclei"
DEMO_SIDE = 10240
TINY_AIM_SECONDS = 1.0
AIM_PERCENT = 5.0


@dataclass(frozen=True)
class Timed:
    """One Run: seconds from the request to the result, of these the workflow's own, and all by phase."""

    wall: float
    own: float
    phases: dict[str, float]

    @property
    def added(self) -> float:
        """The seconds that are slidegate's."""
        return self.wall - self.own


def own_seconds(site: Path, attempt: str) -> float:
    """Return the seconds of the workflow's own Units on the critical path: steps follow one another."""
    (work,) = site.glob(f"data/keys/local/work/*/{attempt}")
    worked: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for path in (work / "done").iterdir():
        record = json.loads(path.read_bytes())
        member = str((work / "leases" / record["try"]).readlink())
        worked[path.name.partition(".")[0]][member] += record["seconds"]
    return sum(max(members.values()) for members in worked.values())


def timed_run(house: House, workflow: str, image: Path, out: Path) -> Timed:
    """Ask for another Run on an image and follow it to its end, as the command line does."""
    began = time.time()
    asked = house.runs.request("ada", workflow, [str(image)], {}, str(out), again=True)
    worker = house.worker([asked.run])
    own = None
    while (view := house.runs.show(asked.run)).state in ("waiting", "active"):
        (task,) = view.tasks
        if own is None and task.state == "collecting":
            own = own_seconds(house.settings.local_site, task.attempt_key)
        if not worker.step():
            time.sleep(0.01)
    wall = view.changed_at - began
    worker.close()
    if view.state != "succeeded" or own is None:
        raise SystemExit(f"the run {view.state}: {view.tasks[0].error}")
    return Timed(wall, own, phases(house, asked.run, began))


def phases(house: House, run: RunId, began: float) -> dict[str, float]:
    """Return how long each state lasted."""
    found = {}
    state = "asking"
    for at, event in house.store.history.dated(run):
        found[state] = found.get(state, 0.0) + at - began
        state = str(getattr(event, "to", "waiting" if state == "asking" else state))
        began = at
    return found


def measure(name: str, workflow: Path, image: Path, repeats: int) -> Timed:
    """Return the Run with the median addition, after one that stages the image."""
    workflows = PLACE / f"workflows-{name}"
    workflows.mkdir(parents=True, exist_ok=True)
    link = workflows / workflow.name
    if not link.exists():
        link.symlink_to(workflow)
    settings = Settings(home=PLACE / f"home-{name}", workflows_dir=workflows, person="bench")
    out = PLACE / f"out-{name}"
    with open_house(settings, print) as house:
        runs = [timed_run(house, workflow.name, image, out) for _ in range(repeats + 1)][1:]
    shutil.rmtree(out)
    runs.sort(key=lambda run: run.added)
    median = runs[len(runs) // 2]
    print(f"{name}: added {', '.join(f'{run.added:.2f}' for run in runs)} s")
    print(f"  median: {median.wall:.2f} s in all, {median.own:.2f} s the workflow's own")
    print("  " + ", ".join(f"{state} {seconds:.2f}" for state, seconds in median.phases.items()))
    return median


def command_seconds(image: Path) -> float:
    """Return the seconds of the command that finds a Run finished: start, imports, asking."""
    argv = [str(Path(sys.executable).with_name("slidegate")), "run", "count_bytes", str(image)]
    environment = os.environ | {
        "SLIDEGATE_HOME": str(PLACE / "home-tiny"),
        "SLIDEGATE_WORKFLOWS_DIR": str(PLACE / "workflows-tiny"),
        "SLIDEGATE_PERSON": "bench",
    }
    found = []
    for _ in range(4):
        began = time.perf_counter()
        out = ["--out", str(PLACE / "out-command")]
        subprocess.run([*argv, *out], check=True, env=environment, capture_output=True)
        found.append(time.perf_counter() - began)
    return min(found)


def figure(name: str, value: float, unit: str, aim: float) -> None:
    verdict = "met" if value < aim else "missed"
    print(f"FIGURE {name} = {value:.2f} {unit} (aim below {aim:g} {unit}): {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="with the demonstration's slide")
    parser.add_argument("--size", type=int, help="with a synthetic slide of this side in pixels")
    chosen = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    tiny = PLACE / "tiny.tif"
    tifffile.imwrite(tiny, np.random.default_rng(1).integers(0, 4000, (128, 128), dtype=np.uint16))
    figure("added to a tiny warm image", measure("tiny", TINY, tiny, 5).added, "s", TINY_AIM_SECONDS)
    print(f"a command that finds its run finished takes {command_seconds(tiny):.2f} s with start and imports")
    size = chosen.size or (DEMO_SIDE if chosen.full else None)
    if size is None:
        return
    slide = PLACE / f"slide-{size}" / "slide.ome.tif"
    if not slide.exists():
        from slidegate_analysis.nuclei.synth import PRESETS, write_slide

        write_slide(slide, height=size, width=size, channels=2, density=PRESETS["medium"], seed=20)
    found = measure(f"nuclei-{size}", NUCLEI, slide, 3)
    figure(f"added to a warm slide of {size} x {size}", 100 * found.added / found.own, "%", AIM_PERCENT)


if __name__ == "__main__":
    main()
