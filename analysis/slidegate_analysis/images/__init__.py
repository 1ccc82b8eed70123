# SPDX-License-Identifier: BSD-3-Clause
"""Arrays: OME-Zarr in and out, pyramids, blocks with halo, label images, histograms.

Axes are (c, y, x) for images and (y, x) for labels; regions are half-open; pixel sizes are in micrometres.
"""

from .blocks import Block, plan_blocks
from .errors import ImagesError
from .histograms import histogram
from .image import Image, open_image, write_image
from .labels import Labels, build_label_pyramid, create_labels, open_labels
from .regions import Area, read_areas

__all__ = [
    "Area",
    "Block",
    "Image",
    "ImagesError",
    "Labels",
    "build_label_pyramid",
    "create_labels",
    "histogram",
    "open_image",
    "open_labels",
    "plan_blocks",
    "read_areas",
    "write_image",
]
