# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of a statement, what they stand for, and compiled expressions.

A statement is compiled once into functions of an *environment*: a list with the `Run` in front and one place
per name of the statement, sub-queries included. Binding a name is writing into its place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pocket_omero.state import Row, State

__all__ = ["Aggregate", "Env", "Ex", "Fn", "Join", "Run", "Scope", "Slot", "Trail", "ident"]

Env = list[Any]
Fn = Callable[[Env], Any]


@dataclass(slots=True)
class Run:
    """One run of a statement: what it works on, and what it need not compute twice."""

    state: State
    params: Mapping[str, Any]
    visible: Callable[[Row], bool]
    known: dict[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Join:
    """How a name was joined: from where, and along which collection; `back` is empty for a reference."""

    start: "Trail"
    name: str
    back: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A name of the from clause.

    Parameters
    ----------
    index
        Its place in environments.
    position
        Its number in its own from clause.
    of
        "entity", "details", "pair" (of key-value pairs), or a quantity ("internal:Length").
    kind
        The entity's name.
    join
        None: it does not hang on another name in a way that indexes can follow.
    """

    index: int
    position: int
    of: str
    kind: str
    join: Join | None = None
    fetched: bool = False


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a path leads from a name, so that indexes can be followed back.

    `keys` are (entity, reference) on the way; `end` is "" for the entity there, "id", or a scalar of `kind`.
    """

    slot: Slot
    keys: tuple[tuple[str, str], ...]
    end: str
    kind: str


@dataclass(frozen=True, slots=True)
class Ex:
    """A compiled expression.

    Parameters
    ----------
    fn
        Its value in an environment. None is null; conditions are True, False or None (unknown).
    of
        As `Field.of` for scalars, or "entity", "class", "pair", "many", "pairs", "details", "param", "null".
    kind
        Which entity.
    """

    fn: Fn
    of: str
    kind: str = ""
    trail: Trail | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """count, sum, min, max or avg of a group; its value is put into a place of its own."""

    name: str
    fn: Fn
    distinct: bool
    index: int


def ident(value: Any) -> Any:
    """What tells values apart: of rows their table and id."""
    return (value.entity.root, value.id) if isinstance(value, Row) else value


class Scope:
    """The names of one query, and behind them those of the query around it."""

    def __init__(self, outer: "Scope | None") -> None:
        self.outer = outer
        self.named: dict[str, Slot] = {}
        self.slots: list[Slot] = []
        # Paths through references that must lead somewhere: such a path is an inner join, as in SQL.
        self.implied: dict[tuple[int, tuple[str, ...]], tuple[Slot, Fn]] = {}
        self.aggregates: list[Aggregate] = []
        self.may_aggregate = False

    def find(self, alias: str) -> Slot | None:
        """What a name stands for, here or further out."""
        found = self.named.get(alias)
        if found is None and self.outer is not None:
            return self.outer.find(alias)
        return found
