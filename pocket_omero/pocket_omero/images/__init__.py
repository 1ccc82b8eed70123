# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixels: from TIFF and OME-Zarr as five axes (t, c, z, y, x), and of images made plane by plane."""

from pocket_omero.images.base import (
    PIXEL_TYPES,
    Channel,
    ImageError,
    ImageInfo,
    OutsideError,
    Plane,
    Reader,
    pixel_type,
)
from pocket_omero.images.made import MadeReader
from pocket_omero.images.originals import Files
from pocket_omero.images.pyramid import is_large
from pocket_omero.images.store import Images, Place, inspect

__all__ = [
    "PIXEL_TYPES",
    "Channel",
    "Files",
    "ImageError",
    "ImageInfo",
    "Images",
    "MadeReader",
    "OutsideError",
    "Place",
    "Plane",
    "Reader",
    "inspect",
    "is_large",
    "pixel_type",
]
