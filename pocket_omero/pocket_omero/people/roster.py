# SPDX-License-Identifier: GPL-2.0-or-later
"""People and groups as rows: to find them, to make them, and those that always exist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pocket_omero.errors import Invalid, WrongUse
from pocket_omero.people import levels

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

__all__ = [
    "default_group",
    "found",
    "group",
    "join",
    "leave",
    "level_of",
    "memberships",
    "new_group",
    "new_person",
    "person",
    "privileges",
    "set_privileges",
]

_CONFIG = "AdminPrivilege:"  # before the name of a privilege, in Experimenter.config


def found(state: State) -> None:
    """Make what an OMERO always has, where it is missing: groups system, user, guest; people root and guest.

    Also the enumeration AdminPrivilege.  A repeat changes nothing.
    """
    if state.get("ExperimenterGroup", levels.SYSTEM_GROUP) is not None:
        return
    with state.change():
        known = {row["value"] for row in state.all("AdminPrivilege")}
        for name in levels.PRIVILEGES:
            if name not in known:
                state.new("AdminPrivilege", value=name)
        system = new_group(state, "system", levels.PRIVATE, id=levels.SYSTEM_GROUP)
        user = new_group(state, "user", levels.READ_ONLY, id=levels.USER_GROUP)
        state.set(user, **{"details.permissions": levels.WORLD_READABLE})
        guests = new_group(state, "guest", levels.PRIVATE, id=levels.GUEST_GROUP)
        root = _new_experimenter(state, "root", "root", "root", id=levels.ROOT)
        guest = _new_experimenter(state, "guest", "Guest", "Account", id=levels.GUEST)
        join(state, root, system)
        join(state, root, user)
        join(state, guest, guests)


def person(state: State, name: str) -> Row | None:
    """The person with this login name."""
    return next(iter(state.where("Experimenter", "omeName", name)), None)


def group(state: State, name: str) -> Row | None:
    """The group with this name."""
    return next(iter(state.where("ExperimenterGroup", "name", name)), None)


def level_of(where: Row) -> str:
    """The level of a group, ``"rwr---"`` and the like."""
    return str(where["details.permissions"] or levels.PRIVATE)


def memberships(state: State, who: Row) -> list[Row]:
    """Rows GroupExperimenterMap of a person, the default group first."""
    return state.many(who, "groupExperimenterMap")


def default_group(state: State, who: Row) -> Row:
    """The group that a person is in after login: the first that is not ``user``.

    Raises
    ------
    Invalid
        The person is in no other group.
    """
    for row in memberships(state, who):
        if row["parent"].id != levels.USER_GROUP:
            return row["parent"]  # type: ignore[no-any-return]
    raise Invalid(f"The user {who.id} has no default group set.")


def new_group(
    state: State, name: str, level: str = levels.PRIVATE, description: str = "", *, id: int | None = None
) -> Row:
    """Make a group; `level` is a name of `levels.LEVELS` or ``"rw----"`` and the like.

    Raises
    ------
    Invalid
        There is a group of this name, or the name is empty.
    """
    if not name.strip() or group(state, name) is not None:
        raise Invalid(f"a group's name is used once only, and is not empty: {name!r}")
    fixed = {} if id is None else {"id": id}
    values = {
        "name": name,
        "description": description,
        "ldap": False,
        "details.permissions": levels.level(level),
    }
    return state.new("ExperimenterGroup", **fixed, **values)


def _new_experimenter(state: State, name: str, first: str, last: str, *, id: int | None = None) -> Row:
    if not name.strip() or person(state, name) is not None:
        raise Invalid(f"a person's login name is used once only, and is not empty: {name!r}")
    fixed = {} if id is None else {"id": id}
    values = {"omeName": name, "firstName": first or name, "lastName": last or name, "ldap": False}
    return state.new("Experimenter", **fixed, **values)


def new_person(
    state: State,
    name: str,
    *,
    first: str = "",
    last: str = "",
    email: str = "",
    default: Row | None = None,
    groups: Iterable[Row] = (),
    admin: bool = False,
    privileges: Iterable[str] | None = None,
) -> Row:
    """Make a person in group `default`, in `groups`, and in ``user`` (and ``system`` for an administrator).

    Parameters
    ----------
    default
        The group they are in after login; None is for administrators, who are in ``system`` then.
    privileges
        For an administrator with single privileges: their names; None: all.

    Raises
    ------
    Invalid
        There is a person of this name, or somebody who is no administrator has no group.
    """
    system, user = (state.get("ExperimenterGroup", i) for i in (levels.SYSTEM_GROUP, levels.USER_GROUP))
    wanted = [*([default] if default else []), *groups, *([system] if admin else []), user]
    if len(wanted) == 1:
        raise Invalid(f"{name} needs a group of their own choice beside the group user")
    who = _new_experimenter(state, name, first, last)
    state.set(who, email=email)
    for where in wanted:
        if where is not None:
            join(state, who, where)
    if admin and privileges is not None:
        set_privileges(state, who, privileges)
    return who


def _membership(state: State, who: Row, where: Row) -> Row | None:
    return next((row for row in memberships(state, who) if row["parent"].id == where.id), None)


def join(state: State, who: Row, where: Row, *, leads: bool | None = None) -> Row:
    """Put a person into a group, at the end of their list; a repeat changes nothing.

    Parameters
    ----------
    leads
        Whether the person owns the group from now on; None leaves that as it is.
    """
    row = _membership(state, who, where)
    if row is None:
        before = memberships(state, who)
        row = state.new("GroupExperimenterMap", parent=where, child=who, owner=bool(leads))
        state.order(who, "groupExperimenterMap", [*before, row])
        return row
    if leads is not None and row["owner"] != leads:
        state.set(row, owner=leads)
    return row


def leave(state: State, who: Row, where: Row) -> None:
    """Take a person out of a group; a repeat changes nothing."""
    row = _membership(state, who, where)
    if row is not None:
        state.delete(row)


def privileges(state: State, who: Row) -> frozenset[str]:
    """The privileges of a person: none outside ``system``, else all that their config does not deny."""
    if _membership(state, who, _system(state)) is None:
        return frozenset()
    denied = {name.removeprefix(_CONFIG) for name, value in who["config"] or () if value.lower() != "true"}
    return levels.ALL_PRIVILEGES - denied


def set_privileges(state: State, who: Row, names: Iterable[str]) -> None:
    """Leave an administrator the named privileges only; a repeat changes nothing.

    Raises
    ------
    WrongUse
        A name that is none, or a privilege less for root.
    """
    wanted = frozenset(names)
    if wanted - levels.ALL_PRIVILEGES:
        raise WrongUse(
            f"unknown light administrator privilege: {', '.join(sorted(wanted - levels.ALL_PRIVILEGES))}"
        )
    if who.id == levels.ROOT and wanted != levels.ALL_PRIVILEGES:
        raise WrongUse("cannot remove light administrator privileges from the root user")
    others = [(name, value) for name, value in who["config"] or () if not name.startswith(_CONFIG)]
    denied = [(_CONFIG + name, "false") for name in levels.PRIVILEGES if name not in wanted]
    state.set(who, config=others + denied)


def _system(state: State) -> Row:
    row = state.get("ExperimenterGroup", levels.SYSTEM_GROUP)
    if row is None:
        raise Invalid("the group system is missing; was the roster founded?")
    return row
