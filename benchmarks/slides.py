# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks of the nuclei workflow share: staged synthetic slides, crews, verdicts."""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "unit" / "nuclei"))

from runner import StepProcess, run_workflow  # noqa: E402
from slidegate_analysis.images import write_image  # noqa: E402
from slidegate_analysis.nuclei.synth import Slide  # noqa: E402

__all__ = ["ROOT", "StepProcess", "figure", "peer", "run_workflow", "stage", "warm"]


def figure(name: str, value: str, aim: str, met: bool) -> None:
    """Print one figure with its aim and whether it was met."""
    print(f"FIGURE {name} = {value} ({aim}): {'met' if met else 'missed'}", flush=True)


def stage(folder: Path, slide: Slide) -> Path:
    """Write a synthetic slide as a staged image."""
    write_image(
        folder / "image",
        slide.shape,
        np.uint16,
        slide.read,
        channels=slide.channel_names,
        pixel_size_um=slide.pixel_size_um,
    )
    return folder / "image"


def warm(folder: Path, processes: list[StepProcess]) -> None:
    """Let every process load its compiled code, so that only work is timed."""
    slide = Slide(height=400, width=400, density=2500, seed=1)
    folder.mkdir()
    image = stage(folder, slide)
    for number, process in enumerate(processes):
        run_workflow(image, {}, folder / f"warm-{number}", [process])


def peer(image: np.ndarray, diameter_px: float, *, logarithm: bool) -> np.ndarray:
    """Find nuclei as scikit-image's users do: Gaussian, Otsu, distance transform, watershed, in one piece.

    With `logarithm`, Otsu's threshold is that of the pixels' logarithm: a few saturated nuclei otherwise
    set the threshold for all.
    """
    from scipy import ndimage
    from skimage import feature, filters, segmentation

    smoothed = filters.gaussian(image, 1, preserve_range=True)
    if logarithm:
        smoothed = np.log1p(smoothed)
    inside = smoothed > filters.threshold_otsu(smoothed)
    distance = filters.gaussian(ndimage.distance_transform_edt(inside), 1)
    apart = max(1, round(diameter_px / 4))
    peaks = feature.peak_local_max(distance, min_distance=apart, labels=ndimage.label(inside)[0])
    markers = np.zeros(image.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = segmentation.watershed(-distance, markers, mask=inside)
    areas = np.bincount(labels.ravel())
    return np.where(areas[labels] >= 0.1 * np.pi / 4 * diameter_px**2, labels, 0).astype(np.uint32)
