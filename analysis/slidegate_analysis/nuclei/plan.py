# SPDX-License-Identifier: BSD-3-Clause
"""The plan of one analysis: everything that all its Units must agree on, as a small JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slidegate_analysis.images import Block, Image, plan_blocks
from slidegate_analysis.images.labels import chunk_for
from slidegate_analysis.nuclei.compiled import numeric_class
from slidegate_analysis.nuclei.detect import ReliefDetector, check_size, levels_of
from slidegate_analysis.nuclei.errors import (
    BadParameterError,
    BadPlanError,
    NoSuchChannelError,
    OtherNumericClassError,
    PixelSizeMissingError,
)
from slidegate_analysis.nuclei.geometry import Geometry, geometry_for
from slidegate_analysis.nuclei.levels import Levels

FORMAT = 1
DEFAULTS = {"diameter_um": 8.0, "sensitivity": 0.5, "channel": "0", "pixel_size_um": None, "block_px": 2048}
SMALLEST_CHUNK = 64
RANGES = {
    "diameter_um": (2, 50),
    "sensitivity": (0, 1),
    "pixel_size_um": (0.01, 100),
    "block_px": (32, 16384),
}


@dataclass(frozen=True)
class Plan:
    """What all Units of one analysis share.

    Attributes
    ----------
    shape
        (c, y, x) of the image.
    channels
        Labels of its channels.
    channel
        Number of the channel that shows nuclei.
    pixel_size_um
        Micrometres per pixel.
    diameter_px
        Typical diameter of a nucleus, px.
    block_px
        Side of a block's core and of a label shard.
    parameters
        As given, with defaults filled in.
    geometry, levels
        Of the detector.
    numeric_class
        Where the plan was made; see :func:`~slidegate_analysis.nuclei.compiled.numeric_class`.
    """

    shape: tuple[int, int, int]
    channels: tuple[str, ...]
    channel: int
    pixel_size_um: float
    diameter_px: float
    block_px: int
    parameters: dict[str, Any]
    geometry: Geometry
    levels: Levels
    numeric_class: str

    @property
    def plane(self) -> tuple[int, int]:
        """The shape (y, x)."""
        return self.shape[1:]

    def detector(self) -> ReliefDetector:
        """Give the detector of this plan."""
        return ReliefDetector(self.geometry, self.levels)

    def blocks(self) -> dict[str, Block]:
        """Give the blocks by name, row by row."""
        return {block.name: block for block in plan_blocks(self.plane, self.block_px, self.geometry.halo)}


def make_plan(image: Image, parameters: Mapping[str, Any]) -> Plan:
    """Read the whole image once, strip by strip, and fix what its Units must agree on.

    Parameters
    ----------
    image
        The staged image.
    parameters
        ``diameter_um``, ``sensitivity``, ``channel``, ``pixel_size_um``, ``block_px``; what is missing takes
        its default.

    Raises
    ------
    BadParameterError, NoSuchChannelError, PixelSizeMissingError, DiameterOutOfRangeError, ImageTooLargeError
        The analysis cannot be done so; the message says what to do.
    """
    full = check_parameters(parameters)
    channel = resolve_channel(full["channel"], image.channels)
    pixel_size_um = full["pixel_size_um"] if full["pixel_size_um"] is not None else image.pixel_size_um
    if pixel_size_um is None:
        raise PixelSizeMissingError()
    height, width = image.shape[1:]
    check_size((height, width))
    diameter_px = float(full["diameter_um"]) / float(pixel_size_um)
    geometry = geometry_for(diameter_px)

    def read(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        return image.read(channel, y0, y1, x0, x1)

    levels = levels_of(read, (height, width), geometry, float(full["sensitivity"]))
    return Plan(
        shape=image.shape,
        channels=image.channels,
        channel=channel,
        pixel_size_um=float(pixel_size_um),
        diameter_px=diameter_px,
        block_px=full["block_px"],
        parameters=full,
        geometry=geometry,
        levels=levels,
        numeric_class=numeric_class(),
    )


def check_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in defaults and refuse what is out of range.

    Raises
    ------
    BadParameterError
        An unknown name, a value of another type, or one out of its range.
    """
    unknown = sorted(set(parameters) - set(DEFAULTS))
    if unknown:
        raise BadParameterError(f"there is no parameter {unknown[0]}")
    full = {**DEFAULTS, **parameters}
    if not isinstance(full["channel"], str):
        raise BadParameterError("channel must be a name or a number in quotes")
    for name, (low, high) in RANGES.items():
        value = full[name]
        if value is None and name == "pixel_size_um":
            continue
        kinds = (int,) if name == "block_px" else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise BadParameterError(f"{name} must be a number from {low} to {high}")
    if chunk_for(full["block_px"]) < min(SMALLEST_CHUNK, full["block_px"]):
        raise BadParameterError(
            "block_px must be divisible by a number from 64 to 256: take a multiple of 256"
        )
    return full


def resolve_channel(wanted: str, names: tuple[str, ...]) -> int:
    """Find a channel by its name, else by its number from 0.

    Raises
    ------
    NoSuchChannelError
        There is none; the message lists those that are there.
    """
    if wanted in names:
        return names.index(wanted)
    if wanted.isascii() and wanted.isdigit() and int(wanted) < len(names):
        return int(wanted)
    raise NoSuchChannelError(wanted, names)


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan as JSON."""
    content = {"plan": FORMAT, **asdict(plan), "blocks": list(plan.blocks())}
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")


def read_plan(path: Path) -> Plan:
    """Read a plan, and refuse it where results could differ from those of the process that made it.

    Raises
    ------
    BadPlanError
        It is missing or of another format.
    OtherNumericClassError
        It was made in another numeric class.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if content.pop("plan") != FORMAT:
            raise BadPlanError("it has another format")
        del content["blocks"]
        geometry = {name: _hashable(value) for name, value in content["geometry"].items()}
        content = {name: _hashable(value) for name, value in content.items()}
        plan = Plan(**{**content, "geometry": Geometry(**geometry), "levels": Levels(**content["levels"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadPlanError(type(error).__name__) from error
    here = numeric_class()
    if plan.numeric_class != here:
        raise OtherNumericClassError(f"planned with {plan.numeric_class}; here: {here}")
    return plan


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
