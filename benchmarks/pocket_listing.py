# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs pocket OMERO to list a dataset when it keeps many images, against when it keeps few.

usage: python benchmarks/pocket_listing.py [--full]

Datasets of 200 images: 5 of them, and 100 (with --full 500, so 100,000 images). The same person asks for what
OMERO.web asks: the page of a dataset in its tree, an image with its pixels, the annotations of an image,
and how many images each dataset of a project has. Each answer is made for the wire, permissions included. The
two states take turns; counted is processor time, so that others on the machine do not matter.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocket_omero.people import levels, roster
from pocket_omero.people.rights import Rights
from pocket_omero.services.query import wire_value
from pocket_omero.state import Reply, Row, State

from pocket_omero import hql

AIM = 2.0
PAGE = 200
FEW = 5
TURNS = 30

TREE = """select new map(image.id as id, image.archived as archived, image.name as name,
    image.details.owner.id as ownerId, image as image_details_permissions, image.fileset.id as filesetId,
    pix.sizeX as sizeX, pix.sizeY as sizeY, pix.sizeT as sizeT, pix.sizeZ as sizeZ,
    image.details.creationEvent.time as date, image.acquisitionDate as acqDate)
    from Image image left outer join image.pixels pix join image.datasetLinks dlink
    where dlink.parent.id = :id
    order by lower(image.name), image.id"""
IMAGE = """select obj from Image obj join fetch obj.details.owner as owner
    left outer join fetch obj.details.externalInfo join fetch obj.details.creationEvent
    left outer join fetch obj.pixels as pixels left outer join fetch pixels.pixelsType where obj.id = :id"""
ANNOTATIONS = """select oal from ImageAnnotationLink as oal join fetch oal.details.creationEvent
    join fetch oal.details.owner left outer join fetch oal.child as ch left outer join fetch oal.parent as pa
    join fetch ch.details.creationEvent join fetch ch.details.owner left outer join fetch ch.file as file
    where pa.id in (:id) order by ch.ns"""
COUNTS = """select new map(dataset.id as id, dataset.name as name, dataset.details.owner.id as ownerId,
    dataset as dataset_details_permissions,
    (select count(id) from DatasetImageLink dil where dil.parent=dataset.id) as childCount)
    from Dataset dataset join dataset.projectLinks plink where plink.parent.id = :id
    order by lower(dataset.name), dataset.id"""
ASKED = {
    "page of a dataset": (TREE, PAGE),
    "image by id": (IMAGE, 1),
    "annotations of an image": (ANNOTATIONS, 1),
    "datasets of a project": (COUNTS, FEW),
}


@dataclass
class Desk:
    """Who asks."""

    person: Row
    group: Row
    row: Row | None = None
    sudoer: Row | None = None


@dataclass
class House:
    """A state with datasets in it, and how much processor its answers took, in seconds."""

    state: State
    desk: Desk
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ASKED})

    def ask(self, name: str) -> None:
        """Ask once, and note what it took."""
        text, rows = ASKED[name]
        began = time.process_time()
        rights = Rights(self.state)
        caller = rights.caller(self.desk, {})
        reply = Reply(self.state, lambda row: rights.permissions(caller, row))
        found = hql.run(self.state, text, {"id": 1}, reply, rights.visible(caller))
        wire = [[wire_value(of, v) for of, v in zip(found.columns, row, strict=True)] for row in found.rows]
        self.seconds[name].append(time.process_time() - began)
        if len(wire) != rows:
            raise SystemExit(f"{name}: {len(wire)} rows instead of {rows}")


def fill(folder: Path, datasets: int) -> House:
    """A state with so many datasets of 200 images each; five of them in one project."""
    state = State(folder)
    with state.change():
        roster.found(state)
        lab = roster.new_group(state, "lab", levels.READ_ANNOTATE)
        person = roster.new_person(state, "alice", groups=[lab])
        event = state.event(person, lab, None)

        def new(kind: str, **values: Any) -> Row:
            return state.new(kind, owner=person, group=lab, event=event, **values)

        kind = state.new("PixelsType", value="uint8", bitSize=8)
        order = state.new("DimensionOrder", value="XYZCT")
        project, tag = new("Project", name="project"), new("TagAnnotation", textValue="tag")
        for number in range(datasets):
            dataset = new("Dataset", name=f"dataset {number}")
            if number < FEW:
                new("ProjectDatasetLink", parent=project, child=dataset)
            for each in range(PAGE):
                image = new("Image", name=f"image {each}.tif", archived=False)
                new("DatasetImageLink", parent=dataset, child=image)
                sizes = {f"size{axis}": 1 for axis in "XYZCT"}
                new("Pixels", image=image, pixelsType=kind, dimensionOrder=order, sha1="", **sizes)
                if each % 10 == 0:
                    new("ImageAnnotationLink", parent=image, child=tag)
    return House(state, Desk(person, lab))


def timed(work: Callable[[], House]) -> tuple[House, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="100,000 images")
    many = 500 if parser.parse_args().full else 100
    with tempfile.TemporaryDirectory() as folder:
        few, _ = timed(lambda: fill(Path(folder, "few"), FEW))
        full, filling = timed(lambda: fill(Path(folder, "many"), many))
        for name in ASKED:
            for _ in range(TURNS):
                few.ask(name)
                full.ask(name)
        full.state.close()
        _, loading = timed(lambda: House(State(Path(folder, "many")), full.desk))
    images = many * PAGE
    print(f"{images} images: made in {filling:.1f} s, loaded in {loading:.1f} s")
    for name in ASKED:
        mine, theirs = (statistics.median(house.seconds[name]) for house in (full, few))
        print(
            f"{name}: {1000 * mine:.2f} ms beside {images} images, {1000 * theirs:.2f} ms beside {FEW * PAGE}"
        )
        verdict = "met" if mine / theirs <= AIM else "missed"
        what = f"{name} of {images} images against {FEW * PAGE}"
        print(f"FIGURE {what} = {mine / theirs:.2f} (aim at most {AIM:g}): {verdict}", flush=True)


if __name__ == "__main__":
    main()
