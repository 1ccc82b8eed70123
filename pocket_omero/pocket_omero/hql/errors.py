# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a statement."""

from pocket_omero.errors import BadQuery

__all__ = ["HqlError"]


class HqlError(BadQuery):
    """The statement cannot be understood, or asks for what pocket OMERO does not know."""
