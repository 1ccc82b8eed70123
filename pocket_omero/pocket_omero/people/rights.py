# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may see and do what: OMERO's rules for groups, their owners and administrators.

The rules follow OMERO's documentation (*Groups and permissions system*, *Administrators with restricted
privileges*) and, where that is silent, what omero-server's source does (its classes BasicACLVoter,
AllGroupsSecurityFilter, OneGroupSecurityFilter, OmeroInterceptor).  They rest on reading, not on a real
server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero.all  # noqa: F401  (fills omero.model)
from omero.constants.permissions import BINARYACCESS
from omero.model import PermissionsI

from pocket_omero.errors import Forbidden, Invalid
from pocket_omero.ice.entities import entity, is_a
from pocket_omero.people import levels, roster
from pocket_omero.people.caller import Caller, Login
from pocket_omero.people.kinds import CHGRP_TARGETS, CHOWN_TARGETS, is_system

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

__all__ = ["Rights"]

log = logging.getLogger(__name__)

_LINK, _EDIT, _DELETE, _ANNOTATE = "link", "edit", "delete", "annotate"
_RIGHT = {_LINK: "w", _EDIT: "w", _DELETE: "w", _ANNOTATE: "a"}
_SHARED = (levels.SYSTEM_GROUP, levels.USER_GROUP)  # what is in these groups is there for everybody
_WITH_FILES = {"Image", "Plate", "OriginalFile", "FileAnnotation"}
_PRIVILEGE_OF = {
    "Experimenter": "ModifyUser",
    "ExperimenterGroup": "ModifyGroup",
    "GroupExperimenterMap": "ModifyGroupMembership",
}


