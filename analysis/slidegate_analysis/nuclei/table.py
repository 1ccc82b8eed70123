# SPDX-License-Identifier: BSD-3-Clause
"""The table of nuclei: one row each, sorted by id, with units and channel names in the schema's metadata."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from slidegate_analysis.nuclei.measure import REGIONS, STATISTICS, Outlines

FRAME = "full-resolution pixels, (y, x), origin at the corner of the first pixel: a pixel's middle is at +0.5"

_OUTLINE_COLUMNS = (
    (
        "id",
        pa.uint32(),
        "",
        "flat index of the nucleus's raster-first pixel, plus 1: its number in labels.zarr",
    ),
    ("y_px", pa.float64(), "px", "centroid"),
    ("x_px", pa.float64(), "px", "centroid"),
    ("y_um", pa.float64(), "um", "centroid"),
    ("x_um", pa.float64(), "um", "centroid"),
    ("y0_px", pa.int32(), "px", "bounding box, first row"),
    ("y1_px", pa.int32(), "px", "bounding box, row after the last"),
    ("x0_px", pa.int32(), "px", "bounding box, first column"),
    ("x1_px", pa.int32(), "px", "bounding box, column after the last"),
    ("area_px", pa.int32(), "px2", "number of pixels"),
    ("area_um2", pa.float64(), "um2", "area"),
    ("eccentricity", pa.float64(), "", "of the ellipse with the same second moments; 0 for a disc"),
    ("touches_edge", pa.bool_(), "", "the nucleus reaches the edge of the image and may be cut off"),
    ("box_clipped", pa.bool_(), "", "the edge of the image cuts the 101 px box around the centroid"),
)

_STATISTIC_WORDS = {
    "mean": ("counts", "mean"),
    "median": ("counts", "median"),
    "variance": ("counts2", "variance (divided by the number of pixels)"),
    "skewness": ("", "skewness (third standardised moment; NaN where the variance is 0)"),
}
_REGION_WORDS = {
    "": "over the nucleus",
    "box_": "over the 101 px box around the centroid, cut at the image's edge",
}


_REGION = (
    "region",
    pa.string(),
    "",
    "the smallest of the regions that hold the centroid; missing: none",
    True,
)


def schema_for(channels: tuple[str, ...], pixel_size_um: float, with_regions: bool = False) -> pa.Schema:
    """Give the Arrow schema: a field per column with its unit; the metadata say what holds for all.

    Columns of channel number n begin with ``c<n>_``; ``c<n>_box_`` means the box. The last column,
    ``region``, is there only `with_regions`.
    """
    fields = [field_of(*column) for column in _OUTLINE_COLUMNS]
    for number in range(len(channels)):
        for region in REGIONS:
            for statistic in STATISTICS:
                unit, words = _STATISTIC_WORDS[statistic]
                about = f"channel {number}: {words} {_REGION_WORDS[region]}"
                fields.append(field_of(f"c{number}_{region}{statistic}", pa.float64(), unit, about))
    if with_regions:
        fields.append(field_of(*_REGION))
    about = {"frame": FRAME, "channels": list(channels), "pixel_size_um": pixel_size_um}
    return pa.schema(fields, {"slidegate": json.dumps(about, sort_keys=True)})


def make_table(
    outlines: Outlines,
    channel_values: list[np.ndarray],
    *,
    shape: tuple[int, int],
    channels: tuple[str, ...],
    pixel_size_um: float,
    regions: Sequence[str | None] | None = None,
) -> pa.Table:
    """Put measurements into a table.

    Parameters
    ----------
    outlines
        The nuclei, sorted by id.
    channel_values
        Per channel, from :func:`~slidegate_analysis.nuclei.measure.intensities`.
    shape
        Shape (y, x) of the image.
    channels, pixel_size_um
        Of the image.
    regions
        The name of each nucleus's region; None, and no such column, where nobody drew any.
    """
    _, clipped = outlines.windows(shape)
    boxes = outlines.boxes
    middle = outlines.sums / outlines.areas[:, None] + 0.5
    edge = (boxes[:, 0] == 0) | (boxes[:, 2] == 0) | (boxes[:, 1] == shape[0]) | (boxes[:, 3] == shape[1])
    area_um2 = outlines.areas * (pixel_size_um * pixel_size_um)
    columns = [
        outlines.ids,
        middle[:, 0],
        middle[:, 1],
        middle[:, 0] * pixel_size_um,
        middle[:, 1] * pixel_size_um,
    ]
    columns += [boxes[:, side] for side in range(4)]
    columns += [outlines.areas, area_um2, outlines.eccentricities, edge, clipped]
    for values in channel_values:
        columns += [
            values[:, region, kind] for region in range(len(REGIONS)) for kind in range(len(STATISTICS))
        ]
    schema = schema_for(channels, pixel_size_um, regions is not None)
    if regions is not None:
        columns.append(pa.array(regions, pa.string()))
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def field_of(name: str, kind: pa.DataType, unit: str, about: str, nullable: bool = False) -> pa.Field:
    """Give a column that says what it means."""
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit, "about": about})
