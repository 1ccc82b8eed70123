# SPDX-License-Identifier: BSD-3-Clause
"""How long a preview takes, beside the workflow's own steps on the same region in one warm process.

usage: python benchmarks/preview_speed.py [--full]

A preview goes the whole way: a wish in the store, the region cut out of the image, the gate of the embedded
site, processes of its own for the steps, the result fetched and drawn. Its peer is a Python process in which
everything is imported and compiled already, and which does the steps one after the other on the same region.
What lies between them is mostly the start of Python with the libraries of the workflow, so a second peer is
one process that starts, does the steps, and ends.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from slidegate_analysis.nuclei.steps import Request, run
from slidegate_analysis.nuclei.synth import PRESETS, write_slide

if TYPE_CHECKING:
    from slidegate.store import Store
    from slidegate.worker.wishes.granter import Granter

PLACE = Path(__file__).resolve().parent.parent / "build" / "bench-preview"
NUCLEI = Path(sys.prefix) / "share" / "slidegate" / "workflows"
SIDE = 1024
MOST_TIMES, MOST_TIMES_COLD = 6.0, 2.0


def steps(image: Path, folder: Path) -> float:
    """Do the workflow's steps on an image in this process; returns the seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shared").mkdir(parents=True)
    began = time.perf_counter()
    results: dict[str, list[str]] = {}
    units = {"plan": ["all"], "finish": ["all"]}
    for step in ("plan", "detect", "finish"):
        for unit in units[step]:
            out = folder / f"{step}-{unit}"
            out.mkdir()
            request = Request(step, unit, image, {"channel": "0"}, folder / "shared", out, results, {})
            answer = run(request)
            if step == "plan":
                units["detect"] = answer["units"]
            results.setdefault(step, []).append(str(out))
    return time.perf_counter() - began


def cold_steps(image: Path, folder: Path) -> float:
    """Do them in a process that starts for it; returns the seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--steps", str(image), str(folder)], check=True)
    return time.perf_counter() - began


def preview(granter: "Granter", store: "Store", number: int) -> float:
    """Wish for a preview and have it granted; returns the seconds."""
    body = {
        "workflow": "nuclei",
        "image": "bench:slide.ome.tif",
        "region": [100, 100, 100 + SIDE, 100 + SIDE],
        "parameters": {"channel": "0"},
        "request": f"bench-{time.time()}-{number}",
    }
    began = time.perf_counter()
    wish = store.wishes.ask("preview", "bench", body, time.time())
    granter.step()
    took = time.perf_counter() - began
    granted = store.wishes.get(wish.id)
    if granted.answer is None:
        raise SystemExit(f"the preview was not granted: {granted.error or granted.trouble}")
    return took


def open_desk(shelf: Path) -> "tuple[Store, Granter]":
    """Open the store, and make who grants previews of images in a folder.

    What is imported here, the peer that starts does not need.
    """
    from dataclasses import replace

    from slidegate.cache import Cache
    from slidegate.local_site import PREVIEW
    from slidegate.settings import Settings
    from slidegate.sources.shelves import Shelves
    from slidegate.store import Store
    from slidegate.wiring.gateways import Gateways
    from slidegate.wiring.house import tools_of
    from slidegate.worker import Runs
    from slidegate.worker.wishes.desk import Desk
    from slidegate.worker.wishes.granter import Granter

    settings = Settings(home=PLACE / "home", workflows_dir=NUCLEI, person="bench")
    settings.home.mkdir(exist_ok=True)
    store = Store.open(settings.database)
    gateways = Gateways(settings, store, print)
    cache = Cache(settings.cache, 10**9)
    tools = replace(tools_of(settings, store, gateways), cache=cache)
    desk = Desk(
        tools=tools,
        cache=cache,
        shelves=Shelves({"bench": shelf}),
        results=settings.results_dir,
        gate_at=lambda person, site: gateways.gate_at(site, person),
        runs=Runs(tools, gateways.embedded.releases),
        preview=gateways.embedded.gate(PREVIEW),
    )
    return store, Granter(desk)


def figure(name: str, value: float, most: float) -> None:
    """Print one figure and whether its aim was met."""
    verdict = "met" if value <= most else "missed"
    print(f"FIGURE {name} = {value:.2f} (aim at most {most:g}): {verdict}")


def main() -> None:
    """Measure previews and their peers in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="fifteen of each instead of three")
    parser.add_argument("--steps", nargs=2, metavar=("IMAGE", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.steps:
        steps(Path(chosen.steps[0]), Path(chosen.steps[1]))
        return
    (PLACE / "shelf").mkdir(parents=True, exist_ok=True)
    slide = PLACE / "shelf" / "slide.ome.tif"
    if not slide.exists():
        write_slide(slide, height=2048, width=2048, channels=2, density=PRESETS["medium"], seed=20)
    crop = PLACE / "crop"
    if not crop.exists():
        from slidegate.domain.values import ImageRef
        from slidegate.sources.folder import FolderSource

        FolderSource().crop(ImageRef("folder", str(slide)), (100, 100 + SIDE, 100, 100 + SIDE), crop)
    store, granter = open_desk(slide.parent)
    preview(granter, store, 0)  # sets the site up, once
    steps(crop, PLACE / "steps")  # compiles
    took: dict[str, list[float]] = {"preview": [], "warm": [], "cold": []}
    for number in range(15 if chosen.full else 3):
        took["preview"].append(preview(granter, store, number + 1))
        took["warm"].append(steps(crop, PLACE / "steps"))
        took["cold"].append(cold_steps(crop, PLACE / "steps"))
    store.close()
    middle = {name: median(seconds) for name, seconds in took.items()}
    said = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in middle.items())
    print(f"a region of {SIDE} x {SIDE} in two channels: {said}")
    figure("a preview against the steps in a warm process", middle["preview"] / middle["warm"], MOST_TIMES)
    figure("a preview against a process that starts", middle["preview"] / middle["cold"], MOST_TIMES_COLD)


if __name__ == "__main__":
    main()