class Rights:
    """The rules, for all callers.

    Parameters
    ----------
    state
        Where people, groups and data are.

    Attributes
    ----------
    read_only
        Whether nobody may write.
    settings
        Those of the server. omero.policy.binary_access keeps files from everybody ("-write"), or from those
        who may only look ("-read").
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.read_only = False
        self.settings: Mapping[str, str] = {}

    # Who calls

    def caller(self, session: Login, ctx: Mapping[str, str]) -> Caller:
        """Who calls: the person of `session` in the scope that `ctx` names (``omero.group``, ``omero.user``).

        Values that are no numbers are passed over, as OMERO does.

        Raises
        ------
        Forbidden
            The person is not in the group that `ctx` names and no administrator; or somebody who is no
            administrator names another person.
        Invalid
            `ctx` names no group or person that exists.
        """
        caller, bound = self.standing(session), self._bound_to(session)
        scope = _number(ctx, "omero.group")
        scope = session.group.id if scope is None else max(scope, -1)
        if scope >= 0:
            self._existing("ExperimenterGroup", scope)
        if bound is not None and scope not in bound:
            raise Forbidden("Group-sudo session cannot change context!")
        person = caller.person
        if scope >= 0 and not caller.admin and scope not in caller.member_of:
            raise Forbidden(f"User {person.id} is not a member of group {scope} and cannot login")
        other = _number(ctx, "omero.user")
        if other is not None and other != person.id:
            if not caller.admin:
                raise Forbidden(f"User {person.id} is not an admin and so cannot set uid to {other}")
            person = self._existing("Experimenter", other)
        return replace(caller, person=person, scope=scope, told={})

    def standing(self, session: Login) -> Caller:
        """The person of `session` as they are now, in its group, whether or not they may still be there."""
        maps = roster.memberships(self.state, session.person)
        member_of = frozenset(row["parent"].id for row in maps)
        leads = frozenset(row["parent"].id for row in maps if row["owner"])
        admin = levels.SYSTEM_GROUP in member_of
        privileges = roster.privileges(self.state, session.person) if admin else frozenset()
        if session.sudoer is not None:
            privileges &= roster.privileges(self.state, session.sudoer)
        bound = self._bound_to(session)
        if bound is not None:
            member_of, leads = member_of & (bound | {levels.USER_GROUP}), leads & bound
        group = session.group
        return Caller(session.person, group, session.row, admin, privileges, leads, member_of, group.id)

    def _bound_to(self, session: Login) -> frozenset[int] | None:
        """The groups that a session cannot leave: those of the owner of groups who acts for a member."""
        if session.sudoer is None:
            return None
        maps = roster.memberships(self.state, session.sudoer)
        if any(row["parent"].id == levels.SYSTEM_GROUP for row in maps):
            return None
        return frozenset(row["parent"].id for row in maps if row["owner"])

    def everywhere(self, session: Login, ctx: Mapping[str, str]) -> Caller:
        """Who calls, in all groups at once; in one only who cannot leave it.

        Raises
        ------
        Forbidden, Invalid
            As `caller` does.
        """
        scope = "-1" if self._bound_to(session) is None else str(session.group.id)
        return self.caller(session, {**ctx, "omero.group": scope})

    def server(self) -> Caller:
        """The server itself as a caller: root, in all groups and with all privileges (to load, to seed)."""
        root, system = self._existing("Experimenter", levels.ROOT), self._existing("ExperimenterGroup", 0)
        return Caller(root, system, None, True, levels.ALL_PRIVILEGES, frozenset(), frozenset(_SHARED), -1)

    def _existing(self, kind: str, id: int) -> Row:
        row = self.state.get(kind, id)
        if row is None:
            raise Invalid(f"No row with the given identifier exists: [{kind}#{id}]")
        return row

    def level(self, group: int) -> str:
        """The level of a group, by its id: ``"rwr---"`` and the like."""
        return roster.level_of(self._existing("ExperimenterGroup", group))

    # Who sees what

    def visible(self, caller: Caller) -> Callable[[Row], bool]:
        """The test that tells which rows `caller` sees; cheap per row, good for one call."""
        known: dict[int, bool | None] = {}
        me = caller.person.id

        def sees(row: Row) -> bool:
            group = row.group
            if group < 0 or is_system(row.kind):
                return row.kind != "Session" or self._sees_session(caller, row)
            if group not in known:
                known[group] = self._sees_group(caller, group)
            answer = known[group]
            return row.owner == me if answer is None else answer

        return sees

    def _sees_group(self, caller: Caller, group: int) -> bool | None:
        """Whether all rows of a group are seen; None: their owner's only."""
        if group in _SHARED:
            return True
        if caller.scope >= 0 and group != caller.scope:
            return False
        if caller.admin or group in caller.leads:
            return True
        return True if group in caller.member_of and members_read(self.level(group)) else None

    def _sees_session(self, caller: Caller, row: Row) -> bool:
        if "ReadSession" in caller.privileges:
            return True
        mine = caller.session["sudoer"] if caller.session is not None else None
        real = row["sudoer"] or row["owner"]
        return real is not None and real.id == (mine or caller.person).id

    def can_read(self, caller: Caller, row: Row) -> bool:
        """Whether `caller` sees `row`."""
        return self.visible(caller)(row)

    # Who may do what

    def can_annotate(self, caller: Caller, row: Row) -> bool:
        """Whether `caller` may link annotations to `row`, and ROIs to an image."""
        return self._may(caller, row, _ANNOTATE)

    def can_edit(self, caller: Caller, row: Row) -> bool:
        """Whether `caller` may change fields of `row`."""
        return self._may(caller, row, _EDIT)

    def can_delete(self, caller: Caller, row: Row) -> bool:
        """Whether `caller` may delete `row`."""
        return self._may(caller, row, _DELETE)

    def can_link(self, caller: Caller, row: Row) -> bool:
        """Whether `caller` may put `row` into containers, or put others into it."""
        return self._may(caller, row, _LINK)

    def can_chgrp(self, caller: Caller, row: Row) -> bool:
        """Whether `caller` may move `row` to another group: its owner, and administrators with Chgrp."""
        if self.read_only or not any(is_a(row.kind, name) for name in CHGRP_TARGETS):
            return False
        return "Chgrp" in caller.privileges or row.owner == caller.person.id

    def can_chown(self, caller: Caller, row: Row) -> bool:
        """Whether `caller` may give `row` to somebody: owners of its group, and administrators with Chown."""
        if self.read_only or not any(is_a(row.kind, name) for name in CHOWN_TARGETS):
            return False
        return "Chown" in caller.privileges or row.group in caller.leads

    def _may(self, caller: Caller, row: Row, what: str) -> bool:
        if self.read_only:
            return False
        linking = what in (_LINK, _ANNOTATE)
        system, mine = is_system(row.kind) or row.group < 0, row.owner == caller.person.id
        if linking and not system and not mine and self._critical(caller, row.group):
            return False
        if caller.privileges == levels.ALL_PRIVILEGES:
            return True
        if not system and caller.person.id == levels.GUEST:
            return False
        if (
            _privilege_for(row.kind, row["repo"] if row.kind == "OriginalFile" else None, what)
            in caller.privileges
        ):
            return True
        if system:
            return linking or (caller.admin and row.kind not in _PRIVILEGE_OF)
        if row.group in caller.leads or mine:
            return True
        if row.group in _SHARED:
            return linking
        return row.group in caller.member_of and levels.members_may(self.level(row.group), _RIGHT[what])

    def _critical(self, caller: Caller, group: int) -> bool:
        """Whether `caller`, as administrator or owner of a private group, would mix people's rows there."""
        if group < 0 or group in _SHARED:
            return False
        return (caller.admin or group in caller.leads) and not members_read(self.level(group))

    def privilege(self, caller: Caller, name: str) -> bool:
        """Whether `caller` has the single privilege `name` (of the enumeration AdminPrivilege)."""
        return name in caller.privileges

    def permissions(self, caller: Caller, row: Row) -> Any:
        """``details.permissions`` of `row` as `caller` gets it (omero.model.PermissionsI).

        It is the level of the row's group, with what is restricted: link, edit, delete, annotate, chgrp,
        chown.
        """
        if row.kind == "ExperimenterGroup":
            text = roster.level_of(row)
        else:
            group = row.group if row.group >= 0 else max(caller.scope, 0)
            text = self.level(group)
        made = PermissionsI(text)
        key = (row.kind, row.group, row.owner, row.kind == "OriginalFile" and bool(row["repo"]))
        if key not in caller.told:
            tests = (self.can_link, self.can_edit, self.can_delete, self.can_annotate)
            answers = [can(caller, row) for can in (*tests, self.can_chgrp, self.can_chown)]
            caller.told[key] = [not answer for answer in answers]
        made._restrictions = list(caller.told[key])
        if row.kind in _WITH_FILES and not self.may_download(caller, row):
            made._extendedRestrictions = [BINARYACCESS]
        return made

    def may_download(self, caller: Caller, row: Row) -> bool:
        """Whether the policy lets `caller` have the bytes behind an image, file or attachment."""
        policy = self.settings.get("omero.policy.binary_access", "")
        return "-write" not in policy and ("-read" not in policy or self.can_edit(caller, row))

    # What is written

    def writable_group(self, caller: Caller) -> Row:
        """The group in which `caller` writes what is linked to nothing.

        Raises
        ------
        Forbidden
            The call is for all groups (-1), or the person may not write in the group.
        """
        return self.details_of_new(caller, "Dataset")[1]

    def details_of_new(
        self,
        caller: Caller,
        kind: str,
        *,
        linked: Iterable[Row] = (),
        owner: int | None = None,
        group: int | None = None,
        repo: str | None = None,
    ) -> tuple[Row, Row]:
        """Owner and group of a new row of `kind` (no system type), after all checks.

        Parameters
        ----------
        linked
            The existing rows that its to-one fields name.
        owner, group
            What the client set in its details, None: nothing.
        repo
            Of an OriginalFile: the repository it is said to be in.

        Raises
        ------
        Forbidden
            The caller may not make it here, for this owner, or linked to these; or the call is for all groups
            (-1) and neither `group` nor `linked` tell which one is meant.
        """
        if self.read_only or caller.person.id == levels.GUEST:
            raise Forbidden(f"not permitted to create {kind}")
        privileged = caller.admin and _privilege_for(kind, repo, _EDIT) in caller.privileges
        me = caller.person.id
        if owner not in (None, me) and not privileged:
            raise Forbidden(f"You are not authorized to set the Experimenter for {kind} to {owner}")
        ends = [
            row for row in linked if row.group >= 0 and not is_system(row.kind) and row.group not in _SHARED
        ]
        where = self._group_of_new(caller, kind, ends, group, privileged)
        for row in ends:
            self._check_link(caller, kind, row, me if owner is None else owner)
        owned_by = self._existing("Experimenter", me if owner is None else owner)
        return owned_by, self._existing("ExperimenterGroup", where)

    def _group_of_new(
        self, caller: Caller, kind: str, ends: list[Row], asked: int | None, privileged: bool
    ) -> int:
        scope = caller.scope
        if scope < 0 and ends:
            scope = ends[0].group
        for row in ends:
            if row.group != scope:
                other = f"{row.kind}:{row.id}(group={row.group})"
                raise Forbidden(f"MIXED GROUP: {kind}(group={scope}) and {other} cannot be linked.")
        if asked is not None and asked != scope:
            outside = caller.scope < 0 and not ends and (privileged or asked in caller.member_of)
            if not outside and not (privileged and asked == levels.USER_GROUP):
                raise Forbidden(f"You are not authorized to set the ExperimenterGroup for {kind} to {asked}")
            scope = asked
        if scope < 0:
            raise Forbidden(f"Cannot create {kind} with omero.group=-1: no linked object tells the group.")
        if not privileged and scope not in caller.member_of:
            raise Forbidden(f"You are not authorized to create {kind}")
        return scope

    def _check_link(self, caller: Caller, kind: str, end: Row, owner: int) -> None:
        if end.owner == caller.person.id:
            return
        if self._critical(caller, end.group):
            if owner == end.owner:
                return  # what joins rows of one person, for that person, hides nothing from them
            raise Forbidden(
                f"Cannot link to {end.kind}:{end.id}\nCurrent user ({caller.person['omeName']}) is an admin "
                "or the owner of\nthe private group. It is not allowed to\nlink to users' data."
            )
        if end.group in caller.leads or _privilege_for(end.kind, None, _EDIT) in caller.privileges:
            return
        right = needed_right(kind, end.kind)
        if not levels.members_may(self.level(end.group), right):
            raise Forbidden(
                f"Group is READ-ONLY for this: cannot link {kind} to {end.kind}:{end.id} of another user."
            )

    def check_create(self, caller: Caller, kind: str) -> None:
        """Refuse a new row of a system type (people, groups, enumerations) without the privilege for it.

        Raises
        ------
        Forbidden
            The caller lacks it.
        """
        needed = _PRIVILEGE_OF.get(kind)
        if not caller.admin or (needed is not None and needed not in caller.privileges):
            raise Forbidden(f"{kind} is a System-type, and may be created only through privileged APIs.")

    def check_edit(self, caller: Caller, row: Row) -> None:
        """Refuse a change of `row`.

        Raises
        ------
        Forbidden
            The call is for another group than the row's (so all calls with -1), or the caller may not.
        """
        if not is_system(row.kind) and row.group not in (-1, caller.scope, levels.USER_GROUP):
            raise Forbidden(
                f"Currently logged into group {caller.scope}. Cannot alter object in group {row.group}"
            )
        if not self.can_edit(caller, row):
            raise Forbidden(f"Updating {row.kind}:{row.id} not allowed.")

    def check_delete(self, caller: Caller, row: Row) -> None:
        """Refuse to delete `row`.

        Raises
        ------
        Forbidden
            The caller may not.
        """
        if not self.can_delete(caller, row):
            raise Forbidden(f"Deleting {row.kind}:{row.id} not allowed.")


def members_read(level: str) -> bool:
    """Whether the members of a group of this level see each other's rows."""
    return levels.members_may(level, "r")


def needed_right(kind: str, end: str) -> str:
    """What one needs on another person's `end` to link a new row of `kind` to it: ``r``, ``a``, ``w``."""
    if "RenderingDef" in (kind, end) or (kind == "Thumbnail" and end == "Pixels"):
        return "r"
    if kind.endswith("AnnotationLink") or (kind == "Roi" and end == "Image"):
        return "a"
    return "w"


def _privilege_for(kind: str, repo: str | None, what: str) -> str | None:
    """The single privilege with which administrators do `what` to rows of `kind`."""
    if is_system(kind):
        return _PRIVILEGE_OF.get(kind)
    verb = "Delete" if what == _DELETE else "Write"
    if entity(kind).name == "OriginalFile":
        return f"{verb}ManagedRepo" if repo else f"{verb}File"
    return f"{verb}Owned"


def _number(ctx: Mapping[str, str], key: str) -> int | None:
    text = ctx.get(key)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        log.warning("passed over %s=%r, which is no number", key, text)
        return None
