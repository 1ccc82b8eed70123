# SPDX-License-Identifier: BSD-3-Clause
"""The datasets that an image is in, and what may be done there."""

from dataclasses import dataclass
from typing import Any

import omero.model
from omero.rtypes import unwrap

from .connection import Connection, speaking


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset with an image in it.

    Attributes
    ----------
    annotated, linked
        Whether this person may hang something on it; put images into it.
    """

    id: int
    group: int
    annotated: bool
    linked: bool


def datasets_of(connection: Connection, image: int) -> list[Dataset]:
    """Return the datasets that an image is in and that the person sees, the oldest first."""
    asked = omero.sys.ParametersI().addId(image)
    with speaking():
        found = connection.services("Query").findAllByQuery(
            "select d from Dataset d join d.imageLinks l where l.child.id = :id order by d.id",
            asked,
            connection.context(-1),
        )
    seen = {int(unwrap(one.id)): one for one in found}
    return [
        Dataset(
            number,
            int(unwrap(one.details.group.id)),
            bool(one.details.permissions.canAnnotate()),
            bool(one.details.permissions.canLink()),
        )
        for number, one in sorted(seen.items())
    ]


def put_beside(image: int, datasets: list[Dataset]) -> list[Any]:
    """Return links, not yet saved, that put an image into those of the datasets where that is permitted."""
    links = []
    for dataset in datasets:
        if dataset.linked:
            link = omero.model.DatasetImageLinkI()
            link.parent = omero.model.DatasetI(dataset.id, False)
            link.child = omero.model.ImageI(image, False)
            links.append(link)
    return links
