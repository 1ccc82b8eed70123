# SPDX-License-Identifier: BSD-3-Clause
"""Draw any region of a synthetic slide: light of nuclei and background, camera noise, and the true labels.

Each pixel is computed from the things that reach it, in the order of their numbers, and from a hash of its
own position: the result does not depend on how the slide is cut into blocks.
"""

import math

import numpy as np
from numba import njit

from slidegate_analysis.nuclei.synth_layout import MAX_SWING, light_nodes

NODE_STEP = 8
"""Distance in pixels between the nodes where background light is computed; between them it is bilinear."""
HAZE_REACH = 2.4
"""Light out of focus spreads this many radii around a nucleus."""
GAIN = 8.0
"""Grey values per photoelectron."""
OFFSET = 100.0
"""Grey value without light."""
READ_NOISE = 2.5
"""Standard deviation of the camera's read noise, in photoelectrons."""
FIELD = 2048
"""Side of the microscope's field of view in pixels; fields darken a little towards their corners."""


def texture_tile(seed: int) -> np.ndarray:
    """Make a periodic (512, 512) float32 tile of chromatin: fine and coarse grain with dark nucleoli, mean 0.

    Smoothed by repeated (1, 2, 1) / 4 steps, so that no library's filter decides about its bits.
    """
    chance = np.random.Generator(np.random.Philox(key=[seed & 0xFFFFFFFFFFFFFFFF, 0x7E87]))

    def smooth(values: np.ndarray, steps: int) -> np.ndarray:
        for axis in (0, 1):
            for _ in range(steps):
                values = 0.25 * np.roll(values, 1, axis) + 0.5 * values + 0.25 * np.roll(values, -1, axis)
        return values / values.std()

    fine = smooth(chance.standard_normal((512, 512)), 3)
    coarse = smooth(chance.standard_normal((512, 512)), 14)
    nucleoli = np.maximum(0.0, smooth(chance.standard_normal((512, 512)), 10) - 1.5)
    tile = 0.55 * fine + 0.75 * coarse - 1.5 * nucleoli
    return (tile - tile.mean()).astype(np.float32)


@njit(cache=True, nogil=True)
def _outline(waves, i, cu, sv):
    """Give the outline's radius, relative to the ellipse's, in the direction (cosine, sine) = (cu, sv)."""
    c2 = cu * cu - sv * sv
    s2 = 2.0 * cu * sv
    c3 = cu * c2 - sv * s2
    s3 = sv * c2 + cu * s2
    c4 = c2 * c2 - s2 * s2
    s4 = 2.0 * c2 * s2
    radius = 1.0 + waves[i, 0] * c2 + waves[i, 1] * s2
    radius += waves[i, 2] * c3 + waves[i, 3] * s3
    return radius + waves[i, 4] * c4 + waves[i, 5] * s4


@njit(cache=True, nogil=True)
def add_light(origin, which, things, channel, tile, out):
    """Add the light of things `which` (ascending) to `out`, the region (y, x) that begins at `origin`.

    `things` is (y, x, a, b, cos, sin, waves, blur, light, haze, grain, patch). The edge of a nucleus falls
    off over its own blur (a cubic step, close to the error function of a Gaussian point spread), inside is a
    flat dome with texture.
    """
    ys, xs, a_s, b_s, coses, sines, waves, blurs, light, hazes, grains, patches = things
    for i in which:
        a = a_s[i]
        b = b_s[i]
        cos = coses[i]
        sin = sines[i]
        spread = 3.3 * blurs[i]
        haze = hazes[i]
        bright = light[i, channel]
        outer = 1.0 + MAX_SWING + 0.5 * spread / min(a, b)
        reach = max(outer if haze == 0.0 else HAZE_REACH, outer)
        reach_y = reach * math.sqrt(a * a * sin * sin + b * b * cos * cos)
        reach_x = reach * math.sqrt(a * a * cos * cos + b * b * sin * sin)
        for py in range(
            max(0, int(ys[i] - reach_y) - origin[0]), min(out.shape[0], int(ys[i] + reach_y) + 2 - origin[0])
        ):
            dy = py + origin[0] + 0.5 - ys[i]
            ty = (py + origin[0] + patches[i, 0] + 97 * channel) & 511
            for px in range(
                max(0, int(xs[i] - reach_x) - origin[1]),
                min(out.shape[1], int(xs[i] + reach_x) + 2 - origin[1]),
            ):
                dx = px + origin[1] + 0.5 - xs[i]
                u = (cos * dx + sin * dy) / a
                v = (cos * dy - sin * dx) / b
                q = u * u + v * v
                value = 0.0
                if haze > 0.0 and q < HAZE_REACH * HAZE_REACH:
                    fall = 1.0 - q / (HAZE_REACH * HAZE_REACH)
                    value = haze * fall * fall
                if q < outer * outer:
                    r = math.sqrt(q) + 1e-9
                    slope = math.sqrt((u / a) ** 2 + (v / b) ** 2) / r + 1e-9
                    away = (_outline(waves, i, u / r, v / r) - r) / slope
                    step = min(1.0, max(0.0, away / spread + 0.5))
                    if step > 0.0:
                        grain = 1.0 + grains[i] * tile[ty, (px + origin[1] + patches[i, 1]) & 511]
                        value += (
                            step * step * (3.0 - 2.0 * step) * (1.0 - 0.22 * min(1.0, q)) * max(0.15, grain)
                        )
                out[py, px] += bright * value


