# SPDX-License-Identifier: GPL-2.0-or-later
"""How a compiled query is carried out: names are bound one after another, from indexes where possible."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pocket_omero.hql.errors import HqlError
from pocket_omero.hql.functions import ACCUMULATORS
from pocket_omero.hql.lookup import Lookup
from pocket_omero.hql.scope import Aggregate, Env, Ex, Fn, Slot, ident

__all__ = ["Binding", "Fetch", "Plan"]


@dataclass(slots=True)
class Binding:
    """One name, and what it is bound to.

    Parameters
    ----------
    fn
        What it is joined from: a row or a list; None for an entity of its own.
    single
        `fn` gives one row, or none.
    outer
        The name may stand for nothing.
    unfiltered
        What it stands for is no row (a quantity): there is no inner join to it.
    lookups
        How the rows of an entity can be narrowed down by indexes.
    tests
        Conditions that can be tested as soon as it is bound.
    """

    slot: Slot
    fn: Fn | None
    single: bool = False
    outer: bool = False
    unfiltered: bool = False
    rows: bool = True
    condition: Fn | None = None
    lookups: list[Lookup] = field(default_factory=list)
    tests: list[Fn] = field(default_factory=list)

    def items(self, env: Env) -> list[Any]:
        """Everything that it can be bound to now."""
        run = env[0]
        if self.fn is None:
            return [r for r in self._candidates(env) if run.visible(r)]
        found = self.fn(env)
        if self.single:
            found = [] if found is None and not self.unfiltered else [found]
        elif found is None:
            found = []
        if self.rows:
            found = [r for r in found if run.visible(r)]
        if self.condition is not None:
            found = [each for each in found if self._fits(env, each)]
        return found or ([None] if self.outer else [])

    def _fits(self, env: Env, each: Any) -> bool:
        env[self.slot.index] = each
        return self.condition is None or self.condition(env) is True

    def _candidates(self, env: Env) -> Iterable[Any]:
        best: dict[int, Any] | None = None
        for lookup in self.lookups:
            found = lookup.rows(env, None if best is None else len(best))
            if found is not None and (best is None or len(found) < len(best)):
                best = found
            if best is not None and len(best) < 2:
                break
        if best is None:
            return env[0].state.all(self.slot.kind)  # type: ignore[no-any-return]
        return sorted(best.values(), key=lambda r: r.id)


@dataclass(frozen=True, slots=True)
class Fetch:
    """One ``join fetch``: the row it starts at, the field, and the name that holds what was found."""

    owner: Fn
    name: str
    index: int
    many: bool


@dataclass(slots=True)
class Plan:
    """A compiled query."""

    bindings: list[Binding]
    columns: list[Ex]
    names: list[str | None]
    mapped: bool
    distinct: bool
    grouped: bool
    group: list[Fn]
    having: Fn | None
    order: list[tuple[Fn, bool]]
    aggregates: list[Aggregate]
    fetches: list[Fetch]
    outer: frozenset[int]  # places of names further out that it uses
    place: int  # where the run keeps what need not be computed twice
    first_tests: list[Fn] = field(default_factory=list)

    def bound(self, env: Env, number: int = 0) -> Iterator[Env]:
        """The environment (one and the same), bound to each row of the from and where clauses in turn."""
        if number == 0 and not all(test(env) is True for test in self.first_tests):
            return
        while number < len(self.bindings):
            binding = self.bindings[number]
            number += 1
            found = binding.items(env)
            if len(found) != 1:
                for each in found:
                    env[binding.slot.index] = each
                    if all(test(env) is True for test in binding.tests):
                        yield from self.bound(env, number)
                return
            env[binding.slot.index] = found[0]
            for test in binding.tests:
                if test(env) is not True:
                    return
        yield env

    def results(self, env: Env) -> list[Env]:
        """One environment per row of the result, grouped and in order."""
        found = self._groups(env) if self.grouped else [bound[:] for bound in self.bound(env)]
        if self.having is not None:
            found = [e for e in found if self.having(e) is True]
        for fn, down in reversed(self.order):
            found.sort(key=_sorting(fn), reverse=down)
        return found

    def _groups(self, env: Env) -> list[Env]:
        groups: dict[tuple[Any, ...], tuple[Env, list[Any], list[set[Any]]]] = {}
        for bound in self.bound(env):
            key = tuple(ident(fn(bound)) for fn in self.group)
            if key not in groups:
                groups[key] = self._group(bound[:])
            _, totals, seen = groups[key]
            for number, each in enumerate(self.aggregates):
                value = each.fn(bound)
                if value is None or (each.distinct and value in seen[number]):
                    continue
                seen[number].add(value) if each.distinct else None
                totals[number].add(value)
        if not groups and not self.group:
            nothing = env[:]
            for binding in self.bindings:
                nothing[binding.slot.index] = None
            groups[()] = self._group(nothing)
        for snapshot, totals, _ in groups.values():
            for each, total in zip(self.aggregates, totals, strict=True):
                snapshot[each.index] = total.value
        return [snapshot for snapshot, _, _ in groups.values()]

    def _group(self, snapshot: Env) -> tuple[Env, list[Any], list[set[Any]]]:
        totals = [ACCUMULATORS[each.name]() for each in self.aggregates]
        return snapshot, totals, [set() for _ in self.aggregates]

    # --- as a part of an expression

    def _once(self, compute: Callable[[Env], Any]) -> Callable[[Env], Any]:
        """The same, computed once per run where it does not depend on names further out."""
        if self.outer:
            return compute
        place = self.place

        def known(env: Env) -> Any:
            memory = env[0].known
            if place not in memory:
                memory[place] = compute(env)
            return memory[place]

        return known

    def choices(self) -> Callable[[Env], set[Any]]:
        """The function for ``in (select …)``: the set of what it finds, ids for entities."""
        column = self.columns[0]
        fn = column.fn

        def found(env: Env) -> set[Any]:
            values = (fn(e) for e in (self.results(env) if self.grouped else self.bound(env)))
            return {v.id for v in values if v is not None} if column.of == "entity" else set(values)

        return self._once(found)

    def value(self) -> Fn:
        """The function for a query that stands for one value."""
        fn = self.columns[0].fn

        def found(env: Env) -> Any:
            values = [fn(e) for e in self.results(env)]
            if self.distinct:
                values = list({ident(v): v for v in values}.values())
            if len(values) > 1:
                raise HqlError("more than one row returned by a subquery used as an expression")
            return values[0] if values else None

        return self._once(found)

    def exists(self) -> Fn:
        """The function for ``exists``."""

        def found(env: Env) -> bool:
            if self.grouped:
                return bool(self.results(env))
            return next(self.bound(env), None) is not None

        return self._once(found)


def _sorting(fn: Fn) -> Callable[[Env], tuple[bool, Any]]:
    def key(env: Env) -> tuple[bool, Any]:
        value = fn(env)
        return (value is None, 0 if value is None else value)

    return key
