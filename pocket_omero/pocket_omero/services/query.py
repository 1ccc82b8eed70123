# SPDX-License-Identifier: GPL-2.0-or-later
"""IQuery: rows by id, by field, by example, by HQL."""

from typing import Any

import omero
import omero.all
from omero.rtypes import rbool, rdouble, rlist, rlong, rmap, robject, rstring

from pocket_omero.errors import BadQuery, Invalid, WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.ice.entities import entity
from pocket_omero.state.convert import from_wire, quantity, to_wire
from pocket_omero.state.model import kind_of
from pocket_omero.state.rows import NAMED_VALUES, Row

__all__ = ["Query", "permissions_map", "wire_value"]


class Query(Service, omero.api.IQuery, name="omero.api.IQuery"):
    """Finds rows. What a call does not ask to fetch comes back without content."""

    def _objects(self, text: str, params: Any, current: Any) -> list[Any]:
        found = self.query(text, params, current)
        if len(found.columns) != 1 or found.columns[0] != "entity":
            raise WrongUse(f"Queries must return IObjects when using findByQuery or findAllByQuery: {text}")
        return [row[0] for row in found.rows]

    def _only(self, objects: list[Any], what: str) -> Any:
        different = list({id(each): each for each in objects}.values())
        if len(different) > 1:
            raise WrongUse(
                f"Query named:\n\n\t{what}\n\nhas returned more than one Object\nfindBy methods must return "
                "a single value.\nPlease try findAllBy methods for queries which return Lists."
            )
        return different[0] if different else None

    def do_findAllByQuery(self, query: str, params: Any, current: Any) -> list[Any]:
        return self._objects(query, params, current)

    def do_findByQuery(self, query: str, params: Any, current: Any) -> Any:
        return self._only(self._objects(query, params, current), query)

    def do_projection(self, query: str, params: Any, current: Any) -> list[list[Any]]:
        found = self.query(query, params, current)
        rows = [
            [wire_value(of, value) for of, value in zip(found.columns, row, strict=True)]
            for row in found.rows
        ]
        if found.names is None:
            return [[] if row == [None] else row for row in rows]  # as OMERO tells a single null
        return [[rmap(dict(zip(found.names, row, strict=True)))] for row in rows]

    # --- by id

    def _row(self, kind: str, row_id: int, current: Any) -> Row | None:
        row = self.house.state.get(kind, row_id)
        visible = self.house.rights.visible(self.caller(current))
        return row if row is not None and visible(row) else None

    def do_find(self, klass: str, id: int, current: Any) -> Any:
        return self.reply(current).load(self._row(klass, id, current))

    def do_get(self, klass: str, id: int, current: Any) -> Any:
        row = self._row(klass, id, current)
        if row is None:
            raise Invalid(
                f"The requested object ({entity(klass).name},{id}) is not available.\n"
                "Please use IQuery.find to determine existence.\n"
            )
        return self.reply(current).load(row)

    def do_refresh(self, obj: Any, current: Any) -> Any:
        return self.do_get(kind_of(obj), from_wire(obj._id), current)

    # --- by fields

    def _where(
        self, kind: str, condition: str, values: dict[str, Any], limits: Any, current: Any
    ) -> list[Any]:
        kind = entity(kind).name  # nothing of the statement comes from outside
        text = f"select o from {kind} o {condition} order by o.id"  # noqa: S608
        params = omero.sys.Parameters({n: wire_plain(v) for n, v in values.items()}, limits, None)
        return self._objects(text, params, current)

    def do_findAll(self, klass: str, filter: Any, current: Any) -> list[Any]:
        return self._where(klass, "", {}, filter, current)

    def do_findByString(self, klass: str, field: str, value: str, current: Any) -> Any:
        condition = f"where o.{_text_field(klass, field)} = :value"
        return self._only(self._where(klass, condition, {"value": value}, None, current), f"{klass}.{field}")

    def do_findAllByString(
        self, klass: str, field: str, value: str, sensitive: bool, filter: Any, current: Any
    ) -> list[Any]:
        name = _text_field(klass, field)
        if sensitive:
            condition, like = f"where o.{name} like :value", f"%{value}%"
        else:
            condition, like = f"where lower(o.{name}) like :value", f"%{value.lower()}%"
        return self._where(klass, condition, {"value": like}, filter, current)

    def do_findAllByExample(self, example: Any, filter: Any, current: Any) -> list[Any]:
        """What has the same values as the example, where that has any; references do not count."""
        kind = kind_of(example)
        fields = [f for f in entity(kind).fields.values() if f.kind == "scalar" and f.of.startswith("r")]
        values = {f.name: from_wire(getattr(example, "_" + f.name)) for f in fields}
        given = {name: value for name, value in values.items() if value is not None}
        condition = " and ".join(f"o.{name} = :{name}" for name in given)
        return self._where(kind, f"where {condition}" if given else "", given, filter, current)

    def do_findByExample(self, example: Any, current: Any) -> Any:
        return self._only(self.do_findAllByExample(example, None, current), kind_of(example))


def _text_field(klass: str, name: str) -> str:
    field = entity(klass).fields.get(name)
    if field is None or field.of != "rstring":
        raise BadQuery(f"{entity(klass).name} has no field {name} with text in it")
    return name


def wire_plain(value: Any) -> Any:
    """An rtype of a plain value of a parameter."""
    if isinstance(value, bool):
        return rbool(value)
    if isinstance(value, int):
        return rlong(value)
    return rdouble(value) if isinstance(value, float) else rstring(value)


def permissions_map(permissions: Any) -> Any:
    """Permissions in a projection: the level as text, and what the caller may do, one by one."""
    p = permissions
    may = {
        "canAnnotate": p.canAnnotate(),
        "canChgrp": p.canChgrp(),
        "canChown": p.canChown(),
        "canDelete": p.canDelete(),
        "canEdit": p.canEdit(),
        "canLink": p.canLink(),
    }
    return rmap({"perm": rstring(str(p)), **{name: rbool(value) for name, value in may.items()}})


def wire_value(of: str, value: Any) -> Any:
    """One value of a projection.

    Parameters
    ----------
    of
        The type of its column, as `hql.Result.columns` has it.
    value
        As `hql.Result.rows` has it.

    Raises
    ------
    BadQuery
        Such a value does not travel in a projection.
    """
    if value is None:
        return None
    if of == "entity":
        return robject(value)
    if of == "permissions":
        return permissions_map(value)
    if of == "class":
        return rstring(value)
    if of in ("param", "null"):
        return wire_plain(value)
    if of in ("pairs", NAMED_VALUES):
        return rlist([rmap({"name": rstring(n), "value": rstring(v)}) for n, v in value])
    if of == "pair":
        return rmap({"name": rstring(value[0]), "value": rstring(value[1])})
    if isinstance(value, tuple):
        made = quantity(of.removeprefix("internal:"), value)
        return rmap(
            {"value": rdouble(value[0]), "unit": rstring(value[1]), "symbol": rstring(made.getSymbol())}
        )
    if of.startswith("r"):
        return to_wire(of, value)
    raise BadQuery(f"a {of} cannot be told in a projection")
