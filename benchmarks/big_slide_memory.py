# SPDX-License-Identifier: BSD-3-Clause
"""Analyse a large slide and report the largest memory of any worker process, and the time.

usage: python benchmarks/big_slide_memory.py [--full]

In full the slide has 19284 x 27437 pixels and two channels (2.1 GB): the limit is 2 GB per process.
The small form holds a smaller slide to the same limit.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from slidegate_analysis.nuclei.synth import Slide
from slides import ROOT, StepProcess, figure, run_workflow, stage

LIMIT = 2e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--full", action="store_true", help="19284 x 27437 pixels: some minutes, 3 GB of disk"
    )
    full = parser.parse_args().full
    height, width = (19284, 27437) if full else (3000, 4200)
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as scratch:
        folder = Path(scratch)
        start = time.monotonic()
        slide = Slide(height=height, width=width, density=2500, seed=501)
        image = stage(folder, slide)
        drawn = time.monotonic()
        print(f"{height} x {width} pixels, 2 channels, drawn and staged in {drawn - start:.0f} s")
        crew = [StepProcess(folder), StepProcess(folder)]
        out = run_workflow(image, {}, folder / "run", crew)
        took = time.monotonic() - drawn
        for process in crew:
            process.close()
        summary = json.loads((out / "summary.json").read_text())
        report_mb = (out / "report.html").stat().st_size / 1e6
    for step in summary["steps"]:
        print(f"{step['step']}: {step['units']} Units, {step['seconds']:.1f} s of one core")
    megapixels = height * width / 1e6
    print(
        f"{summary['nuclei']} nuclei in {took:.1f} s with 2 workers: {megapixels / took:.1f} Mpx/s, "
        f"report {report_mb:.1f} MB"
    )
    peak = summary["peak_memory_bytes"]
    figure("largest memory of a worker", f"{peak / 1e9:.2f} GB", "aim below 2 GB", peak < LIMIT)
    image_bytes = 2 * 2 * height * width
    if full:
        figure(
            "largest memory over the image's size",
            f"{peak / image_bytes:.2f}",
            "aim below 1",
            peak < image_bytes,
        )


if __name__ == "__main__":
    main()
