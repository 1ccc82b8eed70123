# SPDX-License-Identifier: BSD-3-Clause
"""A Run that has ended, with a real result: computed by the analysis itself, published as workers publish."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from slidegate_analysis.images import (
    Image,
    Labels,
    build_label_pyramid,
    create_labels,
    open_image,
    open_labels,
    write_image,
)
from slidegate_analysis.nuclei.table import schema_for

from slidegate.cache import Cache
from slidegate.domain import events
from slidegate.domain.run import run_id, task_id
from slidegate.domain.states import State
from slidegate.domain.values import Digest, ImageRef, RunId, SubmissionId, attempt_key, digest_of
from slidegate.sites.trees import describe_folder, tree_digest
from slidegate.sources.base import Output, Publication
from slidegate.sources.folder_sink import FolderSink
from slidegate.store import Store

OUTPUTS = {
    "labels": Output("labels", "labels.zarr"),
    "nuclei": Output("table/objects", "nuclei.parquet"),
    "summary": Output("summary", "summary.json"),
    "report": Output("report", "report.html"),
}
PIXEL_UM = 0.325
NAMES = ("DAPI", "CD3")


@dataclass(frozen=True)
class Computed:
    """An image as it is staged, and the files of its result."""

    image: Path
    files: Path


@dataclass(frozen=True)
class Finished:
    """A Run in a store whose images have results.

    Attributes
    ----------
    where
        The published folder of each image, in order.
    """

    run: RunId
    where: list[Path]
    tree: Digest

    @property
    def labels(self) -> Labels:
        return open_labels(self.where[0] / "labels.zarr")

    @property
    def table(self) -> pa.Table:
        return pq.read_table(self.where[0] / "nuclei.parquet")


def compute(folder: Path, height: int, width: int, seed: int = 1) -> Computed:
    """Draw a slide of two channels and find its nuclei, in this process."""
    from slidegate_analysis.nuclei.__main__ import answer
    from slidegate_analysis.nuclei.synth import Slide

    slide = Slide(height=height, width=width, channels=2, density=2500, seed=seed, pixel_size_um=PIXEL_UM)
    image = folder / "image"
    write_image(image, (2, height, width), np.uint16, slide.read, channels=NAMES, pixel_size_um=PIXEL_UM)
    shared = folder / "shared"
    shared.mkdir()
    base = {"inputs": {"image": str(image)}, "parameters": {}, "shared": str(shared), "attempt": {}}
    results: dict[str, list[str]] = {}

    def do(step: str, unit: str) -> dict[str, list[str]]:
        out = folder / "out" / f"{step}.{unit}"
        out.mkdir(parents=True)
        request = {**base, "step": step, "unit": unit, "out": str(out), "results": dict(results)}
        answered = answer(json.dumps(request))
        assert answered["ok"], answered
        results.setdefault(step, []).append(str(out))
        return answered

    units = do("plan", "all")["units"]
    found: list[str] = []
    for unit in units:
        results.pop("detect", None)
        do("detect", unit)
        found += results["detect"]
    results["detect"] = found
    do("finish", "all")
    files = folder / "files"
    shutil.copytree(folder / "out" / "finish.all", files)
    shutil.copytree(shared / "labels.zarr", files / "labels.zarr")
    return Computed(image, files)


def draw(folder: Path, height: int, width: int) -> Computed:
    """Draw an image of discs and write a result that says so, in the formats of the analysis; quick."""
    y, x = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.uint32)
    for middle_y in range(14, height - 12, 37):
        for middle_x in range(15 + middle_y % 9, width - 12, 41):
            inside = (y - middle_y) ** 2 + (x - middle_x) ** 2 <= (6 + middle_x % 5) ** 2
            labels[inside] = np.flatnonzero(inside)[0] + 1
    noise = np.random.default_rng(1).poisson(300, (2, height, width)).astype(np.uint16)
    planes = np.stack([noise[0] + np.where(labels, 3000, 0), noise[1] + np.where(labels % 3 == 1, 2000, 0)])
    planes = planes.astype(np.uint16)
    write_image(
        folder / "image", planes.shape, np.uint16, lambda c, y0, y1, x0, x1: planes[c, y0:y1, x0:x1],
        channels=NAMES, pixel_size_um=PIXEL_UM,
    )  # fmt: skip
    files = folder / "files"
    create_labels(files / "labels.zarr", (height, width), shard=256, pixel_size_um=PIXEL_UM)
    open_labels(files / "labels.zarr").write(0, 0, labels)
    build_label_pyramid(files / "labels.zarr")
    pq.write_table(_table_of(labels), files / "nuclei.parquet")
    (files / "summary.json").write_text(json.dumps({"nuclei": len(np.unique(labels)) - 1}))
    (files / "report.html").write_text("<!doctype html><script>document.title = 'run'</script><p>Report")
    return Computed(folder / "image", files)


def _table_of(labels: np.ndarray) -> pa.Table:
    ids, places, areas = np.unique(labels, return_inverse=True, return_counts=True)
    y, x = np.indices(labels.shape)
    middle_y, middle_x = (np.bincount(places.ravel(), side.ravel()) / areas + 0.5 for side in (y, x))
    known = {
        "id": ids, "y_px": middle_y, "x_px": middle_x, "area_px": areas, "area_um2": areas * PIXEL_UM**2,
    }  # fmt: skip
    random = np.random.default_rng(2)
    schema = schema_for(NAMES, PIXEL_UM)
    columns = [known.get(field.name, random.integers(0, 2, len(ids)))[1:] for field in schema]
    columns[-1] = np.where(np.arange(len(ids) - 1) % 5, 0.25, np.nan)
    arrays = [pa.array(values).cast(field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def finish(
    store: Store,
    cache: Cache,
    results: Path,
    person: str,
    computed: Computed,
    images: int = 1,
    name: str = "a",
) -> Finished:
    """Write the history of a Run whose images all gave this result, and publish it; pixels are at hand."""
    identity = digest_of([person, name])
    run = run_id(identity, 0)
    tasks = [task_id(run, number) for number in range(1, images + 1)]
    new = tuple(
        events.NewTask(
            task, "folder", f"/images/slide {n}.tif", f"slide {n}.tif", f"f{n}", digest_of([name, n])
        )
        for n, task in enumerate(tasks, start=1)
    )
    asked = events.RunRequested(
        run=run, identity=identity, generation=0, person=person, site="local", workflow="nuclei",
        version="0.1.0", release=digest_of("nuclei"), parameters={}, out=str(results), tasks=new,
    )  # fmt: skip
    store.history.request(asked, time.time())
    tree = tree_digest(describe_folder(computed.image))
    output = tree_digest(describe_folder(computed.files))
    if cache.tree(tree) is None:
        copy = results.parent / "copy of the image"
        shutil.copytree(computed.image, copy)
        cache.keep_tree(copy, tree)
    where = []
    for fact, task in zip(new, tasks, strict=True):
        publication = Publication(
            run,
            task,
            attempt_key(run, task, 1),
            ImageRef(fact.source, fact.image),
            fact.name,
            output,
            OUTPUTS,
        )
        where.append(Path(FolderSink(results).publish(publication, computed.files).where))
        _history(store, run, task, tree, output, str(where[-1]))
    return Finished(run, where, tree)


def _history(store: Store, run: RunId, task, tree: Digest, output: Digest, where: str) -> None:
    sealed = events.Sealed(SubmissionId(digest_of(["sealed", task])[:32]), digest_of(["plan", task]), (task,))
    for event in (
        events.StagingBegan(task, State.WAITING),
        events.Staged(task, State.STAGING, tree),
        sealed,
        events.Submitted(task, State.SUBMITTING),
        events.Started(task, State.QUEUED),
        events.Computed(task, State.RUNNING, output, {"core_seconds": 3.0}),
        events.Collected(task, State.COLLECTING, ()),
        events.Published(task, State.PUBLISHING, where),
    ):
        store.history.append(run, event, time.time())


def image_of(computed: Computed) -> Image:
    """Open the staged image."""
    return open_image(computed.image)
