# SPDX-License-Identifier: GPL-2.0-or-later
"""Expressions of a statement to functions."""

import functools
import operator
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pocket_omero.hql import tree
from pocket_omero.hql.errors import HqlError
from pocket_omero.hql.functions import AGGREGATES, CASTS, FUNCTIONS, NUMBERS, aggregate_type, calculate, wider
from pocket_omero.hql.paths import chain, head, kind_named, place_in, resolve
from pocket_omero.hql.scope import Aggregate, Env, Ex, Fn, Scope

if TYPE_CHECKING:
    from pocket_omero.hql.plan import Plan

__all__ = ["Compiler"]

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = ("rbool", "param", "null")


def _done(do: Callable[..., Any], *values: Any) -> Any:
    """Calculate; what the values are not made for is refused."""
    try:
        return do(*values)
    except (TypeError, ValueError) as error:
        raise HqlError(f"{', '.join(map(repr, values))}: {error}") from error


def _family(of: str) -> str:
    return "number" if of in NUMBERS else of


@functools.lru_cache(maxsize=500)
def _pattern(like: str, escape: str) -> re.Pattern[str]:
    out, plain = [], False
    for sign in like:
        if plain or sign not in ("%", "_", escape):
            out.append(re.escape(sign))
            plain = False
        elif sign == escape:
            plain = True
        else:
            out.append(".*" if sign == "%" else ".")
    return re.compile("".join(out), re.DOTALL)


