# SPDX-License-Identifier: BSD-3-Clause
"""Where things lie on a synthetic slide: tissue, holes, background light and nuclei, all by hashed chance.

Every number is a hash of (seed, what, index), never the next value of a stream: any region can be drawn
alone and comes out the same. Frame: full-resolution pixels, (y, x), origin at the corner of the first pixel.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

MAX_RADIUS_UM = 9.0
"""No nucleus reaches further than this from its centre, blur and haze left aside."""

MAX_SWING = 0.28
"""No outline leaves its ellipse by more than this part of the radius."""

_NUCLEUS, _GHOST, _DEBRIS = 0, 1, 2

# Streams of chance: each kind of draw has its own, so that adding one changes no other.
_S_OUTLINE, _S_EDGE, _S_CLEFT, _S_HOLE, _S_PORE, _S_CROWD, _S_CROWD_FINE, _S_MARKER = range(1, 9)
_S_PLACE, _S_SHAPE, _S_LIGHT, _S_CHANNEL, _S_AUTO, _S_FIBRE, _S_SLOPE = range(9, 16)


@njit(cache=True, nogil=True)
def mix(key):
    """Scramble 64 bits (the finaliser of SplitMix64; Steele, Lea and Flood 2014)."""
    key = np.uint64(key)
    key ^= key >> np.uint64(30)
    key *= np.uint64(0xBF58476D1CE4E5B9)
    key ^= key >> np.uint64(27)
    key *= np.uint64(0x94D049BB133111EB)
    key ^= key >> np.uint64(31)
    return key


@njit(cache=True, nogil=True)
def chance(seed, stream, index, draw):
    """Give the uniform number in (0, 1) of one draw: the same arguments always give the same number."""
    key = mix(np.uint64(seed) + np.uint64(stream) * np.uint64(0x9E3779B97F4A7C15))
    key = mix(key ^ (np.uint64(index) * np.uint64(0xD1B54A32D192ED03)))
    key = mix(key + np.uint64(draw) * np.uint64(0x9E3779B97F4A7C15))
    return (np.float64(key >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def normal(seed, stream, index, draw):
    """Give the standard normal number of one draw (Box and Muller 1958); uses draws `draw` and `draw + 1`."""
    radius = math.sqrt(-2.0 * math.log(chance(seed, stream, index, draw)))
    return radius * math.cos(2.0 * math.pi * chance(seed, stream, index, draw + 1))


@njit(cache=True, nogil=True)
def _slope(seed, stream, iy, ix, dy, dx):
    """Give what the slope that stands on lattice point (iy, ix) contributes at distance (dy, dx)."""
    key = np.uint64(np.int64(iy)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(np.int64(ix))
    key = mix(mix(key ^ np.uint64(seed)) + np.uint64(stream) * np.uint64(0xD1B54A32D192ED03))
    uy = np.float64(np.int64(key) >> np.int64(11)) * (1.0 / 4503599627370496.0)
    ux = 1.0 - abs(uy) if key & np.uint64(1) else abs(uy) - 1.0
    return (uy * dy + ux * dx) / math.sqrt(uy * uy + ux * ux)


@njit(cache=True, nogil=True)
def noise(seed, stream, y, x):
    """Give smooth noise, about -1 to 1, at (y, x) in lattice units (gradient noise; Perlin 2002)."""
    iy = math.floor(y)
    ix = math.floor(x)
    fy = y - iy
    fx = x - ix
    wy = fy * fy * fy * (fy * (fy * 6.0 - 15.0) + 10.0)
    wx = fx * fx * fx * (fx * (fx * 6.0 - 15.0) + 10.0)
    upper = _slope(seed, stream, iy, ix, fy, fx) * (1 - wx)
    upper += _slope(seed, stream, iy, ix + 1, fy, fx - 1) * wx
    lower = _slope(seed, stream, iy + 1, ix, fy - 1, fx) * (1 - wx)
    lower += _slope(seed, stream, iy + 1, ix + 1, fy - 1, fx - 1) * wx
    return 1.5 * (upper * (1 - wy) + lower * wy)


@njit(cache=True, nogil=True)
def tissue_at(seed, height, width, um, y, x):
    """Tell how much tissue lies at (y, x): 0 glass, 1 tissue, between them a rim of a few micrometres."""
    short = min(height, width) * um
    ny = (y - 0.5 * height) / (0.5 * height)
    nx = (x - 0.5 * width) / (0.5 * width)
    yu = y * um
    xu = x * um
    outline = 0.90 - (abs(ny) ** 2.6 + abs(nx) ** 2.6) ** (1.0 / 2.6)
    outline += 0.28 * noise(seed, _S_OUTLINE, yu / (0.42 * short), xu / (0.42 * short))
    outline += 0.07 * noise(seed, _S_EDGE, yu / (0.1 * short + 20.0), xu / (0.1 * short + 20.0))
    # A small picture is a field inside the tissue, not a whole section with its margins.
    outline += 1.6 * max(0.0, 1.0 - short / 1000.0)
    rough = noise(seed, _S_EDGE, yu / 22.0, xu / 22.0)
    inside = outline * 0.5 * short / 4.0 + 2.0 * rough
    if inside < -1.0:
        return 0.0
    bend = 0.3 * noise(seed, _S_EDGE, yu / 90.0, xu / 90.0)
    hole = 0.62 - noise(seed, _S_HOLE, yu / 260.0 + bend, xu / 260.0 - bend)
    inside = min(inside, hole * 260.0 / 5.0 + rough)
    pore = 0.72 - noise(seed, _S_PORE, yu / 60.0 + bend, xu / 60.0)
    inside = min(inside, pore * 60.0 / 5.0 + rough)
    if short > 1000.0:
        away = noise(seed, _S_CLEFT, yu / (0.5 * short), xu / (0.5 * short))
        closed = 30.0 * max(0.0, noise(seed, _S_CLEFT, yu / 310.0, xu / 310.0) + 0.12)
        inside = min(inside, (abs(away) - 0.004) * 0.5 * short / 4.0 + closed + 0.6 * rough)
    return min(1.0, max(0.0, inside + 0.5))


@njit(cache=True, nogil=True)
def crowd_at(seed, um, y, x):
    """Tell how crowded nuclei are at (y, x), relative to the slide's mean: 0.25 to 2.2."""
    wide = noise(seed, _S_CROWD, y * um / 420.0, x * um / 420.0)
    fine = noise(seed, _S_CROWD_FINE, y * um / 90.0, x * um / 90.0)
    follicle = min(1.0, max(0.0, 5.0 * (wide - 0.32)))
    return min(2.2, max(0.25, 0.9 + 0.35 * wide + 0.35 * fine + 0.8 * follicle))


