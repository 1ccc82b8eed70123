# SPDX-License-Identifier: GPL-2.0-or-later
"""What a statement says, as a tree. Equal expressions are equal nodes."""

from dataclasses import dataclass

__all__ = [
    "Call",
    "Case",
    "Exists",
    "In",
    "IsEmpty",
    "IsNull",
    "Like",
    "Literal",
    "Logic",
    "Node",
    "Not",
    "Operation",
    "Param",
    "Path",
    "Query",
    "Source",
    "Subquery",
    "and_",
    "children",
]


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, string, truth or null that stands in the statement; `of` as `Field.of`, "null" for null."""

    value: str | int | float | bool | None
    of: str


@dataclass(frozen=True, slots=True)
class Param:
    """``:name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Path:
    """``image.details.owner.id``: an alias and fields; or fields alone, or the name of an entity."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Call:
    """A function or aggregate, its name in lower case. ``count(*)`` has no arguments."""

    name: str
    args: tuple["Node", ...]
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A comparison (= != < > <= >=) or arithmetic (+ - * / % ||)."""

    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Logic:
    """Several conditions, joined by "and" or "or"."""

    word: str
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class IsNull:
    """``x is null``."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """``x.collection is empty``."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class In:
    """``x in (…)``: expressions (a parameter may be a list), or a query."""

    of: "Node"
    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Like:
    """``x like 'a%'``."""

    of: "Node"
    pattern: "Node"
    escape: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """``case when … then … else … end``."""

    whens: tuple[tuple["Node", "Node"], ...]
    other: "Node"


@dataclass(frozen=True, slots=True)
class Subquery:
    """A query in brackets, as a value or as the options of `In`."""

    query: "Query"


@dataclass(frozen=True, slots=True)
class Exists:
    """``exists (select …)``."""

    query: "Query"


Node = (
    Literal
    | Param
    | Path
    | Call
    | Operation
    | Logic
    | Not
    | IsNull
    | IsEmpty
    | In
    | Like
    | Case
    | Subquery
    | Exists
)


@dataclass(frozen=True, slots=True)
class Source:
    """One thing of the from clause: an entity, or a join along a path.

    Parameters
    ----------
    path
        The entity's name, or where the join leads.
    alias
        What it is called in the rest of the statement; None: it has no name there.
    condition
        What follows ``with``.
    """

    path: Path
    alias: str | None
    joined: bool = False
    outer: bool = False
    fetch: bool = False
    condition: Node | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query. `select` is empty where the statement begins with ``from``."""

    sources: tuple[Source, ...]
    select: tuple[Node, ...] = ()
    names: tuple[str | None, ...] = ()
    mapped: bool = False
    distinct: bool = False
    where: Node | None = None
    group: tuple[Node, ...] = ()
    having: Node | None = None
    order: tuple[tuple[Node, bool], ...] = ()


def and_(condition: Node | None) -> tuple[Node, ...]:
    """The conditions that must all hold."""
    if condition is None:
        return ()
    if isinstance(condition, Logic) and condition.word == "and":
        return tuple(each for part in condition.parts for each in and_(part))
    return (condition,)


def children(node: Node) -> tuple[Node, ...]:
    """The expressions that an expression is made of; queries within it are left alone."""
    match node:
        case Call(args=args):
            return args
        case Operation(left=left, right=right):
            return (left, right)
        case Logic(parts=parts):
            return parts
        case Not(of=of) | IsNull(of=of) | IsEmpty(of=of):
            return (of,)
        case In(of=of, options=options):
            return (of, *options)
        case Like(of=of, pattern=pattern):
            return (of, pattern)
        case Case(whens=whens, other=other):
            return (*(each for pair in whens for each in pair), other)
        case _:
            return ()
