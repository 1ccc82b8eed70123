# SPDX-License-Identifier: GPL-2.0-or-later
"""Kinds of rows as OMERO's rules tell them apart."""

from functools import cache

from pocket_omero.ice.entities import entities, entity

__all__ = ["CHGRP_TARGETS", "CHOWN_TARGETS", "enumerations", "is_enumeration", "is_link", "is_system"]

_SYSTEM = frozenset(
    {
        "DBPatch",
        "Event",
        "EventLog",
        "Experimenter",
        "ExperimenterGroup",
        "GroupExperimenterMap",
        "Node",
        "Session",
        "Share",
        "ShareMember",
    }
)

# What may be moved to another group, and given to another person, on its own. Read in omero-blitz.
_BOTH = (
    "Instrument",
    "Annotation",
    "Dataset",
    "Project",
    "Folder",
    "Image",
    "OriginalFile",
    "RenderingDef",
    "Thumbnail",
    "Experiment",
    "Fileset",
    "Link",
    "Job",
    "Roi",
    "Plate",
    "Screen",
)
CHGRP_TARGETS = frozenset(_BOTH)
CHOWN_TARGETS = frozenset(
    (
        *_BOTH,
        "DatasetImageLink",
        "FolderImageLink",
        "FolderRoiLink",
        "JobOriginalFileLink",
        "ProjectDatasetLink",
        "Reagent",
        "ScreenPlateLink",
        "WellReagentLink",
        *(name for name in entities() if name.endswith("AnnotationLink")),
    )
)


def is_enumeration(kind: str) -> bool:
    """Whether rows of `kind` are values of an enumeration (``PixelsType``, ``DimensionOrder``, ...)."""
    return "value" in entity(kind).fields


@cache
def enumerations() -> tuple[str, ...]:
    """The names of all enumerations, in the order of the alphabet."""
    return tuple(name for name in entities() if is_enumeration(name))


@cache
def is_system(kind: str) -> bool:
    """Whether rows of `kind` belong to nobody: people, groups, sessions, events, enumerations."""
    return kind in _SYSTEM or is_enumeration(kind)


@cache
def is_link(kind: str) -> bool:
    """Whether rows of `kind` join a parent and a child."""
    return {"parent", "child"} <= entity(kind).fields.keys() and not is_system(kind)
