# SPDX-License-Identifier: GPL-2.0-or-later
"""People, groups, passwords and privileges: IAdmin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import omero.all
from omero.cmd import Chgrp2, Chmod2, Chown2
from omero.rtypes import rlist

from pocket_omero.commands import do
from pocket_omero.errors import Forbidden, Invalid, Unsupported, WrongUse
from pocket_omero.ice.entities import entity
from pocket_omero.people import levels, roster
from pocket_omero.people.contexts import event_context
from pocket_omero.services.steady import Steady
from pocket_omero.state.convert import from_wire

if TYPE_CHECKING:
    from pocket_omero.people.caller import Caller
    from pocket_omero.state import Reply, Row

__all__ = ["Admin"]

_PHOTO = "openmicroscopy.org/omero/experimenter/photo"
_NAMES = ("firstName", "middleName", "lastName", "email", "institution")
_FIXED_PEOPLE, _FIXED_GROUPS = ("root", "guest"), ("system", "user", "guest")


class Admin(Steady, omero.api.IAdmin, name="omero.api.IAdmin"):
    """Who there is, who may what; and changes of that by administrators and owners of groups."""

    # Who calls

    def do_getEventContext(self, current: Any) -> Any:
        """Who is logged in, in which group: of the session, whatever the call's context says."""
        return event_context(self.house.rights, self.session)

    def do_getSecurityRoles(self, current: Any) -> Any:
        """The names and ids of those that always exist."""
        return omero.sys.Roles(
            levels.ROOT,
            "root",
            levels.SYSTEM_GROUP,
            "system",
            levels.USER_GROUP,
            "user",
            levels.GUEST,
            "guest",
            levels.GUEST_GROUP,
            "guest",
        )

    def do_canUpdate(self, obj: Any, current: Any) -> bool:
        """Whether the caller may edit a row."""
        return self.house.rights.can_edit(self.caller(current), self._row(obj))

    # People and groups

    def do_getExperimenter(self, id: int, current: Any) -> Any:
        """A person with their groups."""
        return self._with_groups(self._found("Experimenter", id), self.reply(current))

    def do_lookupExperimenter(self, name: str, current: Any) -> Any:
        """A person, by login name, with their groups."""
        return self._with_groups(self._person(name), self.reply(current))

    def do_lookupExperimenters(self, current: Any) -> list[Any]:
        """All people with their groups."""
        reply = self.reply(current)
        return [self._with_groups(row, reply) for row in self.house.state.all("Experimenter")]

    def do_getGroup(self, id: int, current: Any) -> Any:
        """A group with its people."""
        return self._with_people(self._found("ExperimenterGroup", id), self.reply(current))

    def do_lookupGroup(self, name: str, current: Any) -> Any:
        """A group, by name, with its people."""
        return self._with_people(self._group(name), self.reply(current))

    def do_lookupGroups(self, current: Any) -> list[Any]:
        """All groups with their people, and the groups of these."""
        reply = self.reply(current)
        return [self._with_people(row, reply, deep=True) for row in self.house.state.all("ExperimenterGroup")]

    def do_containedExperimenters(self, group: int, current: Any) -> list[Any]:
        """The people of a group, with all their groups."""
        reply, maps = self.reply(current), self.house.state.where("GroupExperimenterMap", "parent", group)
        return [self._with_groups(row["child"], reply) for row in maps]

    def do_containedGroups(self, person: int, current: Any) -> list[Any]:
        """The groups of a person, with their people."""
        reply = self.reply(current)
        maps = roster.memberships(self.house.state, self._found("Experimenter", person))
        return [self._with_people(row["parent"], reply, deep=True) for row in maps]

    def do_getDefaultGroup(self, person: int, current: Any) -> Any:
        """The group a person is in after login."""
        group = roster.default_group(self.house.state, self._found("Experimenter", person))
        return self.reply(current).load(group)

    def do_getMemberOfGroupIds(self, person: Any, current: Any) -> list[int]:
        """The ids of the groups of a person."""
        return [row["parent"].id for row in roster.memberships(self.house.state, self._row(person))]

    def do_getLeaderOfGroupIds(self, person: Any, current: Any) -> list[int]:
        """The ids of the groups that a person owns."""
        maps = roster.memberships(self.house.state, self._row(person))
        return [row["parent"].id for row in maps if row["owner"]]

    def do_lookupLdapAuthExperimenter(self, id: int, current: Any) -> str | None:
        """Nothing: there is no LDAP."""
        self._found("Experimenter", id)
        return None

    def do_lookupLdapAuthExperimenters(self, current: Any) -> Any:
        """Nobody: there is no LDAP."""
        return rlist([])

    def do_synchronizeLoginCache(self, current: Any) -> None:
        """Do nothing: there is no cache."""
        self._privileged(current, None)

    # Privileges

    def do_getCurrentAdminPrivileges(self, current: Any) -> list[Any]:
        """The single privileges of the caller."""
        return self._privileges(self.caller(current).privileges, current)

    def do_getAdminPrivileges(self, person: Any, current: Any) -> list[Any]:
        """The single privileges of a person."""
        return self._privileges(roster.privileges(self.house.state, self._row(person)), current)

    def do_getAdminsWithPrivileges(self, privileges: Sequence[Any], current: Any) -> list[Any]:
        """The administrators who have all of these privileges."""
        wanted, state, reply = self._names(privileges), self.house.state, self.reply(current)
        maps = state.where("GroupExperimenterMap", "parent", levels.SYSTEM_GROUP)
        admins = [row["child"] for row in maps if wanted <= roster.privileges(state, row["child"])]
        return [reply.load(row) for row in admins]

    def do_setAdminPrivileges(self, person: Any, privileges: Sequence[Any], current: Any) -> None:
        """Leave an administrator these privileges only; nobody gives more than they have."""
        caller, who = self._privileged(current, "ModifyUser"), self._row(person)
        wanted = self._names(privileges)
        with self.house.state.change():
            before = roster.privileges(self.house.state, who)
            roster.set_privileges(self.house.state, who, wanted)
            self._no_elevation(caller, who, before)

    # New people and groups

    def do_createGroup(self, group: Any, current: Any) -> int:
        """Make a group, private unless its details say otherwise."""
        self._privileged(current, "ModifyGroup")
        permissions = group.details.permissions if group.details is not None else None
        level = str(permissions) if permissions is not None else levels.PRIVATE
        with self.house.state.change():
            made = roster.new_group(
                self.house.state, from_wire(group.name) or "", level, from_wire(group.description) or ""
            )
            if group._ldap is not None:
                self.house.state.set(made, ldap=bool(from_wire(group._ldap)))
        return made.id

    def do_createUser(self, person: Any, group: str, current: Any) -> int:
        """Make a person in a group, without a password."""
        return self._create(person, None, [self._group(group)], None, current)

    def do_createSystemUser(self, person: Any, current: Any) -> int:
        """Make an administrator without a password."""
        return self._create(person, None, [self._found("ExperimenterGroup", 0)], None, current)

    def do_createRestrictedSystemUser(self, person: Any, privileges: Sequence[Any], current: Any) -> int:
        """Make an administrator with single privileges and without a password."""
        return self.do_createRestrictedSystemUserWithPassword(person, privileges, None, current)

    def do_createRestrictedSystemUserWithPassword(
        self, person: Any, privileges: Sequence[Any], password: Any, current: Any
    ) -> int:
        """Make an administrator with single privileges."""
        system = self._found("ExperimenterGroup", levels.SYSTEM_GROUP)
        return self._create(person, password, [system], self._names(privileges), current)

    def do_createExperimenter(self, person: Any, default: Any, groups: Sequence[Any], current: Any) -> int:
        """Make a person without a password."""
        return self.do_createExperimenterWithPassword(person, None, default, groups, current)

    def do_createExperimenterWithPassword(
        self, person: Any, password: Any, default: Any, groups: Sequence[Any], current: Any
    ) -> int:
        """Make a person; `default` is the group after login."""
        rows = [self._row(group) for group in (default, *(groups or ()))]
        return self._create(person, password, rows, None, current)

    def _create(
        self, person: Any, password: Any, groups: list[Row], privileges: frozenset[str] | None, current: Any
    ) -> int:
        caller, state = self.caller(current), self.house.state
        self._leads_or(caller, "ModifyUser", [g for g in groups if g.id != levels.USER_GROUP])
        given = {name: from_wire(getattr(person, name)) for name in ("omeName", *_NAMES)}
        for name in ("omeName", "firstName", "lastName"):
            if given[name] is None:
                raise Invalid(f"not-null property references a null or transient value: Experimenter.{name}")
        with state.change():
            admin = any(g.id == levels.SYSTEM_GROUP for g in groups)
            who = roster.new_person(
                state,
                given["omeName"],
                default=groups[0],
                groups=groups[1:],
                admin=admin,
                privileges=privileges,
            )
            state.set(who, ldap=bool(from_wire(person._ldap)), **{name: given[name] for name in _NAMES})
            self._no_elevation(caller, who, frozenset())
        if from_wire(password):
            self.house.passwords.set(who.id, from_wire(password))
        return who.id

    # Changes of people and groups

    def do_updateSelf(self, person: Any, current: Any) -> None:
        """Change the caller's own names and addresses, not the login name."""
        with self.house.state.change():
            self._copy(person, self.caller(current).person)

    def do_updateExperimenter(self, person: Any, current: Any) -> None:
        """Change a person; people without the right to that may change themselves."""
        caller, who = self.caller(current), self._row(person)
        if not self._may_change(caller, who):
            if who.id != caller.person.id:
                raise _neither()
            self.do_updateSelf(person, current)
            return
        name = from_wire(person.omeName)
        if name != who["omeName"]:
            if who["omeName"] in _FIXED_PEOPLE or name in _FIXED_PEOPLE:
                raise Invalid(f"cannot change name of special experimenter {who['omeName']!r} to {name!r}")
            if not name or roster.person(self.house.state, name) is not None:
                raise Invalid(f"a person's login name is used once only, and is not empty: {name!r}")
        with self.house.state.change():
            self._copy(person, who)
            self.house.state.set(who, omeName=name)

    def do_updateExperimenterWithPassword(self, person: Any, password: Any, current: Any) -> None:
        """Change a person and their password."""
        who = self._row(person)
        if not self._may_change(self.caller(current), who):
            raise _neither()
        self.do_updateExperimenter(person, current)
        self.do_changeUserPassword(who["omeName"], password, current)

    def do_updateGroup(self, group: Any, current: Any) -> None:
        """Change name, description and level of a group."""
        caller, row, state = self.caller(current), self._row(group), self.house.state
        self._leads_or(caller, "ModifyGroup", [row])
        name = from_wire(group.name)
        if name != row["name"]:
            if row["name"] in _FIXED_GROUPS or name in _FIXED_GROUPS:
                raise Invalid(f"cannot change name of special group {row['name']!r} to {name!r}")
            if row.id == caller.scope:
                raise Invalid(f"cannot rename the current group context {row['name']!r}")
            if not name or roster.group(state, name) is not None:
                raise Invalid(f"a group's name is used once only, and is not empty: {name!r}")
        permissions = group.details.permissions if group.details is not None else None
        with state.change():
            if permissions is not None and str(permissions) != roster.level_of(row):
                self.do_changePermissions(group, permissions, current)
            state.set(row, name=name, description=from_wire(group.description))

    def do_changePermissions(self, obj: Any, permissions: Any, current: Any) -> None:
        """Change the level of a group."""
        row = self._row(obj)
        do(
            self,
            Chmod2(targetObjects={row.kind: [row.id]}, permissions=str(permissions), dryRun=False),
            current,
        )

    def do_addGroups(self, person: Any, groups: Sequence[Any], current: Any) -> None:
        """Put a person into groups."""
        caller, who, rows = self.caller(current), self._row(person), [self._row(g) for g in groups or ()]
        if not rows:
            raise Invalid("Nothing to do.")
        self._leads_or(caller, "ModifyGroupMembership", rows)
        with self.house.state.change():
            before = roster.privileges(self.house.state, who)
            for row in rows:
                roster.join(self.house.state, who, row)
            self._no_elevation(caller, who, before)

    def do_removeGroups(self, person: Any, groups: Sequence[Any], current: Any) -> None:
        """Take a person out of groups; one group beside ``user`` stays."""
        caller, who, rows = self.caller(current), self._row(person), [self._row(g) for g in groups or ()]
        self._leads_or(caller, "ModifyGroupMembership", rows)
        gone = {row.id for row in rows}
        if gone & {levels.SYSTEM_GROUP, levels.USER_GROUP}:
            if who.id == levels.ROOT:
                raise Invalid("experimenter 'root' may not be removed from the 'system' or 'user' group")
            if who.id == caller.person.id:
                raise Invalid("experimenters may not remove themselves from the 'system' or 'user' group")
        left = {m["parent"].id for m in roster.memberships(self.house.state, who)} - gone
        if not left:
            raise Invalid("experimenter must remain a member of some group")
        if left == {levels.USER_GROUP}:
            raise Invalid(
                "experimenter cannot be a member of only the 'user' group, "
                "a different default group is also required"
            )
        with self.house.state.change():
            for row in rows:
                roster.leave(self.house.state, who, row)

    def do_setDefaultGroup(self, person: Any, group: Any, current: Any) -> None:
        """Choose the group a person is in after login, from now on."""
        caller, who, row, state = self.caller(current), self._row(person), self._row(group), self.house.state
        if "ModifyUser" not in caller.privileges and who.id != caller.person.id:
            raise Forbidden(f"User {who.id} can only set own default group.")
        if row.id == levels.USER_GROUP:
            raise WrongUse("Cannot set default group to: user")
        maps = roster.memberships(state, who)
        first = [m for m in maps if m["parent"].id == row.id]
        if not first:
            raise WrongUse(f"{who['omeName']} is not in the group {row['name']}")
        with state.change():
            state.order(who, "groupExperimenterMap", first + [m for m in maps if m is not first[0]])

    def do_setGroupOwner(self, group: Any, owner: Any, current: Any) -> None:
        """Make a person an owner of a group; puts them into it where they are not."""
        self._set_owners(group, [owner], True, current)

    def do_unsetGroupOwner(self, group: Any, owner: Any, current: Any) -> None:
        """Make a person a mere member of a group."""
        self._set_owners(group, [owner], False, current)

    def do_addGroupOwners(self, group: Any, owners: Sequence[Any], current: Any) -> None:
        """Make people owners of a group."""
        self._set_owners(group, owners, True, current)

    def do_removeGroupOwners(self, group: Any, owners: Sequence[Any], current: Any) -> None:
        """Make people mere members of a group."""
        self._set_owners(group, owners, False, current)

    def _set_owners(self, group: Any, owners: Iterable[Any], leads: bool, current: Any) -> None:
        caller, where = self.caller(current), self._row(group)
        self._leads_or(caller, "ModifyGroupMembership", [where])
        with self.house.state.change():
            for owner in owners or ():
                who = self._row(owner)
                before = roster.privileges(self.house.state, who)
                roster.join(self.house.state, who, where, leads=leads)
                self._no_elevation(caller, who, before)

    def do_deleteExperimenter(self, person: Any, current: Any) -> None:
        """Delete a person who never logged in and owns nothing."""
        who, state = self._row(person), self.house.state
        if not self._may_change(self.caller(current), who):
            raise _neither()
        with state.change():
            for row in roster.memberships(state, who):
                state.delete(row)
            state.delete(who)
        self.house.passwords.remove(who.id)

    def do_deleteGroup(self, group: Any, current: Any) -> None:
        """Delete a group in which nothing is."""
        row, state = self._row(group), self.house.state
        self._leads_or(self.caller(current), "ModifyGroup", [row])
        with state.change():
            for each in state.many(row, "groupExperimenterMap"):
                state.delete(each)
            state.delete(row)

    # Owner and group of data

    def do_changeOwner(self, obj: Any, name: str, current: Any) -> None:
        """Give a row, with what belongs to it, to another person."""
        row, who = self._row(obj), self._person(name)
        do(self, Chown2(targetObjects={row.kind: [row.id]}, userId=who.id, dryRun=False), current)

    def do_changeGroup(self, obj: Any, name: str, current: Any) -> None:
        """Move a row, with what belongs to it, to another group."""
        row, group = self._row(obj), self._group(name)
        do(self, Chgrp2(targetObjects={row.kind: [row.id]}, groupId=group.id, dryRun=False), current)

    def do_moveToCommonSpace(self, objects: Sequence[Any], current: Any) -> None:
        """Move single rows to the group ``user``, where everybody sees them."""
        caller, common = self.caller(current), self._found("ExperimenterGroup", levels.USER_GROUP)
        with self.house.state.change():
            for row in [self._row(obj) for obj in objects or () if obj is not None]:
                if row.group != common.id:
                    self._leads_or(caller, "ModifyGroup", [self._found("ExperimenterGroup", row.group)])
                    self.house.state.set(row, **{"details.group": common})

    # Photos

    def do_getMyUserPhotos(self, current: Any) -> list[Any]:
        """The files with the caller's photo: one or none."""
        reply = self.reply(current)
        return [reply.load(row) for row in self._photos(self.caller(current).person)]

    def _photos(self, who: Row) -> list[Row]:
        links = self.house.state.many(who, "annotationLinks")
        notes = [link["child"] for link in links if link["child"]["ns"] == _PHOTO]
        return [note["file"] for note in notes if note["file"] is not None]

    def do_uploadMyUserPhoto(self, name: str, mimetype: str, data: bytes, current: Any) -> int:
        """Keep a photo of the caller, in place of an earlier one."""
        state, me = self.house.state, self.caller(current).person
        common = self._found("ExperimenterGroup", levels.USER_GROUP)
        with state.change():
            found = self._photos(me)
            if found:
                file = found[0]
                state.set(file, name=name, path=name, mimetype=mimetype)
            else:
                details = {"details.owner": me, "details.group": common}
                event = state.event(me, common, self.session.row)
                details |= {"details.creationEvent": event, "details.updateEvent": event}
                file = state.new(
                    "OriginalFile", name=name, path=name, mimetype=mimetype, size=len(data), **details
                )
                note = state.new("FileAnnotation", ns=_PHOTO, file=file, **details)
                state.new("ExperimenterAnnotationLink", parent=me, child=note, **details)
            self.house.files.path(file).write_bytes(bytes(data))
            self.house.files.seal(file)
        return file.id

    # Passwords

    def do_changePassword(self, password: Any, current: Any) -> None:
        """Change the caller's own password; only for those who logged in with one."""
        self._needs_password(current)
        self._set_password(self.session.person, password)

    def do_changePasswordWithOldPassword(self, old: Any, password: Any, current: Any) -> None:
        """Change the caller's own password, who knows the old one."""
        if not self.house.passwords.check(self.session.person.id, from_wire(old) or ""):
            raise Forbidden("Old password is invalid")
        self._set_password(self.session.person, password)

    def do_changeUserPassword(self, name: str, password: Any, current: Any) -> None:
        """Change the password of another person; only for those who logged in with one."""
        self._needs_password(current)
        caller, who = self.caller(current), self._person(name)
        if not self._may_change(caller, who):
            raise _neither()
        if roster.privileges(self.house.state, who) - caller.privileges:
            raise Forbidden("Cannot change the password of a more privileged user.")
        self._set_password(who, password)

    def do_changeExpiredCredentials(self, name: str, old: str, new: str, current: Any) -> None:
        """Refuse, as OMERO does."""
        raise Unsupported("changeExpiredCredentials is not implemented, in OMERO neither")

    def do_reportForgottenPassword(self, name: str, address: str, current: Any) -> None:
        """Refuse: there is no mail server to send a new one."""
        raise Unsupported("this server sends no mail, so it cannot send a new password")

    def _set_password(self, who: Row, password: Any) -> None:
        text = from_wire(password)
        if not text:
            raise Forbidden("PasswordChangeException: a password cannot be empty")
        self.house.passwords.set(who.id, text)

    def _needs_password(self, current: Any) -> None:
        if not self.house.connections.of(current).has_password:
            raise Forbidden("Bad authentication credentials for this action.\nSee setSecurityPassword")

    # Helpers

    def _found(self, kind: str, id: int) -> Row:
        row = self.house.state.get(kind, id)
        if row is None:
            what = {"Experimenter": "experimenter", "ExperimenterGroup": "group"}.get(kind, kind)
            raise WrongUse(f"No such {what}: {id}")
        return row

    def _row(self, obj: Any) -> Row:
        """The row that a model object means."""
        if obj is None or obj.id is None:
            raise WrongUse("the argument has no id")
        return self._found(entity(obj.ice_id()).name, obj.id.val)

    def _person(self, name: str) -> Row:
        row = roster.person(self.house.state, name)
        if row is None:
            raise WrongUse(f"No such experimenter: {name}")
        return row

    def _group(self, name: str) -> Row:
        row = roster.group(self.house.state, name)
        if row is None:
            raise WrongUse(f"No such group: {name}")
        return row

    def _with_groups(self, who: Row, reply: Reply) -> Any:
        reply.fetch_all(who, "groupExperimenterMap")
        for row in roster.memberships(self.house.state, who):
            reply.load(row["parent"])
        return reply.load(who)

    def _with_people(self, group: Row, reply: Reply, *, deep: bool = False) -> Any:
        reply.fetch_all(group, "groupExperimenterMap")
        for row in self.house.state.many(group, "groupExperimenterMap"):
            if deep:
                self._with_groups(row["child"], reply)
            else:
                reply.load(row["child"])
        return reply.load(group)

    def _copy(self, person: Any, who: Row) -> None:
        self.house.state.set(who, **{name: from_wire(getattr(person, name)) for name in _NAMES})

    def _privileges(self, names: frozenset[str], current: Any) -> list[Any]:
        reply = self.reply(current)
        return [reply.load(row) for row in self.house.state.all("AdminPrivilege") if row["value"] in names]

    def _names(self, privileges: Sequence[Any]) -> frozenset[str]:
        return frozenset(from_wire(p.value) if p.loaded else self._row(p)["value"] for p in privileges or ())

    def _privileged(self, current: Any, name: str | None) -> Caller:
        """The caller, who has to be an administrator, with a single privilege if one is named."""
        caller = self.caller(current)
        if not caller.admin or (name is not None and name not in caller.privileges):
            raise _neither()
        return caller

    def _leads_or(self, caller: Caller, privilege: str, groups: Iterable[Row]) -> None:
        if privilege not in caller.privileges and any(group.id not in caller.leads for group in groups):
            raise _neither()

    def _may_change(self, caller: Caller, who: Row) -> bool:
        groups = {row["parent"].id for row in roster.memberships(self.house.state, who)}
        return "ModifyUser" in caller.privileges or bool(groups & caller.leads)

    def _no_elevation(self, caller: Caller, who: Row, before: frozenset[str]) -> None:
        if roster.privileges(self.house.state, who) - before - caller.privileges:
            raise Forbidden("cannot give administrator privileges that current user does not have")


def _neither() -> Forbidden:
    return Forbidden("Current user is neither admin nor group-leader for the given user(s)/group(s)")
