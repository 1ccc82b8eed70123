# SPDX-License-Identifier: GPL-2.0-or-later
"""A query's tree to a plan: names, joins, conditions at the earliest place where they can be tested."""

from collections.abc import Callable, Iterable
from typing import Any

from pocket_omero.hql import checks, tree
from pocket_omero.hql.compiler import Compiler
from pocket_omero.hql.errors import HqlError
from pocket_omero.hql.lookup import Lookup, lookup
from pocket_omero.hql.paths import kind_named, resolve
from pocket_omero.hql.plan import Binding, Fetch, Plan
from pocket_omero.hql.scope import Env, Ex, Fn, Join, Scope, Slot, Trail
from pocket_omero.ice.entities import entity

__all__ = ["plan"]


def plan(query: tree.Query, outer: Scope | None, compiler: Compiler) -> Plan:
    """Compile a query.

    Parameters
    ----------
    outer
        The names of the query around it; None: it is the statement itself.

    Raises
    ------
    HqlError
        Something in it is unknown or not supported.
    """
    return _Planner(query, outer, compiler).plan()


class _Planner:
    def __init__(self, query: tree.Query, outer: Scope | None, compiler: Compiler) -> None:
        self.query, self.compiler = query, compiler
        self.scope = Scope(outer)
        self.bindings: list[Binding] = []
        self.fetches: list[Fetch] = []

    def plan(self) -> Plan:
        before, self.compiler.used = self.compiler.used, set()
        for source in self.query.sources:
            self._source(source)
        first = [test for node in tree.and_(self.query.where) for test in self._conjunct(node)]
        self.scope.may_aggregate = True
        nodes = self.query.select or self._all_names()
        columns = [self._column(node) for node in nodes]
        group = [self.compiler.expr(node, self.scope).fn for node in self.query.group]
        having = self.compiler.condition(self.query.having, self.scope) if self.query.having else None
        ordering = [(self._named(node), down) for node, down in self.query.order]
        order = [(self._sortable(node), down) for node, down in ordering]
        grouped = bool(self.query.group or self.scope.aggregates)
        checks.check(self.query, nodes, [node for node, _ in ordering], self.scope, grouped)
        for slot, fn in self.scope.implied.values():
            self._tests(slot).append(_leads_somewhere(fn))
        mine = {slot.index for slot in self.scope.slots}
        used, self.compiler.used = self.compiler.used - mine, before | (self.compiler.used - mine)
        for binding in self.bindings:
            binding.lookups.sort(key=lambda each: each.cost)
        return Plan(
            self.bindings,
            columns,
            list(self.query.names) or [None] * len(columns),
            self.query.mapped,
            self.query.distinct,
            grouped,
            group,
            having,
            order,
            self.scope.aggregates,
            self.fetches,
            frozenset(used),
            self.compiler.place(),
            first,
        )

    # --- from

    def _source(self, source: tree.Source) -> None:
        if source.joined:
            self._join(source)
            return
        kind = kind_named(str(source.path))
        if kind is None:
            raise HqlError(f"{source.path} is no entity of OMERO's model")
        slot = self._slot(source.alias or f"#{len(self.scope.slots)}", "entity", kind, None)
        self.bindings.append(Binding(slot, None))

    def _slot(self, alias: str | None, of: str, kind: str, join: Join | None, fetched: bool = False) -> Slot:
        slot = Slot(self.compiler.place(), len(self.scope.slots), of, kind, join, fetched)
        self.scope.slots.append(slot)
        if alias is not None:
            if alias in self.scope.named:
                raise HqlError(f"the name {alias} is given twice")
            self.scope.named[alias] = slot
        return slot

    def _join(self, source: tree.Source) -> None:
        parts = source.path.parts
        if self.scope.find(parts[0]) is None:
            raise HqlError(f"{source.path} begins at no name of the statement")
        found = resolve(source.path, self.scope, implies=False)
        of = {"entity": "entity", "many": "entity", "pairs": "pair", "details": "details"}.get(
            found.of, found.of
        )
        if of not in ("entity", "pair", "details") and not of.startswith("internal:"):
            raise HqlError(f"{source.path} is a value, it cannot be joined")
        if source.fetch and source.condition is not None:
            raise HqlError("with-clause not allowed on fetched associations; use filters")
        slot = self._slot(source.alias, of, found.kind, _joined(found), source.fetch)
        binding = Binding(
            slot,
            found.fn,
            single=found.of not in ("many", "pairs"),
            outer=source.outer,
            unfiltered=of.startswith("internal:"),
            rows=of in ("entity", "details"),
        )
        self.bindings.append(binding)
        if source.condition is not None:
            binding.condition = self.compiler.condition(source.condition, self.scope)
        if source.fetch and of == "entity":
            self._fetch(source, slot, found)

    def _fetch(self, source: tree.Source, slot: Slot, found: Ex) -> None:
        if found.trail is None:
            raise HqlError(f"{source.path} cannot be fetched")
        start = _joined(found)
        if start is None:
            raise HqlError(f"{source.path} names itself")
        if len(start.start.keys) > 0:
            raise HqlError(f"fetch {source.path}: join and fetch what lies between first")
        owner = start.start.slot
        self.fetches.append(Fetch(_slot_fn(owner), start.name, slot.index, found.of == "many"))

    def _all_names(self) -> tuple[tree.Node, ...]:
        """What a statement selects that begins with ``from``."""
        return tuple(
            tree.Path((alias,))
            for alias, slot in self.scope.named.items()
            if not slot.fetched and slot.of == "entity"
        )

    # --- where

    def _conjunct(self, node: tree.Node) -> Iterable[Fn]:
        """Put a condition where it can be tested first; give back one that needs no name of this query."""
        found, used = self.compiler.using(node, self.scope)
        if found.of not in ("rbool", "param", "null"):
            raise HqlError(f"a condition was expected, not {found.of}")
        mine = [slot.position for slot in self.scope.slots if slot.index in used]
        self._lookup(node)
        if not mine:
            return [found.fn]
        self.bindings[max(mine)].tests.append(found.fn)
        return []

    def _lookup(self, node: tree.Node) -> None:
        if isinstance(node, tree.Operation) and node.sign == "=":
            for one, other in ((node.left, node.right), (node.right, node.left)):
                value, used = self.compiler.using(self.compiler.fitting(other, one, self.scope), self.scope)
                self._add_lookup(one, _one(self.compiler.id_of(value)), used, value.of)
        elif isinstance(node, tree.In):
            needed: frozenset[int] = frozenset()
            options = [self.compiler.fitting(option, node.of, self.scope) for option in node.options]
            for option in options:
                needed |= self.compiler.using(option, self.scope)[1]
            self._add_lookup(node.of, self.compiler.options(options, self.scope), needed, "")

    def _add_lookup(
        self, node: tree.Node, values: Callable[[Env], Iterable[Any]], used: frozenset[int], of: str
    ) -> None:
        found = self.compiler.expr(node, self.scope)
        if found.trail is None or found.of in ("many", "pairs") or of in ("class", "null"):
            return
        made: Lookup | None = lookup(found.trail, values)
        if made is None or made.root not in self.scope.slots:
            return
        later = [s for s in self.scope.slots if s.index in used and s.position >= made.root.position]
        if not later:
            self.bindings[made.root.position].lookups.append(made)

    def _tests(self, slot: Slot) -> list[Fn]:
        """Where a condition on what lies behind a name is tested: there, or else at the very beginning."""
        if slot in self.scope.slots:
            return self.bindings[slot.position].tests
        return self.bindings[0].tests

    # --- select, order

    def _column(self, node: tree.Node) -> Ex:
        found = self.compiler.expr(node, self.scope)
        if found.of == "many":
            raise HqlError("a collection cannot be selected, join it")
        if (
            isinstance(node, tree.Path)
            and found.of == "entity"
            and found.trail is not None
            and found.trail.keys
        ):
            slot, names = found.trail.slot, tuple(name for _, name in found.trail.keys)
            self.scope.implied[slot.index, names] = (slot, found.fn)
        return found

    def _named(self, node: tree.Node) -> tree.Node:
        """What is ordered by may be the name of a column."""
        single = (
            isinstance(node, tree.Path) and len(node.parts) == 1 and self.scope.find(node.parts[0]) is None
        )
        if single and isinstance(node, tree.Path) and node.parts[0] in self.query.names:
            return self.query.select[self.query.names.index(node.parts[0])]
        return node

    def _sortable(self, node: tree.Node) -> Fn:
        found = self.compiler.expr(node, self.scope)
        if found.of in ("many", "pairs", "pair", "details"):
            raise HqlError(f"nothing can be ordered by {found.of}")
        return self.compiler.id_of(found)


def _joined(found: Ex) -> Join | None:
    """How a name that is joined hangs on another, for lookups and `index()`."""
    trail = found.trail
    if trail is None:
        return None
    if found.of == "entity" and trail.keys:
        (kind, name), keys = trail.keys[-1], trail.keys[:-1]
        return Join(Trail(trail.slot, keys, "", kind), name)
    if found.of == "many":
        return Join(
            Trail(trail.slot, trail.keys, "", trail.kind), trail.end, entity(trail.kind).inverse[trail.end][1]
        )
    if found.of == "pairs":
        return Join(Trail(trail.slot, trail.keys, "", trail.kind), trail.end)
    return None


def _slot_fn(slot: Slot) -> Fn:
    index = slot.index
    return lambda env: env[index]


def _one(fn: Fn) -> Callable[[Env], Iterable[Any]]:
    return lambda env: (fn(env),)


def _leads_somewhere(fn: Fn) -> Fn:
    return lambda env: fn(env) is not None