@njit(cache=True, nogil=True)
def light_nodes(seed, channel, height, width, um, y_first, x_first, step, out):
    """Fill `out` with the background light, in photoelectrons, at nodes `step` pixels apart.

    Node (i, j) stands at pixel (y_first + i * step, x_first + j * step). Glass, the tissue's own
    fluorescence, fibres, and a slope over the slide.
    """
    salt = seed + channel * 1000003
    glass = 14.0 + 4.0 * channel
    own = 52.0 if channel == 0 else 74.0
    for i in range(out.shape[0]):
        y = float(y_first + i * step)
        for j in range(out.shape[1]):
            x = float(x_first + j * step)
            tissue = tissue_at(seed, height, width, um, y, x)
            slope = 1.0 + 0.35 * noise(salt, _S_SLOPE, 0.8 * y / height + 0.3, 0.8 * x / width + 0.3)
            level = glass
            if tissue > 0.0:
                cloud = 0.75 + 0.35 * noise(salt, _S_AUTO, y * um / 300.0, x * um / 300.0)
                cloud += 0.20 * noise(salt, _S_AUTO, y * um / 45.0 + 7.5, x * um / 45.0)
                cloud += 0.16 * noise(salt, _S_AUTO, y * um / 9.0 + 3.5, x * um / 9.0)
                bend = 1.6 * noise(seed, _S_FIBRE, y * um / 160.0, x * um / 160.0)
                ridge = noise(salt, _S_FIBRE, y * um / 26.0 + bend, x * um / 85.0 - bend)
                fibre = max(0.0, 1.0 - 5.0 * abs(ridge))
                level += tissue * own * (cloud + 0.45 * fibre * fibre)
            out[i, j] = level * slope


