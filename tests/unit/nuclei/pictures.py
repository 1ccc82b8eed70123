# SPDX-License-Identifier: BSD-3-Clause
"""Small images for tests, kind and unkind."""

import numpy as np


def discs(shape: tuple[int, int], diameter: float, count: int, seed: int, noise: float = 3.0) -> np.ndarray:
    """Draw bright discs of one diameter on a dim background: uint16."""
    chance = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    picture = np.full(shape, 100.0)
    for _ in range(count):
        y, x = chance.uniform(0, shape[0]), chance.uniform(0, shape[1])
        inside = (rows - y) ** 2 + (columns - x) ** 2 < (diameter / 2 * chance.uniform(0.8, 1.2)) ** 2
        picture[inside] = np.maximum(picture[inside], chance.uniform(300, 3000))
    picture += chance.normal(0, noise, shape)
    return np.clip(np.rint(picture), 0, 65535).astype(np.uint16)


def unkind(shape: tuple[int, int], kind: str, seed: int) -> np.ndarray:
    """Draw an image that is hard on detectors: uint16."""
    chance = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    if kind == "noise":
        return chance.integers(0, 65536, shape).astype(np.uint16)
    if kind == "coarse noise":
        small = chance.integers(0, 5, (shape[0] // 4 + 1, shape[1] // 4 + 1)) * 1000
        return np.kron(small, np.ones((4, 4), int))[: shape[0], : shape[1]].astype(np.uint16)
    if kind == "checkerboard":
        side = int(chance.integers(1, 9))
        return (((rows // side + columns // side) % 2) * 5000 + 100).astype(np.uint16)
    if kind == "huge":
        picture = np.full(shape, 50)
        y, x = (int(chance.integers(0, side // 2 + 1)) for side in shape)
        picture[y : y + shape[0] // 2, x : x + shape[1] // 2] = 40000
        return picture.astype(np.uint16)
    if kind == "saturated":
        return np.where(discs(shape, 6, shape[0] * shape[1] // 90, seed) > 200, 65535, 0).astype(np.uint16)
    if kind == "ramp":
        return ((rows * 97 + columns * 31) % 65536).astype(np.uint16)
    if kind == "lattice":
        return np.where((rows % 7 < 4) & (columns % 7 < 4), 900, 100).astype(np.uint16)
    if kind == "stripes":
        return np.where((rows + columns) % 9 < 4, 900, 100).astype(np.uint16)
    raise ValueError(kind)


UNKIND = ("noise", "coarse noise", "checkerboard", "huge", "saturated", "ramp", "lattice", "stripes")
