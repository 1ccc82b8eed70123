# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a statement."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import omero

from pocket_omero.errors import BadQuery
from pocket_omero.hql import planner
from pocket_omero.hql.compiler import Compiler
from pocket_omero.hql.errors import HqlError
from pocket_omero.hql.grammar import parse
from pocket_omero.hql.plan import Plan
from pocket_omero.hql.scope import Env, Run, ident
from pocket_omero.ice.entities import java_name
from pocket_omero.state import Reply, Row, State
from pocket_omero.state.convert import from_wire

__all__ = ["PERMISSIONS", "Result", "run"]

# ``image as image_details_permissions`` in a map gives the permissions, not the image.
PERMISSIONS = "_details_permissions"


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement found.

    Parameters
    ----------
    columns
        What each column holds: "entity", "permissions", "class" (the name that OMERO's server has for it), or
        what `Field.of` says of scalars.
    rows
        One list per row. Entities are objects of omero.model, loaded; permissions are PermissionsI; all else
        is plain Python, as in a `Row`.
    names
        Of the columns, where the statement says ``select new map(… as name)``; else None.
    """

    columns: list[str]
    rows: list[list[Any]]
    names: list[str] | None


@functools.lru_cache(maxsize=500)
def _compiled(text: str) -> tuple[Plan, int, frozenset[str]]:
    compiler = Compiler(planner.plan)
    found = compiler.plan(parse(text), None)
    return found, compiler.size, frozenset(compiler.params)


def run(
    state: State,
    text: str,
    params: omero.sys.Parameters | Mapping[str, Any] | None,
    reply: Reply,
    visible: Callable[[Row], bool],
) -> Result:
    """Run a statement of HQL. Repeats are safe.

    Parameters
    ----------
    text
        The statement.
    params
        Named parameters, rtypes or plain Python; as omero.sys.Parameters also with the part of the result
        that is wanted (limit, offset).
    reply
        Makes the objects; what the statement fetches is loaded in it, and nothing else.
    visible
        Which rows the caller may see; others do not exist for the statement.

    Raises
    ------
    HqlError
        With the statement and the reason.
    """
    try:
        plan, size, names = _compiled(text)
        with state.lock:
            return _run(state, plan, size, names, params, reply, visible)
    except BadQuery as error:
        raise HqlError(f"{error} [{' '.join(text.split())}]") from error


def _run(
    state: State,
    plan: Plan,
    size: int,
    names: frozenset[str],
    params: omero.sys.Parameters | Mapping[str, Any] | None,
    reply: Reply,
    visible: Callable[[Row], bool],
) -> Result:
    given, limit, offset = _given(params)
    missing = sorted(names - given.keys())
    if missing:
        raise HqlError("Not all named parameters have been set: " + ", ".join(missing))
    env: Env = [Run(state, given, visible)] + [None] * (size - 1)
    groups = _distinct(plan, plan.results(env))[offset:]
    groups = groups if limit is None else groups[:limit]
    for group in groups:
        for each in group:
            _fetch(plan, each, reply)
    columns, makers = _columns(plan, reply)
    rows = [[make(group[0]) for make in makers] for group in groups]
    return Result(columns, rows, [n or str(i) for i, n in enumerate(plan.names)] if plan.mapped else None)


def _given(params: omero.sys.Parameters | Mapping[str, Any] | None) -> tuple[dict[str, Any], int | None, int]:
    """Values of parameters, limit and offset."""
    limit, offset, values = None, 0, params
    if isinstance(params, omero.sys.Parameters):
        values, wanted = params.map, params.theFilter
        if wanted is not None:
            limit = from_wire(wanted.limit)
            offset = from_wire(wanted.offset) or 0
    return {name: _plain(value) for name, value in (values or {}).items()}, limit, offset


def _plain(value: Any) -> Any:
    value = from_wire(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, omero.model.IObject):
        return from_wire(value.id)
    return value.id if isinstance(value, Row) else value


def _distinct(plan: Plan, found: list[Env]) -> list[list[Env]]:
    """Rows that are one row of the result.

    OMERO's server always sets a limit, and then Hibernate removes repeated objects where collections are
    fetched.
    """
    if not plan.distinct and not any(fetch.many for fetch in plan.fetches):
        return [[env] for env in found]
    groups: dict[tuple[Any, ...], list[Env]] = {}
    for env in found:
        key = [ident(column.fn(env)) for column in plan.columns]
        if len(plan.columns) > 1:
            key += [ident(env[fetch.index]) for fetch in plan.fetches]
        groups.setdefault(tuple(_hashable(part) for part in key), []).append(env)
    return list(groups.values())


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _fetch(plan: Plan, env: Env, reply: Reply) -> None:
    for fetch in plan.fetches:
        owner = fetch.owner(env)
        if owner is not None:
            reply.fetch(owner, fetch.name, env[fetch.index])


def _columns(plan: Plan, reply: Reply) -> tuple[list[str], list[Callable[[Env], Any]]]:
    kinds, makers = [], []
    for column, name in zip(plan.columns, plan.names, strict=True):
        mapped = column.of == "entity" and plan.mapped and name is not None and name.endswith(PERMISSIONS)
        if mapped or column.of == "permissions":
            kinds.append("permissions")
            makers.append(_permissions(column.fn, reply))
        elif column.of == "entity":
            kinds.append("entity")
            makers.append(_loaded(column.fn, reply))
        elif column.of == "class":
            kinds.append("class")
            makers.append(_class_name(column.fn))
        else:
            kinds.append(column.of)
            makers.append(column.fn)
    return kinds, makers


def _loaded(fn: Callable[[Env], Any], reply: Reply) -> Callable[[Env], Any]:
    return lambda env: reply.load(fn(env))


def _class_name(fn: Callable[[Env], Any]) -> Callable[[Env], Any]:
    return lambda env: None if (kind := fn(env)) is None else java_name(kind)


def _permissions(fn: Callable[[Env], Any], reply: Reply) -> Callable[[Env], Any]:
    def value(env: Env) -> Any:
        row = fn(env)
        return None if row is None else reply.permissions(row)

    return value