@dataclass(frozen=True)
class Things:
    """All that lies on a slide: nuclei first (`kind` 0), then ghosts out of focus (1) and debris (2).

    One entry per thing and column. `y`, `x`: centre in pixels; `a`, `b`: half axes in pixels; `cos`, `sin`:
    turn of axis `a` against x; `waves`: (n, 6) cosine and sine of the outline's harmonics 2, 3 and 4,
    relative to its radius; `blur`: standard deviation of the edge in pixels; `light`: (n, channels)
    photoelectrons; `haze`: part of the light that spreads around; `grain`: strength of the texture; `patch`:
    (n, 2) where in the texture tile it begins.
    """

    kind: np.ndarray
    y: np.ndarray
    x: np.ndarray
    a: np.ndarray
    b: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    waves: np.ndarray
    blur: np.ndarray
    light: np.ndarray
    haze: np.ndarray
    grain: np.ndarray
    patch: np.ndarray
    positive: np.ndarray
    focused: np.ndarray

    @property
    def nuclei(self) -> int:
        """Count the nuclei; ghosts and debris are no nuclei."""
        return int(np.count_nonzero(self.kind == _NUCLEUS))


@njit(cache=True, nogil=True)
def _tissue_area(seed, height, width, um):
    """Give the tissue's area in pixels, sampled on at most 400 x 400 points."""
    rows = min(400, height)
    columns = min(400, width)
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            y = (i + 0.5) * height / rows
            x = (j + 0.5) * width / columns
            total += 1.0 if tissue_at(seed, height, width, um, y, x) > 0.6 else 0.0
    return total / (rows * columns) * height * width


@njit(cache=True, nogil=True)
def _reach(a, b, cos, sin, dy, dx):
    """Give an ellipse's radius in direction (dy, dx)."""
    length = math.sqrt(dy * dy + dx * dx) + 1e-9
    u = (cos * dx + sin * dy) / length
    v = (cos * dy - sin * dx) / length
    return a * b / math.sqrt(b * b * u * u + a * a * v * v)


@njit(cache=True, nogil=True)
def _draw_shape(seed, index, um, out):
    """Draw half axes (pixels) and turn of candidate `index` into `out` = (a, b, angle)."""
    radius = 3.7 * math.exp(0.17 * normal(seed, _S_SHAPE, index, 0))
    radius = min(5.8, max(2.2, radius))
    aspect = 1.0 + 0.42 * chance(seed, _S_SHAPE, index, 2)
    if chance(seed, _S_SHAPE, index, 3) < 0.14:
        aspect = 1.6 + 0.9 * chance(seed, _S_SHAPE, index, 4)
        radius *= 0.88
    # Elongated nuclei line up with their neighbours, the others lie as they fall.
    out[0] = radius * math.sqrt(aspect) / um
    out[1] = radius / math.sqrt(aspect) / um
    out[2] = math.pi * chance(seed, _S_SHAPE, index, 5)


@njit(cache=True, nogil=True)
def _is_free(y, x, shape, cos, sin, place, heads, following, pitch, slack):
    """Tell whether a nucleus fits at (y, x) without covering a neighbour; touching is allowed."""
    gy = int(y / pitch)
    gx = int(x / pitch)
    for iy in range(max(0, gy - 1), min(heads.shape[0], gy + 2)):
        for ix in range(max(0, gx - 1), min(heads.shape[1], gx + 2)):
            other = heads[iy, ix]
            while other >= 0:
                dy = y - place[other, 0]
                dx = x - place[other, 1]
                near = _reach(shape[0], shape[1], cos, sin, dy, dx)
                near += _reach(place[other, 2], place[other, 3], place[other, 4], place[other, 5], dy, dx)
                if dy * dy + dx * dx < (slack * near) ** 2:
                    return False
                other = following[other]
    return True


