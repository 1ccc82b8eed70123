# SPDX-License-Identifier: BSD-3-Clause
"""Results of many nuclei into OMERO: the sink, against one ROI each through OMERO's gateway.

usage: python benchmarks/omero_import.py [--full]

A pocket OMERO runs in a process of its own. The sink publishes a table of nuclei with all its columns (as an
OMERO.table and as Parquet), 500 of them as outlines, and the key-values. The gateway saves ROIs, each a
polygon of 16 corners, one by one; as many as take a few seconds are timed, and the rest is reckoned from
them. The same server, the same connection over TLS, one after the other. Then the number of rows and ROIs
that OMERO holds is counted. Last, every nucleus is drawn on a duplicate: how many calls save them is counted,
how many OMERO holds, and how much memory that took.
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import omero.model
import pyarrow as pa
import pyarrow.parquet as pq
from omero.gateway import BlitzGateway
from omero.rtypes import rstring
from pocket_omero.server import Server as PocketServer
from pocket_omero.testing import PEOPLE, fill
from slidegate_analysis.images import create_labels, open_labels
from slidegate_analysis.nuclei.table import schema_for

from slidegate.domain.values import AttemptKey, Digest, ImageRef, RunId, TaskId
from slidegate.sources.base import Output, Publication
from slidegate.sources.omero.connection import Connection, Server
from slidegate.sources.omero.sink import OmeroSink

AIM = 20
BATCH = 500  # ROIs that one call saves
OTHER_SAVES = 12  # calls that save what is no ROI
MOST_MEMORY_MB = 400
CELL = 32  # pixels from one nucleus to the next
SHARD = 2048
PIXEL_UM = 0.325
OUTPUTS = {"labels": Output("labels", "labels.zarr"), "nuclei": Output("table/objects", "nuclei.parquet")}


class Counting(Connection):
    """A connection whose calls to the service that saves are counted."""

    saves = 0

    def services(self, name: str) -> Any:
        """Return a service, for one call."""
        Counting.saves += name == "Update"
        return super().services(name)


def serve(folder: Path) -> None:
    """Serve until standard input ends."""
    with PocketServer(folder) as server:
        print(server.port, server.authority, flush=True)
        sys.stdin.read()


def write_result(folder: Path, nuclei: int) -> int:
    """Write a table and a label image of discs on a grid; return the image's side in pixels."""
    side = math.ceil(math.ceil(math.sqrt(nuclei)) * CELL / SHARD) * SHARD
    y, x = np.mgrid[:CELL, :CELL] - CELL // 2
    disc = y**2 + x**2 <= 81
    first_y, first_x = np.argwhere(disc)[0]
    place = np.arange(nuclei)
    row, column = np.divmod(place, side // CELL)
    ids = (row * CELL + first_y) * side + column * CELL + first_x + 1
    create_labels(folder / "labels.zarr", (side, side), shard=SHARD, pixel_size_um=PIXEL_UM)
    labels = open_labels(folder / "labels.zarr")
    every = np.zeros((side // CELL) ** 2, np.uint32)
    every[:nuclei] = ids
    every = every.reshape(side // CELL, side // CELL)
    cells = SHARD // CELL
    for y0 in range(0, side // CELL, cells):
        for x0 in range(0, side // CELL, cells):
            block = np.kron(every[y0 : y0 + cells, x0 : x0 + cells], disc.astype(np.uint32))
            labels.write(y0 * CELL, x0 * CELL, block)
    middle = CELL / 2 + 0.5
    known = {
        "id": ids, "y_px": row * CELL + middle, "x_px": column * CELL + middle,
        "area_px": np.full(nuclei, 253),
        "y0_px": row * CELL, "y1_px": (row + 1) * CELL, "x0_px": column * CELL, "x1_px": (column + 1) * CELL,
    }  # fmt: skip
    random = np.random.default_rng(2)
    schema = schema_for(("DAPI", "CD3"), PIXEL_UM)
    columns = [known.get(field.name, random.integers(0, 2, nuclei)) for field in schema]
    arrays = [pa.array(values).cast(field.type) for values, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / "nuclei.parquet")
    return side


def image_of(gateway: Any) -> int:
    """Make a small image; what is written to it does not ask for its size."""
    return int(gateway.createImageFromNumpySeq(iter([np.zeros((64, 64), np.uint8)]), "slide").getId())


def one_by_one(gateway: Any, image: int, seconds: float) -> float:
    """Save ROIs through the gateway for so long; return seconds for each."""
    service = gateway.getUpdateService()
    angles = np.arange(16) * 2 * np.pi / 16
    saved, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        points = zip(9 * np.cos(angles) + saved % 900, 9 * np.sin(angles) + saved // 900, strict=True)
        shape = omero.model.PolygonI()
        shape.points = rstring(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
        roi = omero.model.RoiI()
        roi.image = omero.model.ImageI(image, False)
        roi.addShape(shape)
        service.saveAndReturnObject(roi)
        saved += 1
    return (time.monotonic() - began) / saved


def measure(port: int, authority: Path, scratch: Path, nuclei: int, seconds: float) -> None:
    """Do both and print the figure."""
    files = scratch / "files"
    files.mkdir()
    write_result(files, nuclei)
    name, password = PEOPLE["member"]
    gateway = BlitzGateway(name, password, host="127.0.0.1", port=port, secure=True)
    if not gateway.connect():
        raise ConnectionError(str(gateway.getLastError()))
    slow, fast = image_of(gateway), image_of(gateway)
    each = one_by_one(gateway, slow, seconds)
    publication = Publication(
        run=RunId("0123456789ab"), task=TaskId("0123456789ab.1"), attempt=AttemptKey("a" * 64),
        image=ImageRef("omero", str(fast)), name="slide", tree=Digest("b" * 64), outputs=OUTPUTS,
    )  # fmt: skip
    sink = OmeroSink(lambda: Connection.login(Server("127.0.0.1", port, authority), name, password))
    began = time.monotonic()
    published = sink.publish(publication, files)
    ours = time.monotonic() - began
    began = time.monotonic()
    sink.publish(publication, files)
    again = time.monotonic() - began
    rows, rois = held(gateway, fast)
    began = time.monotonic()
    sink.undo(published)
    undone = time.monotonic() - began
    print(f"one ROI each: {each * 1000:.2f} ms, {each * nuclei:.0f} s for {nuclei}")
    print(
        f"the sink: {ours:.1f} s for {rows} rows and {rois} ROIs; a repeat {again:.2f} s; undo {undone:.2f} s"
    )
    figure("objects that OMERO holds, of those found", f"{rows} of {nuclei}", "all", met=rows == nuclei)
    ratio = each * nuclei / ours
    figure(f"{nuclei} nuclei against one ROI each", f"{ratio:.0f}", f"at least {AIM}", met=ratio >= AIM)
    on_duplicate(gateway, Server("127.0.0.1", port, authority), publication, files, nuclei)
    gateway.close()


def on_duplicate(gateway: Any, server: Server, publication: Publication, files: Path, nuclei: int) -> None:
    """Draw every nucleus on a duplicate; print how many calls, how many ROIs, how much memory."""
    sink = OmeroSink(lambda: Counting.login(server, *PEOPLE["member"]), rois=0, objects="all-on-duplicate")
    before = peak_mb()
    began = time.monotonic()
    published = sink.publish(publication, files)
    took, grown, saves = time.monotonic() - began, peak_mb() - before, Counting.saves
    rows = gateway.getQueryService().projection(
        "select count(r.id) from Roi r where r.image.name like '%all objects%'", None
    )
    rois = rows[0][0].val
    began = time.monotonic()
    sink.undo(published)
    print(f"on a duplicate: {took:.1f} s for {rois} ROIs; undo {time.monotonic() - began:.1f} s")
    most = math.ceil(nuclei / BATCH) + OTHER_SAVES
    figure("nuclei drawn on a duplicate", f"{rois} of {nuclei}", "all", met=rois == nuclei)
    figure("calls that saved them", f"{saves}", f"at most {most}", met=saves <= most)
    figure(
        "memory that this took more",
        f"{grown:.0f} MB",
        f"at most {MOST_MEMORY_MB}",
        met=grown <= MOST_MEMORY_MB,
    )


def peak_mb() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def held(gateway: Any, image: int) -> tuple[int, int]:
    """Return how many rows and ROIs hang on an image."""
    [note] = gateway.getObject("Image", image).listAnnotations(
        ns=omero.constants.namespaces.NSBULKANNOTATIONS
    )
    table = gateway.c.sf.sharedResources().openTable(note.getFile()._obj)
    try:
        return int(table.getNumberOfRows()), len(gateway.getRoiService().findByImage(image, None).rois)
    finally:
        table.close()


def figure(name: str, value: str, aim: str, *, met: bool) -> None:
    """Print one figure for the summary of all benchmarks."""
    print(f"FIGURE {name} = {value} (aim {aim}): {'met' if met else 'missed'}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="250,000 nuclei")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return
    nuclei, seconds = (250_000, 10.0) if chosen.full else (25_000, 2.0)
    with tempfile.TemporaryDirectory(prefix="omero-import-") as name:
        served = Path(name) / "served"
        served.mkdir()
        fill(served)
        argv = [sys.executable, "-W", "ignore", __file__, "--serve", str(served)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            try:
                port, authority = (server.stdout.readline() if server.stdout else "").split(maxsplit=1)
                measure(int(port), Path(authority.strip()), Path(name), nuclei, seconds)
            finally:
                if server.stdin:
                    server.stdin.close()


if __name__ == "__main__":
    main()
