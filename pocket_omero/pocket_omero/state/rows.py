# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: N818  (a situation is named as what it is)
"""One row of one entity, in plain Python values."""

from typing import Any

from pocket_omero.errors import PocketError
from pocket_omero.ice.entities import Entity, Field, entity

__all__ = [
    "DETAILS",
    "NAMED_VALUES",
    "PERMISSIONS",
    "Row",
    "StillReferenced",
    "UnknownField",
    "WrongValue",
    "field_of",
]

# What every row may have beside its own fields: who owns it, where it lies, and when it was made and changed.
DETAILS = {
    name: Field(name, "one", of)
    for name, of in (
        ("details.owner", "Experimenter"),
        ("details.group", "ExperimenterGroup"),
        ("details.creationEvent", "Event"),
        ("details.updateEvent", "Event"),
        ("details.externalInfo", "ExternalInfo"),
    )
}
PERMISSIONS = "details.permissions"
NAMED_VALUES = "internal:NamedValueList"
_OWN = {
    "id": Field("id", "scalar", "rlong"),
    "version": Field("version", "scalar", "rint"),
    PERMISSIONS: Field(PERMISSIONS, "scalar", "rstring"),
    **DETAILS,
}
_PLAIN: dict[str, tuple[type, ...]] = {
    "rstring": (str,),
    "rlong": (int,),
    "rint": (int,),
    "rtime": (int,),
    "rdouble": (float, int),
    "rfloat": (float, int),
    "rbool": (bool,),
    "internal:ByteSeq": (bytes,),
    NAMED_VALUES: (list,),
    "internal:StringArray": (list,),
}


class UnknownField(PocketError):
    """The entity has no such field."""


class WrongValue(PocketError):
    """The field cannot hold such a value."""


class StillReferenced(PocketError):
    """The row cannot be deleted: others refer to it."""

    raised = "ValidationException"


def field_of(of: Entity, name: str) -> Field:
    """The field of an entity that a name means, details ("details.owner") and "id" included.

    Raises
    ------
    UnknownField
        There is none.
    """
    found = of.fields.get(name) or _OWN.get(name)
    if found is None:
        raise UnknownField(f"{of.name} has no field {name}")
    return found


class Row:
    """One row. Read it like a mapping; only `State` changes it.

    A string, number, truth or None stands for a scalar; times are milliseconds since 1970; a length or
    another quantity is (value, unit) with the unit's name in OMERO ("MICROMETER"); key-value pairs are a list
    of (key, value). A reference is the other Row. Collections are asked for with `State.many`.

    Attributes
    ----------
    kind
        The entity's name, of the class itself ("TagAnnotation").
    id
        Unique within the entity's table: a TagAnnotation and a FileAnnotation never share one.
    """

    __slots__ = ("entity", "id", "kind", "values")

    def __init__(self, kind: str, row_id: int) -> None:
        self.entity = entity(kind)
        self.kind = kind
        self.id = row_id
        self.values: dict[str, Any] = {}

    def __getitem__(self, field: str) -> Any:
        """The value of a field, None where it was never set.

        Raises
        ------
        UnknownField
            The entity has no such field, or it is a collection.
        """
        found = self.values.get(field)
        if found is not None:
            return found
        if field == "id":
            return self.id
        if field_of(self.entity, field).kind == "many":
            raise UnknownField(f"{self.kind}.{field} is a collection: ask State.many for it")
        return None

    def __repr__(self) -> str:
        return f"{self.kind}:{self.id}"

    def _detail(self, name: str) -> int:
        found = self.values.get(name)
        return -1 if found is None else int(found.id)

    @property
    def owner(self) -> int:
        """The id of the person who owns it; -1: nobody does (people, groups, enumerations)."""
        return self._detail("details.owner")

    @property
    def group(self) -> int:
        """The id of the group that it lies in; -1: none."""
        return self._detail("details.group")

    @property
    def created(self) -> int:
        """The id of the event that made it; -1: none."""
        return self._detail("details.creationEvent")

    @property
    def updated(self) -> int:
        """The id of the event that changed it last; -1: none."""
        return self._detail("details.updateEvent")


def checked(of: Entity, name: str, value: Any) -> Any:
    """Return what a field is to hold, or refuse it.

    Raises
    ------
    UnknownField, WrongValue
    """
    field = field_of(of, name)
    if value is None:
        return None
    if field.kind == "many" or name == "id":
        raise WrongValue(f"{of.name}.{name} is not set: its rows refer to this one")
    if field.kind == "one":
        good = isinstance(value, Row) and (value.kind == field.of or field.of in value.entity.bases)
    elif field.of in _PLAIN:
        good = isinstance(value, _PLAIN[field.of]) and (field.of == "rbool" or not isinstance(value, bool))
        if good and field.of in ("rdouble", "rfloat"):
            value = float(value)
    else:
        good = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str)
    if not good:
        raise WrongValue(f"{of.name}.{name} is a {field.of}, which {value!r} is not")
    return value
