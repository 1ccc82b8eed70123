# SPDX-License-Identifier: BSD-3-Clause
"""Synthetic fluorescence slides with exact truth, of any size: for demonstrations, benchmarks and tests.

A slide is a section of tissue with holes and clefts on glass. Nuclei are irregular ellipses with chromatin
texture and nucleoli, alone, touching or in clusters, of log-normal brightness; one in ten is out of focus,
one in fifty saturates the camera. Around them lie haze, fluorescence of the tissue itself with fibres and a
slope, ghosts far out of focus, debris, uneven illumination, shot noise and read noise. Ghosts and debris are
no nuclei: the truth does not hold them. The second channel (and each one after it) is a marker that a subset
of the nuclei carries.

Nothing is read from the surroundings: the same arguments give the same slide, whatever the blocks it is drawn
in.
"""

import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slidegate_analysis.images import build_label_pyramid, create_labels, open_labels
from slidegate_analysis.nuclei import synth_render as render
from slidegate_analysis.nuclei.errors import NucleiError
from slidegate_analysis.nuclei.synth_layout import MAX_RADIUS_UM, Things, lay_out

Progress = Callable[[int, int], None]

PRESETS = {"sparse": 800.0, "medium": 2500.0, "dense": 7000.0}
"""Nuclei per square millimetre of tissue: brain white matter, most organs, lymph node or tumour.

At 0.325 micrometres per pixel that is 85, 264 and 740 nuclei per million pixels of tissue; local density
varies from a quarter to twice the mean.
"""

MAX_DENSITY = 9000.0
"""More nuclei than this per square millimetre do not find room beside each other."""

_BUCKET = 256
_TILE = 1024
_TRUTH_SHARD = 2048


class BadSlideError(NucleiError):
    """The synthetic slide cannot be drawn as it was asked for."""

    code = "bad-slide"


