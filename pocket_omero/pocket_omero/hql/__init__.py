# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO's query language, as far as clients speak it; what is not known is refused, never guessed."""

from pocket_omero.hql.errors import HqlError
from pocket_omero.hql.query import Result, run

__all__ = ["HqlError", "Result", "run"]
