# SPDX-License-Identifier: BSD-3-Clause
"""Cutting an image into blocks that can be computed alone."""

from dataclasses import dataclass

Bounds = tuple[int, int, int, int]


@dataclass(frozen=True)
class Block:
    """One block of an image; bounds are half-open (y0, y1, x0, x1) in full-resolution pixels.

    Attributes
    ----------
    name
        ``b<row>_<column>``; names sort like the blocks below a thousand rows and columns.
    core
        The pixels that this block answers for; cores tile the image.
    outer
        The core with its halo, cut at the edge of the image.
    """

    name: str
    core: Bounds
    outer: Bounds


def plan_blocks(shape: tuple[int, int], core: int, halo: int) -> list[Block]:
    """Cut a (y, x) image into blocks of `core` squared pixels with a margin of `halo`, row by row.

    Raises
    ------
    ValueError
        The shape or `core` is not positive, or `halo` is negative.
    """
    height, width = shape
    if min(height, width, core) < 1 or halo < 0:
        raise ValueError("blocks need a positive shape and core, and a halo of at least 0")
    blocks = []
    for row, y0 in enumerate(range(0, height, core)):
        for column, x0 in enumerate(range(0, width, core)):
            y1, x1 = min(y0 + core, height), min(x0 + core, width)
            outer = (max(y0 - halo, 0), min(y1 + halo, height), max(x0 - halo, 0), min(x1 + halo, width))
            blocks.append(Block(f"b{row:03d}_{column:03d}", (y0, y1, x0, x1), outer))
    return blocks
