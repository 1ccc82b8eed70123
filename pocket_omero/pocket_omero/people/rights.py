# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may see and do what: OMERO's rules for groups, their owners and administrators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocket_omero.people.caller import Caller, Login
    from pocket_omero.state import Row, State


class Rights:
    """The rules, for all callers.

    Parameters
    ----------
    state
        Where people, groups and data are.
    """

    def __init__(self, state: State) -> None:
        self.state = state

    def caller(self, session: Login, ctx: Mapping[str, str]) -> Caller:
        """Who calls: the person of `session`, in the scope that `ctx` (``omero.group``, ``omero.user``) names.

        Raises
        ------
        omero.SecurityViolation
            If the person is not in the group that `ctx` names and may not read there.
        omero.ApiUsageException
            If `ctx` names no group or no number.
        """
        raise NotImplementedError

    def server(self, person: Row | None = None, group: Row | None = None) -> Caller:
        """The server itself as a caller, in all groups and with all privileges (to load, to seed)."""
        raise NotImplementedError

    def visible(self, caller: Caller) -> Callable[[Row], bool]:
        """The test that tells which rows `caller` sees; cheap per row."""
        raise NotImplementedError

    def can_read(self, caller: Caller, row: Row) -> bool:
        raise NotImplementedError

    def can_annotate(self, caller: Caller, row: Row) -> bool:
        raise NotImplementedError

    def can_edit(self, caller: Caller, row: Row) -> bool:
        raise NotImplementedError

    def can_delete(self, caller: Caller, row: Row) -> bool:
        raise NotImplementedError

    def can_link(self, caller: Caller, row: Row) -> bool:
        raise NotImplementedError

    def can_chgrp(self, caller: Caller, row: Row) -> bool:
        raise NotImplementedError

    def can_chown(self, caller: Caller, row: Row) -> bool:
        raise NotImplementedError

    def can_create(self, caller: Caller, kind: str, values: Mapping[str, Any]) -> bool:
        """Whether `caller` may make a row of `kind`; system types need a privilege, links need their ends."""
        raise NotImplementedError

    def writable_group(self, caller: Caller) -> Row:
        """The group in which `caller` writes.

        Raises
        ------
        omero.SecurityViolation
            If the call is for all groups (-1), or the person may not write in the group.
        """
        raise NotImplementedError

    def permissions(self, caller: Caller, row: Row) -> Any:
        """``details.permissions`` of `row` as `caller` gets it: the group's level, and what is restricted."""
        raise NotImplementedError

    def privilege(self, caller: Caller, name: str) -> bool:
        """Whether `caller` has the single privilege `name` (of the enumeration AdminPrivilege)."""
        return name in caller.privileges
