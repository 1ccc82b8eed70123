# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of a report: overview, two zooms with outlines, density map; each a small data URI.

Reads one coarse pyramid level and two crops, whatever the slide's size. Regions are (y0, y1, x0, x1) in
full-resolution pixels.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture

from slidegate_analysis.images import Image, Labels

Region = tuple[int, int, int, int]

ZOOM = (480, 640)
"""Height and width of a zoom in image pixels; in small images half the side, but at least half of this."""
_OVERVIEW = 1100
_CELLS = 120
_SMOOTHINGS = 12

VIRIDIS = (
    "#440154",
    "#482878",
    "#3e4a89",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725",
)
"""Ten colours of the map "viridis" (N. Smith and S. van der Walt 2015, CC0): its lightness rises evenly."""

OUTLINE = (255, 84, 196)
"""Pink: stands out from black, grey and white, also for the colour-blind."""


@dataclass(frozen=True)
class Shown:
    """A picture ready for the page: the plain picture, what lies over it, and its size in drawing units."""

    plain: str
    over: str
    height: int
    width: int
    region: Region
    is_outlined: bool = True


@dataclass(frozen=True)
class Density:
    """How many nuclei lie where: a grid of cells `cell_px` wide, in nuclei per pixel of area, smoothed."""

    grid: np.ndarray
    cell_px: float
    blur_px: float

    def at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Look up the density at positions in pixels."""
        rows = np.minimum((y / self.cell_px).astype(np.int64), self.grid.shape[0] - 1)
        columns = np.minimum((x / self.cell_px).astype(np.int64), self.grid.shape[1] - 1)
        return self.grid[rows, columns]


def _uri(kind: str, data: bytes) -> str:
    """Turn a file's bytes into a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _photo(grey: np.ndarray) -> str:
    """Encode a uint8 (y, x) picture as WebP."""
    out = io.BytesIO()
    Picture.fromarray(grey).save(out, "WEBP", quality=80, method=3)
    return _uri("webp", out.getvalue())


def _drawing(colours: np.ndarray, palette: list[tuple[int, int, int]], *, clear: bool) -> str:
    """Encode palette indices (y, x) as PNG; with `clear`, index 0 is transparent."""
    picture = Picture.fromarray(colours.astype(np.uint8))
    picture.putpalette([part for colour in palette for part in colour])
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True, **({"transparency": 0} if clear else {}))
    return _uri("png", out.getvalue())


def _stretch(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map grey values to 0..255 for the eye: cut at `low` and `high`, shadows lifted (gamma 0.65)."""
    part = np.clip((pixels.astype(np.float32) - low) / max(high - low, 1.0), 0.0, 1.0)
    return (np.power(part, 0.65) * 255.0 + 0.5).astype(np.uint8)


def _shrink(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of `factor` x `factor` pixels; what is left over at the far edges is averaged too."""
    if factor == 1:
        return pixels
    rows = np.arange(0, pixels.shape[0], factor)
    columns = np.arange(0, pixels.shape[1], factor)
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float64), rows, 0), columns, 1)
    tall = np.diff(np.append(rows, pixels.shape[0]))
    wide = np.diff(np.append(columns, pixels.shape[1]))
    return sums / (tall[:, None] * wide[None, :])


def edges(labels: np.ndarray) -> np.ndarray:
    """Mark the pixels of objects (y, x) next to a pixel, above, below, left or right, of something else."""
    mark = np.zeros(labels.shape, np.bool_)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    mark[:, 1:] |= across
    mark[:, :-1] |= across
    mark[1:] |= down
    mark[:-1] |= down
    return mark & (labels > 0)


def draw_overview(image: Image, labels: Labels, channel: int, y: np.ndarray, x: np.ndarray) -> Shown:
    """Draw the whole slide; over it outlines where it is shown large enough, else a dot per nucleus."""
    height, width = image.shape[1:]
    level = next((n for n, size in enumerate(image.level_shapes) if max(size) <= 2 * _OVERVIEW), None)
    level = len(image.level_shapes) - 1 if level is None else level
    tall, wide = image.level_shapes[level]
    factor = max(1, round(max(tall, wide) / _OVERVIEW))
    pixels = _shrink(image.read(channel, 0, tall, 0, wide, level), factor)
    low, high = np.quantile(pixels, (0.01, 0.998))
    grey = _stretch(pixels, float(low), float(high))
    is_outlined = level == 0 and factor == 1
    if is_outlined:
        over = edges(labels.read(0, height, 0, width))
    else:
        over = np.zeros(grey.shape, np.bool_)
        rows = np.clip(y * grey.shape[0] / height, 0, grey.shape[0] - 1).astype(np.int64)
        columns = np.clip(x * grey.shape[1] / width, 0, grey.shape[1] - 1).astype(np.int64)
        over[rows, columns] = True
        if len(y) < over.size / 80:
            for axis in (0, 1):
                over |= np.roll(over, 1, axis) | np.roll(over, -1, axis)
    region = (0, height, 0, width)
    return Shown(
        _photo(grey), _drawing(over, [(0, 0, 0), OUTLINE], clear=True), *grey.shape, region, is_outlined
    )