@njit(cache=True, nogil=True)
def _place(seed, height, width, um, wanted, place):
    """Throw nuclei one by one until `wanted` lie on the tissue or no room is found; return how many lie.

    One in three is thrown against another, so that doublets and clusters arise.
    `place` (wanted, 6) receives y, x, a, b, cos, sin.
    """
    pitch = 2.0 * MAX_RADIUS_UM / um
    heads = np.full((int(height / pitch) + 1, int(width / pitch) + 1), -1, np.int64)
    following = np.full(wanted, -1, np.int64)
    shape = np.empty(3)
    found = 0
    for trial in range(60 * wanted + 400):
        if found == wanted:
            break
        _draw_shape(seed, trial, um, shape)
        cos = math.cos(shape[2])
        sin = math.sin(shape[2])
        slack = 1.06
        if found > 0 and chance(seed, _S_PLACE, trial, 0) < 0.33:
            friend = int(chance(seed, _S_PLACE, trial, 1) * found)
            turn = 2.0 * math.pi * chance(seed, _S_PLACE, trial, 2)
            dy = math.sin(turn)
            dx = math.cos(turn)
            slack = 0.84
            gap = _reach(shape[0], shape[1], cos, sin, dy, dx)
            gap += _reach(place[friend, 2], place[friend, 3], place[friend, 4], place[friend, 5], dy, dx)
            gap *= 0.86 + 0.2 * chance(seed, _S_PLACE, trial, 3)
            y = place[friend, 0] + gap * dy
            x = place[friend, 1] + gap * dx
        else:
            y = height * chance(seed, _S_PLACE, trial, 1)
            x = width * chance(seed, _S_PLACE, trial, 2)
            if 2.2 * chance(seed, _S_PLACE, trial, 4) > crowd_at(seed, um, y, x):
                continue
        if not (0 <= y < height and 0 <= x < width) or tissue_at(seed, height, width, um, y, x) < 0.6:
            continue
        if not _is_free(y, x, shape, cos, sin, place, heads, following, pitch, slack):
            continue
        place[found, 0] = y
        place[found, 1] = x
        place[found, 2] = shape[0]
        place[found, 3] = shape[1]
        place[found, 4] = cos
        place[found, 5] = sin
        following[found] = heads[int(y / pitch), int(x / pitch)]
        heads[int(y / pitch), int(x / pitch)] = found
        found += 1
    return found


@njit(cache=True, nogil=True)
def _scatter(seed, height, width, um, stream, place):
    """Scatter ghosts or debris anywhere on the tissue, debris on glass too; fill `place` as `_place` does."""
    shape = np.empty(3)
    for index in range(place.shape[0]):
        key = index + stream * 10_000_019
        _draw_shape(seed, key, um, shape)
        y = height * chance(seed, stream, key, 10)
        x = width * chance(seed, stream, key, 11)
        if stream == _GHOST:
            for again in range(8):
                if tissue_at(seed, height, width, um, y, x) > 0.6:
                    break
                y = height * chance(seed, stream, key, 12 + 2 * again)
                x = width * chance(seed, stream, key, 13 + 2 * again)
        size = 1.15 if stream == _GHOST else 0.12 + 0.22 * chance(seed, stream, key, 40)
        place[index, 0] = y
        place[index, 1] = x
        place[index, 2] = max(0.6, shape[0] * size)
        place[index, 3] = max(0.6, shape[1] * size)
        place[index, 4] = math.cos(shape[2])
        place[index, 5] = math.sin(shape[2])


