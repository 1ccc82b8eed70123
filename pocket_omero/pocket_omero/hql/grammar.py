# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar: a statement's text to its tree."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput
from lark.exceptions import VisitError
from lark.lexer import Lexer

from pocket_omero.hql import tree
from pocket_omero.hql.errors import HqlError

__all__ = ["parse"]

_GRAMMAR = r"""
start: query
query: select? FROM root ("," root)* where? group? order?
select: SELECT DISTINCT? NEW NAME "(" items ")"     -> select_map
      | SELECT DISTINCT? items                      -> select_items
items: item ("," item)*
item: expr alias?
alias: AS? NAME
root: path alias? join*
join: side? JOIN FETCH? path alias? with?
side: INNER | LEFT OUTER?
with: WITH expr
where: WHERE expr
group: GROUP BY exprs having?
having: HAVING expr
order: ORDER BY by ("," by)*
by: expr (ASC | DESC)?
exprs: expr ("," expr)*

?expr: both
     | both (OR both)+               -> any_of
?both: opposite
     | opposite (AND opposite)+      -> all_of
?opposite: NOT opposite              -> opposite
         | test
?test: sum
     | sum SIGN sum                            -> compare
     | sum NOT? LIKE sum (ESCAPE STRING)?      -> like
     | sum NOT? IN options                     -> among
     | sum NOT? BETWEEN sum AND sum            -> between
     | sum IS NOT? NULL                        -> is_null
     | sum IS NOT? EMPTY                       -> is_empty
     | sum NOT? MEMBER OF? path                -> member
options: PARAM -> option_param
       | call  -> option_one
       | path  -> option_one
       | "(" query ")" -> option_query
       | "(" exprs ")" -> option_list
?sum: product
    | sum (PLUS | MINUS | BARS) product        -> arithmetic
?product: unary
        | product (STAR | SLASH | PERCENT) unary -> arithmetic
?unary: MINUS unary                            -> negative
      | primary
?primary: number | STRING -> string | TRUE -> true | FALSE -> false | NULL -> null
        | PARAM -> param
        | path
        | call
        | case
        | "(" expr ")"
        | "(" query ")"                        -> subquery
        | EXISTS "(" query ")"                 -> exists
number: INTEGER | LONG | DOUBLE
path: NAME | DOTTED
call: NAME "(" STAR ")"                        -> call_star
    | NAME "(" DISTINCT expr ")"               -> call_distinct
    | NAME "(" expr AS NAME ")"                -> cast
    | NAME "(" path FROM expr ")"              -> extract
    | NAME "(" exprs? ")"                      -> call
case: CASE when+ else? END                     -> case
    | CASE expr when+ else? END                -> case_of
when: WHEN expr THEN expr
else: ELSE expr

%declare NAME DOTTED PARAM STRING INTEGER LONG DOUBLE SIGN PLUS MINUS BARS STAR SLASH PERCENT
%declare SELECT DISTINCT NEW FROM JOIN FETCH INNER LEFT OUTER WITH WHERE GROUP BY HAVING ORDER ASC DESC AS
%declare AND OR NOT IN IS NULL EMPTY LIKE ESCAPE BETWEEN MEMBER OF EXISTS CASE WHEN THEN ELSE END TRUE FALSE
%declare LPAR RPAR COMMA
"""
_GRAMMAR = _GRAMMAR.replace('"("', "_LPAR").replace('")"', "_RPAR").replace('","', "_COMMA")
_GRAMMAR = _GRAMMAR.replace("LPAR RPAR COMMA\n", "_LPAR _RPAR _COMMA\n")
_WORDS = frozenset(
    (
        *("select", "distinct", "from", "join", "fetch", "inner", "left", "outer", "with", "where", "by"),
        *("having", "asc", "desc", "as", "and", "or", "not", "in", "is", "null", "like", "between", "exists"),
        *("case", "when", "then", "else", "end", "true", "false"),
    )
)
_REFUSED = {
    "right": "right outer join",
    "full": "full join",
    "union": "union",
    "on": "on",
    "indices": "indices",
}
# Words that mean something only beside a certain other word; elsewhere they are names.
_BEFORE = {
    "new": re.compile(r"\s+\w+\s*\("),
    "group": re.compile(r"\s+by\b", re.IGNORECASE),
    "order": re.compile(r"\s+by\b", re.IGNORECASE),
    "member": re.compile(r"\s+of\b", re.IGNORECASE),
    "escape": re.compile(r"\s*'"),
}
_SIGNS = {"+": "PLUS", "-": "MINUS", "||": "BARS", "*": "STAR", "/": "SLASH", "%": "PERCENT"}
_BRACKETS = {"(": "_LPAR", ")": "_RPAR", ",": "_COMMA"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<DOUBLE>\d+\.\d*(?:[eE][+-]?\d+)?[dDfF]?|\d+[dDfF]\b)|(?P<LONG>\d+[lL])|(?P<INTEGER>\d+\b)
    |(?P<STRING>'(?:[^']|'')*')|:(?P<PARAM>[A-Za-z_]\w*)|(?P<WORD>[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*)
    |(?P<SIGN><=|>=|!=|<>|\^=|=|<|>)|(?P<OTHER>\|\||[-+*/%(),]))""",
    re.VERBOSE,
)


def _word(value: str, rest: str, before: Token | None, earlier: Token | None) -> str:
    """What kind of token a word is."""
    if "." in value:
        return "DOTTED"
    low, last = value.lower(), before.type if before is not None else ""
    if last == "AS":
        return "NAME"
    if low in _REFUSED and last not in ("FROM", "_COMMA"):
        raise HqlError(f"{_REFUSED[low]} is not supported")
    if low in _WORDS or (low in _BEFORE and _BEFORE[low].match(rest)) or (low == "of" and last == "MEMBER"):
        return low.upper()
    if low == "empty" and (last == "IS" or (last == "NOT" and earlier is not None and earlier.type == "IS")):
        return "EMPTY"
    return "NAME"


class _Words(Lexer):
    """Cuts a statement into words. Keywords come in any case; after ``as`` and in paths they are names."""

    def __init__(self, _conf: Any) -> None:
        pass

    def lex(self, text: Any) -> Iterator[Token]:  # type: ignore[override]  # as lark wants it
        """The words, one by one."""
        text = str(text).strip()
        place, before, earlier = 0, None, None
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise HqlError(f"cannot read it from {text[place : place + 40]!r}")
            place = found.end()
            kind = str(found.lastgroup)
            value = found[kind]
            if kind == "WORD":
                kind = _word(value, text[place:], before, earlier)
            elif kind == "OTHER":
                kind = _SIGNS.get(value) or _BRACKETS[value]
            before, earlier = Token(kind, value, start_pos=found.start(), end_pos=place), before
            yield before


def _given(children: list[Any], kind: str) -> bool:
    return any(isinstance(c, Token) and c.type == kind for c in children)


def _nodes(children: list[Any]) -> list[Any]:
    return [c for c in children if not isinstance(c, Token)]


class _Tree(Transformer[Token, Any]):
    """What the parser found, to nodes of the tree."""

    def start(self, c: list[Any]) -> Any:
        return c[0]

    def query(self, c: list[Any]) -> tree.Query:
        parts: dict[str, Any] = {}
        sources: list[tree.Source] = []
        for each in _nodes(c):
            if isinstance(each, dict):
                parts.update(each)
            else:
                sources.extend(each)
        return tree.Query(tuple(sources), **parts)

    def select_items(self, c: list[Any]) -> dict[str, Any]:
        (items,) = _nodes(c)
        return {
            "select": tuple(i[0] for i in items),
            "names": tuple(i[1] for i in items),
            "distinct": _given(c, "DISTINCT"),
        }

    def select_map(self, c: list[Any]) -> dict[str, Any]:
        name = next(t for t in c if isinstance(t, Token) and t.type == "NAME")
        if name.lower() != "map":
            raise HqlError(f"new {name}(…) is not supported")
        return {**self.select_items(c), "mapped": True}

    def items(self, c: list[Any]) -> list[Any]:
        return c

    def item(self, c: list[Any]) -> tuple[tree.Node, str | None]:
        return c[0], str(c[1]) if len(c) > 1 else None

    def alias(self, c: list[Any]) -> str:
        return str(c[-1])

    def root(self, c: list[Any]) -> list[tree.Source]:
        alias = c[1] if len(c) > 1 and isinstance(c[1], str) else None
        return [tree.Source(c[0], alias), *(each for each in c[1:] if isinstance(each, tree.Source))]

    def join(self, c: list[Any]) -> tree.Source:
        parts = _nodes(c)
        path = next(p for p in parts if isinstance(p, tree.Path))
        alias = next((p for p in parts if isinstance(p, str) and p != "left outer"), None)
        condition = next((p["with"] for p in parts if isinstance(p, dict)), None)
        return tree.Source(path, alias, True, "left outer" in parts, _given(c, "FETCH"), condition)

    def side(self, c: list[Any]) -> str | Token:
        return "left outer" if _given(c, "LEFT") else c[0]

    def where(self, c: list[Any]) -> dict[str, Any]:
        return {"where": c[1]}

    def group(self, c: list[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for each in _nodes(c):
            found.update(each if isinstance(each, dict) else {"group": tuple(each)})
        return found

    def having(self, c: list[Any]) -> dict[str, Any]:
        return {"having": c[1]}

    def order(self, c: list[Any]) -> dict[str, Any]:
        return {"order": tuple(_nodes(c))}

    def by(self, c: list[Any]) -> tuple[tree.Node, bool]:
        return c[0], _given(c, "DESC")

    def exprs(self, c: list[Any]) -> list[Any]:
        return c

    def any_of(self, c: list[Any]) -> tree.Node:
        return tree.Logic("or", tuple(_nodes(c)))

    def all_of(self, c: list[Any]) -> tree.Node:
        return tree.Logic("and", tuple(_nodes(c)))

    def opposite(self, c: list[Any]) -> tree.Node:
        return tree.Not(c[1])

    def compare(self, c: list[Any]) -> tree.Node:
        left, sign, right = c
        sign = {"<>": "!=", "^=": "!="}.get(str(sign), str(sign))
        for one, other in ((left, right), (right, left)):  # as Hibernate reads it
            if sign in ("=", "!=") and isinstance(other, tree.Literal) and other.value is None:
                return tree.IsNull(one) if sign == "=" else tree.Not(tree.IsNull(one))
        return tree.Operation(sign, left, right)

    def _maybe(self, c: list[Any], node: tree.Node) -> tree.Node:
        return tree.Not(node) if _given(c, "NOT") else node

    def like(self, c: list[Any]) -> tree.Node:
        of, pattern = _nodes(c)
        escape = c[-1][1:-1] if _given(c, "ESCAPE") else None
        return self._maybe(c, tree.Like(of, pattern, escape))

    def among(self, c: list[Any]) -> tree.Node:
        of, options = _nodes(c)
        return self._maybe(c, tree.In(of, options))

    def between(self, c: list[Any]) -> tree.Node:
        of, low, high = _nodes(c)
        both = tree.Logic("and", (tree.Operation(">=", of, low), tree.Operation("<=", of, high)))
        return self._maybe(c, both)

    def is_null(self, c: list[Any]) -> tree.Node:
        return self._maybe(c, tree.IsNull(c[0]))

    def is_empty(self, c: list[Any]) -> tree.Node:
        return self._maybe(c, tree.IsEmpty(c[0]))

    def member(self, c: list[Any]) -> tree.Node:
        of, path = _nodes(c)
        return self._maybe(c, tree.In(of, (tree.Call("elements", (path,)),)))

    def option_param(self, c: list[Any]) -> tuple[tree.Node, ...]:
        return (tree.Param(str(c[0])),)

    def option_one(self, c: list[Any]) -> tuple[tree.Node, ...]:
        return (c[0],)

    def option_query(self, c: list[Any]) -> tuple[tree.Node, ...]:
        return (tree.Subquery(_nodes(c)[0]),)

    def option_list(self, c: list[Any]) -> tuple[tree.Node, ...]:
        return tuple(_nodes(c)[0])

    def arithmetic(self, c: list[Any]) -> tree.Node:
        return tree.Operation(str(c[1]), c[0], c[2])

    def negative(self, c: list[Any]) -> tree.Node:
        if isinstance(c[1], tree.Literal) and isinstance(c[1].value, (int, float)):
            return tree.Literal(-c[1].value, c[1].of)
        return tree.Operation("-", tree.Literal(0, "rint"), c[1])

    def number(self, c: list[Any]) -> tree.Node:
        text = str(c[0])
        if c[0].type == "DOUBLE":
            return tree.Literal(float(text.rstrip("dDfF")), "rdouble")
        return tree.Literal(int(text.rstrip("lL")), "rlong" if c[0].type == "LONG" else "rint")

    def string(self, c: list[Any]) -> tree.Node:
        return tree.Literal(str(c[0])[1:-1].replace("''", "'"), "rstring")

    def true(self, _c: list[Any]) -> tree.Node:
        return tree.Literal(True, "rbool")

    def false(self, _c: list[Any]) -> tree.Node:
        return tree.Literal(False, "rbool")

    def null(self, _c: list[Any]) -> tree.Node:
        return tree.Literal(None, "null")

    def param(self, c: list[Any]) -> tree.Node:
        return tree.Param(str(c[0]))

    def path(self, c: list[Any]) -> tree.Path:
        return tree.Path(tuple(str(c[0]).split(".")))

    def subquery(self, c: list[Any]) -> tree.Node:
        return tree.Subquery(_nodes(c)[0])

    def exists(self, c: list[Any]) -> tree.Node:
        return tree.Exists(_nodes(c)[0])

    def call_star(self, c: list[Any]) -> tree.Node:
        if c[0].lower() != "count":
            raise HqlError(f"{c[0]}(*) means nothing")
        return tree.Call("count", ())

    def call_distinct(self, c: list[Any]) -> tree.Node:
        return tree.Call(c[0].lower(), (_nodes(c)[0],), True)

    def cast(self, c: list[Any]) -> tree.Node:
        if c[0].lower() != "cast":
            raise HqlError(f"{c[0]}(… as …) is not supported")
        return tree.Call("cast", (c[1], tree.Literal(c[-1].lower(), "rstring")))

    def extract(self, c: list[Any]) -> tree.Node:
        if c[0].lower() != "extract":
            raise HqlError(f"{c[0]}(… from …) is not supported")
        part, of = _nodes(c)
        return tree.Call("extract", (tree.Literal(str(part).lower(), "rstring"), of))

    def call(self, c: list[Any]) -> tree.Node:
        args = _nodes(c)
        return tree.Call(c[0].lower(), tuple(args[0]) if args else ())

    def case(self, c: list[Any]) -> tree.Node:
        whens, other = self._whens(_nodes(c))
        return tree.Case(tuple(whens), other)

    def case_of(self, c: list[Any]) -> tree.Node:
        of, *rest = _nodes(c)
        whens, other = self._whens(rest)
        return tree.Case(tuple((tree.Operation("=", of, w), t) for w, t in whens), other)

    def _whens(self, parts: list[Any]) -> tuple[list[tuple[tree.Node, tree.Node]], tree.Node]:
        whens = [p for p in parts if isinstance(p, tuple)]
        others = [p["else"] for p in parts if isinstance(p, dict)]
        return whens, others[0] if others else tree.Literal(None, "null")

    def when(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(_nodes(c))


# "with" and "else" are no names for methods.
setattr(_Tree, "with", lambda _self, c: {"with": c[1]})
setattr(_Tree, "else", lambda _self, c: {"else": c[1]})


@functools.cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer=_Words)


@functools.lru_cache(maxsize=500)
def parse(text: str) -> tree.Query:
    """The tree of a statement.

    Raises
    ------
    HqlError
        It is no statement of the language, or uses a part that is not supported.
    """
    try:
        found = _parser().parse(text)
    except UnexpectedInput as error:
        token = getattr(error, "token", None)
        where = f"{token} does not fit" if token else "it ends too early"
        raise HqlError(where) from error
    try:
        made: tree.Query = _Tree().transform(found)
    except VisitError as error:
        raise error.orig_exc from None
    return made
