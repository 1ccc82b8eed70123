# SPDX-License-Identifier: GPL-2.0-or-later
"""Who makes a call, in which groups, and with which rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["Caller", "Login"]


class Login(Protocol):
    """What is asked of a session."""

    @property
    def person(self) -> Row:
        """Who is logged in."""

    @property
    def group(self) -> Row:
        """The group that the session is in now."""

    @property
    def row(self) -> Row | None:
        """Its row of entity Session."""

    @property
    def sudoer(self) -> Row | None:
        """Who opened it for the person; None: the person."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes one call.

    Attributes
    ----------
    person, group
        The person (whom ``omero.user`` named, where an administrator calls), and the group the session is in.
    session
        The row of entity Session, None where the server itself acts.
    admin
        Whether the person is in the group ``system``, with all privileges or some.
    privileges
        Names of the enumeration AdminPrivilege that hold for this call.
    leads, member_of
        Ids of the groups the person owns, and of those the person is in.
    scope
        What ``omero.group`` says for this call: a group's id, or -1 for all groups.
    told
        What `Rights.permissions` found out already, for this call.
    """

    person: Row
    group: Row
    session: Row | None
    admin: bool
    privileges: frozenset[str]
    leads: frozenset[int]
    member_of: frozenset[int]
    scope: int
    told: dict[tuple[str, int, int, bool], list[bool]] = field(
        default_factory=dict, compare=False, repr=False
    )
