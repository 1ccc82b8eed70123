# SPDX-License-Identifier: BSD-3-Clause
"""The facts behind a report, in the units that people read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slidegate_analysis.images import Image, Labels
from slidegate_analysis.nuclei.report_charts import number
from slidegate_analysis.nuclei.report_pictures import map_density


class Facts:
    """What all sections of a report draw from, worked out once.

    Lengths are in pixels unless a name says `um`; `area` is in `area_unit`.
    """

    def __init__(self, image: Image, labels: Labels, table: pa.Table, summary: Mapping[str, Any]) -> None:
        self.image = image
        self.labels = labels
        self.table = table
        self.summary = summary
        self.count: int = table.num_rows
        self.height, self.width = image.shape[1:]
        self.channel: int = summary.get("channel", 0)
        size = summary.get("pixel_size_um")
        self.um: float | None = image.pixel_size_um if size is None else size
        self.y = self.column("y_px")
        self.x = self.column("x_px")
        self.area = self.column("area_px") * (self.um**2 if self.um else 1.0)
        self.area_unit = "µm²" if self.um else "px"
        across_px = 2.0 * float(np.sqrt(np.median(self.column("area_px")) / np.pi)) if self.count else 0.0
        self.density = map_density((self.height, self.width), self.y, self.x, across_px)

    def column(self, name: str) -> np.ndarray:
        """Give a numeric column as float64."""
        return self.table.column(name).cast(pa.float64()).to_numpy()

    def flagged(self, name: str) -> int | None:
        """Count the rows where a boolean column is true; None where there is no such column."""
        return (pc.sum(self.table.column(name)).as_py() or 0) if name in self.table.column_names else None

    def channel_name(self, channel: int) -> str:
        """Name a channel for people: its label and its number."""
        label = self.image.channels[channel]
        return f"{label} (channel {channel})" if label else f"channel {channel}"

    def per_area(self, per_px: float) -> tuple[str, str]:
        """Write a density given per pixel of area in the unit that can be known: (number, unit)."""
        if self.um:
            return number(per_px / (self.um**2 * 1e-6)), "per mm²"
        return number(per_px * 1e6), "per million px"

    def length(self, px: float) -> str:
        """Write a length for people: millimetres, micrometres, or pixels where their size is not known."""
        if not self.um:
            return f"{number(px)} px"
        return f"{number(px * self.um / 1000)} mm" if px * self.um >= 1000 else f"{number(px * self.um)} µm"
