# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which images are selected, asked of OMERO as the person who is logged in; nothing there is changed.

A selection is written as in addresses of OMERO.web, with ranges so that hundreds of images fit into one:
``image=1-40,57&dataset=3&project=4``. Whether an image can be used is said here as far as OMERO knows
without looking at pixels; slidegate looks itself before a run begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import omero.sys
from omero.rtypes import rlist, rlong, unwrap

from omero_slidegate.problems import BadSelection, TooManyImages

__all__ = ["MOST", "Selected", "found", "read"]

MOST = 5000
"""How many images a run takes."""

_BATCH = 1000
_PART = re.compile("([0-9]{1,18})(?:-([0-9]{1,18}))?")
_KINDS = ("image", "dataset", "project")
_TYPES = ("uint8", "uint16")
_LONGEST_SIDE = 1 << 20
# The names that Bio-Formats gives to the pictures beside a slide.
_PHOTOGRAPH = re.compile(
    r"(?:^|[^0-9a-z])(?:label|macro|barcode)[ _-]?image\W*$"
    r"|[\[(](?:label|macro|barcode|slide[ _-]?preview)(?:[ _-]?image)?[\])]"
    r"|^(?:label|macro|barcode)$",
    re.IGNORECASE,
)
_IN_PROJECTS = "select l.child.id from ProjectDatasetLink l where l.parent.id in (:ids) order by l.child.id"
_IN_DATASETS = (
    "select l.child.id, l.parent.id, l.parent.name from DatasetImageLink l "
    "where l.parent.id in (:ids) order by l.parent.id, l.child.id"
)
_DATASETS_OF = (
    "select l.child.id, l.parent.id, l.parent.name from DatasetImageLink l "
    "where l.child.id in (:ids) order by l.parent.id, l.child.id"
)
_IMAGES = (
    "select new map(i.id as id, i.name as name, i as image_details_permissions, g.id as groupId, "
    "g.name as groupName, pt.value as pixelsType, p.sizeX as sizeX, p.sizeY as sizeY, p.sizeC as sizeC, "
    "p.sizeZ as sizeZ, p.sizeT as sizeT) "
    "from Image i join i.details.group g left outer join i.pixels p left outer join p.pixelsType pt "
    "where i.id in (:ids) order by i.id"
)
_IN_COLOUR = (
    "select distinct c.pixels.image.id from Channel c "
    "where c.logicalChannel.samplesPerPixel > 1 and c.pixels.image.id in (:ids)"
)


@dataclass(frozen=True)
class Selected:
    """What somebody selected: numbers of OMERO, in their order, each once."""

    image: tuple[int, ...] = ()
    dataset: tuple[int, ...] = ()
    project: tuple[int, ...] = ()

    @property
    def query(self) -> str:
        """As it is written in an address."""
        said = {kind: _written(getattr(self, kind)) for kind in _KINDS}
        return urlencode({kind: text for kind, text in said.items() if text}, safe=",")


def read(query: Mapping[str, Iterable[str]]) -> Selected:
    """Read what an address or a form says.

    Raises
    ------
    BadSelection
        It is not written as a selection is.
    TooManyImages
    """
    return Selected(**{kind: tuple(dict.fromkeys(_numbers(query.get(kind, ())))) for kind in _KINDS})


def _numbers(texts: Iterable[str]) -> Iterator[int]:
    count = 0
    for part in ",".join(texts).split(","):
        if not part:
            continue
        match = _PART.fullmatch(part)
        if match is None:
            raise BadSelection
        first, last = int(match[1]), int(match[2] or match[1])
        count += last - first + 1
        if last < first:
            raise BadSelection
        if count > MOST:
            raise TooManyImages(_too_many(count))
        yield from range(first, last + 1)


