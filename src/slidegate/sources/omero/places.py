# SPDX-License-Identifier: BSD-3-Clause
"""Where results go in OMERO: see slidegate.domain.omero_places."""

from slidegate.domain.omero_places import PREFIX, OmeroPlace

__all__ = ["PREFIX", "OmeroPlace"]
