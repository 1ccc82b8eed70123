# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is logged in to a session, as clients are told (omero.sys.EventContext)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.all  # noqa: F401  (fills omero.sys)
from omero.rtypes import rlong, rstring
from omero.sys import EventContext

from pocket_omero.people import roster

if TYPE_CHECKING:
    from pocket_omero.people.rights import Rights
    from pocket_omero.people.sessions import Session

__all__ = ["event_context", "public_context"]


def event_context(rights: Rights, session: Session) -> Any:
    """All of it: person, group, privileges, groups."""
    caller, sudoer = rights.standing(session), session.sudoer
    groups = [row["parent"].id for row in roster.memberships(rights.state, session.person)]
    return EventContext(
        shareId=-1,
        sessionId=session.row.id,
        sessionUuid=session.uuid,
        userId=session.person.id,
        userName=session.person["omeName"],
        sudoerId=rlong(sudoer.id) if sudoer is not None else None,
        sudoerName=rstring(sudoer["omeName"]) if sudoer is not None else None,
        groupId=session.group.id,
        groupName=session.group["name"],
        isAdmin=caller.admin,
        adminPrivileges=sorted(caller.privileges),
        eventId=-1,
        eventType="User",
        memberOfGroups=[group for group in groups if group in caller.member_of],
        leaderOfGroups=[group for group in groups if group in caller.leads],
        groupPermissions=rights.permissions(caller, session.group),
    )


def public_context(rights: Rights, session: Session) -> Any:
    """What people are told of the sessions of others: who, and in which group."""
    return EventContext(
        userId=session.person.id,
        userName=session.person["omeName"],
        groupId=session.group.id,
        groupName=session.group["name"],
        isAdmin=rights.standing(session).admin,
    )
