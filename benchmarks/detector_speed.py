# SPDX-License-Identifier: BSD-3-Clause
"""Compare the detector's speed on one core with scikit-image's on the same slide, in the same run.

usage: python benchmarks/detector_speed.py [--full]

The named peer is Gaussian + Otsu (of the logarithm: the plain one finds next to nothing on slides with
saturated nuclei) + distance transform + watershed on the whole image. Time is that of the processor, so that
other work on the machine matters less; each is run several times, in turns, and the best counts.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

import numpy as np
from slidegate_analysis.images import plan_blocks
from slidegate_analysis.nuclei.detect import ReliefDetector, detect, levels_of_array
from slidegate_analysis.nuclei.geometry import geometry_for
from slidegate_analysis.nuclei.measure import intensities, outline
from slidegate_analysis.nuclei.synth import PRESETS, Slide
from slides import figure, peer

DIAMETER_PX = 8.0 / 0.325


def cost(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def everything(image: np.ndarray) -> None:
    """Derive levels, detect and measure one channel, block by block as the workflow does."""
    geometry = geometry_for(DIAMETER_PX)
    detector = ReliefDetector(geometry, levels_of_array(image, geometry, 0.5))
    for block in plan_blocks(image.shape, 2048, detector.halo):
        top, bottom, left, right = block.outer
        pixels = image[top:bottom, left:right]
        outlines = outline(detector.detect(pixels, block, image.shape), block, image.shape)
        intensities(pixels, (top, left), outlines, outlines.windows(image.shape)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="larger slides, more repeats")
    full = parser.parse_args().full
    side, repeats = (4096, 3) if full else (1400, 2)
    geometry = geometry_for(DIAMETER_PX)
    ratios = []
    everything(np.arange(10_000, dtype=np.uint16).reshape(100, 100))
    for preset, density in PRESETS.items():
        slide = Slide(height=side, width=side, channels=1, density=density, seed=301)
        image = slide.read(0, 0, side, 0, side)
        detector = ReliefDetector(geometry, levels_of_array(image, geometry, 0.5))
        ways = {
            "slidegate, detection": lambda image=image, detector=detector: detect(image, detector),
            "slidegate, levels + detection + statistics": lambda image=image: everything(image),
            "scikit-image, detection": lambda image=image: peer(image, DIAMETER_PX, logarithm=True),
        }
        best = dict.fromkeys(ways, np.inf)
        for _ in range(repeats):
            for name, way in ways.items():
                best[name] = min(best[name], cost(way))
        speeds = {name: image.size / 1e6 / seconds for name, seconds in best.items()}
        for name, speed in speeds.items():
            print(f"{preset:8} {name:45} {speed:6.2f} Mpx/s on one core")
        ratios.append(speeds["slidegate, detection"] / speeds["scikit-image, detection"])
    worst = min(ratios)
    figure(
        "speed over scikit-image's, worst of three slides", f"{worst:.2f}", "aim at least 0.25", worst >= 0.25
    )


if __name__ == "__main__":
    main()
