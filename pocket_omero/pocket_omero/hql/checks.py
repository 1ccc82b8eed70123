# SPDX-License-Identifier: GPL-2.0-or-later
"""What the database behind a real OMERO refuses, though the statement could be understood."""

from collections.abc import Iterable, Sequence

from pocket_omero.hql import tree
from pocket_omero.hql.errors import HqlError
from pocket_omero.hql.functions import AGGREGATES
from pocket_omero.hql.paths import head
from pocket_omero.hql.scope import Scope

__all__ = ["check"]

_Key = tuple[int, tuple[str, ...]]
_OF_ALL = AGGREGATES | {"minindex", "maxindex"}


def check(
    query: tree.Query, select: Sequence[tree.Node], order: Sequence[tree.Node], scope: Scope, grouped: bool
) -> None:
    """Refuse columns that are not grouped by beside aggregates, and orders that ``distinct`` forbids.

    Also a ``join fetch`` whose owner is not selected, which Hibernate refuses.

    Raises
    ------
    HqlError
    """
    _check_fetches(select, scope)
    if grouped:
        keys = {key for node in query.group if (key := _key(node, scope)) is not None}
        for node in (*select, *order, *((query.having,) if query.having else ())):
            _check_grouped(node, query.group, keys, scope)
    elif query.distinct:
        _check_distinct(select, order, scope)


def _key(node: tree.Node, scope: Scope) -> _Key | None:
    """What a path denotes, whichever way it is written: an entity and its id are the same."""
    if not isinstance(node, tree.Path):
        return None
    begun = head(node, scope)
    if begun is None:
        return None
    slot, rest = begun
    return slot.index, rest[:-1] if rest and rest[-1] == "id" else rest


def _check_grouped(node: tree.Node, group: tuple[tree.Node, ...], keys: set[_Key], scope: Scope) -> None:
    if node in group or (isinstance(node, tree.Call) and node.name in _OF_ALL):
        return
    key = _key(node, scope)
    if key is not None:
        mine = any(slot.index == key[0] for slot in scope.slots)
        # Grouping by a row's id is grouping by each of its columns.
        if mine and key not in keys and not ((key[0], ()) in keys and _columns(key[1]) <= 1):
            raise HqlError(
                f"column {node} must appear in the GROUP BY clause or be used in an aggregate function"
            )
        return
    for child in tree.children(node):
        _check_grouped(child, group, keys, scope)


def _columns(rest: tuple[str, ...]) -> int:
    return len(rest) - ("details" in rest)


def _check_distinct(select: Sequence[tree.Node], order: Iterable[tree.Node], scope: Scope) -> None:
    keys = {key for node in select if (key := _key(node, scope)) is not None}
    keys |= {(slot.index, ()) for slot in scope.slots if slot.fetched}
    for node in order:
        key = _key(node, scope)
        selected = key is not None and (key in keys or ((key[0], ()) in keys and _columns(key[1]) <= 1))
        if node not in select and not selected and not isinstance(node, tree.Literal):
            raise HqlError("for SELECT DISTINCT, ORDER BY expressions must appear in select list")


def _check_fetches(select: Sequence[tree.Node], scope: Scope) -> None:
    there = {key[0] for node in select if (key := _key(node, scope)) is not None and key[1] == ()}
    there -= {
        key[0]
        for node in select
        if isinstance(node, tree.Path) and (key := _key(node, scope)) is not None and node.parts[-1] == "id"
    }
    for slot in scope.slots:
        if not slot.fetched or slot.join is None:
            continue
        if slot.join.start.slot.index not in there:
            raise HqlError(
                "query specified join fetching, but the owner of the fetched association was not present in "
                "the select list"
            )
        there.add(slot.index)
