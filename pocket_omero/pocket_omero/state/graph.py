# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of omero.model for one reply, in which nothing is loaded that was not asked for."""

from collections.abc import Callable
from typing import Any

from pocket_omero.state.convert import class_of, to_wire
from pocket_omero.state.rows import PERMISSIONS, Row
from pocket_omero.state.state import State

__all__ = ["Reply"]


class Reply:
    """Makes the objects of one reply. A row is one object in it, however often it is met.

    Scalars, ids and details are there; references are objects without content, collections are not loaded,
    until `load` or `fetch` was called for what they hold. OMERO does the same, and clients that forget a
    ``join fetch`` must find out.

    Parameters
    ----------
    state
        Where collections are looked up.
    permissions
        Makes the ``details.permissions`` of a row, as the caller is to see them; None: there are none.
    """

    def __init__(self, state: State, permissions: Callable[[Row], Any] | None = None) -> None:
        self._state = state
        self._permissions = permissions
        self._made: dict[Row, Any] = {}
        self._fetched: set[tuple[Row, str, Row]] = set()

    def refer(self, row: Row | None) -> Any:
        """The object of a row; without content as long as nothing loads it."""
        if row is None:
            return None
        made = self._made.get(row)
        if made is None:
            made = self._made[row] = class_of(row.kind)(row.id, False)
        return made

    def load(self, row: Row | None) -> Any:
        """The object of a row with its scalars and details. None for None."""
        made = self.refer(row)
        if row is None or made._loaded:
            return made
        full = class_of(row.kind)(row.id, True)
        full.unloadCollections()
        made.__dict__.update(full.__dict__)
        for field in row.entity.fields.values():
            value = row.values.get(field.name)
            if value is not None:
                wire = self.refer(value) if field.kind == "one" else to_wire(field.of, value)
                setattr(made, "_" + field.name, wire)
        if hasattr(made, "_version"):
            made._version = to_wire("rint", row.values.get("version", 0))
        self._details(row, made)
        return made

    def fetch(self, row: Row, field: str, other: Row | None) -> None:
        """Load what a field refers to; of a collection, one row of it (None: it is empty, but known).

        `field` may be a detail ("details.owner").
        """
        made = self.load(row)
        back = row.entity.inverse.get(field)
        if back is None:
            self.load(other)
            return
        if not getattr(made, f"_{field}Loaded"):
            setattr(made, f"_{field}Loaded", True)
            setattr(made, f"_{field}Seq", [])
        if other is not None and (row, field, other) not in self._fetched:
            self._fetched.add((row, field, other))
            getattr(made, f"_{field}Seq").append(self.load(other))

    def fetch_all(self, row: Row, field: str) -> None:
        """Load a collection wholly, or what a reference refers to."""
        if field not in row.entity.inverse:
            self.fetch(row, field, row[field])
            return
        self.fetch(row, field, None)
        for other in self._state.many(row, field):
            self.fetch(row, field, other)

    def permissions(self, row: Row) -> Any:
        """The ``details.permissions`` of a row, as the caller sees them; None where nothing makes them."""
        return None if self._permissions is None else self._permissions(row)

    def _details(self, row: Row, made: Any) -> None:
        details = made._details
        for name in ("owner", "group", "creationEvent", "updateEvent", "externalInfo"):
            setattr(details, "_" + name, self.refer(row.values.get("details." + name)))
        self.load(row.values.get("details.group"))  # a server has read it, for the permissions
        if self._permissions is not None:
            details._permissions = self._permissions(row)
        elif PERMISSIONS in row.values:
            details._permissions = class_of("Permissions")(row.values[PERMISSIONS])
