# SPDX-License-Identifier: GPL-2.0-or-later
"""People and groups as rows: to find them, to make them, and those that always exist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocket_omero.state import Row, State


def found(state: State) -> None:
    """Make what an OMERO always has, where it is missing: groups system, user, guest; people root and guest.

    Also the enumeration AdminPrivilege.  A repeat changes nothing.
    """
    raise NotImplementedError


def person(state: State, name: str) -> Row | None:
    """The person with this login name."""
    raise NotImplementedError


def group(state: State, name: str) -> Row | None:
    """The group with this name."""
    raise NotImplementedError


def memberships(state: State, who: Row) -> list[Row]:
    """Rows GroupExperimenterMap of a person, the default group first."""
    raise NotImplementedError


def new_group(state: State, name: str, level: str = "private", description: str = "") -> Row:
    """Make a group; `level` is a name of `levels.LEVELS` or ``"rw----"`` and the like."""
    raise NotImplementedError


def new_person(
    state: State,
    name: str,
    *,
    first: str = "",
    last: str = "",
    email: str = "",
    default: Row,
    groups: Iterable[Row] = (),
    admin: bool = False,
    privileges: Iterable[str] | None = None,
) -> Row:
    """Make a person in group `default`, in `groups`, and in ``user`` (and ``system`` for an administrator).

    Parameters
    ----------
    privileges
        For an administrator with single privileges: their names; None: all.
    """
    raise NotImplementedError


def join(state: State, who: Row, where: Row, *, leads: bool = False) -> Row:
    """Put a person into a group (or set whether the person owns it); a repeat changes nothing."""
    raise NotImplementedError


def leave(state: State, who: Row, where: Row) -> None:
    """Take a person out of a group; a repeat changes nothing."""
    raise NotImplementedError
