# SPDX-License-Identifier: GPL-2.0-or-later
"""ISession: sessions for oneself and for others, their ends, and what clients leave in them."""

from __future__ import annotations

from typing import Any

import omero.all

from pocket_omero.errors import Forbidden, SessionGone, WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.people import levels, roster
from pocket_omero.people.sessions import IDLE_MS, Session
from pocket_omero.state import Row

__all__ = ["SessionService"]

_LONGEST_IDLE = "omero.sessions.max_user_time_to_idle"
_LONGEST_LIFE = "omero.sessions.max_user_time_to_live"
# What closeSession answers, beside the number of references that are left.
_ENDED, _UNKNOWN = -2, -1


class SessionService(Service, omero.api.ISession, name="omero.api.ISession"):
    """Sessions as clients manage them."""

    def _object(self, session: Session, current: Any) -> Any:
        made = self.reply(current).load(session.row)
        made.details.owner = omero.model.ExperimenterI(session.person.id, False)
        made.details.group = omero.model.ExperimenterGroupI(session.group.id, False)
        return made

    def _mine(self, key: str, current: Any) -> Session:
        """A session that the caller may look into: their own, or any for who reads sessions."""
        session = self.house.sessions.find(key)
        real = session.sudoer or session.person
        if session is self.session or real is (self.session.sudoer or self.session.person):
            return session
        if self.house.rights.privilege(self.caller(current), "ReadSession"):
            return session
        raise SessionGone(f"No session with uuid: {key}")

    # To begin

    def do_createSession(self, principal: Any, credentials: str, current: Any) -> Any:
        """With the password of whoever it is for."""
        person = roster.person(self.house.state, principal.name)
        if person is None or not self.house.passwords.check(person.id, credentials):
            raise Forbidden(f"Password check failed for '{principal.name}'")
        where = roster.default_group(self.house.state, person)
        if principal.group and principal.group != "user":
            where = self._group_of(person, principal.group)
        idle = int(self.house.config.get("omero.sessions.timeout", str(IDLE_MS)))
        return self._object(self._open(person, where, 0, idle, None, current), current)

    def do_createUserSession(self, live: int, idle: int, group: str, current: Any) -> Any:
        """For oneself; only who gave a password may, so that a stolen key opens nothing new."""
        if not self.house.connections.of(current).has_password:
            raise Forbidden(
                "Bad authentication credentials for this action: log in with a password, or give it with "
                "setSecurityPassword"
            )
        me = self.session.person
        where = self._group_of(me, group) if group else self.session.group
        admin = self.caller(current).admin
        if not admin:
            self._check_times(live, idle)
        return self._object(self._open(me, where, live, idle, None, current), current)

    def do_createSessionWithTimeout(self, principal: Any, live: int, current: Any) -> Any:
        return self.do_createSessionWithTimeouts(principal, live, 0, current)

    def do_createSessionWithTimeouts(self, principal: Any, live: int, idle: int, current: Any) -> Any:
        """For another person: administrators with Sudo, and owners of groups in these."""
        state, caller = self.house.state, self.caller(current)
        person = roster.person(state, principal.name)
        if person is None:
            raise WrongUse(f"No such user: {principal.name}")
        where = (
            self._group_of(person, principal.group)
            if principal.group
            else roster.default_group(state, person)
        )
        if not self.house.rights.privilege(caller, "Sudo"):
            if not caller.leads:
                raise Forbidden(
                    "only administrators with the privilege Sudo and owners of groups may do this"
                )
            if where.id not in caller.leads:
                raise Forbidden(f"Group {where.id} is not one of those that user {caller.person.id} owns")
            if roster.privileges(state, person):
                raise Forbidden("owners of groups begin no sessions of administrators")
        sudoer = self.session.sudoer or (None if person is self.session.person else self.session.person)
        return self._object(self._open(person, where, live, idle, sudoer, current), current)

    def _open(
        self, person: Row, group: Row, live: int, idle: int, sudoer: Row | None, current: Any
    ) -> Session:
        agent = current.ctx.get("omero.agent", "") or self.session.agent
        return self.house.sessions.open(
            person, group, idle=max(0, idle), live=max(0, live), agent=agent, sudoer=sudoer
        )

    def _group_of(self, person: Row, name: str) -> Row:
        state = self.house.state
        group = roster.group(state, name)
        groups = [m["parent"] for m in roster.memberships(state, person)]
        admin = any(g.id == levels.SYSTEM_GROUP for g in groups)
        if group is None or not (admin or group in groups):
            raise Forbidden(f"User {person['omeName']} is not a member of group {name}")
        return group

    def _check_times(self, live: int, idle: int) -> None:
        for asked, setting in ((idle, _LONGEST_IDLE), (live, _LONGEST_LIFE)):
            longest = int(self.house.config.get(setting, "0"))
            if longest and asked > longest:
                raise Forbidden(f"{asked} ms is more than {setting} allows ({longest})")

    # To look, and to end

    def do_getSession(self, key: str, current: Any) -> Any:
        """Keeps it alive."""
        session = self.house.sessions.find(key)
        self.house.sessions.touch(session)
        return self._object(session, current)

    def do_getReferenceCount(self, key: str, current: Any) -> int:
        return self.house.sessions.find(key).references

    def do_closeSession(self, wanted: Any, current: Any) -> int:
        """Takes away a reference; the last one ends the session."""
        if wanted.uuid is None:
            raise WrongUse("the session has no uuid")
        try:
            session = self.house.sessions.find(wanted.uuid.val)
        except SessionGone:
            return _UNKNOWN
        left = self.house.sessions.leave(session)
        return left if left > 0 else _ENDED

    def do_getMyOpenSessions(self, current: Any) -> list[Any]:
        mine = [s for s in self.house.sessions.all() if s.person is self.session.person]
        return [self._object(s, current) for s in mine]

    def do_getMyOpenAgentSessions(self, agent: str, current: Any) -> list[Any]:
        mine = [s for s in self.house.sessions.all() if s.person is self.session.person and s.agent == agent]
        return [self._object(s, current) for s in mine]

    def do_getMyOpenClientSessions(self, current: Any) -> list[Any]:
        return self.do_getMyOpenSessions(current)

    # What clients leave in a session

    def do_setInput(self, key: str, name: str, value: Any, current: Any) -> None:
        self._set(self._mine(key, current).inputs, name, value)

    def do_setOutput(self, key: str, name: str, value: Any, current: Any) -> None:
        self._set(self._mine(key, current).outputs, name, value)

    def _set(self, shelf: dict[str, Any], name: str, value: Any) -> None:
        if value is None:
            shelf.pop(name, None)
        else:
            shelf[name] = value

    def do_getInput(self, key: str, name: str, current: Any) -> Any:
        return self._mine(key, current).inputs.get(name)

    def do_getOutput(self, key: str, name: str, current: Any) -> Any:
        return self._mine(key, current).outputs.get(name)

    def do_getInputKeys(self, key: str, current: Any) -> list[str]:
        return list(self._mine(key, current).inputs)

    def do_getOutputKeys(self, key: str, current: Any) -> list[str]:
        return list(self._mine(key, current).outputs)

    def do_getInputs(self, key: str, current: Any) -> dict[str, Any]:
        return dict(self._mine(key, current).inputs)

    def do_getOutputs(self, key: str, current: Any) -> dict[str, Any]:
        return dict(self._mine(key, current).outputs)
