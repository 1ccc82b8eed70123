# SPDX-License-Identifier: GPL-2.0-or-later
"""What hangs together: which rows belong to which, and which are only used by them.

What OMERO does with graphs is written in omero-blitz as several hundred rules. These tables say the same
for what clients meet, as read there: *parts* go wherever their whole goes; *contents* go along when nothing
that stays
holds them; links go when one of their ends goes.
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from pocket_omero.ice.entities import entities, entity, is_a
from pocket_omero.people.kinds import is_link

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

__all__ = ["CONTAINS", "contents", "holders", "links_of", "parts", "referrers"]

# Entity → its fields (references and collections) in which its parts are.
_PARTS: dict[str, tuple[str, ...]] = {
    "ChannelBinding": ("spatialDomainEnhancement",),
    "Experiment": ("microbeamManipulation",),
    "Fileset": ("images", "usedFiles", "jobLinks"),
    "FilesetJobLink": ("child",),
    "Filter": ("transmittanceRange",),
    "FilterSet": ("dichroic",),
    "Image": ("pixels",),
    "Instrument": (
        "detector",
        "dichroic",
        "filter",
        "filterSet",
        "lightSource",
        "microscope",
        "objective",
        "otf",
    ),
    "Pixels": ("channels", "planeInfo", "settings", "thumbnails"),
    "Plate": ("wells", "plateAcquisitions"),
    "PlateAcquisition": ("wellSample",),
    "RenderingDef": ("quantization", "waveRendering", "projections"),
    "Roi": ("shapes",),
    "Well": ("wellSamples",),
}

# Entity → its fields with what it holds, maybe together with others.
_CONTENTS: dict[str, tuple[str, ...]] = {
    "Channel": ("logicalChannel", "statsInfo"),
    "DatasetImageLink": ("child",),
    "FileAnnotation": ("file",),
    "FilesetEntry": ("originalFile",),
    "Folder": ("childFolders",),
    "FolderImageLink": ("child",),
    "FolderRoiLink": ("child",),
    "Image": (
        "rois",
        "instrument",
        "imagingEnvironment",
        "stageLabel",
        "experiment",
        "objectiveSettings",
        "fileset",
    ),
    "JobOriginalFileLink": ("child",),
    "LogicalChannel": ("detectorSettings", "lightSourceSettings", "lightPath"),
    "PixelsOriginalFileMap": ("parent",),
    "ProjectDatasetLink": ("child",),
    "ScreenPlateLink": ("child",),
    "Shape": ("transform",),
    "WellReagentLink": ("child",),
    "WellSample": ("image",),
    **{name: ("child",) for name in entities() if name.endswith("AnnotationLink")},
}

# Container, the collection with its contents, and the field of a link that leads on (None: no link).
CONTAINS: tuple[tuple[str, str, str | None], ...] = (
    ("Project", "datasetLinks", "child"),
    ("Dataset", "imageLinks", "child"),
    ("Folder", "imageLinks", "child"),
    ("Folder", "roiLinks", "child"),
    ("Folder", "childFolders", None),
    ("Screen", "plateLinks", "child"),
    ("Plate", "wells", None),
    ("Plate", "plateAcquisitions", None),
    ("PlateAcquisition", "wellSample", None),
    ("Well", "wellSamples", None),
    ("WellSample", "image", None),
    ("Fileset", "images", None),
    ("Image", "pixels", None),
    ("Image", "rois", None),
    ("Pixels", "channels", None),
    ("Roi", "shapes", None),
)


@cache
def _fields(kind: str, table: str) -> tuple[str, ...]:
    """The fields of an entity that one of the two tables names, for it or for what it is derived from."""
    chosen = _PARTS if table == "parts" else _CONTENTS
    return tuple(f for name in (kind, *entity(kind).bases) for f in chosen.get(name, ()))


def _at(state: "State", row: "Row", fields: tuple[str, ...]) -> "Iterator[Row]":
    for name in fields:
        if row.entity.fields[name].kind == "many":
            yield from state.many(row, name)
        elif row[name] is not None:
            yield row[name]


def parts(state: "State", row: "Row") -> "Iterator[Row]":
    """What goes wherever `row` goes."""
    yield from _at(state, row, _fields(row.kind, "parts"))
    if row["details.externalInfo"] is not None:
        yield row["details.externalInfo"]


def contents(state: "State", row: "Row") -> "Iterator[Row]":
    """What `row` holds, maybe together with others."""
    yield from _at(state, row, _fields(row.kind, "contents"))


@cache
def _held_by(kind: str) -> tuple[tuple[str, str, bool], ...]:
    """(holder, its field, whether that is a collection) for all that can hold a row of `kind`."""
    found = []
    for holder, names in _CONTENTS.items():
        for name in names:
            field = entity(holder).fields[name]
            if is_a(kind, field.of):
                found.append((holder, name, field.kind == "many"))
    return tuple(found)


def holders(state: "State", row: "Row") -> "Iterator[Row]":
    """The rows that hold `row`; of links, their parents."""
    for holder, name, many in _held_by(row.kind):
        if many:
            back = row[entity(holder).inverse[name][1]]
            found = [] if back is None else [back]
        else:
            found = state.where(holder, name, row)
        for each in found:
            yield each["parent"] if is_link(each.kind) and name == "child" else each


@cache
def _referring(kind: str) -> tuple[tuple[str, str], ...]:
    """(entity, field) of all references that can lead to a row of `kind`; inherited ones at their origin."""
    return tuple(
        (name, field.name)
        for name, known in entities().items()
        for field in known.fields.values()
        if field.kind == "one"
        and (is_a(kind, field.of) or is_a(field.of, kind))
        and not any(field.name in entity(base).fields for base in known.bases)
    )


@cache
def _linking(kind: str) -> tuple[tuple[str, str], ...]:
    """The same for links alone."""
    return tuple(
        (name, field) for name, field in _referring(kind) if field in ("parent", "child") and is_link(name)
    )


def referrers(state: "State", row: "Row") -> "Iterator[tuple[Row, str]]":
    """All rows that refer to `row`, each with the field in which it does."""
    for kind, name in _referring(row.kind):
        for each in state.where(kind, name, row):
            if each[name] is row:  # ids are unique within one table only
                yield each, name


def links_of(state: "State", row: "Row") -> "Iterator[Row]":
    """The links of which `row` is one end."""
    for kind, name in _linking(row.kind):
        for each in state.where(kind, name, row):
            if each[name] is row:
                yield each
