# SPDX-License-Identifier: BSD-3-Clause
"""Charts and scales as inline SVG: sharp at any size, coloured by the page's light or dark style, no library.

Text that comes from outside (channel names) is escaped here; numbers are formatted for people.
"""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from slidegate_analysis.images import Area
from slidegate_analysis.images.regions import UNIT

_WIDTH, _HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BASE = 46, 10, 14, 146


def number(value: float, digits: int = 3) -> str:
    """Write a number for people: 17,463; 42.1; 0.0312; 8; never an exponent."""
    if not math.isfinite(value):
        return "–"
    if value == int(value) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}".rstrip("0").rstrip(".")


def nice_step(span: float, most: int) -> float:
    """Give the smallest of 1, 2 or 5 times a power of ten that cuts `span` into at most `most` parts."""
    if not span > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * most >= span * (1 - 1e-9))


def _ticks(low: float, high: float, is_log: bool) -> list[float]:
    """Choose where an axis is labelled."""
    if not is_log:
        step = nice_step(high - low, 5)
        first = math.ceil(low / step - 1e-9)
        return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 300 else (1,)
    return [
        factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high
    ]


def _range(values: np.ndarray) -> tuple[float, float, bool]:
    """Choose a histogram's range, and whether its axis is logarithmic."""
    ends = (0.002, 0.995) if values.size >= 400 else (0.0, 1.0)
    low, middle, last, high = (float(v) for v in np.quantile(values, (ends[0], 0.5, 0.95, ends[1])))
    if low > 0 and (high / middle > 8 or high / last > 4):
        return low, max(high, low * 1.01), True
    low = 0.0 if low >= 0 and low < 0.35 * high else low
    # One value only, or nearly: give it some room.
    room = max(abs(high) * 0.05, 1e-3) if high - low <= abs(high) * 1e-6 else 0.0
    return low - room, high + room, False


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def histogram(values: np.ndarray, title: str, unit: str) -> str:
    """Draw the distribution of `values` (one axis) with its median; none at all give nothing.

    Of 400 values and more the axis holds the middle 99 %; how many lie beyond it is said in the caption.
    """
    values = values[np.isfinite(values)]
    if values.size == 0:
        return ""
    low, high, is_log = _range(values)
    edges = np.geomspace(low, high, 41) if is_log else np.linspace(low, high, 41)
    counts = np.histogram(values, edges)[0]
    first, median, third = (float(v) for v in np.quantile(values, (0.25, 0.5, 0.75)))
    words = f"median {number(median)}, middle half {number(first)} to {number(third)}"
    beyond = int(values.size - counts.sum())
    tail = f"; {number(beyond)} beyond the axis" if beyond else ""

    def across(value: float) -> float:
        value = min(max(value, low), high)
        part = math.log(value / low) / math.log(high / low) if is_log else (value - low) / (high - low)
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)

    marks = _bars([across(edge) for edge in edges], counts)
    for tick in _ticks(low, high, is_log):
        marks.append(_text(across(tick), _BASE + 15, number(tick), "middle"))
        marks.append(_line("axis", across(tick), _BASE, across(tick), _BASE + 4))
    marks.append(_line("median", across(median), _TOP - 6, across(median), _BASE))
    axis = f"{unit}, logarithmic" if is_log else unit
    marks.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, axis, "middle"))
    label = escape(f"Histogram of {title} in {unit}: {words}")
    return (
        f'<figure class="chart"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(marks)}</svg>"
        f"<figcaption><strong>{escape(title)}</strong><br>{escape(words + tail)}</figcaption></figure>"
    )


def _bars(places: list[float], counts: np.ndarray) -> list[str]:
    """Draw the bars between `places` with the axis below and the counts at the left."""
    tall = _BASE - _TOP
    top = max(1, int(counts.max()))
    marks = []
    for count in _ticks(0, top, False):
        if count == int(count):
            level = _BASE - tall * count / top
            marks.append(_text(_LEFT - 6, level + 4, number(count), "end"))
            marks.append(_line("grid", _LEFT, level, _WIDTH - _RIGHT, level))
    for left, right, count in zip(places[:-1], places[1:], counts, strict=True):
        if count:
            size = f'width="{max(0.5, right - left - 0.8):.1f}" height="{tall * count / top:.1f}"'
            marks.append(
                f'<rect class="bar" x="{left + 0.4:.1f}" y="{_BASE - tall * count / top:.1f}" {size}/>'
            )
    marks.append(_line("axis", _LEFT, _BASE, _WIDTH - _RIGHT, _BASE))
    return marks


