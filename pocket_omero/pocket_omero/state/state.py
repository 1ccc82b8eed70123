# SPDX-License-Identifier: GPL-2.0-or-later
"""All rows in memory, with indexes; changes are all or nothing, and durable."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from threading import RLock
from typing import Any

from pocket_omero.ice.entities import Entity, entity, subclasses
from pocket_omero.state.disk import Disk
from pocket_omero.state.rows import DETAILS, Row, StillReferenced, UnknownField, WrongValue, checked, field_of

__all__ = ["INDEXED", "State", "indexed"]

# Scalars that are looked up; references and details always are.
INDEXED = frozenset({"name", "omeName", "uuid", "value", "ns", "textValue", "hash", "mimetype"})
_SHORT = {
    "owner": ("details.owner",),
    "group": ("details.group",),
    "event": ("details.creationEvent", "details.updateEvent"),
}
_NOTHING: Mapping[int, Row] = {}
_NO_INDEX: Mapping[Any, Mapping[int, Row]] = {}


class State:
    """Everything the server knows.

    Reading several things that belong together happens while `lock` is held; `change` holds it.

    Parameters
    ----------
    folder
        Where ``state.db`` is kept; made when missing. A program that is killed at any moment finds there
        everything that `change` returned from, and nothing of what it was amidst.
    """

    def __init__(self, folder: Path) -> None:
        self.lock = RLock()
        self._roots: dict[str, dict[int, Row]] = {}  # table → id → row
        self._kinds: dict[str, dict[int, Row]] = {}  # the class itself → id → row
        self._index: dict[tuple[str, str], dict[Any, dict[int, Row]]] = {}  # (kind, field) → value → id → row
        self._next: dict[str, int] = {}
        self._notes: dict[str, Any] = {}
        self._depth = 0
        self._undo: list[Callable[[], None]] = []
        self._deleted: list[Row] = []
        self._dirty: dict[tuple[str, int], None] = {}
        self._noted: dict[str, None] = {}
        self._disk = Disk(folder)
        self._next.update(self._disk.next_ids())
        self._notes.update(self._disk.notes())
        for row in self._disk.rows():
            self._insert(row)

    def close(self) -> None:
        """Let go of the file. Safe to repeat."""
        with self.lock:
            self._disk.close()

    # --- reading

    def get(self, kind: str, row_id: int) -> Row | None:
        """The row of an entity, or of one derived from it, with this id; None where there is none."""
        of = entity(kind)
        row = self._roots.get(of.root, _NOTHING).get(row_id)
        return row if row is not None and _is(row, of.name) else None

    def all(self, kind: str) -> list[Row]:
        """All rows of an entity and of those derived from it, by id."""
        return _by_id(r for table in self._tables(kind) for r in table.values())

    def count(self, kind: str) -> int:
        """How many rows an entity and those derived from it have."""
        return sum(map(len, self._tables(kind)))

    def many(self, row: Row, field: str) -> list[Row]:
        """The rows of a collection: in the order that was saved where it has one, else by id."""
        kinds, back, place = _end(row.kind, field)
        found: list[Row] = []
        for kind in kinds:
            found.extend(self.index(kind, back).get(row.id, _NOTHING).values())
        if len(found) > 1:
            found.sort(key=lambda r: r.id)
            if any(place in r.values for r in found):
                last = len(found)
                found.sort(key=lambda r: r.values.get(place, last))
        return found

    def where(self, kind: str, field: str, value: Any) -> list[Row]:
        """The rows of an entity in which a field has this value, by id.

        Fast for references (`value` may be the Row or its id; details included: "details.owner") and for what
        `INDEXED` names; else every row is looked at.
        """
        found: list[Row] = []
        for name in subclasses(kind):
            if not indexed(name, field):
                found.extend(
                    r for r in self._kinds.get(name, _NOTHING).values() if r.values.get(field) == value
                )
            elif value is None:
                found.extend(r for r in self._kinds.get(name, _NOTHING).values() if field not in r.values)
            else:
                key = value.id if isinstance(value, Row) else value
                found.extend(self.index(name, field).get(key, _NOTHING).values())
        return _by_id(found)

    def index(self, kind: str, field: str) -> Mapping[Any, Mapping[int, Row]]:
        """An index itself: value (of references the id) → id → row. Of the class itself, not of derived ones.

        Only what `indexed` says yes to has one. Not to be kept or changed.
        """
        return self._index.get((kind, field), _NO_INDEX)

    def note(self, name: str, default: Any = None) -> Any:
        """What was last kept under a name with `keep`."""
        return self._notes.get(name, default)

    # --- writing

    def new(self, kind: str, **values: Any) -> Row:
        """Insert a row.

        Parameters
        ----------
        kind
            The entity's name.
        values
            By field, as `Row` has them; "details.owner" and the like for details. `owner`, `group` and
            `event` stand for these where the entity has no field of that name. `id` chooses the id.

        Raises
        ------
        UnknownField, WrongValue
        """
        with self.change():
            of = entity(kind)
            row = Row(of.name, self._id(of.root, values.pop("id", None)))
            for name, value in _spelt(of, values):
                if value is not None:
                    row.values[name] = checked(of, name, value)
            self._insert(row)
            self._undo.append(partial(self._remove, row))
            self._dirty[of.root, row.id] = None
            return row

    def set(self, row: Row, **values: Any) -> None:
        """Change fields of a row; names as in `new`. Safe to repeat.

        Raises
        ------
        UnknownField, WrongValue
            Nothing was changed.
        """
        with self.change():
            for name, value in _spelt(row.entity, values):
                self._put(row, name, checked(row.entity, name, value))

    def order(self, row: Row, field: str, rows: Iterable[Row]) -> None:
        """Give a collection an order, as `many` will return it. Safe to repeat."""
        place = "#" + row.entity.inverse[field][1]
        with self.change():
            for number, each in enumerate(rows):
                self._put(each, place, number)

    def delete(self, row: Row) -> None:
        """Delete a row. When the outermost `change` ends, no row may refer to it any more.

        Raises
        ------
        StillReferenced
            From the end of the outermost `change`, which is then undone.
        """
        with self.change():
            self._remove(row)
            self._undo.append(partial(self._insert, row))
            self._deleted.append(row)
            self._dirty[row.entity.root, row.id] = None

    def event(self, person: Row, group: Row, session: Row | None) -> Row:
        """A new Event: somebody does something now."""
        kinds = self.where("EventType", "value", "User")
        return self.new(
            "Event",
            time=int(time.time() * 1000),
            status="User",
            experimenter=person,
            experimenterGroup=group,
            session=session,
            type=kinds[0] if kinds else None,
        )

    def keep(self, name: str, value: Any) -> None:
        """Keep something that is no row (anything JSON can say) under a name; None lets go of it."""
        with self.change():
            self._undo.append(partial(self._note, name, self._notes.get(name)))
            self._noted[name] = None
            self._note(name, value)

    @contextmanager
    def change(self) -> Iterator[None]:
        """All that is written within is done, or nothing of it, in memory and on disk.

        May be nested: what an inner one did is undone when it fails, even if the outer one goes on.

        Raises
        ------
        StillReferenced
            See `delete`.
        """
        with self.lock:
            began = len(self._undo)
            self._depth += 1
            try:
                yield
                if self._depth == 1:
                    self._commit()
            except BaseException:
                self._undo_to(began)
                raise
            finally:
                self._depth -= 1
                if not self._depth:
                    self._undo.clear()
                    self._deleted.clear()
                    self._dirty.clear()
                    self._noted.clear()

    # --- inside

    def _tables(self, kind: str) -> list[dict[int, Row]]:
        return [self._kinds[k] for k in subclasses(kind) if k in self._kinds]

    def _id(self, root: str, wanted: int | None) -> int:
        taken = self._next.get(root, 1)
        if wanted is None:
            self._next[root] = taken + 1
            return taken
        if wanted in self._roots.get(root, _NOTHING):
            raise WrongValue(f"{root}:{wanted} is there already")
        self._next[root] = max(taken, wanted + 1)
        return wanted

    def _put(self, row: Row, name: str, value: Any) -> None:
        old = row.values.get(name)
        if old is value:
            return
        self._undo.append(partial(self._write, row, name, old))
        self._dirty[row.entity.root, row.id] = None
        self._write(row, name, value)

    def _write(self, row: Row, name: str, value: Any) -> None:
        self._unlist(row, name, row.values.get(name))
        if value is None:
            row.values.pop(name, None)
        else:
            row.values[name] = value
            self._list(row, name, value)

    def _note(self, name: str, value: Any) -> None:
        if value is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = value

    def _insert(self, row: Row) -> None:
        self._roots.setdefault(row.entity.root, {})[row.id] = row
        self._kinds.setdefault(row.kind, {})[row.id] = row
        for name, value in row.values.items():
            self._list(row, name, value)

    def _remove(self, row: Row) -> None:
        del self._roots[row.entity.root][row.id]
        del self._kinds[row.kind][row.id]
        for name, value in row.values.items():
            self._unlist(row, name, value)

    def _list(self, row: Row, name: str, value: Any) -> None:
        if isinstance(value, Row):
            value = value.id
        elif name not in INDEXED or value is None:
            return
        self._index.setdefault((row.kind, name), {}).setdefault(value, {})[row.id] = row

    def _unlist(self, row: Row, name: str, value: Any) -> None:
        if isinstance(value, Row):
            value = value.id
        elif name not in INDEXED or value is None:
            return
        index = self._index[row.kind, name]
        index[value].pop(row.id)
        if not index[value]:
            del index[value]

    def _undo_to(self, length: int) -> None:
        while len(self._undo) > length:
            self._undo.pop()()

    def _commit(self) -> None:
        if not self._dirty and not self._noted:
            return
        self._check_deleted()
        rows = {key: self._roots.get(key[0], _NOTHING).get(key[1]) for key in self._dirty}
        self._disk.write(rows, {name: self._notes.get(name) for name in self._noted}, self._next)

    def _check_deleted(self) -> None:
        gone = [row for row in self._deleted if self.get(row.kind, row.id) is not row]
        for root in {row.entity.root for row in gone}:
            referring = [(key[1], index) for key, index in self._index.items() if _refers(*key) == root]
            for row in gone:
                for field, index in referring:
                    if row.entity.root == root and row.id in index:
                        other = next(iter(index[row.id].values()))
                        raise StillReferenced(f"{row} is still referred to by {other} ({field})")


def _is(row: Row, name: str) -> bool:
    return row.kind == name or name in row.entity.bases


def _by_id(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda r: r.id)


@cache
def indexed(kind: str, field: str) -> bool:
    """Whether rows are looked up quickly by this field: references, details and what `INDEXED` names."""
    if field in DETAILS or field in INDEXED:
        return True
    found = entity(kind).fields.get(field)
    return found is not None and found.kind == "one"


@cache
def _refers(kind: str, name: str) -> str | None:
    """The table that a field refers to; None: it is no reference."""
    field = field_of(entity(kind), name)
    return entity(field.of).root if field.kind == "one" else None


@cache
def _end(kind: str, field: str) -> tuple[tuple[str, ...], str, str]:
    """The other end of a collection: its classes, the field that points back, where its order is kept."""
    of = entity(kind)
    if field_of(of, field).kind != "many":
        raise UnknownField(f"{kind}.{field} is no collection")
    other, back = of.inverse[field]
    return tuple(sorted(subclasses(other))), back, "#" + back


def _spelt(of: Entity, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name in _SHORT and name not in of.fields:
            yield from ((full, value) for full in _SHORT[name])
        else:
            yield name, value
