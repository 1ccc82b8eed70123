# SPDX-License-Identifier: GPL-2.0-or-later
"""A small world in which every statement can be asked for something."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pocket_omero.state import Reply, Row, State

from pocket_omero import hql

WHEN = 1_700_000_000_000
RATING = "openmicroscopy.org/omero/insight/rating"
TAGSET = "openmicroscopy.org/omero/insight/tagset"


class Made:
    """Makes rows of one person."""

    def __init__(self, state: State, owner: Row, group: Row, event: Row) -> None:
        self.state, self.details = state, {"owner": owner, "group": group, "event": event}

    def __call__(self, kind: str, **values: Any) -> Row:
        return self.state.new(kind, **self.details, **values)


def people(state: State) -> tuple[Made, Made]:
    lab = state.new("ExperimenterGroup", id=3, name="lab", **{"details.permissions": "rwra--"})
    other = state.new("ExperimenterGroup", id=4, name="other", **{"details.permissions": "rw----"})
    made = []
    for number, (name, first, last) in enumerate((("alice", "Alice", "Ash"), ("bob", "Bob", "Birch")), 2):
        person = state.new(
            "Experimenter", id=number, omeName=name, firstName=first, lastName=last, ldap=False
        )
        state.new("GroupExperimenterMap", parent=lab, child=person, owner=name == "alice")
        event = state.new("Event", time=WHEN, experimenter=person, experimenterGroup=lab, status="User")
        made.append(Made(state, person, lab, event))
    state.new("GroupExperimenterMap", parent=other, child=state.get("Experimenter", 3), owner=False)
    return made[0], made[1]


def image(new: Made, name: str, size: int) -> Row:
    state = new.state
    found = new("Image", name=name, archived=False, acquisitionDate=WHEN, series=0)
    pixels = new(
        "Pixels",
        image=found,
        pixelsType=state.where("PixelsType", "value", "uint16")[0],
        dimensionOrder=state.where("DimensionOrder", "value", "XYZCT")[0],
        sizeX=size,
        sizeY=size,
        sizeZ=1,
        sizeC=2,
        sizeT=1,
        sha1="x",
        physicalSizeX=(0.5, "MICROMETER"),
    )
    for channel, wave in (("DAPI", 461.0), ("GFP", 509.0)):
        logical = new("LogicalChannel", name=channel, emissionWave=(wave, "NANOMETER"))
        new("Channel", pixels=pixels, logicalChannel=logical, statsInfo=new("StatsInfo", globalMin=0.0))
    return found


def fill(state: State) -> None:
    alice, bob = people(state)
    state.new("PixelsType", value="uint16", bitSize=16)
    state.new("DimensionOrder", value="XYZCT")
    alpha, beta = alice("Project", name="beta"), alice("Project", name="Alpha")
    one, two, _ = (alice("Dataset", name=n) for n in ("one", "two", "alone"))
    for project, dataset in ((alpha, one), (alpha, two), (beta, one)):
        alice("ProjectDatasetLink", parent=project, child=dataset)
    first, second, third = (image(alice, n, s) for n, s in (("b.tif", 64), ("A.tif", 128), ("c.tif", 256)))
    png, orphan, well_image = image(alice, "d.png", 64), image(bob, "e.tif", 64), image(alice, "w.tif", 64)
    for dataset, child in ((one, first), (one, second), (one, third), (two, png), (two, first)):
        alice("DatasetImageLink", parent=dataset, child=child)
    plates(alice, well_image)
    annotations(alice, bob, first, second, orphan, one)
    shapes(alice, first, second)
    files(alice, first, second)
    shares(state)


def plates(new: Made, child: Row) -> None:
    screen, plate, loose = (
        new("Screen", name="screen"),
        new("Plate", name="plate"),
        new("Plate", name="Loose"),
    )
    new("ScreenPlateLink", parent=screen, child=plate)
    run = new("PlateAcquisition", plate=plate, name="run", startTime=WHEN)
    well = new("Well", plate=plate, row=0, column=1)
    new("Well", plate=plate, row=2, column=0)
    new("Well", plate=loose, row=0, column=0)
    new("WellSample", well=well, image=child, plateAcquisition=run)
    note = new("MapAnnotation", ns="well", mapValue=[("gene", "p53")])
    new("WellAnnotationLink", parent=well, child=note)


def annotations(alice: Made, bob: Made, first: Row, second: Row, orphan: Row, dataset: Row) -> None:
    tag = alice("TagAnnotation", textValue="good", description="fine")
    lonely = alice("TagAnnotation", textValue="lonely")
    tagset = alice("TagAnnotation", textValue="set", ns=TAGSET)
    alice("AnnotationAnnotationLink", parent=tagset, child=tag)
    rating = bob("LongAnnotation", longValue=4, ns=RATING)
    pairs = alice("MapAnnotation", ns="pairs", mapValue=[("gene", "p53"), ("stain", "DAPI")])
    comment = bob("CommentAnnotation", textValue="nice")
    table = alice("OriginalFile", name="table.h5", path="/", mimetype="OMERO.tables", size=10)
    file = alice("FileAnnotation", file=table, ns="tables")
    for parent, child in ((first, tag), (first, rating), (second, pairs), (first, comment), (orphan, pairs)):
        alice("ImageAnnotationLink", parent=parent, child=child)
    alice("DatasetAnnotationLink", parent=dataset, child=file)
    alice("DatasetAnnotationLink", parent=dataset, child=lonely)
    alice("ExperimenterAnnotationLink", parent=alice.details["owner"], child=comment)


def shapes(new: Made, first: Row, second: Row) -> None:
    roi, bare, other = new("Roi", image=first), new("Roi", image=first), new("Roi", image=second)
    new("Rectangle", roi=roi, x=1.0, y=2.0, width=3.0, height=4.0, theZ=0, theT=0)
    new("Ellipse", roi=roi, x=1.0, y=2.0, radiusX=3.0, radiusY=4.0)
    new("Point", roi=other, x=1.0, y=2.0, theZ=0, theT=0)
    assert bare.id == 2


def files(new: Made, first: Row, second: Row) -> None:
    fileset = new("Fileset", templatePrefix="alice/")
    new("Fileset", templatePrefix="empty/")
    for child in (first, second):
        new.state.set(child, fileset=fileset)
    for name, size in (("a.vsi", 100), ("b.ets", 50)):
        file = new("OriginalFile", name=name, path="alice/", size=size, mimetype="image/vsi")
        new("FilesetEntry", fileset=fileset, originalFile=file, clientPath="home/" + name)
    log = new("OriginalFile", name="import.log", path="alice/", size=7, mimetype="application/omero-log-file")
    job = new("UploadJob", username="alice", groupname="lab", type="User", message="")
    new("FilesetJobLink", parent=fileset, child=job)
    new("JobOriginalFileLink", parent=job, child=log)
    pixels = new.state.many(first, "pixels")[0]
    new("PixelsOriginalFileMap", parent=log, child=pixels)
    for number in range(3):
        new("PlaneInfo", pixels=pixels, theZ=0, theC=0, theT=number, deltaT=(2.0 - number, "SECOND"))
    new("Thumbnail", pixels=pixels, sizeX=96, sizeY=96, mimeType="image/jpeg", version=5)


def shares(state: State) -> None:
    alice = state.get("Experimenter", 2)
    share = state.new("Share", uuid="u", owner=alice, started=WHEN, timeToLive=5000, itemCount=2, active=True)
    state.new("ShareMember", parent=share, child=alice)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    state = State(tmp_path_factory.mktemp("world"))
    with state.change():
        fill(state)
    yield state
    state.close()


def told(value: Any) -> Any:
    """A value of a result, as a test writes it: entities as "Image:1"."""
    if hasattr(value, "_loaded"):
        return f"{type(value).__name__.removesuffix('I')}:{value.id.val}"
    if isinstance(value, list | tuple):
        return [told(each) for each in value]
    return value


@pytest.fixture
def ask(world: State) -> Callable[..., list[Any]]:
    """What a statement finds: rows, told; of a single column only the values."""

    def asked(text: str, **params: Any) -> list[Any]:
        found = hql.run(world, text, params, Reply(world), lambda _row: True)
        if found.names is not None:
            return [dict(zip(found.names, told(row), strict=True)) for row in found.rows]
        return [told(row[0]) if len(row) == 1 else told(row) for row in found.rows]

    return asked
