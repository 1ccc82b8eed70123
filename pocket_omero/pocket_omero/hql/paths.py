# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths: from a name along fields to a value."""

from functools import cache, lru_cache
from typing import Any

from pocket_omero.errors import BadQuery
from pocket_omero.hql.errors import HqlError
from pocket_omero.hql.scope import Env, Ex, Fn, Scope, Slot, Trail
from pocket_omero.hql.tree import Path
from pocket_omero.ice.entities import Field, entity, java_name, subclasses
from pocket_omero.state.rows import DETAILS, NAMED_VALUES, PERMISSIONS

__all__ = ["chain", "follow", "head", "kind_named", "resolve"]

_PAIR = {"name": 0, "value": 1}
_QUANTITY = {"value": (0, "rdouble"), "unit": (1, "rstring")}
_PACKAGES = ("ome", "omero")


@cache
def find_field(kind: str, name: str) -> tuple[Field, str] | None:
    """A field of an entity, or of one derived from it, and where it was found."""
    if name in DETAILS:
        return DETAILS[name], kind
    for each in (kind, *sorted(subclasses(kind))):
        found = entity(each).fields.get(name)
        if found is not None:
            return found, kind if each == kind else each
    return None


@lru_cache(maxsize=1000)
def kind_named(name: str) -> str | None:
    """The entity that a word means ("Image", "ome.model.core.Image"), if any."""
    try:
        kind = entity(name).name
    except BadQuery:
        return None
    return kind if name in (kind, java_name(kind)) else None


def chain(index: int, names: tuple[str, ...]) -> Fn:
    """The function that follows references from a place in the environment."""
    if not names:
        return lambda env: env[index]
    if len(names) == 1:
        only = names[0]

        def one(env: Env) -> Any:
            row = env[index]
            return None if row is None else row.values.get(only)

        return one

    def several(env: Env) -> Any:
        row = env[index]
        for name in names:
            if row is None:
                return None
            row = row.values.get(name)
        return row

    return several


def _last(row_fn: Fn, name: str) -> Fn:
    def value(env: Env) -> Any:
        row = row_fn(env)
        return None if row is None else row.values.get(name)

    return value


def _id(row_fn: Fn) -> Fn:
    def value(env: Env) -> Any:
        row = row_fn(env)
        return None if row is None else row.id

    return value


def _class(row_fn: Fn) -> Fn:
    def value(env: Env) -> Any:
        row = row_fn(env)
        return None if row is None else row.kind

    return value


def _part(fn: Fn, number: int) -> Fn:
    def value(env: Env) -> Any:
        found = fn(env)
        return None if found is None else found[number]

    return value


def _version(row_fn: Fn) -> Fn:
    def value(env: Env) -> Any:
        row = row_fn(env)
        return None if row is None else row.values.get("version", 0)

    return value


def _many(row_fn: Fn, name: str) -> Fn:
    def rows(env: Env) -> Any:
        row = row_fn(env)
        if row is None or name not in row.entity.fields:
            return []
        return env[0].state.many(row, name)

    return rows


def head(path: Path, scope: Scope) -> tuple[Slot, tuple[str, ...]] | None:
    """The name that a path begins at, and what follows; without one it begins at what is selected from."""
    found = scope.find(path.parts[0])
    if found is not None:
        return found, path.parts[1:]
    around: Scope | None = scope
    while around is not None:
        for slot in around.slots:
            first = path.parts[0]
            known = slot.of == "entity" and (
                first in ("id", "details", "class") or find_field(slot.kind, first) is not None
            )
            if known and slot.join is None:
                return slot, path.parts
        around = around.outer
    return None


def resolve(path: Path, scope: Scope, *, implies: bool = True) -> Ex:
    """Compile a path.

    Parameters
    ----------
    implies
        Whether references on the way must lead somewhere (everywhere but in the from clause).

    Raises
    ------
    HqlError
        A name or field on the way is unknown.
    """
    begun = head(path, scope)
    if begun is None:
        return _place(path, scope) or _class_named(path)
    slot, rest = begun
    return follow(slot, rest, scope, path, implies)


def _class_named(path: Path) -> Ex:
    kind = kind_named(str(path)) if len(path.parts) == 1 or path.parts[0] in _PACKAGES else None
    if kind is None:
        raise HqlError(f"{path} is not known")
    return Ex(lambda _env: kind, "class", kind)


