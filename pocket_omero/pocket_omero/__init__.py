# SPDX-License-Identifier: GPL-2.0-or-later
"""A small server that real OMERO clients take for OMERO. For demos and tests, never for data."""

__version__ = "0.1.0"
