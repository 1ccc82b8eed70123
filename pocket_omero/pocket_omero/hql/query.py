# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a statement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pocket_omero.hql.errors import HqlError
from pocket_omero.state import Reply, Row, State

__all__ = ["Result", "run"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement found.

    Parameters
    ----------
    columns
        What each column holds: "entity", or what `Field.of` says of scalars, or "permissions".
    rows
        One list per row. Entities are objects of omero.model, loaded; all else is plain Python.
    names
        Of the columns, where the statement says ``select new map(... as name)``; else None.
    """

    columns: list[str]
    rows: list[list[Any]]
    names: list[str] | None


def run(
    state: State,
    text: str,
    params: Mapping[str, Any],
    reply: Reply,
    visible: Callable[[Row], bool],
    *,
    limit: int | None = None,
    offset: int = 0,
) -> Result:
    """Run a statement of HQL.

    Parameters
    ----------
    text
        The statement.
    params
        Values of the named parameters: rtypes or plain Python.
    reply
        Makes the objects; what the statement fetches is loaded in it.
    visible
        Which rows the caller may see; others do not exist for the statement.
    limit, offset
        Which rows of the result are wanted; None: all.

    Raises
    ------
    HqlError
        With the statement and the reason.
    """
    raise HqlError(text)
