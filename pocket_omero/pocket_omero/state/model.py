# SPDX-License-Identifier: GPL-2.0-or-later
"""What omero-py's model classes know of the model beside its fields."""

from functools import cache

from pocket_omero.ice.entities import entity
from pocket_omero.state.convert import class_of

__all__ = ["is_enumeration", "is_global", "is_link", "kind_of", "ordered", "required", "versioned"]


def kind_of(obj: object) -> str:
    """The entity of an object of omero.model."""
    return entity(type(obj).ice_staticId()).name  # type: ignore[attr-defined]


@cache
def is_global(kind: str) -> bool:
    """Whether its rows belong to nobody: people, groups, sessions, enumerations."""
    return bool(class_of(kind)(None, False).isGlobal())


@cache
def is_enumeration(kind: str) -> bool:
    """Whether its rows are the values of an enumeration."""
    return is_global(kind) and "value" in entity(kind).fields


@cache
def is_link(kind: str) -> bool:
    """Whether its rows join a parent and a child."""
    return {"parent", "child"} <= entity(kind).fields.keys()


@cache
def versioned(kind: str) -> bool:
    """Whether its objects say which version of the row they were made from."""
    return hasattr(class_of(kind)(None, False), "_version")


@cache
def required(kind: str) -> tuple[str, ...]:
    """The fields, no collections, that cannot be null."""
    info = class_of(kind)._field_info._asdict()
    fields = entity(kind).fields
    return tuple(n for n, f in info.items() if not f.nullable and n in fields and fields[n].kind != "many")


@cache
def ordered(kind: str) -> tuple[str, ...]:
    """The collections that have an order."""
    known = class_of(kind)
    return tuple(
        f.name
        for f in entity(kind).fields.values()
        if f.kind == "many" and hasattr(known, "getPrimary" + f.of)
    )
