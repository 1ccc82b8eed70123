# SPDX-License-Identifier: GPL-2.0-or-later
"""For all tests of the wire."""

# Before any test imports Glacier2: imported first, that module hides one of its own exceptions from omero-py.
import omero.all  # noqa: F401