class Slide:
    """A synthetic slide that exists as a rule: any region of it can be drawn at any time.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    channels : int
        1 to 8: nuclei first, then markers.
    density : float
        Nuclei per square millimetre of tissue, above 0 and at most `MAX_DENSITY`.
    seed : int
        0 to 2**63 - 1; names the slide.
    pixel_size_um : float
        Micrometres per pixel, 0.1 to 2.

    Raises
    ------
    BadSlideError
        An argument is out of range; the message says which, and the range.
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        channels: int = 2,
        density: float,
        seed: int,
        pixel_size_um: float = 0.325,
    ) -> None:
        _check(height, width, channels, density, seed, pixel_size_um)
        self.shape = (channels, height, width)
        self.pixel_size_um = pixel_size_um
        self.seed = seed
        self.channel_names = ("Nuclei", *(f"Marker {n}" for n in range(1, channels)))
        self.things: Things = lay_out(seed, height, width, channels, density, pixel_size_um)
        self._tile = render.texture_tile(seed)
        t = self.things
        self._arguments = (
            t.y,
            t.x,
            t.a,
            t.b,
            t.cos,
            t.sin,
            t.waves,
            t.blur,
            t.light,
            t.haze,
            t.grain,
            t.patch,
        )
        self._reach = int(MAX_RADIUS_UM / pixel_size_um * render.HAZE_REACH) + 4
        self._columns = width // _BUCKET + 1
        bucket = (t.y // _BUCKET).astype(np.int64) * self._columns + (t.x // _BUCKET).astype(np.int64)
        self._order = np.argsort(bucket, kind="stable")
        self._starts = np.searchsorted(
            bucket[self._order], np.arange((height // _BUCKET + 1) * self._columns + 1)
        )

    def _near(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Give the numbers, ascending, of all things whose light may reach a region."""
        rows = range(
            max(0, (y0 - self._reach) // _BUCKET), min(self.shape[1] - 1, y1 + self._reach) // _BUCKET + 1
        )
        left = max(0, (x0 - self._reach) // _BUCKET)
        right = min(self.shape[2] - 1, x1 + self._reach) // _BUCKET
        found = [
            self._order[
                self._starts[row * self._columns + left] : self._starts[row * self._columns + right + 1]
            ]
            for row in rows
        ]
        return np.sort(np.concatenate(found))

    def read(self, channel: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Draw a region of one channel: uint16 (y, x) grey values; safe to call from several threads."""
        step = render.NODE_STEP
        top, left = y0 - y0 % step, x0 - x0 % step
        light = np.zeros((y1 - top, x1 - left), np.float32)
        render.add_light(
            (top, left), self._near(top, y1, left, x1), self._arguments, channel, self._tile, light
        )
        size, um = self.shape[1:], self.pixel_size_um
        nodes = render.background(self.seed, channel, size, um, (top, y1, left, x1))
        picture = np.empty(light.shape, np.uint16)
        key = np.random.SeedSequence([self.seed, channel]).generate_state(1)[0]
        render.expose(key, (top, left), nodes, light, picture)
        return picture[y0 - top :, x0 - left :]

    def truth(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Draw a region of the true labels: uint32 (y, x), ids or 0; safe to call from several threads."""
        labels = np.zeros((y1 - y0, x1 - x0), np.uint32)
        near = self._near(y0, y1, x0, x1)
        render.draw_labels((y0, x0), near[near < self.things.nuclei], self._arguments, labels)
        return labels


@dataclass(frozen=True)
class SlideFiles:
    """What `write_slide` wrote: the image, and the truth in the folder beside it."""

    image: Path
    labels: Path
    table: Path
    nuclei: int


def write_slide(
    out: str | os.PathLike[str],
    *,
    height: int,
    width: int,
    channels: int = 2,
    density: float,
    seed: int,
    pixel_size_um: float = 0.325,
    progress: Progress | None = None,
) -> SlideFiles:
    """Write a synthetic slide as a tiled OME-TIFF, with its truth beside it.

    The image is `out` (or `out/slide.ome.tif` when `out` does not end in .tif or .tiff); the truth is in the
    sibling folder `<name>.truth`: `labels.zarr` (OME-Zarr, uint32 ids, 0 none) and `nuclei.parquet`. Drawn
    tile by tile on all cores that this process may use, with a few tiles in memory; the files do not depend
    on that. Each file appears under its name only when it is whole; existing ones are never overwritten.

    Parameters
    ----------
    out : path
        Where the image goes.
    height, width, channels, density, seed, pixel_size_um
        See `Slide`.
    progress : callable, optional
        Called as `progress(done, total)` with pixels drawn, over all channels and the truth.

    Raises
    ------
    BadSlideError
        An argument is out of range, or a file is already there.
    """
    slide = Slide(
        height=height, width=width, channels=channels, density=density, seed=seed, pixel_size_um=pixel_size_um
    )
    image = Path(out)
    if not image.name.lower().endswith((".tif", ".tiff")):
        image = image / "slide.ome.tif"
    truth = image.with_name(image.name.split(".")[0] + ".truth")
    for path in (image, truth):
        if path.exists():
            raise BadSlideError(f"{path} is already there, and nothing is overwritten")
    image.parent.mkdir(parents=True, exist_ok=True)
    meter = _Meter(progress, (channels + 1) * height * width)
    new_truth = truth.with_name(f".{truth.name}.new")
    new_image = image.with_name(f".new.{image.name}")
    shutil.rmtree(new_truth, ignore_errors=True)
    new_truth.mkdir()
    try:
        table = _write_truth(slide, new_truth / "labels.zarr", meter)
        pq.write_table(table, new_truth / "nuclei.parquet", compression="zstd")
        _write_tiff(slide, new_image, meter)
        new_truth.rename(truth)
        new_image.rename(image)
    finally:
        shutil.rmtree(new_truth, ignore_errors=True)
        new_image.unlink(missing_ok=True)
    return SlideFiles(image, truth / "labels.zarr", truth / "nuclei.parquet", table.num_rows)


class _Meter:
    """Adds up what is done and tells the listener."""

    def __init__(self, listener: Progress | None, total: int) -> None:
        self._listener = listener
        self._done = 0
        self._total = total

    def add(self, amount: int) -> None:
        self._done += amount
        if self._listener is not None:
            self._listener(self._done, self._total)


def _check(height: int, width: int, channels: int, density: float, seed: int, pixel_size_um: float) -> None:
    """Refuse arguments out of range with a sentence."""
    ranges = [
        ("height", height, 1, 200_000),
        ("width", width, 1, 200_000),
        ("the number of channels", channels, 1, 8),
        ("the density in nuclei per mm²", density, 0, MAX_DENSITY),
        ("the seed", seed, 0, 2**63 - 1),
        ("the pixel size in micrometres", pixel_size_um, 0.1, 2.0),
    ]
    for name, value, least, most in ranges:
        if not least <= value <= most:
            raise BadSlideError(f"{name} must lie between {least:g} and {most:g}, not {value}")


def _blocks(height: int, width: int, side: int) -> list[tuple[int, int, int, int]]:
    """Cut a plane into squares, row by row: (y0, y1, x0, x1) of each."""
    return [
        (y, min(y + side, height), x, min(x + side, width))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]


def _in_order(work: Callable[..., np.ndarray], arguments: list[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """Do `work` for each tuple of arguments on all cores, a few ahead, and give the results in order."""
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        ahead = deque()
        for each in arguments:
            ahead.append(pool.submit(work, *each))
            if len(ahead) > cores:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _write_tiff(slide: Slide, path: Path, meter: _Meter) -> None:
    """Write all channels as a tiled, zstd-compressed OME-TIFF, plane by plane."""
    try:
        import tifffile
    except ImportError as error:
        raise BadSlideError("the package tifffile is missing where this runs") from error
    channels, height, width = slide.shape
    side = min(_TILE, -(-max(height, width) // 16) * 16)
    blocks = _blocks(height, width, side)

    def tiles() -> Iterator[np.ndarray]:
        for tile in _in_order(slide.read, [(c, *block) for c in range(channels) for block in blocks]):
            meter.add(tile.size)
            yield tile

    named = uuid.uuid5(
        uuid.NAMESPACE_URL, f"slidegate-slide/{slide.shape}/{slide.seed}/{slide.things.nuclei}"
    )
    about = {
        "axes": "CYX",
        "PhysicalSizeX": slide.pixel_size_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": slide.pixel_size_um,
        "PhysicalSizeYUnit": "µm",
        "Channel": {"Name": list(slide.channel_names)},
        "UUID": str(named),
    }
    resolution = (1e4 / slide.pixel_size_um, 1e4 / slide.pixel_size_um)
    tifffile.imwrite(
        path,
        tiles(),
        shape=slide.shape,
        dtype=np.uint16,
        tile=(side, side),
        photometric="minisblack",
        compression="zstd",
        compressionargs={"level": 1},
        maxworkers=len(os.sched_getaffinity(0)),
        buffersize=2**24,
        resolution=resolution,
        resolutionunit="CENTIMETER",
        ome=True,
        metadata=about,
    )


def _write_truth(slide: Slide, path: Path, meter: _Meter) -> pa.Table:
    """Write the true labels shard by shard, and measure them on the way."""
    height, width = slide.shape[1:]
    create_labels(path, (height, width), shard=_TRUTH_SHARD, pixel_size_um=slide.pixel_size_um)
    labels = open_labels(path)
    area = np.zeros(slide.things.nuclei + 1, np.int64)
    sums = np.zeros((2, slide.things.nuclei + 1), np.int64)
    blocks = _blocks(height, width, _TRUTH_SHARD)
    for (y0, _, x0, _), block in zip(blocks, _in_order(slide.truth, blocks), strict=True):
        labels.write(y0, x0, block)
        ys, xs = np.nonzero(block)
        ids = block[ys, xs]
        count = np.bincount(ids, minlength=len(area))
        area += count
        # Sums of integers below 2**53: exact in float64, in whatever order blocks come.
        sums[0] += np.bincount(ids, weights=ys, minlength=len(area)).astype(np.int64) + y0 * count
        sums[1] += np.bincount(ids, weights=xs, minlength=len(area)).astype(np.int64) + x0 * count
        meter.add(block.size)
    build_label_pyramid(path)
    return _truth_table(slide, area, sums)


def _truth_table(slide: Slide, area: np.ndarray, sums: np.ndarray) -> pa.Table:
    """Give one row per nucleus that owns a pixel: what was drawn, and what can be seen of it.

    `y_px`, `x_px` are the mean of the pixels' centres. `light` is in photoelectrons, `blur_px` a standard
    deviation.
    """
    ids = np.flatnonzero(area)
    t = slide.things
    kept = ids - 1
    y_px, x_px = sums[:, ids] / area[ids] + 0.5
    um = slide.pixel_size_um
    columns = {
        "id": ids.astype(np.uint32),
        "y_px": y_px,
        "x_px": x_px,
        "y_um": y_px * um,
        "x_um": x_px * um,
        "area_px": area[ids],
        "area_um2": area[ids] * um * um,
        "blur_px": t.blur[kept],
        "in_focus": t.focused[kept],
    }
    for channel in range(slide.shape[0]):
        columns[f"c{channel}_light"] = t.light[kept, channel]
        if channel:
            columns[f"c{channel}_positive"] = t.positive[kept, channel - 1]
    return pa.table(columns)