class Compiler:
    """Compiles one statement.

    Parameters
    ----------
    planner
        Makes plans of queries within it.

    Attributes
    ----------
    params
        Names of all parameters that were met.
    size
        How many places an environment needs.
    used
        Indexes of the names that were met since somebody emptied it.
    """

    def __init__(self, planner: "Callable[[tree.Query, Scope | None, Compiler], Plan]") -> None:
        self._planner = planner
        self.params: set[str] = set()
        self.size = 1
        self.used: set[int] = set()
        self._plans: dict[tuple[int, tree.Query], tuple[Plan, Scope | None]] = {}

    def place(self) -> int:
        """A place in environments that nobody has yet."""
        self.size += 1
        return self.size - 1

    def using(self, node: tree.Node, scope: Scope) -> tuple[Ex, frozenset[int]]:
        """Compile an expression, and tell which names it uses."""
        before, self.used = self.used, set()
        found = self.expr(node, scope)
        mine, self.used = frozenset(self.used), before | self.used
        return found, mine

    def condition(self, node: tree.Node, scope: Scope) -> Fn:
        """Compile what must be true or false.

        Raises
        ------
        HqlError
            It is something else.
        """
        found = self.expr(node, scope)
        if found.of not in _CONDITION:
            raise HqlError(f"a condition was expected, not {found.of}")
        return found.fn

    def expr(self, node: tree.Node, scope: Scope) -> Ex:
        """Compile an expression.

        Raises
        ------
        HqlError
            Something in it is unknown, or its types do not go together.
        """
        method: Callable[[Any, Scope], Ex] = getattr(self, "_" + type(node).__name__.lower())
        return method(node, scope)

    def id_of(self, found: Ex) -> Fn:
        """The function for comparing: of entities their id."""
        if found.of != "entity":
            return found.fn
        fn = found.fn

        def row_id(env: Env) -> Any:
            row = fn(env)
            return None if row is None else row.id

        return row_id

    # --- leaves

    def _literal(self, node: tree.Literal, _scope: Scope) -> Ex:
        value = node.value
        return Ex(lambda _env: value, node.of)

    def _param(self, node: tree.Param, _scope: Scope) -> Ex:
        name = node.name
        self.params.add(name)

        def value(env: Env) -> Any:
            found = env[0].params[name]
            if not isinstance(found, list):
                return found
            if len(found) != 1:
                raise HqlError(f":{name} has {len(found)} values where one is needed")
            return found[0]

        return Ex(value, "param")

    def _path(self, node: tree.Path, scope: Scope) -> Ex:
        begun = head(node, scope)
        if begun is not None:
            self.used.add(begun[0].index)
        return resolve(node, scope)

    # --- conditions

    def _logic(self, node: tree.Logic, scope: Scope) -> Ex:
        fns = [self.condition(part, scope) for part in node.parts]
        decides = node.word == "or"

        def value(env: Env) -> bool | None:
            result: bool | None = not decides
            for fn in fns:
                found: bool | None = fn(env)
                if found is decides:
                    return decides
                if found is None:
                    result = None
            return result

        return Ex(value, "rbool")

    def _not(self, node: tree.Not, scope: Scope) -> Ex:
        fn = self.condition(node.of, scope)

        def value(env: Env) -> bool | None:
            found = fn(env)
            return None if found is None else not found

        return Ex(value, "rbool")

    def _isnull(self, node: tree.IsNull, scope: Scope) -> Ex:
        fn = self.expr(node.of, scope).fn
        return Ex(lambda env: fn(env) is None, "rbool")

    def _isempty(self, node: tree.IsEmpty, scope: Scope) -> Ex:
        rows = self._collection(node.of, scope).fn
        return Ex(lambda env: not any(map(env[0].visible, rows(env))), "rbool")

    def _collection(self, node: tree.Node, scope: Scope) -> Ex:
        found = self.expr(node, scope)
        if found.of != "many":
            raise HqlError("a collection was expected")
        return found

    def fitting(self, literal: tree.Node, other: tree.Node, scope: Scope) -> tree.Node:
        """A number that is written as a string beside a number, as the number: the database reads it so."""
        if not isinstance(literal, tree.Literal) or literal.of != "rstring":
            return literal
        of = self.expr(other, scope).of
        if of != "entity" and of not in NUMBERS:
            return literal
        try:
            return tree.Literal(int(str(literal.value)), "rlong")
        except ValueError:
            raise HqlError(f"{literal.value!r} is no number") from None

    def _operation(self, node: tree.Operation, scope: Scope) -> Ex:
        if node.sign not in _SIGNS:
            return self._arithmetic(node.sign, self.expr(node.left, scope), self.expr(node.right, scope))
        left = self.expr(self.fitting(node.left, node.right, scope), scope)
        right = self.expr(self.fitting(node.right, node.left, scope), scope)
        if "class" in (left.of, right.of):
            return self._same_class(node.sign, left, right)
        self._comparable(node.sign, left, right)
        one, other, test = self.id_of(left), self.id_of(right), _SIGNS[node.sign]

        def value(env: Env) -> bool | None:
            a = one(env)
            if a is None:
                return None
            b = other(env)
            if b is None:
                return None
            if isinstance(a, str) is not isinstance(b, str):
                raise HqlError(f"{a!r} {node.sign} {b!r} cannot be compared")
            return bool(test(a, b))

        return Ex(value, "rbool")

    def _comparable(self, sign: str, left: Ex, right: Ex) -> None:
        families = {_family(e.of) for e in (left, right)} - {"param", "null"}
        if "entity" in families and families <= {"entity", "number"} and sign in ("=", "!="):
            return
        if len(families) > 1 or not families <= {"number", "rstring", "rbool"}:
            raise HqlError(f"{left.of} {sign} {right.of} cannot be compared")

    def _same_class(self, sign: str, left: Ex, right: Ex) -> Ex:
        if sign not in ("=", "!="):
            raise HqlError(f"classes cannot be compared with {sign}")
        for each in (left, right):
            if each.of not in ("class", "rstring", "param"):
                raise HqlError(f"a class cannot be compared with {each.of}")
        one, other, equal = left.fn, right.fn, sign == "="

        def value(env: Env) -> bool | None:
            a, b = one(env), other(env)
            if a is None or b is None:
                return None
            return (kind_named(str(a)) == kind_named(str(b))) is equal

        return Ex(value, "rbool")

    def _arithmetic(self, sign: str, left: Ex, right: Ex) -> Ex:
        do, of = calculate(sign, left.of, right.of)
        one, other = left.fn, right.fn

        def value(env: Env) -> Any:
            a, b = one(env), other(env)
            return None if a is None or b is None else _done(do, a, b)

        return Ex(value, of)

    def _like(self, node: tree.Like, scope: Scope) -> Ex:
        of, pattern = self.expr(node.of, scope), self.expr(node.pattern, scope)
        for each in (of, pattern):
            if each.of not in ("rstring", "param"):
                raise HqlError(f"like compares strings, not {each.of}")
        text, like, escape = of.fn, pattern.fn, node.escape or "\\"

        def value(env: Env) -> bool | None:
            a, b = text(env), like(env)
            if a is None or b is None:
                return None
            if not (isinstance(a, str) and isinstance(b, str)):
                raise HqlError(f"like compares strings, not {a!r} and {b!r}")
            return _pattern(b, escape).fullmatch(a) is not None

        return Ex(value, "rbool")

    def _in(self, node: tree.In, scope: Scope) -> Ex:
        of = self.expr(node.of, scope)
        options = self.options([self.fitting(option, node.of, scope) for option in node.options], scope)
        fn, by_class = self.id_of(of), of.of == "class"

        def value(env: Env) -> bool | None:
            found = fn(env)
            if found is None:
                return None
            given = options(env)
            if by_class:
                given = {kind_named(str(g)) for g in given}
            if found in given:
                return True
            return None if None in given else False

        return Ex(value, "rbool")

    def options(self, nodes: Iterable[tree.Node], scope: Scope) -> Callable[[Env], set[Any]]:
        """The function for what stands behind ``in``: a set, made once per run where it cannot change."""
        nodes = tuple(nodes)
        (first, *_) = nodes
        if isinstance(first, tree.Subquery):
            return self.plan(first.query, scope).choices()
        fns = [self._choices(node, scope) for node in nodes]
        constant = all(isinstance(n, tree.Literal | tree.Param) for n in nodes)
        key = self.place()

        def given(env: Env) -> set[Any]:
            known = env[0].known
            if key not in known or not constant:
                known[key] = {value for fn in fns for value in fn(env)}
            return known[key]  # type: ignore[no-any-return]

        return given

    def _choices(self, node: tree.Node, scope: Scope) -> Callable[[Env], Iterable[Any]]:
        if isinstance(node, tree.Param):
            return self._listed(node.name)
        found = self.expr(node, scope)
        if found.of == "many":
            rows = found.fn
            return lambda env: [r.id for r in rows(env) if env[0].visible(r)]
        fn = self.id_of(found)
        return lambda env: (fn(env),)

    def _listed(self, name: str) -> Callable[[Env], Iterable[Any]]:
        self.params.add(name)

        def values(env: Env) -> Iterable[Any]:
            found = env[0].params[name]
            if found == []:
                raise HqlError(f"the list :{name} is empty, which OMERO refuses (unexpected end of subtree)")
            return found if isinstance(found, list) else (found,)

        return values

    # --- queries within

    def plan(self, query: tree.Query, scope: Scope | None) -> "Plan":
        """Compile a query within the statement, or the statement itself; in one place only once."""
        key = (id(scope), query)
        if key not in self._plans:
            self._plans[key] = (self._planner(query, scope, self), scope)
        found = self._plans[key][0]
        self.used |= found.outer
        return found

    def _subquery(self, node: tree.Subquery, scope: Scope) -> Ex:
        made = self.plan(node.query, scope)
        return Ex(made.value(), made.columns[0].of, made.columns[0].kind)

    def _exists(self, node: tree.Exists, scope: Scope) -> Ex:
        return Ex(self.plan(node.query, scope).exists(), "rbool")

    # --- functions

    def _case(self, node: tree.Case, scope: Scope) -> Ex:
        whens = [(self.condition(when, scope), self.expr(then, scope)) for when, then in node.whens]
        other = self.expr(node.other, scope)
        of = functools.reduce(wider, [then.of for _, then in whens], other.of)
        fns, last = [(when, then.fn) for when, then in whens], other.fn

        def value(env: Env) -> Any:
            for when, then in fns:
                if when(env):
                    return then(env)
            return last(env)

        return Ex(value, of)

    def _call(self, node: tree.Call, scope: Scope) -> Ex:
        if node.name in ("minindex", "maxindex"):
            return self._aggregate(tree.Call(node.name[:3], (tree.Call("index", node.args),)), scope)
        if node.name in AGGREGATES:
            return self._aggregate(node, scope)
        special = getattr(self, "_call_" + node.name, None)
        if special is not None:
            return special(node, scope)  # type: ignore[no-any-return]
        if node.name not in FUNCTIONS or node.distinct:
            raise HqlError(f"the function {node.name}() is not known")
        do, counts, of = FUNCTIONS[node.name]
        args = [self.expr(arg, scope) for arg in node.args]
        if len(args) not in counts:
            raise HqlError(f"{node.name}() does not take {len(args)} arguments")
        for arg in args:
            if _family(arg.of) not in ("number", "rstring", "rbool", "param", "null"):
                raise HqlError(f"{node.name}() of {arg.of} means nothing")
        fns = [arg.fn for arg in args]

        def value(env: Env) -> Any:
            values = [fn(env) for fn in fns]
            return None if None in values else _done(do, *values)

        return Ex(value, of or args[0].of)

    def _aggregate(self, node: tree.Call, scope: Scope) -> Ex:
        if not scope.may_aggregate:
            raise HqlError(f"{node.name}() cannot stand here")
        if len(node.args) > 1 or (not node.args and node.name != "count"):
            raise HqlError(f"{node.name}() takes one argument")
        scope.may_aggregate = False
        of = self.expr(node.args[0], scope) if node.args else Ex(lambda _env: 1, "rint")
        scope.may_aggregate = True
        made = Aggregate(node.name, self.id_of(of), node.distinct, self.place())
        scope.aggregates.append(made)
        return Ex(chain(made.index, ()), aggregate_type(node.name, of.of))

    def _call_coalesce(self, node: tree.Call, scope: Scope) -> Ex:
        args = [self.expr(arg, scope) for arg in node.args]
        of, fns = functools.reduce(wider, [arg.of for arg in args], "null"), [arg.fn for arg in args]

        def value(env: Env) -> Any:
            return next((found for fn in fns if (found := fn(env)) is not None), None)

        return Ex(value, of)

    def _call_nullif(self, node: tree.Call, scope: Scope) -> Ex:
        if len(node.args) != 2:
            raise HqlError("nullif() takes two arguments")
        same = self.condition(tree.Operation("=", *node.args), scope)
        first = self.expr(node.args[0], scope)
        return Ex(lambda env: None if same(env) else first.fn(env), first.of)

    def _call_size(self, node: tree.Call, scope: Scope) -> Ex:
        rows = self._collection(*self._only(node), scope).fn
        return Ex(lambda env: sum(map(env[0].visible, rows(env))), "rlong")

    def _call_elements(self, node: tree.Call, scope: Scope) -> Ex:
        return self._collection(*self._only(node), scope)

    def _call_type(self, node: tree.Call, scope: Scope) -> Ex:
        """``type(x)`` or ``type(x.class)``: the class, for a projection."""
        found = self.expr(*self._only(node), scope)
        if found.of == "class":
            return found
        if found.of != "entity":
            raise HqlError(f"type() of {found.of} means nothing")
        fn = found.fn
        return Ex(lambda env: None if (row := fn(env)) is None else row.kind, "class")

    def _call_index(self, node: tree.Call, scope: Scope) -> Ex:
        (of,) = self._only(node)
        begun = head(of, scope) if isinstance(of, tree.Path) else None
        if begun is None or begun[1] or begun[0].join is None or not begun[0].join.back:
            raise HqlError("index() needs a name that is joined from a collection")
        slot, join = begun[0], begun[0].join
        self.used.add(slot.index)
        start = chain(join.start.slot.index, tuple(name for _, name in join.start.keys))
        return Ex(place_in(slot.index, start, join.name), "rint")

    def _call_cast(self, node: tree.Call, scope: Scope) -> Ex:
        of, to = node.args
        name = str(to.value) if isinstance(to, tree.Literal) else ""
        if name not in CASTS:
            raise HqlError(f"cast to {name} is not known")
        do, kind = CASTS[name]
        found = self.expr(of, scope)
        if _family(found.of) not in ("number", "rstring", "rbool", "param"):
            raise HqlError(f"cast() of {found.of} means nothing")
        fn = found.fn
        return Ex(lambda env: None if (value := fn(env)) is None else _done(do, value), kind)

    def _call_extract(self, node: tree.Call, scope: Scope) -> Ex:
        part, of = node.args
        found = self.expr(of, scope)
        if part != tree.Literal("epoch", "rstring") or found.of != "rtime":
            raise HqlError("extract() knows only the epoch of a time")
        fn = found.fn
        return Ex(lambda env: None if (value := fn(env)) is None else value // 1000, "rint")

    def _only(self, node: tree.Call) -> tuple[tree.Node]:
        if len(node.args) != 1:
            raise HqlError(f"{node.name}() takes one argument")
        return (node.args[0],)
