# SPDX-License-Identifier: GPL-2.0-or-later
"""The entities of OMERO's model: their fields, parents, tables and the other ends of their collections."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pocket_omero.errors import BadQuery
from pocket_omero.ice.slices import slices

__all__ = ["Entity", "Field", "UnknownEntity", "entities", "entity", "is_a", "java_name", "subclasses"]

_MODEL = "::omero::model::"
_SCALARS = ("String", "Long", "Int", "Double", "Float", "Bool", "Time")
_RTYPES = {"::omero::R" + t: "r" + t.lower() for t in _SCALARS}
# Of two ends that fit, the one that a collection hangs on: a link between two of a kind begins at its parent.
_ENDS = ("parent", "child")


class UnknownEntity(BadQuery):
    """OMERO's model has no such entity."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity.

    Parameters
    ----------
    name
        Without the underscore that the generated classes put before it.
    kind
        "scalar", "one" (a reference) or "many" (a collection).
    of
        Of a scalar: "rstring", "rlong", "rint", "rdouble", "rbool", "rtime", or "internal:Length" and the
        like ("internal:NamedValueList" for key-value pairs). Else an entity's name.
    """

    name: str
    kind: Literal["scalar", "one", "many"]
    of: str


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity.

    Parameters
    ----------
    name
        "Image".
    bases
        The entities that it is derived from, nearest first.
    root
        The table it lives in ("Annotation" for "TagAnnotation"): ids are unique within it.
    fields
        By name; inherited ones included, `id`, `details` and `version` left out.
    inverse
        Of each collection: the entity in it, and which field of that points back.
    """

    name: str
    bases: tuple[str, ...]
    root: str
    fields: Mapping[str, Field]
    inverse: Mapping[str, tuple[str, str]]


def _bases(name: str) -> tuple[str, ...] | None:
    """The slice classes above one, nearest first, or None when it is no entity."""
    found: list[str] = []
    declared = slices().classes.get(name)
    while declared and declared.parents:
        parent = declared.parents[0]
        if parent == _MODEL + "IObject":
            return tuple(found)
        found.append(parent)
        declared = slices().classes.get(parent)
    return None


def _short(name: str) -> str:
    return name.removeprefix(_MODEL)


@functools.cache
def _names() -> frozenset[str]:
    known = (n for n in slices().classes if n.startswith(_MODEL))
    return frozenset(_short(n) for n in known if _bases(n) is not None)


def _field(member: str, of: str) -> Field | None:
    name, short = member[1:], _short(of)
    if name == "version" or name.endswith(("Loaded", "CountPerOwner")):
        return None
    element = _short(slices().sequences.get(of, ""))
    if member.endswith("Seq") and element in _names():
        return Field(name.removesuffix("Seq"), "many", element)
    if short in _names():
        return Field(name, "one", short)
    return Field(name, "scalar", _RTYPES.get(of, "internal:" + of.rpartition("::")[2]))


def _fields(name: str) -> dict[str, Field]:
    chain = [_MODEL + name, *(_bases(_MODEL + name) or ())]
    made = (_field(m, of) for c in reversed(chain) for m, of in slices().classes[c].members)
    return {f.name: f for f in made if f}


def _inverse(name: str, collection: Field) -> tuple[str, str]:
    family = {name, *map(_short, _bases(_MODEL + name) or ())}

    def fits(f: Field) -> bool:
        return f.kind == "one" and (f.of in family or _MODEL + name in (_bases(_MODEL + f.of) or ()))

    ends = [f.name for f in _fields(collection.of).values() if fits(f)]
    return collection.of, next((e for e in _ENDS if e in ends), ends[0])


@functools.cache
def entities() -> Mapping[str, Entity]:
    """All of them, by name, in the order of the alphabet."""
    found = {}
    for name in sorted(_names()):
        bases = tuple(map(_short, _bases(_MODEL + name) or ()))
        fields = _fields(name)
        inverse = {f.name: _inverse(name, f) for f in fields.values() if f.kind == "many"}
        found[name] = Entity(name, bases, (bases or (name,))[-1], fields, inverse)
    return found


@functools.cache
def _spelt() -> Mapping[str, str]:
    return {name.lower(): name for name in entities()}


@functools.lru_cache(maxsize=1000)
def entity(name: str) -> Entity:
    """The entity that a name means.

    Parameters
    ----------
    name
        "Image", "image", "ome.model.core.Image", "omero.model.Image", "::omero::model::ImageI".

    Raises
    ------
    UnknownEntity
        There is none.
    """
    last = re.split(r"\.|::", name)[-1].lower()
    spelt = _spelt()
    known = spelt.get(last) or (spelt.get(last[:-1]) if last.endswith("i") else None)
    if known is None:
        raise UnknownEntity(f"{name} is no entity of OMERO's model")
    return entities()[known]


@functools.cache
def subclasses(name: str) -> frozenset[str]:
    """The names of an entity and of all that are derived from it."""
    top = entity(name).name
    return frozenset(e.name for e in entities().values() if e.name == top or top in e.bases)


def is_a(name: str, ancestor: str) -> bool:
    """Whether one entity is another, or derived from it."""
    return entity(name).name in subclasses(ancestor)


@functools.cache
def java_name(name: str) -> str:
    """What OMERO's server calls an entity: "ome.model.core.Image"."""
    import omero.all  # half a second: not before it is needed
    import omero.model

    known = entity(name).name
    for kind in (known, *sorted(subclasses(known))):  # abstract ones have no class that would tell
        details = getattr(getattr(omero.model, kind + "I", None), "DETAILS", None)
        if details:
            return str(details).rpartition(".")[0] + "." + known
    raise UnknownEntity(f"omero-py does not say in which package {known} is")
