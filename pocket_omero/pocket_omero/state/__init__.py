# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything the server knows: rows in memory with indexes, durable in one file, and graphs of them."""

from pocket_omero.state.graph import Reply
from pocket_omero.state.rows import Row
from pocket_omero.state.state import State

__all__ = ["Reply", "Row", "State"]
