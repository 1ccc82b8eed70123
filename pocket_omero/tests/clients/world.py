# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of clients work on: a project with a dataset of three images, made by a client itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import omero
from omero.gateway import BlitzGateway
from omero.rtypes import rstring

_RANDOM = np.random.default_rng(20260101)
# Of the first image: 3 z times 2 channels, in the order in which createImageFromNumpySeq takes them.
PLANES = [_RANDOM.integers(0, 60_000, (48, 64), dtype=np.uint16) for _ in range(6)]


def planes() -> Iterator[np.ndarray]:
    """The planes of the first image."""
    yield from PLANES


@dataclass(frozen=True)
class World:
    """Ids of what was made; `name` is the dataset's and the project's, and occurs nowhere else."""

    name: str
    project: int
    dataset: int
    image: int
    second: int
    third: int

    @classmethod
    def make(cls, conn: BlitzGateway) -> World:
        name = f"world{uuid.uuid4().hex[:12]}"
        link = omero.model.ProjectDatasetLinkI()
        project, dataset = omero.model.ProjectI(), omero.model.DatasetI()
        project.name = dataset.name = rstring(name)
        link.setParent(project)
        link.setChild(dataset)
        link = conn.getUpdateService().saveAndReturnObject(link)
        into = conn.getObject("Dataset", link.child.id.val)
        first = conn.createImageFromNumpySeq(planes(), "first", 3, 2, 1, dataset=into)
        small = [np.full((16, 16), value, np.uint8) for value in (50, 200)]
        second, third = (
            conn.createImageFromNumpySeq(iter([plane]), title, dataset=into)
            for plane, title in zip(small, ("second", "third"), strict=True)
        )
        ids = [one.getId() for one in (first, second, third)]
        return cls(name, link.parent.id.val, link.child.id.val, *ids)
