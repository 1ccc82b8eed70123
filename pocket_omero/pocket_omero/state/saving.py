# SPDX-License-Identifier: GPL-2.0-or-later
"""Save graphs of objects as OMERO's IUpdate does.

What is not loaded only refers to a row. What is loaded and has an id changes that row, field by field;
without an id it becomes a new row. Loaded collections are gone through in the same way; what is missing
in them stays as it is (OMERO deletes nothing on saving). An enumeration without an id means the one with its
value.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from pocket_omero.errors import Concurrent, Forbidden, Invalid
from pocket_omero.ice.entities import entity, java_name
from pocket_omero.state.convert import from_wire
from pocket_omero.state.graph import Reply
from pocket_omero.state.model import is_enumeration, is_global, is_link, kind_of, ordered, required, versioned
from pocket_omero.state.rows import PERMISSIONS, Row
from pocket_omero.state.state import State

__all__ = ["Saved", "reloaded", "save", "save_graph"]

# Of each object of a graph, by its id() in Python: its row. Only as long as the graph lives.
Saved = dict[int, Row]

# What identifies rows of system types, beside the ends of links.
_UNIQUE = {
    "Experimenter": ("omeName",),
    "ExperimenterGroup": ("name",),
    "Session": ("uuid",),
    "Node": ("uuid",),
    "GroupExperimenterMap": ("parent", "child"),
}


class _Person(Protocol):
    """What is asked of who saves."""

    @property
    def person(self) -> Row: ...
    @property
    def group(self) -> Row: ...
    @property
    def session(self) -> Row | None: ...


class _Rules(Protocol):
    """What is asked of the rules on who may write what."""

    def details_of_new(
        self,
        caller: Any,
        kind: str,
        *,
        linked: Iterable[Row] = (),
        owner: int | None = None,
        group: int | None = None,
        repo: str | None = None,
    ) -> tuple[Row, Row]: ...
    def check_create(self, caller: Any, kind: str) -> None: ...
    def check_edit(self, caller: Any, row: Row) -> None: ...


def save(state: State, obj: Any, caller: _Person, rights: _Rules) -> Row:
    """Save a graph of objects: all of it, or nothing.

    Parameters
    ----------
    obj
        An object of omero.model. It is not changed: ids are in the row that is returned.
    caller
        Who saves.
    rights
        The rules.

    Returns
    -------
    The row of `obj`.

    Raises
    ------
    Invalid
        A required field is missing, what must be unique is there already, or a row is not there (any more).
    Concurrent
        An object was made from an older version of its row.
    Forbidden
        The caller may not.
    """
    return save_graph(state, obj, caller, rights)[id(obj)]


def save_graph(state: State, obj: Any, caller: _Person, rights: _Rules) -> Saved:
    """The same, and return the rows of all objects of the graph."""
    saving = _Saving(state, caller, rights)
    with state.change():
        saving.save(obj, None)
    return saving.rows


def reloaded(reply: Reply, saved: Saved, like: Any) -> Any:
    """The object of a graph as saving gives it back: loaded is what the client had loaded.

    Parameters
    ----------
    saved
        What `save_graph` returned.
    like
        The object that was saved.
    """
    seen: set[int] = set()

    def walk(like: Any) -> Any:
        row = saved[id(like)]
        if id(like) in seen or not like._loaded:
            return reply.refer(row)
        seen.add(id(like))
        made = reply.load(row)
        for field in row.entity.fields.values():
            if field.kind == "one":
                sent = [getattr(like, "_" + field.name)]
            elif field.kind == "many" and getattr(like, f"_{field.name}Loaded"):
                sent = getattr(like, f"_{field.name}Seq")
                reply.fetch_all(row, field.name)
            else:
                continue
            for each in sent:
                if each is not None and id(each) in saved:
                    walk(each)
        return made

    return walk(like)


class _Saving:
    """One graph on its way into the state."""

    def __init__(self, state: State, caller: _Person, rights: _Rules) -> None:
        self.state, self.caller, self.rights = state, caller, rights
        self.rows: dict[int, Row] = {}  # by id() of objects, which live as long as the graph
        self._event: Row | None = None

    def event(self, group: Row | None) -> Row:
        """What happens here, made when it first does."""
        if self._event is None:
            self._event = self.state.event(
                self.caller.person, group or self.caller.group, self.caller.session
            )
        return self._event

    def save(self, obj: Any, around: Row | None) -> Row:
        """Save one object and what hangs on it; `around` is the new row from which it was reached."""
        row = self.rows.get(id(obj))
        if row is not None:
            return row
        kind, row_id = kind_of(obj), from_wire(obj._id)
        if row_id is None:
            return self._enumeration(kind, obj) or self._insert(kind, obj, around)
        row = self.state.get(kind, row_id)
        if row is None:
            raise Invalid(f"object no longer exists in database: {kind}:{row_id}")
        self.rows[id(obj)] = row
        if obj._loaded and kind != "Event":
            self._update(row, obj)
        return row

    def _enumeration(self, kind: str, obj: Any) -> Row | None:
        if not is_enumeration(kind):
            return None
        found = self.state.where(kind, "value", from_wire(obj._value))
        if found:
            self.rows[id(obj)] = found[0]
        return found[0] if found else None

    # --- new rows

    def _insert(self, kind: str, obj: Any, around: Row | None) -> Row:
        if not obj._loaded:
            raise Invalid(f"a {kind} without an id is not loaded: it says nothing")
        details = {} if is_global(kind) else self._details(kind, obj, around)
        if is_global(kind):
            self.rights.check_create(self.caller, kind)
            if kind == "ExperimenterGroup" and obj._details._permissions is not None:
                details[PERMISSIONS] = str(obj._details._permissions)
        row = self.state.new(kind, **details, **self._scalars(kind, obj))
        self.rows[id(obj)] = row
        for field in row.entity.fields.values():
            sent = getattr(obj, "_" + field.name, None) if field.kind == "one" else None
            if sent is not None:
                self.state.set(row, **{field.name: self.save(sent, row)})
        _check_required(row)
        self._check_unique(row)
        self._collections(row, obj, row)
        return row

    def _details(self, kind: str, obj: Any, around: Row | None) -> dict[str, Any]:
        sent = obj._details
        owner = from_wire(sent._owner._id) if sent is not None and sent._owner is not None else None
        group = from_wire(sent._group._id) if sent is not None and sent._group is not None else None
        owned_by, lies_in = self.rights.details_of_new(
            self.caller,
            kind,
            linked=[*self._linked(obj), *((around,) if around is not None else ())],
            owner=owner,
            group=group,
            repo=from_wire(getattr(obj, "_repo", None)),
        )
        event = self.event(lies_in)
        found = {
            "details.owner": owned_by,
            "details.group": lies_in,
            "details.creationEvent": event,
            "details.updateEvent": event,
        }
        if sent is not None and sent._externalInfo is not None:
            found["details.externalInfo"] = self.save(sent._externalInfo, None)
        return found

    def _linked(self, obj: Any) -> list[Row]:
        """The rows that references of an object name: those that were there, and those saved already."""
        found = []
        for field in entity(kind_of(obj)).fields.values():
            sent = getattr(obj, "_" + field.name, None) if field.kind == "one" else None
            if sent is None:
                continue
            row = self.rows.get(id(sent))
            if row is None and sent._id is not None:
                row = self.state.get(field.of, from_wire(sent._id))
            if row is not None:
                found.append(row)
        return found

    def _scalars(self, kind: str, obj: Any) -> dict[str, Any]:
        fields = (f for f in entity(kind).fields.values() if f.kind == "scalar")
        return {f.name: from_wire(getattr(obj, "_" + f.name, None)) for f in fields}

    # --- rows that were there

    def _update(self, row: Row, obj: Any) -> None:
        sent = from_wire(obj._version) if versioned(row.kind) else None
        if sent not in (None, row.values.get("version", 0)):  # the JSON API of OMERO.web sends no versions
            raise Concurrent(
                "Row was updated or deleted by another transaction (or unsaved-value mapping was incorrect): "
                f"[{java_name(row.kind)}#{row.id}]"
            )
        values = self._scalars(row.kind, obj)
        for field in row.entity.fields.values():
            if field.kind == "one":
                other = getattr(obj, "_" + field.name)
                values[field.name] = None if other is None else self.save(other, None)
        changed = {name: value for name, value in values.items() if value != row[name]}
        if changed:
            self._change(row, changed)
        self._collections(row, obj, None)

    def _change(self, row: Row, changed: dict[str, Any]) -> None:
        self.rights.check_edit(self.caller, row)
        for value in changed.values():
            if isinstance(value, Row) and value.group not in (-1, row.group) and row.group != -1:
                raise Forbidden(f"MIXED GROUP: {row}(group={row.group}) and {value}(group={value.group})")
        if not is_global(row.kind):
            changed["details.updateEvent"] = self.event(row["details.group"])
        if versioned(row.kind):
            changed["version"] = row.values.get("version", 0) + 1
        self.state.set(row, **changed)
        _check_required(row)

    def _collections(self, row: Row, obj: Any, around: Row | None) -> None:
        for field in row.entity.fields.values():
            if field.kind != "many" or not getattr(obj, f"_{field.name}Loaded"):
                continue
            sent = [each for each in getattr(obj, f"_{field.name}Seq") or () if each is not None]
            rows = [self.save(each, around) for each in sent]
            if len(rows) > 1 and field.name in ordered(row.kind):
                self._order(row, field.name, rows)

    def _order(self, row: Row, field: str, rows: list[Row]) -> None:
        there = self.state.many(row, field)
        if rows != there and len(set(rows)) == len(rows) and set(rows) == set(there):
            self.state.order(row, field, rows)

    # --- rules of the model

    def _check_unique(self, row: Row) -> None:
        names = ("value",) if is_enumeration(row.kind) else _UNIQUE.get(row.kind, ())
        if not names and is_link(row.kind):
            names = ("parent", "child", "details.owner")
        if not names:
            return
        same = self.state.where(row.kind, names[0], row[names[0]])
        if any(
            other is not row and all(other[n] is row[n] or other[n] == row[n] for n in names)
            for other in same
        ):
            table = row.kind.lower()
            raise Invalid(
                f"could not insert: [{java_name(row.kind)}]; duplicate key value violates unique constraint "
                f'"{table}_{"_".join(n.rpartition(".")[2].lower() for n in names)}_key"'
            )


def _check_required(row: Row) -> None:
    for name in required(row.kind):
        if row[name] is None:
            raise Invalid(
                f"not-null property references a null or transient value: {java_name(row.kind)}.{name}"
            )
