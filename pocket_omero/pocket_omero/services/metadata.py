# SPDX-License-Identifier: GPL-2.0-or-later
"""Annotations, tags and what is known of instruments: IMetadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import omero.all
from omero.rtypes import rlong

from pocket_omero.errors import WrongUse
from pocket_omero.ice.entities import entities, entity, is_a
from pocket_omero.services.container import paged
from pocket_omero.services.steady import Steady
from pocket_omero.state.convert import from_wire

if TYPE_CHECKING:
    from pocket_omero.state import Reply, Row

__all__ = ["Metadata"]

_TAG_SET = omero.constants.metadata.NSINSIGHTTAGSET
_LOG = "application/omero-log-file"
# What of a logical channel and of an instrument is loaded with it.
_ACQUISITION = {
    "LogicalChannel": (
        "illumination",
        "photometricInterpretation",
        "mode",
        "contrastMethod",
        "filterSet",
        "lightPath",
        "detectorSettings",
        "lightSourceSettings",
        "otf",
    ),
    "DetectorSettings": ("detector", "binning"),
    "LightSettings": ("lightSource", "microbeamManipulation"),
    "Detector": ("type",),
    "FilterSet": ("dichroic",),
    "LightPath": ("dichroic",),
    "Filter": ("type", "transmittanceRange"),
    "Objective": ("immersion", "correction"),
    "Laser": ("type", "laserMedium", "pulse"),
    "Arc": ("type",),
    "Filament": ("type",),
    "Microscope": ("type",),
    "Instrument": (
        "microscope",
        "detector",
        "dichroic",
        "filter",
        "filterSet",
        "lightSource",
        "objective",
        "otf",
    ),
}


class Metadata(Steady, omero.api.IMetadata, name="omero.api.IMetadata"):
    """Loads annotations by what they are on, by kind and name space; tags; acquisition data."""

    # Annotations

    def do_loadAnnotations(
        self,
        name: str,
        ids: Sequence[int],
        kinds: Sequence[str],
        annotators: Sequence[int],
        params: Any,
        current: Any,
    ) -> dict[int, list[Any]]:
        """The annotations on rows of one entity, by the row's id."""
        wanted = [entity(kind).name for kind in kinds or ()]

        def fits(note: Row) -> bool:
            return not wanted or any(is_a(note.kind, kind) for kind in wanted)

        return self._on(name, ids, fits, current, annotators)

    def do_loadSpecifiedAnnotationsLinkedTo(
        self,
        kind: str,
        include: Sequence[str],
        exclude: Sequence[str],
        name: str,
        ids: Sequence[int],
        params: Any,
        current: Any,
    ) -> dict[int, list[Any]]:
        """The annotations of one kind, in some name spaces, on rows of one entity, by the row's id."""
        return self._on(name, ids, _specified(kind, include, exclude), current)

    def _on(
        self,
        name: str,
        ids: Sequence[int],
        fits: Callable[[Row], bool],
        current: Any,
        annotators: Sequence[int] = (),
    ) -> dict[int, list[Any]]:
        kind, sees, reply = entity(name).name, self._sees(current), self.reply(current)
        found: dict[int, list[Any]] = {}
        for each in ids:
            row = self.house.state.get(kind, each)
            notes = []
            if row is not None and sees(row):
                for link in self.house.state.many(row, "annotationLinks"):
                    note = link["child"]
                    if (
                        sees(link)
                        and sees(note)
                        and fits(note)
                        and (not annotators or link.owner in annotators)
                    ):
                        notes.append(self._note(note, reply))
            found[each] = notes
        return found

    def do_loadSpecifiedAnnotations(
        self, kind: str, include: Sequence[str], exclude: Sequence[str], params: Any, current: Any
    ) -> list[Any]:
        """The annotations of one kind, in some name spaces."""
        reply = self.reply(current)
        rows = self._specified(kind, include, exclude, params, current)
        return [self._note(row, reply) for row in paged(rows, params)]

    def do_countSpecifiedAnnotations(
        self, kind: str, include: Sequence[str], exclude: Sequence[str], params: Any, current: Any
    ) -> Any:
        """How many annotations of one kind there are in some name spaces."""
        return rlong(len(self._specified(kind, include, exclude, params, current)))

    def _specified(
        self, kind: str, include: Sequence[str], exclude: Sequence[str], params: Any, current: Any
    ) -> list[Row]:
        sees, fits = self._sees(current), _specified(kind, include, exclude)
        owner = from_wire(params.theFilter.ownerId) if params and params.theFilter else None
        rows = self.house.state.all(entity(kind).name)
        return [row for row in rows if fits(row) and sees(row) and owner in (None, row.owner)]

    def do_loadAnnotation(self, ids: Sequence[int], current: Any) -> list[Any]:
        """Annotations by their ids."""
        sees, reply = self._sees(current), self.reply(current)
        rows = (self.house.state.get("Annotation", each) for each in ids)
        return [self._note(row, reply) for row in rows if row is not None and sees(row)]

    def do_loadAnnotationsUsedNotOwned(self, kind: str, user: int, current: Any) -> list[Any]:
        """Annotations of others that a person has linked."""
        reply = self.reply(current)
        return [self._note(row, reply) for row in self._used(kind, user, current)]

    def do_countAnnotationsUsedNotOwned(self, kind: str, user: int, current: Any) -> Any:
        """How many annotations of others a person has linked."""
        return rlong(len(self._used(kind, user, current)))

    def _used(self, kind: str, user: int, current: Any) -> list[Row]:
        sees, wanted, found = self._sees(current), entity(kind).name, {}
        for name in _link_kinds():
            for link in self.house.state.where(name, "details.owner", user):
                note = link["child"]
                if is_a(note.kind, wanted) and note.owner != user and sees(link) and sees(note):
                    found[note.id] = note
        return [found[number] for number in sorted(found)]

    def _note(self, row: Row, reply: Reply) -> Any:
        """An annotation with its owner, dates and file."""
        for detail in ("details.owner", "details.creationEvent", "details.updateEvent"):
            if row[detail] is not None:
                reply.fetch(row, detail, row[detail])
        if row.kind == "FileAnnotation" and row["file"] is not None:
            file = row["file"]
            reply.fetch(row, "file", file)
            if file["hasher"] is not None:
                reply.fetch(file, "hasher", file["hasher"])
        return reply.load(row)

    # Tags

    def do_loadTagContent(self, ids: Sequence[int], params: Any, current: Any) -> dict[int, list[Any]]:
        """The projects, datasets, images and so on with a tag, by the tag's id."""
        reply = self.reply(current)
        return {each: [reply.load(row) for row in self._tagged(each, params, current)] for each in ids}

    def do_getTaggedObjectsCount(self, ids: Sequence[int], params: Any, current: Any) -> dict[int, int]:
        """How many rows have a tag, by the tag's id."""
        return {each: len(self._tagged(each, params, current)) for each in ids}

    def _tagged(self, tag: int, params: Any, current: Any) -> list[Row]:
        sees = self._sees(current)
        owner = from_wire(params.theFilter.ownerId) if params and params.theFilter else None
        row = self.house.state.get("TagAnnotation", tag)
        links = (
            []
            if row is None
            else [k for name in _link_kinds() for k in self.house.state.where(name, "child", row)]
        )
        rows = [link["parent"] for link in links if sees(link) and sees(link["parent"])]
        return [each for each in rows if owner in (None, each.owner)]

    def do_loadTagSets(self, params: Any, current: Any) -> list[Any]:
        """Tag sets with links to their tags; with ``orphan`` also the tags in no set."""
        sees, reply, state = self._sees(current), self.reply(current), self.house.state
        owner = from_wire(params.theFilter.ownerId) if params and params.theFilter else None
        orphans = bool(params and params.theOptions and from_wire(params.theOptions.orphan))
        tags = [row for row in state.all("TagAnnotation") if sees(row) and owner in (None, row.owner)]
        made = []
        for row in tags:
            if row["ns"] == _TAG_SET:
                reply.fetch(row, "annotationLinks", None)
                for link in state.many(row, "annotationLinks"):
                    if sees(link) and sees(link["child"]):
                        reply.fetch(row, "annotationLinks", link)
                        reply.fetch(link, "child", link["child"])
            elif not orphans or state.where("AnnotationAnnotationLink", "child", row):
                continue
            made.append(self._note(row, reply))
        return made

    # Acquisition, logs

    def do_loadChannelAcquisitionData(self, ids: Sequence[int], current: Any) -> list[Any]:
        """Logical channels with all that is known of how they were recorded."""
        sees, reply = self._sees(current), self.reply(current)
        rows = (self.house.state.get("LogicalChannel", each) for each in ids)
        return [self._acquisition(row, reply) for row in rows if row is not None and sees(row)]

    def do_loadInstrument(self, id: int, current: Any) -> Any:
        """An instrument with its parts.

        Raises
        ------
        WrongUse
            There is none for the caller.
        """
        row = self.house.state.get("Instrument", id)
        if row is None or not self._sees(current)(row):
            raise WrongUse(f"No such instrument: {id}")
        return self._acquisition(row, self.reply(current))

    def _acquisition(self, row: Row, reply: Reply) -> Any:
        for kind in (row.kind, *row.entity.bases):
            for field in _ACQUISITION.get(kind, ()):
                many = row.entity.fields[field].kind == "many"
                others = self.house.state.many(row, field) if many else [row[field]]
                reply.fetch_all(row, field)
                for other in others:
                    if other is not None:
                        self._acquisition(other, reply)
        return reply.load(row)

    def do_loadLogFiles(self, name: str, ids: Sequence[int], current: Any) -> dict[int, list[Any]]:
        """The logs of the imports of images or filesets, by id."""
        kind, sees, reply = entity(name).name, self._sees(current), self.reply(current)
        found = {}
        for each in ids:
            row = self.house.state.get(kind, each)
            fileset = row["fileset"] if row is not None and kind == "Image" else row
            logs = self._logs(fileset) if fileset is not None and sees(fileset) else ()
            found[each] = [reply.load(file) for file in logs]
        return found

    def _logs(self, fileset: Row) -> Iterable[Row]:
        for link in self.house.state.many(fileset, "jobLinks"):
            for file in self.house.state.many(link["child"], "originalFileLinks"):
                if file["child"]["mimetype"] == _LOG:
                    yield file["child"]

    def _sees(self, current: Any) -> Callable[[Row], bool]:
        return self.house.rights.visible(self.caller(current))


def _specified(kind: str, include: Sequence[str], exclude: Sequence[str]) -> Callable[[Row], bool]:
    wanted = entity(kind).name

    def fits(note: Row) -> bool:
        ns = note["ns"]
        return is_a(note.kind, wanted) and (not include or ns in include) and not (exclude and ns in exclude)

    return fits


def _link_kinds() -> list[str]:
    return [
        name for name in entities() if name.endswith("AnnotationLink") and name != "AnnotationAnnotationLink"
    ]
