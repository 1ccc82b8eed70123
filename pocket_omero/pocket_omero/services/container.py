# SPDX-License-Identifier: GPL-2.0-or-later
"""Projects, datasets, screens and what is in them: IContainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import omero.all

from pocket_omero.errors import WrongUse
from pocket_omero.ice.entities import entity
from pocket_omero.services.steady import Steady
from pocket_omero.state.convert import from_wire
from pocket_omero.state.saving import save

if TYPE_CHECKING:
    from pocket_omero.state import Reply, Row

__all__ = ["Container", "paged"]

# Container → the collection of links to what is in it.
_DOWN = {"Project": "datasetLinks", "Dataset": "imageLinks", "Screen": "plateLinks"}
# What is in a container → the collection of links to its containers.
_UP = {"Dataset": "projectLinks", "Image": "datasetLinks", "Plate": "screenLinks"}


class Container(Steady, omero.api.IContainer, name="omero.api.IContainer"):
    """Loads trees of containers; saves and unlinks."""

    def do_loadContainerHierarchy(
        self, name: str, ids: Sequence[int], params: Any, current: Any
    ) -> list[Any]:
        """Containers with what is in them: images only where ``leaves`` was asked for.

        With no ids: all that the caller sees, of the owner and group that the filter names. ``orphan`` adds
        what is in no container.
        """
        kind, state = _container(name), self.house.state
        sees, reply = self._sees(current), self.reply(current)
        rows = [state.get(kind, each) for each in ids] if ids else state.all(kind)
        wanted = _filter(params)
        found = [row for row in rows if row is not None and sees(row) and (bool(ids) or wanted(row))]
        leaves = bool(params and params.theOptions and from_wire(params.theOptions.leaves))
        for row in found:
            self._load_down(row, reply, sees, leaves)
        made = [reply.load(row) for row in found]
        if params and params.theOptions and from_wire(params.theOptions.orphan):
            below = {"Project": "Dataset", "Screen": "Plate"}.get(kind)
            for row in state.all(below) if below else ():
                if sees(row) and wanted(row) and not state.many(row, _UP[row.kind]):
                    self._load_down(row, reply, sees, leaves)
                    made.append(reply.load(row))
        return made

    def _load_down(self, row: Row, reply: Reply, sees: Callable[[Row], bool], leaves: bool) -> None:
        links = _DOWN.get(row.kind)
        _load_people(row, reply)
        if links is None or (row.kind == "Dataset" and not leaves):
            return
        reply.fetch(row, links, None)
        for link in self.house.state.many(row, links):
            child = link["child"]
            if sees(link) and sees(child):
                reply.fetch(row, links, link)
                reply.fetch(link, "child", child)
                if child.kind == "Image":
                    self._load_image(child, reply)
                else:
                    self._load_down(child, reply, sees, leaves)

    def _load_image(self, image: Row, reply: Reply) -> None:
        _load_people(image, reply)
        for event in ("details.creationEvent", "details.updateEvent"):
            if image[event] is not None:
                reply.fetch(image, event, image[event])
        reply.fetch_all(image, "pixels")
        for pixels in self.house.state.many(image, "pixels"):
            for field in ("pixelsType", "dimensionOrder"):
                reply.fetch(pixels, field, pixels[field])

    def do_findContainerHierarchies(
        self, name: str, ids: Sequence[int], params: Any, current: Any
    ) -> list[Any]:
        """The projects (or screens) with those datasets and images that lead to the given images."""
        kind, state = _container(name), self.house.state
        sees, reply = self._sees(current), self.reply(current)
        tops: dict[Row, None] = {}
        for image in (state.get("Image", each) for each in ids):
            if image is None or not sees(image):
                continue
            self._load_image(image, reply)
            level, top = [image], image
            while level:
                tops.pop(top, None)
                above = []
                for row in level:
                    links = [] if row.kind == kind else self._links_up(row, sees)
                    for link in links:
                        reply.fetch(link["parent"], _DOWN[link["parent"].kind], link)
                        reply.fetch(link, "child", row)
                        above.append(link["parent"])
                    if not links:
                        tops[row] = None
                level = above
        return [reply.load(row) for row in tops]

    def _links_up(self, row: Row, sees: Callable[[Row], bool]) -> list[Row]:
        if row.kind not in _UP:
            return []
        links = self.house.state.many(row, _UP[row.kind])
        return [link for link in links if sees(link) and sees(link["parent"])]

    def do_getImages(self, name: str, ids: Sequence[int], params: Any, current: Any) -> list[Any]:
        """Images by their own ids, or those in containers; with pixels, owner and dates."""
        sees, wanted = self._sees(current), _filter(params)
        rows = {image.id: image for image in self._images_in(entity(name).name, ids, sees) if wanted(image)}
        return self._images([rows[i] for i in sorted(rows)], params, current)

    def _images_in(self, kind: str, ids: Iterable[int], sees: Callable[[Row], bool]) -> Iterable[Row]:
        level = [
            row for row in (self.house.state.get(kind, each) for each in ids) if row is not None and sees(row)
        ]
        while level:
            yield from (row for row in level if row.kind == "Image")
            links = (link for row in level if row.kind in _DOWN for link in self._links_down(row))
            level = [link["child"] for link in links if sees(link["child"])]

    def _links_down(self, row: Row) -> list[Row]:
        return self.house.state.many(row, _DOWN[row.kind])

    def do_getUserImages(self, params: Any, current: Any) -> list[Any]:
        """The caller's own images."""
        me, sees = self.caller(current).person, self._sees(current)
        rows = self.house.state.where("Image", "details.owner", me)
        return self._images([row for row in rows if sees(row)], params, current)

    def do_getImagesByOptions(self, params: Any, current: Any) -> list[Any]:
        """The images of the owner and group that the filter names."""
        sees, wanted = self._sees(current), _filter(params)
        rows = [row for row in self.house.state.all("Image") if sees(row) and wanted(row)]
        return self._images(rows, params, current)

    def _images(self, rows: list[Row], params: Any, current: Any) -> list[Any]:
        reply = self.reply(current)
        chosen = paged(rows, params)
        for row in chosen:
            self._load_image(row, reply)
        return [reply.load(row) for row in chosen]

    def do_getImagesBySplitFilesets(
        self, included: Mapping[str, Sequence[int]], params: Any, current: Any
    ) -> dict[int, dict[bool, list[int]]]:
        """Of filesets of which some images are named and some are not: both lists."""
        sees, state = self._sees(current), self.house.state
        images = {
            i.id: i for name, ids in included.items() for i in self._images_in(entity(name).name, ids, sees)
        }
        for name, ids in included.items():
            if entity(name).name == "Fileset":
                images |= {i.id: i for f in ids for i in state.where("Image", "fileset", f)}
        filesets = {i["fileset"].id: i["fileset"] for i in images.values() if i["fileset"] is not None}
        split = {}
        for number, fileset in sorted(filesets.items()):
            everything = [image.id for image in state.many(fileset, "images")]
            outside = [each for each in everything if each not in images]
            if outside:
                split[number] = {True: [each for each in everything if each in images], False: outside}
        return split

    def do_getCollectionCount(
        self, name: str, collection: str, ids: Sequence[int], params: Any, current: Any
    ) -> dict[int, int]:
        """How many rows of a collection the caller sees, by the id of the row that has it."""
        kind, field, sees = entity(name).name, collection.rpartition("_")[2], self._sees(current)
        if field not in entity(kind).inverse:
            raise WrongUse(f"{kind} has no collection {collection}")
        rows = [
            row for row in (self.house.state.get(kind, each) for each in ids) if row is not None and sees(row)
        ]
        return {row.id: sum(map(sees, self.house.state.many(row, field))) for row in rows}

    def do_retrieveCollection(self, obj: Any, collection: str, params: Any, current: Any) -> list[Any]:
        """The rows of a collection; of links, what they lead to."""
        row = self.house.state.get(entity(obj.ice_id()).name, obj.id.val)
        sees, reply = self._sees(current), self.reply(current)
        if row is None or not sees(row):
            raise WrongUse(f"there is no such object: {obj.ice_id()}:{obj.id.val}")
        found = self.house.state.many(row, collection.rpartition("_")[2])
        ends = [each["child"] if collection.endswith("Links") else each for each in found]
        return [reply.load(each) for each in ends if sees(each)]

    # Writing

    def do_createDataObject(self, obj: Any, params: Any, current: Any) -> Any:
        """Save an object and give it back."""
        return self._saved([obj], current)[0]

    def do_createDataObjects(self, objects: Sequence[Any], params: Any, current: Any) -> list[Any]:
        """Save objects and give them back."""
        return self._saved(objects, current)

    def do_updateDataObject(self, obj: Any, params: Any, current: Any) -> Any:
        """Save an object and give it back."""
        return self._saved([obj], current)[0]

    def do_updateDataObjects(self, objects: Sequence[Any], params: Any, current: Any) -> list[Any]:
        """Save objects and give them back."""
        return self._saved(objects, current)

    def do_link(self, links: Sequence[Any], params: Any, current: Any) -> list[Any]:
        """Save links and give them back."""
        return self._saved(links, current)

    def do_unlink(self, links: Sequence[Any], params: Any, current: Any) -> None:
        """Delete links."""
        caller, state = self.caller(current), self.house.state
        with state.change():
            for link in links:
                row = state.get(entity(link.ice_id()).name, link.id.val)
                if row is None:
                    raise WrongUse(f"there is no such link: {link.ice_id()}:{link.id.val}")
                self.house.rights.check_delete(caller, row)
                state.delete(row)

    def _saved(self, objects: Sequence[Any], current: Any) -> list[Any]:
        caller, state = self.caller(current), self.house.state
        with state.change():
            rows = [save(state, obj, caller, self.house.rights) for obj in objects]
        reply = self.reply(current)
        for row in rows:
            for end in ("parent", "child"):
                if end in row.entity.fields:
                    reply.fetch(row, end, row[end])
        return [reply.load(row) for row in rows]

    def _sees(self, current: Any) -> Callable[[Row], bool]:
        return self.house.rights.visible(self.caller(current))


def _load_people(row: Row, reply: Reply) -> None:
    for detail in ("details.owner", "details.group"):
        if row[detail] is not None:
            reply.fetch(row, detail, row[detail])


def _container(name: str) -> str:
    kind = entity(name).name
    if kind not in _DOWN:
        raise WrongUse(f"{name} is no container; there are {', '.join(_DOWN)}")
    return kind


def _filter(params: Any) -> Callable[[Row], bool]:
    """Whether a row is of the owner and group that a filter names."""
    chosen = params.theFilter if params else None
    owner = from_wire(chosen.ownerId) if chosen else None
    group = from_wire(chosen.groupId) if chosen else None
    return lambda row: (
        (owner is None or row.owner in (owner, -1)) and (group is None or row.group in (group, -1))
    )


def paged(rows: list[Row], params: Any) -> list[Row]:
    """The part of rows that a filter's offset and limit choose."""
    chosen = params.theFilter if params else None
    start = (from_wire(chosen.offset) if chosen else None) or 0
    limit = from_wire(chosen.limit) if chosen else None
    return rows[start:] if limit is None else rows[start : start + limit]
