# SPDX-License-Identifier: GPL-2.0-or-later
"""Save graphs of objects as OMERO's IUpdate does."""

from typing import Any

from pocket_omero.state.rows import Row
from pocket_omero.state.state import State

__all__ = ["save"]


def save(state: State, obj: Any, caller: Any, rights: Any = None) -> Row:
    """Insert, update or refer to what a graph of omero.model objects says."""
    raise NotImplementedError
