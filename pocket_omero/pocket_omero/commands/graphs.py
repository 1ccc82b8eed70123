# SPDX-License-Identifier: GPL-2.0-or-later
"""Delete2, Chgrp2, Chown2, Chmod2, and the questions about graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from omero.cmd import (
    Chgrp2,
    Chgrp2Response,
    Chmod2,
    Chmod2Response,
    Chown2,
    Chown2Response,
    Delete2,
    Delete2Response,
    SkipHead,
)

from pocket_omero.commands.edges import links_of, referrers
from pocket_omero.commands.plan import GraphRefused, Moving, Options, Plan, by_name, shown, targets
from pocket_omero.commands.work import COMMANDS, Work, command
from pocket_omero.errors import Forbidden, Invalid, WrongUse
from pocket_omero.ice.entities import entities, is_a
from pocket_omero.people import levels, roster
from pocket_omero.people.kinds import is_link, is_system
from pocket_omero.people.rights import members_read
from pocket_omero.state.model import required

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__: list[str] = []

_ANYWHERE = (
    -1,
    levels.SYSTEM_GROUP,
    levels.USER_GROUP,
)  # rows in these groups may be referred to from all others

# References that may not be cut: what they lead to has to come along.
_KEEPS = {"Image": ("instrument", "imagingEnvironment", "experiment"), "FileAnnotation": ("file",)}


def _plan(work: Work, request: Any, may: Callable[[Row], bool], stop: Iterable[str] = ()) -> Plan:
    plan = Plan(work.state, may, Options(request.childOptions), stop=stop, check=work.check)
    plan.take(targets(work.state, work.visible, request.targetObjects))
    return plan


def _check_whole(plan: Plan, work: Work, verb: str) -> None:
    """Refuse what would tear apart what belongs together."""
    state = work.state
    for row in plan.rows:
        if row.kind == "Image":
            fileset = row["fileset"]
            stays = (
                next((i for i in state.many(fileset, "images") if not plan.has(i)), None) if fileset else None
            )
            if stays is not None:
                raise GraphRefused(
                    f"within {shown(fileset)} may not {verb} {shown(row)} while {shown(stays)} remains"
                )
            field = next((s for s in state.many(row, "wellSamples") if not plan.has(s)), None)
            if field is not None:
                raise GraphRefused(f"may not {verb} {shown(row)} while {shown(field)} remains")
        if row.kind == "OriginalFile":
            entry = next(
                (e for e in state.where("FilesetEntry", "originalFile", row) if not plan.has(e)), None
            )
            if entry is not None:
                raise GraphRefused(f"may not {verb} {shown(row)} while {shown(entry)} remains")


def _cut(work: Work, going: Iterable[Row], gone: Callable[[Row], bool]) -> None:
    """Let nothing that stays refer to what goes."""
    for row in going:
        for other, field in list(referrers(work.state, row)):
            if gone(other):
                continue
            if field in required(other.kind):
                raise GraphRefused(
                    f"cannot remove {shown(row)} from {shown(other)}.{field}: it is needed there"
                )
            work.state.set(other, **{field: None})


def _remove(work: Work, rows: list[Row]) -> None:
    keys = {(row.entity.root, row.id) for row in rows}
    _cut(work, rows, lambda row: (row.entity.root, row.id) in keys)
    for row in rows:
        if row.kind == "Pixels":
            work.afterwards.append(partial(work.house.images.delete, row.id))
        elif row.kind == "OriginalFile":
            work.afterwards.append(partial(work.house.files.delete, row.id))
    for row in rows:
        work.state.delete(row)


# Delete


def _deletion(work: Work, request: Any, stop: Iterable[str] = ()) -> Plan:
    caller = work.everywhere

    def may(row: Row) -> bool:
        return work.rights.can_delete(caller, row)

    plan = _plan(work, request, may, stop)
    bad = plan.forbidden()
    if bad is not None:
        raise GraphRefused(f"not permitted to delete {shown(bad)}")
    _check_whole(plan, work, "delete")
    for tag in plan.of_kinds(["TagAnnotation"]):
        for link in links_of(work.state, tag):
            tagged = link["parent"]
            if link["child"] is tag and not plan.has(tagged) and not may(tagged):
                raise GraphRefused(f"may not delete {shown(tag)} while {shown(tagged)} remains")
    return plan


@command(Delete2)
def delete(work: Work, request: Any) -> Any:
    """Delete what is named, its parts, and what nothing else holds."""
    plan = _deletion(work, request)
    if not request.dryRun:
        with work.state.change():
            _remove(work, plan.rows)
            work.commit()
    return Delete2Response(by_name(plan.rows))


# Move to another group


def _moving(work: Work, request: Any, stop: Iterable[str] = ()) -> tuple[list[Row], list[Row]]:
    """What moves, and what is deleted since it can neither move nor stay."""
    caller = work.everywhere
    privileged = work.rights.privilege(caller, "Chgrp")
    to = work.state.get("ExperimenterGroup", request.groupId)
    if to is None:
        raise Invalid(f"No row with the given identifier exists: [ExperimenterGroup#{request.groupId}]")
    if not privileged and to.id not in caller.member_of:
        raise Forbidden("not a member of the chgrp destination group")

    def may(row: Row) -> bool:
        return privileged or row.owner == caller.person.id

    def deletable(row: Row) -> bool:
        return work.rights.can_delete(caller, row)

    private = not members_read(roster.level_of(to))
    named = targets(work.state, work.visible, request.targetObjects)
    plan = Moving(
        work.state,
        may,
        Options(request.childOptions),
        stop=stop,
        check=work.check,
        private=private,
        deletable=deletable,
    )
    plan.take(named)
    bad = plan.forbidden()
    if bad is not None:
        raise GraphRefused(f"not permitted to move {shown(bad)}")
    _check_whole(plan, work, "move")
    owners = {row.owner for row in named}

    def stays_behind(row: Row) -> bool:
        """Whether what somebody else did to the data is lost on the way."""
        if row.owner in owners or is_link(row.kind):
            return False
        return private or (is_a(row.kind, "Annotation") and not deletable(row))

    alien = {id(row) for row in plan.rows if stays_behind(row)}
    moved, dropped = _sorted_out(plan, lambda row: id(row) not in alien)
    keys = {id(row) for row in moved}
    for row in moved:
        _check_along(row, lambda other: id(other) in keys or other.group in (to.id, *_ANYWHERE))
    return moved, dropped


def _sorted_out(plan: Plan, goes: Callable[[Row], bool]) -> tuple[list[Row], list[Row]]:
    """Those rows that go, and those that are given up: a link goes only with both its ends."""
    going = {id(row): row for row in plan.rows if not is_link(row.kind) and goes(row)}
    given_up = [row for row in plan.rows if not is_link(row.kind) and not goes(row)]
    for row in plan.rows:
        if is_link(row.kind):
            ends = (row["parent"], row["child"])
            if all(id(end) in going or is_system(end.kind) for end in ends) and goes(row):
                going[id(row)] = row
            else:
                given_up.append(row)
    return list(going.values()), given_up


def _check_along(row: Row, along: Callable[[Row], bool]) -> None:
    for field in _KEEPS.get(row.kind, ()):
        other = row[field]
        if other is not None and not along(other):
            raise GraphRefused(f"may not move {shown(row)} without {shown(other)}")


def _cut_between(work: Work, moved: list[Row], group: int) -> None:
    """Let no reference lead from what moved to what stays, nor back."""
    keys = {id(row) for row in moved}
    for row in moved:
        for name, field in row.entity.fields.items():
            other = row[name] if field.kind == "one" else None
            if other is not None and id(other) not in keys and other.group not in (group, *_ANYWHERE):
                work.state.set(row, **{name: None})
    _cut(work, moved, lambda row: id(row) in keys or row.group in (group, *_ANYWHERE))


@command(Chgrp2)
def chgrp(work: Work, request: Any) -> Any:
    """Move what is named, its parts and what nothing else holds; links to what stays are deleted."""
    moved, dropped = _moving(work, request)
    if not request.dryRun:
        with work.state.change():
            to = work.state.get("ExperimenterGroup", request.groupId)
            _remove(work, dropped)
            _cut_between(work, moved, request.groupId)
            for row in moved:
                work.state.set(row, **{"details.group": to})
            work.commit()
    return Chgrp2Response(by_name(moved), by_name(dropped))


# Give to another person


def _giving(work: Work, request: Any, stop: Iterable[str] = ()) -> tuple[list[Row], list[Row]]:
    """What is given, and what is deleted since it may join rows of one person only."""
    caller, state = work.everywhere, work.state
    privileged = work.rights.privilege(caller, "Chown")
    to = state.get("Experimenter", request.userId)
    if to is None:
        raise Invalid(f"No row with the given identifier exists: [Experimenter#{request.userId}]")
    theirs = {row["parent"].id for row in roster.memberships(state, to)}

    def may(row: Row) -> bool:
        return privileged or (row.group in caller.leads and row.group in theirs)

    plan = Plan(state, may, Options(request.childOptions), stop=stop, check=work.check)
    named = targets(state, work.visible, request.targetObjects)
    named += [row for user in request.targetUsers or () for row in _all_of(work, user)]
    plan.take(named)
    bad = plan.forbidden()
    if bad is not None and bad.owner != to.id:
        raise GraphRefused(f"not permitted to give {shown(bad)}")
    owners = {row.owner for row in named} | {to.id}
    keys = {id(row) for row in plan.rows if row.owner in owners}

    def divides(row: Row) -> bool:
        """Whether a link would join rows of two people in a private group."""
        if not is_link(row.kind) or members_read(work.rights.level(row.group)):
            return False
        ends = [end for end in (row["parent"], row["child"]) if not is_system(end.kind)]
        return id(row) not in keys or not all(id(end) in keys or end.owner == to.id for end in ends)

    dropped = [row for row in plan.rows if divides(row)]
    lost = {id(row) for row in dropped}
    return [row for row in plan.rows if id(row) in keys and id(row) not in lost], dropped


def _all_of(work: Work, user: int) -> list[Row]:
    kinds = [name for name in entities() if not is_system(name)]
    return [
        row for name in kinds for row in work.state.where(name, "details.owner", user) if row.kind == name
    ]


@command(Chown2)
def chown(work: Work, request: Any) -> Any:
    """Give what is named, its parts, and what nothing else holds, as far as the same person owns it."""
    given, dropped = _giving(work, request)
    if not request.dryRun:
        with work.state.change():
            to = work.state.get("Experimenter", request.userId)
            _remove(work, dropped)
            for row in given:
                work.state.set(row, **{"details.owner": to})
            work.commit()
    return Chown2Response(by_name(given), by_name(dropped))


# The level of a group


@command(Chmod2)
def chmod(work: Work, request: Any) -> Any:
    """Change the level of groups; a private group keeps no link between rows of different people."""
    caller = work.everywhere
    level = levels.level(request.permissions)
    groups = targets(work.state, work.visible, request.targetObjects)
    dropped: list[Row] = []
    for group in groups:
        if group.kind != "ExperimenterGroup":
            raise WrongUse(f"only groups have a level of their own, not {shown(group)}")
        allowed = work.rights.privilege(caller, "ModifyGroup")
        if not allowed and (group.id not in caller.leads or level == levels.READ_WRITE):
            raise Forbidden(f"not permitted to change permissions of {shown(group)}")
        if level == levels.PRIVATE:
            dropped += _mixed_links(work, group)
    if not request.dryRun:
        with work.state.change():
            _remove(work, dropped)
            for group in groups:
                work.state.set(group, **{"details.permissions": level})
            work.commit()
    return Chmod2Response(by_name(groups), by_name(dropped))


def _mixed_links(work: Work, group: Row) -> list[Row]:
    found = []
    for name in entities():
        if is_link(name):
            rows = [row for row in work.state.where(name, "details.group", group) if row.kind == name]
            found += [row for row in rows if row["parent"].owner != row["child"].owner]
    return found


# Start further down


@command(SkipHead)
def skip_head(work: Work, request: Any) -> Any:
    """Do the inner request to rows of certain entities below those that are named."""
    inner = request.request
    inner.targetObjects = request.targetObjects
    if isinstance(inner, Delete2):
        rows = _deletion(work, inner, request.startFrom).rows
    elif isinstance(inner, Chgrp2):
        rows = _moving(work, inner, request.startFrom)[0]
    elif isinstance(inner, Chown2):
        rows = _giving(work, inner, request.startFrom)[0]
    else:
        raise WrongUse(f"no head to skip in {type(inner).__name__}")
    below: dict[str, list[int]] = {}
    for row in rows:
        if any(is_a(row.kind, name) for name in request.startFrom):
            below.setdefault(row.kind, []).append(row.id)
    inner.targetObjects, inner.childOptions, inner.dryRun = below, request.childOptions, request.dryRun
    return COMMANDS[inner.ice_id()](work, inner)