def _place(path: Path, scope: Scope) -> Ex | None:
    """``well_index``: the column in which the order of a collection is kept, by its name in the database."""
    name = path.parts[0]
    if len(path.parts) > 1 or not name.endswith("_index") or not scope.slots:
        return None
    slot, back = scope.slots[0], name.removesuffix("_index")
    found = find_field(slot.kind, back)
    if found is None or found[0].kind != "one":
        return None
    other = next((c for c, end in entity(found[0].of).inverse.items() if end == (slot.kind, back)), None)
    if other is None:
        return None
    return Ex(place_in(slot.index, chain(slot.index, (back,)), other), "rint")


def place_in(index: int, owner: Fn, collection: str) -> Fn:
    """The function that tells at which place of a collection a row is."""

    def place(env: Env) -> Any:
        row, around = env[index], owner(env)
        if row is None or around is None:
            return None
        return env[0].state.many(around, collection).index(row)

    return place


def follow(slot: Slot, rest: tuple[str, ...], scope: Scope, path: Path, implies: bool) -> Ex:
    """Compile what follows a name."""
    here = chain(slot.index, ())
    if slot.of == "pair":
        if not rest:
            return Ex(here, "pair")
        if len(rest) == 1 and rest[0] in _PAIR:
            return Ex(_part(here, _PAIR[rest[0]]), "rstring")
        raise HqlError(f"{path}: a key-value pair has name and value")
    if slot.of == "details":
        rest = ("details", *rest)
    elif slot.of != "entity":
        return _quantity(here, slot.of, rest, path)
    keys: list[tuple[str, str]] = []
    kind, place = slot.kind, 0
    while place < len(rest):
        name = rest[place]
        if name == "details" and place + 1 < len(rest):
            place += 1
            name = f"details.{rest[place]}"
        place += 1
        found = None if name in ("id", "class", "version", "details") else find_field(kind, name)
        if found is None or found[0].kind != "one":
            end = _End(slot, tuple(keys), kind, scope, path, implies)
            return end.compile(name, found, rest[place:])
        keys.append((kind, name))
        kind = found[0].of
    return _End(slot, tuple(keys), kind, scope, path, implies).entity()


def _quantity(fn: Fn, of: str, rest: tuple[str, ...], path: Path) -> Ex:
    if not rest:
        return Ex(fn, of)
    if len(rest) == 1 and rest[0] in _QUANTITY:
        number, part = _QUANTITY[rest[0]]
        return Ex(_part(fn, number), part)
    raise HqlError(f"{path}: a quantity has value and unit")


class _End:
    """The end of a path, behind its references."""

    def __init__(
        self,
        slot: Slot,
        keys: tuple[tuple[str, str], ...],
        kind: str,
        scope: Scope,
        path: Path,
        implies: bool,
    ) -> None:
        self.slot, self.keys, self.kind, self.scope, self.path, self.implies = (
            slot,
            keys,
            kind,
            scope,
            path,
            implies,
        )
        self.names = tuple(name for _, name in keys)
        self.row = chain(slot.index, self.names)

    def _trail(self, end: str, kind: str = "") -> Trail:
        return Trail(self.slot, self.keys, end, kind or self.kind)

    def _imply(self, names: tuple[str, ...]) -> None:
        if self.implies and names:
            self.scope.implied[self.slot.index, names] = (self.slot, chain(self.slot.index, names))

    def entity(self) -> Ex:
        self._imply(self.names[:-1])
        return Ex(self.row, "entity", self.kind, self._trail(""))

    def compile(self, name: str, found: tuple[Field, str] | None, rest: tuple[str, ...]) -> Ex:
        """The value of the last field, or a part of it."""
        if name == "id" and not rest:
            self._imply(self.names[:-1])
            return Ex(_id(self.row), "rlong", "", self._trail("id"))
        self._imply(self.names)
        if name == "class" and not rest:
            return Ex(_class(self.row), "class")
        if name == "version" and not rest:
            return Ex(_version(self.row), "rint")
        if name == "details" and not rest:
            return Ex(self.row, "details", self.kind)
        if name == PERMISSIONS and not rest:
            return Ex(self.row, "permissions")
        if found is None:
            raise HqlError(f"{self.path}: {self.kind} has no field {name}")
        field, where = found
        if field.kind == "many":
            if rest:
                raise HqlError(f"{self.path}: {name} is a collection, join it")
            return Ex(_many(self.row, name), "many", field.of, self._trail(name, where))
        value = _last(self.row, name)
        if field.of == NAMED_VALUES and not rest:
            return Ex(value, "pairs", "", self._trail(name, where))
        if field.of.startswith("internal:"):
            return _quantity(value, field.of, rest, self.path)
        if rest:
            raise HqlError(f"{self.path}: {name} is a value, it has no field {rest[0]}")
        return Ex(value, field.of, "", self._trail(name))