def _halo(size: float) -> str:
    """Give the attributes of text `size` high, with a dark rim that keeps it readable on any picture."""
    return f'style="font-size:{size:.1f}px" stroke-width="{0.2 * size:.1f}"'


def scale_bar(width: int, height: int, pixel_size_um: float | None, shown_px: float) -> str:
    """Draw a scale bar into the lower right corner of a picture of (height, width) drawing units.

    `shown_px` is how many image pixels the picture is wide; without a pixel size the bar counts pixels.
    """
    unit = pixel_size_um or 1.0
    length = nice_step(shown_px * unit, 5)
    if pixel_size_um is None:
        length = max(1.0, length)
        words = f"{number(length)} px"
    else:
        words = f"{number(length / 1000)} mm" if length >= 1000 else f"{number(length)} µm"
    long = min(0.9 * width, length / unit / shown_px * width)
    size = max(8.0, 0.026 * max(width, height))
    right, low = width - size, height - size
    return (
        f'<g class="scale"><line x1="{right - long:.1f}" x2="{right:.1f}" y1="{low:.1f}" y2="{low:.1f}" '
        f'stroke-width="{0.28 * size:.1f}"/><text x="{right - long / 2:.1f}" y="{low - 0.5 * size:.1f}" '
        f'{_halo(size)} text-anchor="middle">{words}</text></g>'
    )


def frame(box: tuple[float, float, float, float], name: str, size: float) -> str:
    """Draw a named frame (y0, y1, x0, x1 in drawing units) over a picture; `size` is the letter's height."""
    y0, y1, x0, x1 = box
    least = 0.8 * size
    grow_y, grow_x = max(0.0, least - (y1 - y0)) / 2, max(0.0, least - (x1 - x0)) / 2
    y0, y1, x0, x1 = y0 - grow_y, y1 + grow_y, x0 - grow_x, x1 + grow_x
    below = y0 < 1.4 * size
    letter_y = y1 + size if below else y0 - 0.3 * size
    return (
        f'<g class="frame"><rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" '
        f'stroke-width="{0.12 * size:.1f}"/><text x="{x0:.1f}" y="{letter_y:.1f}" '
        f"{_halo(size)}>{escape(name)}</text></g>"
    )


def around(area: Area, per_px: float, number_of_it: int, colour: str, size: float) -> str:
    """Draw the outline of a region over a picture, with its number; `per_px` drawing units are one pixel.

    `size` is the height of the number in drawing units. What is less than half a unit away is not drawn.
    """
    path = ""
    for polygon in area.polygons:
        for ring in polygon.rings:
            places = np.round(ring * (2 * per_px / UNIT)).astype(np.int64)
            moved = (places != np.roll(places, 1, axis=0)).any(axis=1)
            if moved.any():
                path += f"M{' '.join(f'{x / 2:g},{y / 2:g}' for y, x in places[moved])}Z"
    outlines = np.concatenate([polygon.rings[0] for polygon in area.polygons]) * (per_px / UNIT)
    y, x = outlines[np.argmin(outlines @ (1.0, 0.01))]
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{0.14 * size:.1f}"/>'
        f'<text x="{max(0.0, float(x)):.1f}" y="{float(y) + size:.1f}" {_halo(size)}>{number_of_it}</text>'
    )


def colour_key(stops: Sequence[str], high: str, unit: str) -> str:
    """Draw what the colours of a map mean, from 0 to `high`."""
    steps = "".join(
        f'<stop offset="{100 * n / (len(stops) - 1):.0f}%" stop-color="{stop}"/>'
        for n, stop in enumerate(stops)
    )
    return (
        f'<svg class="key" viewBox="0 0 340 40" role="img" aria-label="Colours run from 0 to {high} '
        f'{escape(unit)}"><defs><linearGradient id="key">{steps}</linearGradient></defs>'
        '<rect x="2" y="2" width="336" height="14" fill="url(#key)"/>'
        f'<text x="2" y="33">0</text><text x="170" y="33" text-anchor="middle">{escape(unit)}</text>'
        f'<text x="338" y="33" text-anchor="end">{high}</text></svg>'
    )
