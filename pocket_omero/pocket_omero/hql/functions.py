# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions, aggregates and arithmetic, with the type of what they give."""

import math
from collections.abc import Callable
from typing import Any

from pocket_omero.hql.errors import HqlError

__all__ = [
    "ACCUMULATORS",
    "AGGREGATES",
    "CASTS",
    "FUNCTIONS",
    "NUMBERS",
    "aggregate_type",
    "calculate",
    "wider",
]

AGGREGATES = frozenset({"count", "sum", "min", "max", "avg"})
NUMBERS = ("rint", "rlong", "rtime", "rfloat", "rdouble")  # from narrow to wide


def _substring(text: str, start: int, length: int | None = None) -> str:
    end = None if length is None else start - 1 + length
    return text[max(start - 1, 0) : end]


def _mod(a: int, b: int) -> int:
    return int(math.fmod(a, b))


# name: (function, how many arguments, type of the value or "" for that of the first). Null in, null out.
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[int, ...], str]] = {
    "lower": (str.lower, (1,), "rstring"),
    "upper": (str.upper, (1,), "rstring"),
    "trim": (str.strip, (1,), "rstring"),
    "length": (len, (1,), "rint"),
    "str": (str, (1,), "rstring"),
    "substring": (_substring, (2, 3), "rstring"),
    "concat": (lambda *a: "".join(map(str, a)), (2, 3, 4, 5, 6), "rstring"),
    "locate": (lambda what, text: text.find(what) + 1, (2,), "rint"),
    "abs": (abs, (1,), ""),
    "sqrt": (math.sqrt, (1,), "rdouble"),
    "mod": (_mod, (2,), "rint"),
}
CASTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "string": (str, "rstring"),
    "integer": (int, "rint"),
    "int": (int, "rint"),
    "long": (int, "rlong"),
    "double": (float, "rdouble"),
    "float": (float, "rfloat"),
}


def wider(one: str, other: str) -> str:
    """The type that two have in common.

    Raises
    ------
    HqlError
        They have none.
    """
    for a, b in ((one, other), (other, one)):
        if a == b or b in ("null", "param"):
            return a
    if one in NUMBERS and other in NUMBERS:
        return max(one, other, key=NUMBERS.index)
    raise HqlError(f"{one} and {other} do not go together")


def _divide(a: Any, b: Any) -> Any:
    if b == 0:
        raise HqlError("division by zero")
    if isinstance(a, int) and isinstance(b, int):
        return math.trunc(a / b) if abs(a) < 2**53 else a // b
    return a / b


_CALCULATE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": _mod,
    "||": lambda a, b: str(a) + str(b),
}


def calculate(sign: str, one: str, other: str) -> tuple[Callable[[Any, Any], Any], str]:
    """What ``+ - * / % ||`` do with values of two types, and the type of the result.

    Raises
    ------
    HqlError
        They cannot be calculated with.
    """
    if sign == "||":
        return _CALCULATE[sign], "rstring"
    of = wider(one, other)
    if of not in (*NUMBERS, "param"):
        raise HqlError(f"{sign} does not work on {of}")
    return _CALCULATE[sign], of


def aggregate_type(name: str, of: str) -> str:
    """The type of an aggregate of values of a type.

    Raises
    ------
    HqlError
        There is no such aggregate of them.
    """
    if name == "count":
        return "rlong"
    if name in ("sum", "avg") and of not in NUMBERS:
        raise HqlError(f"{name}() of {of} means nothing")
    if name == "avg":
        return "rdouble"
    if name == "sum":
        return "rlong" if of in ("rint", "rlong") else "rdouble"
    if of not in (*NUMBERS, "rstring", "rbool"):
        raise HqlError(f"{name}() of {of} means nothing")
    return of


class Count:
    """How many values."""

    def __init__(self) -> None:
        self.value: Any = 0

    def add(self, _value: Any) -> None:
        """Take in one more."""
        self.value += 1


class _Folded:
    fold: Callable[[Any, Any], Any]

    def __init__(self) -> None:
        self.value: Any = None

    def add(self, value: Any) -> None:
        """Take in one more."""
        self.value = value if self.value is None else type(self).fold(self.value, value)


class Sum(_Folded):
    """The sum, None of nothing."""

    fold = staticmethod(lambda a, b: a + b)


class Least(_Folded):
    """The smallest, None of nothing."""

    fold = staticmethod(min)


class Most(_Folded):
    """The largest, None of nothing."""

    fold = staticmethod(max)


class Mean:
    """The mean, None of nothing."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: Any) -> None:
        """Take in one more."""
        self._sum += value
        self._count += 1

    @property
    def value(self) -> float | None:
        """The mean of all so far."""
        return self._sum / self._count if self._count else None


ACCUMULATORS: dict[str, Callable[[], Any]] = {
    "count": Count,
    "sum": Sum,
    "min": Least,
    "max": Most,
    "avg": Mean,
}