def draw_zoom(image: Image, labels: Labels, channel: int, region: Region) -> Shown:
    """Draw a region at full resolution, every pixel two by two, with the outlines of its nuclei."""
    pixels = image.read(channel, *region)
    found = labels.read(*region)
    low, high = np.quantile(pixels, (0.005, 0.997))
    if found.any():
        # A few saturated nuclei must not leave all others in the dark.
        high = min(high, 2.2 * np.quantile(pixels[found > 0], 0.7))
    grey = _stretch(pixels, float(low), float(high)).repeat(2, 0).repeat(2, 1)
    over = edges(found).repeat(2, 0).repeat(2, 1)
    size = (2 * pixels.shape[0], 2 * pixels.shape[1])
    return Shown(_photo(grey), _drawing(over, [(0, 0, 0), OUTLINE], clear=True), *size, region)


def choose_zooms(shape: tuple[int, int], y: np.ndarray, x: np.ndarray) -> list[tuple[str, Region]]:
    """Choose the most crowded region and a typical one: (name, region); a small image gives one, the whole.

    Candidates lie half a zoom apart. Typical is the one whose count is nearest to the median over nuclei; the
    nearest to the middle of the slide among equals.
    """
    height, width = shape
    tall, wide = (min(side, most, max(most // 2, side // 2)) for side, most in zip(shape, ZOOM, strict=True))
    if tall == height and wide == width:
        return [("the whole image", (0, height, 0, width))]
    rows, columns = max(1, 2 * height // tall - 1), max(1, 2 * width // wide - 1)
    half_y, half_x = height / (rows + 1), width / (columns + 1)
    halves = np.zeros((rows + 1, columns + 1), np.int64)
    at = (np.minimum(y / half_y, rows).astype(np.int64), np.minimum(x / half_x, columns).astype(np.int64))
    np.add.at(halves, at, 1)
    counts = halves[:-1, :-1] + halves[1:, :-1] + halves[:-1, 1:] + halves[1:, 1:]

    def region(row: int, column: int) -> Region:
        y0 = min(max(0, int((row + 1) * half_y - tall / 2)), height - tall)
        x0 = min(max(0, int((column + 1) * half_x - wide / 2)), width - wide)
        return (y0, y0 + tall, x0, x0 + wide)

    if len(y) == 0:
        return [("the middle", region((rows - 1) // 2, (columns - 1) // 2))]
    densest = np.unravel_index(int(np.argmax(counts)), counts.shape)
    chosen = [("the most crowded region", region(int(densest[0]), int(densest[1])))]
    grid_y, grid_x = np.indices(counts.shape)
    apart = (abs(grid_y - densest[0]) > 1) | (abs(grid_x - densest[1]) > 1)
    if not apart.any():
        return chosen
    usual = np.median(counts[np.minimum(at[0], rows - 1), np.minimum(at[1], columns - 1)])
    away = np.hypot((grid_y + 1) / (rows + 1) - 0.5, (grid_x + 1) / (columns + 1) - 0.5)
    cost = np.where(apart, abs(counts - usual) + away, np.inf)
    typical = np.unravel_index(int(np.argmin(cost)), counts.shape)
    return [*chosen, ("a typical region", region(int(typical[0]), int(typical[1])))]


def map_density(shape: tuple[int, int], y: np.ndarray, x: np.ndarray, across: float) -> Density:
    """Count nuclei on a grid and smooth it, with what lies beyond the edge left out of the mean.

    `across` is the typical diameter in pixels: a cell is at least two nuclei wide.
    """
    cell = max(max(shape) / _CELLS, 2.0 * across, 1.0)
    rows, columns = (max(1, int(np.ceil(side / cell - 1e-9))) for side in shape)
    counts = np.zeros((rows, columns))
    at = (np.minimum(y / cell, rows - 1).astype(np.int64), np.minimum(x / cell, columns - 1).astype(np.int64))
    np.add.at(counts, at, 1)
    tall = np.minimum(np.arange(1, rows + 1) * cell, shape[0]) - np.arange(rows) * cell
    wide = np.minimum(np.arange(1, columns + 1) * cell, shape[1]) - np.arange(columns) * cell
    areas = tall[:, None] * wide[None, :]
    for _ in range(_SMOOTHINGS):
        counts, areas = _smooth(counts), _smooth(areas)
    return Density(counts / areas, cell, cell * (_SMOOTHINGS / 2) ** 0.5)


def _smooth(grid: np.ndarray) -> np.ndarray:
    """Smooth by (1, 2, 1) / 4 along both axes; beyond the edge there is nothing."""
    for axis in (0, 1):
        padded = np.pad(grid, [(1, 1) if n == axis else (0, 0) for n in (0, 1)])
        parts = [np.take(padded, range(k, k + grid.shape[axis]), axis) for k in range(3)]
        grid = 0.25 * parts[0] + 0.5 * parts[1] + 0.25 * parts[2]
    return grid


def draw_density(density: Density) -> tuple[str, float]:
    """Draw the density map; returns the picture and the density (per pixel) of its last colour."""
    high = float(density.grid.max())
    stops = np.array([[int(stop[k : k + 2], 16) for k in (1, 3, 5)] for stop in VIRIDIS], np.float64)
    places = np.linspace(0, len(stops) - 1, 256)
    palette = [tuple(int(np.interp(p, range(len(stops)), stops[:, k])) for k in range(3)) for p in places]
    part = density.grid / high if high > 0 else density.grid
    return _drawing(np.round(part * 255.0), palette, clear=False), high