def _written(numbers: Sequence[int]) -> str:
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def found(conn: Any, selected: Selected) -> dict[str, Any]:
    """Return the images of a selection with what is known of them, and their groups.

    Parameters
    ----------
    conn
        A BlitzGateway of the person, as OMERO.web gives it to a view.

    Raises
    ------
    TooManyImages
    """
    datasets = dict.fromkeys(selected.dataset)
    for (dataset,) in _asked(conn, _IN_PROJECTS, selected.project):
        datasets[dataset] = None
    links = list(_asked(conn, _IN_DATASETS, tuple(datasets)))
    named = dict.fromkeys(selected.image)
    inside = {image: name for image, _, name in links if image not in named}
    images = [*named, *inside]
    if len(images) > MOST:
        raise TooManyImages(_too_many(len(images)))
    inside |= {image: name for image, _, name in _asked(conn, _DATASETS_OF, tuple(named))}
    known: dict[int, dict[str, Any]] = {}
    for (row,) in _asked(conn, _IMAGES, tuple(images)):
        known.setdefault(row["id"], row)
    coloured = {image for (image,) in _asked(conn, _IN_COLOUR, tuple(known))}
    shown = [
        _image(image, known.get(image), inside.get(image) or "", image in coloured)
        for image in images
        # photographs of labels are left out where nobody chose them themselves
        if image in named or not _PHOTOGRAPH.search((known.get(image) or {}).get("name") or "")
    ]
    return {"images": shown, "groups": _groups(shown, known)}


def _too_many(count: int) -> str:
    return f"{count:,} images are selected; a run takes {MOST:,} at most. Choose fewer, and run again."


def _asked(conn: Any, hql: str, ids: Sequence[int]) -> Iterator[Any]:
    """Ask OMERO in all groups of the person; one question per thousand."""
    service = conn.getQueryService()
    for start in range(0, len(ids), _BATCH):
        params = omero.sys.ParametersI()
        params.add("ids", rlist([rlong(one) for one in ids[start : start + _BATCH]]))
        for row in service.projection(hql, params, {"omero.group": "-1"}):
            yield tuple(unwrap(value) for value in row)


def _image(image: int, row: dict[str, Any] | None, dataset: str, coloured: bool) -> dict[str, Any]:
    why = _why_not(row, coloured)
    row = row or {}
    planes = {"z": row.get("sizeZ"), "t": row.get("sizeT")}
    return {
        "image": f"omero:{image}",
        "name": row.get("name") or f"image {image}",
        "group": row.get("groupId"),
        "dataset": dataset,
        "width": row.get("sizeX"),
        "height": row.get("sizeY"),
        "channels": row.get("sizeC"),
        "planes": planes if any((count or 1) > 1 for count in planes.values()) else None,
        "usable": not why,
        "why": why,
    }


def _why_not(row: dict[str, Any] | None, coloured: bool) -> str:
    """Return in words why an image cannot be used; nothing where it can be."""
    if row is None:
        return "It is not there any more, or OMERO does not show it to you."
    if _PHOTOGRAPH.search(row["name"] or ""):
        return (
            "It is a photograph of the label or of the whole glass, which may name a patient: "
            "it stays in OMERO."
        )
    if not row["image_details_permissions"].get("canAnnotate"):
        return (
            f"In the group {row['groupName']} you may look at it, but results cannot be written beside it: "
            "ask its owner to run this."
        )
    if row["pixelsType"] is None:
        return "It has no stored pixels."
    if row["pixelsType"] not in _TYPES:
        kind = row["pixelsType"]
        return f"Its pixels are {kind}: only unsigned 8-bit and 16-bit whole numbers can be analysed."
    if coloured:
        return "It is in colour (RGB): the analysis takes fluorescence channels, one intensity per pixel."
    if max(row["sizeX"], row["sizeY"]) > _LONGEST_SIDE:
        return f"It is larger than {_LONGEST_SIDE:,} pixels on a side."
    return ""


def _groups(shown: Sequence[dict[str, Any]], known: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
    groups = {row["groupId"]: row["groupName"] for row in known.values()}
    return [
        {
            "id": group,
            "name": name,
            "images": sum(one["group"] == group for one in shown),
            "usable": sum(one["group"] == group and one["usable"] for one in shown),
        }
        for group, name in sorted(groups.items())
    ]