@njit(cache=True, nogil=True)
def _dress(seed, um, kind, place, waves, blur, light, haze, grain, patch, positive, focused):
    """Draw outline, focus, brightness per channel and texture of everything that lies."""
    for i in range(kind.shape[0]):
        strength = 0.04 + 0.045 * chance(seed, _S_LIGHT, i, 0)
        for k in range(6):
            waves[i, k] = strength * normal(seed, _S_LIGHT, i, 2 + 2 * k) / (1.0 + 0.8 * (k // 2))
        swing = 0.0
        for k in range(0, 6, 2):
            swing += math.hypot(waves[i, k], waves[i, k + 1])
        if swing > MAX_SWING:
            for k in range(6):
                waves[i, k] *= MAX_SWING / swing
        far = chance(seed, _S_LIGHT, i, 20)
        focused[i] = far > 0.10
        blur[i] = (0.36 + 0.18 * chance(seed, _S_LIGHT, i, 21)) / um
        grain[i] = 0.16 + 0.16 * chance(seed, _S_LIGHT, i, 22)
        bright = 230.0 * math.exp(0.42 * normal(seed, _S_LIGHT, i, 24))
        haze[i] = 0.05 + 0.05 * chance(seed, _S_LIGHT, i, 26)
        if chance(seed, _S_LIGHT, i, 27) < 0.02:
            # Condensed (dividing or dying) nuclei: small, coarse, and so bright that the camera saturates.
            bright *= 9.0 + 14.0 * chance(seed, _S_LIGHT, i, 28)
            place[i, 2] *= 0.72
            place[i, 3] *= 0.72
            grain[i] *= 1.3
        if not focused[i]:
            blur[i] *= 2.2 + 1.6 * chance(seed, _S_LIGHT, i, 29)
            bright *= 0.45 + 0.3 * chance(seed, _S_LIGHT, i, 30)
            grain[i] *= 0.4
            haze[i] += 0.06
        if kind[i] == _GHOST:
            blur[i] = (2.2 + 1.5 * chance(seed, _S_LIGHT, i, 31)) / um
            bright = 18.0 + 26.0 * chance(seed, _S_LIGHT, i, 32)
            grain[i] = 0.0
            focused[i] = False
        if kind[i] == _DEBRIS:
            bright = 200.0 * math.exp(1.1 * normal(seed, _S_LIGHT, i, 34))
            grain[i] = 0.0
            haze[i] = 0.0
        patch[i, 0] = int(512 * chance(seed, _S_LIGHT, i, 36))
        patch[i, 1] = int(512 * chance(seed, _S_LIGHT, i, 37))
        light[i, 0] = bright
        _dress_markers(seed, um, i, kind[i], bright, place, light, positive)


@njit(cache=True, nogil=True)
def _dress_markers(seed, um, i, kind, bright, place, light, positive):
    """Draw what later channels show of thing `i`: a marker on a subset, and bleed-through on all."""
    yu = place[i, 0] * um
    xu = place[i, 1] * um
    for channel in range(1, light.shape[1]):
        share = 0.28 + 0.30 * noise(seed + channel, _S_MARKER, yu / 500.0, xu / 500.0)
        carries = kind == _NUCLEUS and chance(seed, _S_CHANNEL, i, 8 * channel) < share
        shown = 0.03 * bright
        if kind == _DEBRIS:
            shown = bright * chance(seed, _S_CHANNEL, i, 8 * channel + 1)
        if carries:
            shown += 340.0 * math.exp(0.55 * normal(seed, _S_CHANNEL, i, 8 * channel + 2))
        elif kind == _NUCLEUS:
            shown += 10.0 * math.exp(0.5 * normal(seed, _S_CHANNEL, i, 8 * channel + 2))
        light[i, channel] = shown
        positive[i, channel - 1] = carries


def lay_out(seed: int, height: int, width: int, channels: int, density: float, um: float) -> Things:
    """Decide what lies on a slide: about 100 bytes per nucleus, a second or so for half a million.

    Parameters
    ----------
    seed : int
        Names the slide; the same arguments give the same slide.
    height, width : int
        Size in pixels.
    channels : int
        How many channels each thing gets a brightness for.
    density : float
        Nuclei per square millimetre of tissue.
    um : float
        Micrometres per pixel.
    """
    area_mm2 = _tissue_area(seed, height, width, um) * um * um * 1e-6
    wanted = round(density * area_mm2)
    nuclei = np.zeros((wanted, 6))
    nuclei = nuclei[: _place(seed, height, width, um, wanted, nuclei)]
    rows = np.floor(nuclei[:, 0] * um / 83.0)
    nuclei = nuclei[np.lexsort((nuclei[:, 0], nuclei[:, 1], rows))]
    ghosts = np.zeros((round(0.12 * len(nuclei)), 6))
    _scatter(seed, height, width, um, _GHOST, ghosts)
    debris = np.zeros((round(height * width * um * um * 1e-6 * 60), 6))
    _scatter(seed, height, width, um, _DEBRIS, debris)
    place = np.concatenate([nuclei, ghosts, debris])
    kind = np.repeat(np.array([_NUCLEUS, _GHOST, _DEBRIS], np.uint8), [len(nuclei), len(ghosts), len(debris)])
    n = len(kind)
    waves, blur, light = np.zeros((n, 6)), np.zeros(n), np.zeros((n, channels))
    haze, grain, patch = np.zeros(n), np.zeros(n), np.zeros((n, 2), np.int64)
    positive, focused = np.zeros((n, max(0, channels - 1)), np.bool_), np.zeros(n, np.bool_)
    _dress(seed, um, kind, place, waves, blur, light, haze, grain, patch, positive, focused)
    y, x, a, b, cos, sin = (np.ascontiguousarray(column) for column in place.T)
    return Things(kind, y, x, a, b, cos, sin, waves, blur, light, haze, grain, patch, positive, focused)
