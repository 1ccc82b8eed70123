# SPDX-License-Identifier: BSD-3-Clause
"""Score the detector with its default parameters on a real image and on synthetic slides.

usage: python benchmarks/quality.py [--full]

The parameters were chosen on synthetic slides with other seeds than these, never on the real image. The named
peer is Gaussian + Otsu + distance transform + watershed of scikit-image, on the whole image, in the same run;
Otsu's threshold is that of the pixels or of their logarithm, whichever suits the image better.
"""

import argparse
import subprocess
import sys

import numpy as np
import tifffile
from slidegate_analysis.nuclei.detect import ReliefDetector, detect, levels_of_array
from slidegate_analysis.nuclei.geometry import geometry_for
from slidegate_analysis.nuclei.score import score
from slidegate_analysis.nuclei.synth import PRESETS, Slide
from slides import ROOT, figure, peer

IMAGES = ROOT / "build" / "test-image"
DIAMETER_UM = 8.0
PIXEL_UM = 0.325


def found_in(image: np.ndarray) -> np.ndarray:
    geometry = geometry_for(DIAMETER_UM / PIXEL_UM)
    return detect(image, ReliefDetector(geometry, levels_of_array(image, geometry, 0.5)))


def describe(name: str, who: str, truth: np.ndarray, labels: np.ndarray) -> float:
    """Print how well labels match the truth; give F1 at IoU 0.5."""
    half, strict = score(truth, labels), score(truth, labels, 0.7)
    print(
        f"{name:28} {who:23} F1 {half.f1:.3f}  precision {half.precision:.3f}  recall {half.recall:.3f}  "
        f"F1 at IoU 0.7 {strict.f1:.3f}  "
        f"({half.matched} matched, {half.spurious} spurious, {half.missed} missed)"
    )
    return half.f1


def compare(name: str, image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Score the detector, and its peer with the threshold that suits the image better: F1 of both."""
    own = describe(name, "slidegate", truth, found_in(image))
    others = [
        describe(name, who, truth, peer(image, DIAMETER_UM / PIXEL_UM, logarithm=logarithm))
        for who, logarithm in (("scikit-image", False), ("scikit-image, log", True))
    ]
    return own, max(others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more and larger synthetic slides")
    full = parser.parse_args().full
    subprocess.run([sys.executable, str(ROOT / "scripts" / "fetch-test-image"), str(IMAGES)], check=True)
    truth = tifffile.imread(IMAGES / "mask2d.tif")
    real, real_peer = compare("real, 512 x 512", tifffile.imread(IMAGES / "img2d.tif"), truth)
    side = 4096 if full else 1500
    seeds = (201, 202, 203) if full else (201,)
    means = {}
    for preset, density in PRESETS.items():
        scores = []
        for seed in seeds:
            slide = Slide(height=side, width=side, channels=1, density=density, seed=seed)
            image = slide.read(0, 0, side, 0, side)
            scores.append(compare(f"synthetic, {preset}, seed {seed}", image, slide.truth(0, side, 0, side)))
        means[preset] = np.mean(scores, axis=0)
    figure("F1 on the real image", f"{real:.3f}", "aim at least 0.80", real >= 0.80)
    figure(
        "F1 on the real image over scikit-image's",
        f"{real / real_peer:.2f}",
        "aim at least 1",
        real >= real_peer,
    )
    for preset, (own, other) in means.items():
        figure(f"F1 on {preset} synthetic slides", f"{own:.3f}", "aim at least 0.70", own >= 0.70)
        name = f"F1 on {preset} synthetic slides, ahead of scikit-image's by"
        figure(name, f"{own - other:.3f}", "aim at least 0", own >= other)


if __name__ == "__main__":
    main()
