# SPDX-License-Identifier: BSD-3-Clause
"""Compare two worker processes with one on the same slide: efficiency = time of one / (2 x time of two).

usage: python benchmarks/parallel_efficiency.py [--full]

In the same run: two processes that share nothing, each computing half of the same blocks from its own copy of
the image, started together (what two cores of this machine can do at once, without sharing out the blocks).
Processor time tells the cost of working side by side even while other programs use the machine.
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from slidegate_analysis.nuclei.synth import Slide
from slides import StepProcess, figure, stage, warm


class Analysis:
    """A planned analysis whose blocks can be computed again and again."""

    def __init__(self, image: Path, folder: Path, block_px: int, process: StepProcess) -> None:
        self._folder = folder
        self._request: dict[str, Any] = {
            "inputs": {"image": str(image)},
            "parameters": {"block_px": block_px},
            "shared": str(folder / "shared"),
            "results": {"plan": [str(folder / "plan")]},
        }
        (folder / "shared").mkdir(parents=True)
        (folder / "plan").mkdir()
        start = time.monotonic()
        answer = process.ask({**self._request, "step": "plan", "unit": "all", "out": str(folder / "plan")})
        self.plan_seconds = time.monotonic() - start
        self.units: list[str] = answer["units"]
        self._round = 0

    def detect(self, crew: list[StepProcess], units: list[str] | None = None) -> float:
        """Compute blocks with a crew that takes them from one queue: seconds of wall time."""
        self._round += 1
        queue = list(reversed(self.units if units is None else units))

        def work(process: StepProcess) -> None:
            while queue:
                unit = queue.pop()
                out = self._folder / f"round-{self._round}" / unit
                out.mkdir(parents=True)
                answer = process.ask({**self._request, "step": "detect", "unit": unit, "out": str(out)})
                if not answer["ok"]:
                    raise SystemExit(json.dumps(answer))

        start = time.monotonic()
        with ThreadPoolExecutor(len(crew)) as pool:
            list(pool.map(work, crew))
        return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="a larger slide, more repeats")
    full = parser.parse_args().full
    side, block_px, repeats = (8192, 1024, 3) if full else (3072, 512, 3)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        slide = Slide(height=side, width=side, density=2500, seed=401)
        image = stage(folder, slide)
        crew = [StepProcess(folder), StepProcess(folder)]
        warm(folder / "warm", crew)
        main_analysis = Analysis(image, folder / "both", block_px, crew[0])
        (folder / "copy").mkdir()
        copy = Analysis(stage(folder / "copy", slide), folder / "apart", block_px, crew[1])
        one, two, apart = [], [], []
        used: list[list[float]] = [[], []]
        for _ in range(repeats):
            before = sum(process.processor_seconds() for process in crew)
            one.append(main_analysis.detect(crew[:1]))
            between = sum(process.processor_seconds() for process in crew)
            two.append(main_analysis.detect(crew))
            used[0].append(between - before)
            used[1].append(sum(process.processor_seconds() for process in crew) - between)
            halves = main_analysis.units[::2], copy.units[1::2]
            start = time.monotonic()
            with ThreadPoolExecutor(2) as pool:
                first = pool.submit(main_analysis.detect, crew[:1], halves[0])
                second = pool.submit(copy.detect, crew[1:], halves[1])
                first.result()
                second.result()
            apart.append(time.monotonic() - start)
        for process in crew:
            process.close()
    efficiency, limit = min(one) / (2 * min(two)), min(one) / (2 * min(apart))
    print(f"{side} x {side} pixels, 2 channels, {len(main_analysis.units)} blocks of {block_px}")
    print(f"one worker {min(one):.2f} s, two {min(two):.2f} s, two that share nothing {min(apart):.2f} s")
    inflation = min(used[1]) / min(used[0])
    print(f"processor time: one worker {min(used[0]):.2f} s, two {min(used[1]):.2f} s in all")
    print(
        f"efficiency of those that share nothing {limit:.2f}; "
        f"not parallel: plan {main_analysis.plan_seconds:.2f} s"
    )
    figure("processor time of two over one", f"{inflation:.2f}", "aim at most 1.11", inflation <= 1.11)
    figure("efficiency of two workers", f"{efficiency:.2f}", "aim at least 0.90", efficiency >= 0.90)
    figure(
        "efficiency over the machine's limit",
        f"{efficiency / limit:.2f}",
        "aim at least 0.90",
        efficiency >= 0.9 * limit,
    )


if __name__ == "__main__":
    main()
