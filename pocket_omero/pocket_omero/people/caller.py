# SPDX-License-Identifier: GPL-2.0-or-later
"""Who makes a call, in which groups, and with which rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pocket_omero.state import Row


class Login(Protocol):
    """What is asked of a session: who logged in, and the group the session is in now."""

    person: Row
    group: Row
    row: Row | None  # the row of entity Session
    sudoer: Row | None  # who made the session for this person, None: the person


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes one call.

    Attributes
    ----------
    person, group
        The person, and the group the session is in.
    session
        The row of entity Session, None where the server itself acts.
    admin
        Whether the person is in the group ``system``, with all privileges or some.
    privileges
        Names of the enumeration AdminPrivilege that hold for this call.
    leads, member_of
        Ids of the groups the person owns, and of those the person is in.
    scope
        What `omero.group` says for this call: a group's id, or -1 for all groups.
    owner
        What `omero.user` says: only rows of this person are seen; None: rows of all.
    """

    person: Row
    group: Row
    session: Row | None
    admin: bool
    privileges: frozenset[str]
    leads: frozenset[int]
    member_of: frozenset[int]
    scope: int
    owner: int | None = None
