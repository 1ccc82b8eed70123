# SPDX-License-Identifier: GPL-2.0-or-later
"""Follow a condition back through indexes to the rows of the entity that a query begins at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pocket_omero.hql.errors import HqlError
from pocket_omero.hql.scope import Env, Slot, Trail
from pocket_omero.ice.entities import entity, subclasses
from pocket_omero.state import Row, State
from pocket_omero.state.state import indexed

__all__ = ["Lookup", "lookup"]

Rows = dict[int, Row]
_Step = Callable[[State, Iterable[Row]], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Lookup:
    """One condition, as a way to find rows.

    Parameters
    ----------
    root
        The name whose rows it finds.
    first
        The rows for a value.
    steps
        From these back to the rows of the root.
    values, type
        The values that the condition allows, and what they must be.
    cost
        Which of several to try first: the lowest.
    """

    root: Slot
    first: Callable[[State, Any], Iterable[Row]]
    steps: tuple[_Step, ...]
    values: Callable[[Env], Iterable[Any]]
    type: type
    cost: int

    def rows(self, env: Env, limit: int | None) -> Rows | None:
        """All rows that can fulfil the condition, by id; None: they are not fewer than `limit`."""
        state, kinds = env[0].state, subclasses(self.root.kind)
        found: Rows = {}
        for value in self.values(env):
            if value is None:
                continue
            if not isinstance(value, self.type):
                raise HqlError(f"{value!r} is of another type than what it is compared with")
            rows = self.first(state, value)
            for step in self.steps:
                rows = step(state, rows)
            for row in rows:
                if row.kind in kinds:
                    found[row.id] = row
                    if limit is not None and len(found) >= limit:
                        return None
        return found


def _get(kind: str) -> Callable[[State, Any], Iterable[Row]]:
    def rows(state: State, value: Any) -> Iterable[Row]:
        row = state.get(kind, value)
        return () if row is None else (row,)

    return rows


def _by_value(kind: str, name: str) -> Callable[[State, Any], Iterable[Row]]:
    kinds = sorted(subclasses(kind))

    def rows(state: State, value: Any) -> Iterable[Row]:
        for each in kinds:
            found = state.index(each, name).get(value)
            if found:
                yield from found.values()

    return rows


def _referring(kind: str, name: str) -> _Step:
    look = _by_value(kind, name)
    return lambda state, rows: (r for row in rows for r in look(state, row.id))


def _referred(name: str, kind: str) -> _Step:
    """From a row of a collection to the row that it hangs on."""
    root = entity(kind).root

    def rows(_state: State, rows: Iterable[Row]) -> Iterable[Row]:
        for row in rows:
            found = row.values.get(name)
            if found is not None and found.entity.root == root:
                yield found

    return rows


def lookup(trail: Trail, values: Callable[[Env], Iterable[Any]]) -> Lookup | None:
    """The lookup for ``path = value`` or ``path in (…)``; None where no index helps."""
    keys = list(trail.keys)
    if trail.end in ("", "id"):
        first = _by_value(*keys.pop()) if keys else _get(trail.kind)
    elif indexed(trail.kind, trail.end):
        first = _by_value(trail.kind, trail.end)
    else:
        return None
    names = [name for _, name in trail.keys] + ([] if trail.end in ("", "id") else [trail.end])
    steps: list[_Step] = [_referring(*key) for key in reversed(keys)]
    slot = trail.slot
    while slot.join is not None:
        join = slot.join
        if slot.of != "entity":
            return None
        names.append(join.name)
        if join.back:
            steps.append(_referred(join.back, join.start.kind))
        else:
            steps.append(_referring(join.start.kind, join.name))
        steps.extend(_referring(*key) for key in reversed(join.start.keys))
        slot = join.start.slot
    # Owners, groups and names say little; ids and links say much.
    vague = any(name.startswith("details.") or name in ("ns", "name", "value") for name in names)
    kind = int if trail.end in ("", "id") else str
    return Lookup(slot, first, tuple(steps), values, kind, 100 * vague + len(steps))
