# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain values to what travels on the wire, and back."""

from typing import Any

import omero
import omero.all
import omero.model
from omero import rtypes

from pocket_omero.state.rows import NAMED_VALUES

__all__ = ["class_of", "from_wire", "quantity", "to_wire"]

_RTYPES = {
    "rstring": rtypes.rstring,
    "rlong": rtypes.rlong,
    "rint": rtypes.rint,
    "rtime": rtypes.rtime,
    "rdouble": rtypes.rdouble,
    "rfloat": rtypes.rfloat,
    "rbool": rtypes.rbool,
}


def class_of(kind: str) -> Any:
    """The class of omero.model that stands for an entity."""
    return getattr(omero.model, kind + "I")


def quantity(name: str, value: tuple[float, str]) -> Any:
    """A quantity ("Length") of a value and the name of its unit."""
    units = getattr(omero.model.enums, "Units" + name)
    return class_of(name)(value[0], getattr(units, value[1]))


def to_wire(of: str, value: Any) -> Any:
    """What a field of this type holds in an object of omero.model, from a plain value.

    Parameters
    ----------
    of
        As `Field.of` for scalars.
    value
        As a `Row` has it.
    """
    if value is None:
        return None
    if of in _RTYPES:
        return _RTYPES[of](value)
    if of == NAMED_VALUES:
        return [omero.model.NamedValue(name, text) for name, text in value]
    if isinstance(value, tuple):
        return quantity(of.removeprefix("internal:"), value)
    return value


def from_wire(value: Any) -> Any:
    """A plain value of what an object of omero.model, or a parameter of a query, holds."""
    if value is None or isinstance(value, (str, int, float, bytes)):
        return value
    if isinstance(value, rtypes.RObjectI):
        return value.val
    if isinstance(value, omero.RType):
        return from_wire(value.val)
    if isinstance(value, omero.model.NamedValue):
        return (value.name, value.value)
    if isinstance(value, (list, tuple)):
        return [from_wire(each) for each in value]
    if isinstance(value, dict):
        return {name: from_wire(each) for name, each in value.items()}
    if hasattr(value, "_unit"):
        return (float(value._value), str(value._unit))
    return value