@njit(cache=True, nogil=True)
def draw_labels(origin, which, things, out):
    """Write the number + 1 of the nucleus that owns each pixel into `out` (uint32), 0 for none.

    A pixel belongs to the nucleus in whose outline its centre lies; where outlines overlap, to the one whose
    outline it lies deeper in (relative to the radius), at a tie to the lower number. Blur and noise play no
    part.
    """
    ys, xs, a_s, b_s, coses, sines, waves = things[:7]
    best = np.ones(out.shape)
    for i in which:
        a = a_s[i]
        b = b_s[i]
        reach_y = (1.0 + MAX_SWING) * math.sqrt(a * a * sines[i] ** 2 + b * b * coses[i] ** 2)
        reach_x = (1.0 + MAX_SWING) * math.sqrt(a * a * coses[i] ** 2 + b * b * sines[i] ** 2)
        for py in range(
            max(0, int(ys[i] - reach_y) - origin[0]), min(out.shape[0], int(ys[i] + reach_y) + 2 - origin[0])
        ):
            dy = py + origin[0] + 0.5 - ys[i]
            for px in range(
                max(0, int(xs[i] - reach_x) - origin[1]),
                min(out.shape[1], int(xs[i] + reach_x) + 2 - origin[1]),
            ):
                dx = px + origin[1] + 0.5 - xs[i]
                u = (coses[i] * dx + sines[i] * dy) / a
                v = (coses[i] * dy - sines[i] * dx) / b
                r = math.sqrt(u * u + v * v) + 1e-9
                if r >= 1.0 + MAX_SWING:
                    continue
                depth = r / _outline(waves, i, u / r, v / r)
                if depth < best[py, px]:
                    best[py, px] = depth
                    out[py, px] = i + 1


@njit(cache=True, nogil=True)
def _scramble(h):
    """Scramble 32 bits ("lowbias32", found by C. Wellons's hash prospector; public domain).

    The casts matter: the compiler widens sums and products of 32 bits to 64.
    """
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D))
    h = np.uint32(np.uint32(h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(h ^ (h >> np.uint32(16)))


@njit(cache=True, nogil=True)
def _bits(h):
    """Count the bits that are set in 32."""
    h = np.uint32(h - ((h >> np.uint32(1)) & np.uint32(0x55555555)))
    h = np.uint32((h & np.uint32(0x33333333)) + ((h >> np.uint32(2)) & np.uint32(0x33333333)))
    h = np.uint32((h + (h >> np.uint32(4))) & np.uint32(0x0F0F0F0F))
    return np.uint32(h * np.uint32(0x01010101)) >> np.uint32(24)


@njit(cache=True, nogil=True)
def expose(key, origin, nodes, light, out):
    """Take the picture: background plus `light` (photoelectrons), through shading and noise, into `out`.

    Shot noise by the square-root rule (Anscombe 1948): (sqrt(mean + read²) + z / 2)² - read² - 1/4 has the
    mean, variance and skewness of Poisson counts plus read noise for the ten and more photoelectrons met
    here. z is the centred sum of 64 hashed bits plus one uniform number: normal to 0.5 % out to four standard
    deviations.
    """
    read2 = np.float32(READ_NOISE * READ_NOISE)
    inverse = np.float32(1.0 / NODE_STEP)
    for py in range(out.shape[0]):
        y = py + origin[0]
        ny = np.float32(py) * inverse
        iy = int(ny)
        wy = ny - np.float32(iy)
        across = np.float32((y % FIELD) - FIELD / 2) / np.float32(FIELD / 2)
        shade_y = np.float32(1.0) - np.float32(0.05) * across * across
        row = _scramble(np.uint32(np.uint32(key) ^ _scramble(np.uint32(y))))
        for px in range(out.shape[1]):
            x = px + origin[1]
            ix = px // NODE_STEP
            wx = np.float32(px - ix * NODE_STEP) * inverse
            upper = nodes[iy, ix] + wx * (nodes[iy, ix + 1] - nodes[iy, ix])
            lower = nodes[iy + 1, ix] + wx * (nodes[iy + 1, ix + 1] - nodes[iy + 1, ix])
            along = np.float32((x % FIELD) - FIELD // 2) * np.float32(2.0 / FIELD)
            shade = shade_y - np.float32(0.05) * along * along
            mean = (upper + wy * (lower - upper) + light[py, px]) * shade
            one = _scramble(np.uint32(row + np.uint32(x) * np.uint32(0x9E3779B1)))
            two = _scramble(np.uint32(one ^ np.uint32(0x5BD1E995)))
            three = _scramble(np.uint32(two + np.uint32(0x68BC21EB)))
            part = np.float32(three >> np.uint32(8)) * np.float32(1.0 / 16777216.0)
            z = (np.float32(_bits(one) + _bits(two)) - np.float32(32.5) + part) * np.float32(0.2493507)
            root = np.sqrt(mean + read2) + np.float32(0.5) * z
            grey = np.float32(GAIN) * (root * root - read2 - np.float32(0.25)) + np.float32(OFFSET + 0.5)
            out[py, px] = np.uint16(min(np.float32(65535.0), max(np.float32(0.0), grey)))


def background(
    seed: int, channel: int, size: tuple[int, int], um: float, region: tuple[int, int, int, int]
) -> np.ndarray:
    """Compute the nodes of background light for `region` = (y0, y1, x0, x1), whose y0 and x0 are on nodes."""
    y0, y1, x0, x1 = region
    nodes = np.empty(((y1 - y0 - 1) // NODE_STEP + 2, (x1 - x0 - 1) // NODE_STEP + 2), np.float32)
    light_nodes(seed, channel, size[0], size[1], um, y0, x0, NODE_STEP, nodes)
    return nodes
