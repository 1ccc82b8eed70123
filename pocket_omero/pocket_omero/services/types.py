# SPDX-License-Identifier: GPL-2.0-or-later
"""The enumerations of the model: ITypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import omero.all

from pocket_omero.errors import Forbidden, Invalid, Unsupported, WrongUse
from pocket_omero.ice.entities import entity, java_name, subclasses
from pocket_omero.people.kinds import enumerations, is_enumeration
from pocket_omero.services.steady import Steady
from pocket_omero.state.convert import from_wire

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["Types"]


class Types(Steady, omero.api.ITypes, name="omero.api.ITypes"):
    """Values of enumerations; administrators may add, rename and delete them."""

    def do_allEnumerations(self, name: str, current: Any) -> list[Any]:
        """All values of an enumeration."""
        reply = self.reply(current)
        return [reply.load(row) for row in self.house.state.all(_kind(name))]

    def do_getEnumeration(self, name: str, value: str, current: Any) -> Any:
        """One value of an enumeration.

        Raises
        ------
        WrongUse
            It has no such value.
        """
        rows = self.house.state.where(_kind(name), "value", value)
        if not rows:
            raise WrongUse(f"An enum of type {name} with value {value} could not be found")
        return self.reply(current).load(rows[0])

    def do_getEnumerationTypes(self, current: Any) -> list[str]:
        """The names of all enumerations."""
        return [java_name(name) for name in enumerations()]

    def do_getEnumerationsWithEntries(self, current: Any) -> dict[str, list[Any]]:
        """All values of all enumerations."""
        reply, state = self.reply(current), self.house.state
        return {java_name(name): [reply.load(row) for row in state.all(name)] for name in enumerations()}

    def do_getAnnotationTypes(self, current: Any) -> list[str]:
        """The names of all kinds of annotations of which there are rows, or could be."""
        return sorted(java_name(name) for name in subclasses("Annotation"))

    def do_createEnumeration(self, new: Any, current: Any) -> Any:
        """Add a value to an enumeration."""
        self._administrator(current)
        kind, value = _kind(new.ice_id()), from_wire(new.value)
        if not value or self.house.state.where(kind, "value", value):
            raise Invalid(f"a value of {kind} is used once only, and is not empty: {value!r}")
        return self.reply(current).load(self.house.state.new(kind, value=value))

    def do_updateEnumeration(self, old: Any, current: Any) -> Any:
        """Rename a value of an enumeration."""
        self._administrator(current)
        row = self._row(old)
        self.house.state.set(row, value=from_wire(old.value))
        return self.reply(current).load(row)

    def do_updateEnumerations(self, old: Sequence[Any], current: Any) -> None:
        """Rename several values."""
        with self.house.state.change():
            for each in old:
                self.do_updateEnumeration(each, current)

    def do_deleteEnumeration(self, old: Any, current: Any) -> None:
        """Delete a value that nothing uses."""
        self._administrator(current)
        self.house.state.delete(self._row(old))

    def do_resetEnumerations(self, name: str, current: Any) -> None:
        """Refuse: what an enumeration once had is not kept."""
        raise Unsupported("pocket OMERO does not keep the original values of enumerations")

    def _administrator(self, current: Any) -> None:
        if not self.caller(current).admin:
            raise Forbidden("only administrators change enumerations")

    def _row(self, obj: Any) -> Row:
        row = self.house.state.get(_kind(obj.ice_id()), obj.id.val) if obj.id is not None else None
        if row is None:
            raise WrongUse("there is no such value")
        return row


def _kind(name: str) -> str:
    kind = entity(name).name
    if not is_enumeration(kind):
        raise WrongUse(f"{name} is no enumeration")
    return kind
