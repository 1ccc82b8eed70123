# SPDX-License-Identifier: BSD-3-Clause
"""Results for an OMERO, and what OMERO then holds."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import omero
import pyarrow as pa
import pyarrow.parquet as pq
from omero.rtypes import unwrap
from pocket_omero.testing import Omero
from slidegate_analysis.images import open_labels

from slidegate.domain.values import AttemptKey, Digest, ImageRef, RunId, TaskId
from slidegate.sources.base import Publication
from slidegate.sources.omero.annotations import Mark
from slidegate.sources.omero.connection import Connection, Server
from tests.finished import OUTPUTS, draw

RUN, TASK = RunId("0123456789ab"), TaskId("0123456789ab.1")
WRITES = "*.[siawn]*"  # save, saveArray, initialize, addData, write, newTable and the like
KINDS = (
    "Annotation", "ImageAnnotationLink", "DatasetAnnotationLink", "ChannelAnnotationLink", "OriginalFile",
    "Roi", "Shape", "Image", "Pixels", "Channel", "Dataset", "DatasetImageLink",
)  # fmt: skip
PEOPLE = """\
groups: {lab: read-annotate, museum: read-only, club: read-write, quiet: private}
people:
  alice: {password: secret-a, groups: [lab, museum, club, quiet], leads: [lab, quiet]}
  bob: {password: secret-b, groups: [lab, museum, club, quiet]}
  root: {password: secret-r}
"""


def write_result(folder: Path) -> Path:
    """Write a result as the workflow writes it, with some objects that have outlines; return its files."""
    found = draw(folder, 90, 130).files
    labels = open_labels(found / "labels.zarr").read(0, 90, 0, 130)
    table = pq.read_table(found / "nuclei.parquet")
    boxes = {name: [] for name in ("y0_px", "y1_px", "x0_px", "x1_px")}  # type: dict[str, list[int]]
    for number in table["id"].to_pylist():
        y, x = np.nonzero(labels == number)
        for name, side in zip(boxes, (y.min(), y.max() + 1, x.min(), x.max() + 1), strict=True):
            boxes[name].append(int(side))
    for name, sides in boxes.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(sides, pa.int32()))
    pq.write_table(table, found / "nuclei.parquet")
    return found


def connector(place: Omero, role: str = "member") -> Callable[[], Connection]:
    server = Server(place.host, place.port, ca=place.server.authority)
    return lambda: Connection.login(server, *place.person(role))


def new_image(place: Omero, role: str = "member", group: str = "lab") -> int:
    with place.gateway(role) as conn:
        number = conn.getObject("ExperimenterGroup", attributes={"name": group}).getId()
        conn.SERVICE_OPTS.setOmeroGroup(number)
        plane = np.zeros((90, 130), np.uint16)
        return int(conn.createImageFromNumpySeq(iter([plane]), "image").getId())


def lab(connection: Connection) -> int:
    return int(connection.query("select g.id from ExperimenterGroup g where g.name = 'lab'")[0][0])


def publication(image: int, **changed: Any) -> Publication:
    made = Publication(
        run=RUN,
        task=TASK,
        attempt=AttemptKey("a" * 64),
        image=ImageRef("omero", str(image)),
        name="slide.tif",
        tree=Digest("b" * 64),
        outputs=OUTPUTS,
        facts={"Workflow": "nuclei", "Version": "0.1.0", "Parameter threshold": "x" * 5000},
    )
    return replace(made, **changed)


def rows(place: Omero) -> Counter[str]:
    """All rows of OMERO that people make, without ids and times, each with what it refers to.

    Images that a Run made have their names in the place of their ids.
    """
    state = place.server.house.state
    with state.lock:
        found = [told(row) for kind in KINDS for row in state.all(kind) if not _is_repository(row)]
        made = {row.id: row["name"] for row in state.all("Image") if " run " in row["name"]}
    names = re.compile(rf"\bImage:({'|'.join(map(str, made)) or 'none'})\b")
    return Counter(names.sub(lambda match: made[int(match[1])], text) for text in found)


def _is_repository(row: Any) -> bool:
    return bool(row.values.get("mimetype") == "Repository")  # it appears when the first table is made


def told(row: Any) -> str:
    said = []
    for name, value in sorted(row.values.items()):
        if name in ("atime", "mtime", "ctime", "acquisitionDate", "version") or "Event" in name:
            continue
        if name.startswith("#"):  # the place in a collection
            continue
        if name in ("hash", "size") and row.values.get("mimetype") == "OMERO.tables":
            continue  # it holds ids of ROIs
        if name == "description" and re.search(" part=(table|summary):", str(value)):
            value = replace(Mark.read(value), sha1="")
        if hasattr(value, "kind"):
            fixed = value.kind in ("Image", "Experimenter", "ExperimenterGroup", "ChecksumAlgorithm")
            value = f"{value.kind}:{value.id}" if fixed else told(value)
        said.append(f"{name}={value}")
    return f"{row.kind}({', '.join(said)})"


def table_of(place: Omero, image: int) -> tuple[list[str], list[list[Any]]]:
    """The columns of the image's table, and its values, ROIs by their names."""
    with place.gateway() as conn:
        notes = conn.getObject("Image", image).listAnnotations(
            ns=omero.constants.namespaces.NSBULKANNOTATIONS
        )
        [note] = list(notes)
        table = conn.c.sf.sharedResources().openTable(note.getFile()._obj, {"omero.group": "-1"})
        try:
            headers = table.getHeaders()
            read = table.read(list(range(len(headers))), 0, table.getNumberOfRows())
        finally:
            table.close()
        names = {
            unwrap(row[0]): unwrap(row[1])
            for row in conn.getQueryService().projection(
                "select r.id, r.name from Roi r", None, {"omero.group": "-1"}
            )
        }
        values = [list(column.values) for column in read.columns]
        values[1] = [names.get(number, number) for number in values[1]]
        return [type(h).__name__ + " " + h.name for h in headers], values
