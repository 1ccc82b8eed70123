# SPDX-License-Identifier: BSD-3-Clause
"""The three steps of the workflow, as a site runs them: plan, detect (one Unit per block), finish."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from slidegate_analysis.images import (
    Area,
    Block,
    Image,
    build_label_pyramid,
    create_labels,
    open_image,
    open_labels,
    read_areas,
)
from slidegate_analysis.images.regions import NAME
from slidegate_analysis.nuclei.errors import BadPlanError
from slidegate_analysis.nuclei.measure import intensities, outline
from slidegate_analysis.nuclei.plan import Plan, make_plan, read_plan, write_plan
from slidegate_analysis.nuclei.regions import (
    add_counts,
    count_block,
    find_regions,
    make_regions_table,
    write_counts,
)
from slidegate_analysis.nuclei.report import write_report
from slidegate_analysis.nuclei.table import make_table, schema_for

PLAN = "plan.json"
TABLE = "nuclei.parquet"
REGIONS = "regions.parquet"
COST = "cost.json"
LABELS = "labels.zarr"


@dataclass(frozen=True)
class Request:
    """One Unit of work, as the runner asks for it; all paths are absolute.

    Attributes
    ----------
    step, unit
        What to do.
    image
        Folder of the staged image.
    regions
        Folder of the regions that people drew on it; None where nobody did.
    parameters
        As the person gave them.
    shared
        Folder that all Units write to, each its own files.
    out
        Empty folder of this try alone.
    results
        Per earlier step, the folders that its Units left.
    attempt
        What to name in the summary: ``release``, ``runtime``.
    """

    step: str
    unit: str
    image: Path
    parameters: Mapping[str, Any]
    shared: Path
    out: Path
    results: Mapping[str, list[str]]
    attempt: Mapping[str, Any]
    regions: Path | None = None

    def plan(self) -> Plan:
        """Read the plan that the first step left."""
        folders = self.results.get("plan", [])
        if len(folders) != 1:
            raise BadPlanError(f"{len(folders)} plans")
        return read_plan(Path(folders[0]) / PLAN)

    def areas(self) -> list[Area] | None:
        """Read the regions; None where nobody drew any."""
        return None if self.regions is None else read_areas(self.regions)


def run(request: Request) -> dict[str, Any]:
    """Do one Unit; may be repeated, by several processes at once: files appear whole, with the same content.

    Returns
    -------
    dict
        ``result`` (small, for the record), and ``units`` where the step names those of the next.

    Raises
    ------
    NucleiError, slidegate_analysis.images.ImagesError
        It cannot be done; the message is for the person who started it.
    """
    steps = {"plan": plan_step, "detect": detect_step, "finish": finish_step}
    if request.step not in steps:
        raise BadPlanError(f"there is no step {request.step}")
    return steps[request.step](request)


def plan_step(request: Request) -> dict[str, Any]:
    """Write ``plan.json``: levels, geometry, blocks. The result tells how these cover the image."""
    start = time.monotonic()
    request.areas()  # what cannot be read is refused before the work
    plan = make_plan(open_image(request.image), request.parameters)
    write_plan(plan, request.out / PLAN)
    cost = _note_cost(request.out, start)
    units = list(plan.blocks())
    grid = {"shape": list(plan.plane), "side": plan.block_px}
    return {"units": units, "result": {"blocks": len(units), "channel": plan.channel, "grid": grid, **cost}}


def detect_step(request: Request) -> dict[str, Any]:
    """Detect and measure a block: write its core of ``labels.zarr``, whole shards, and rows of the table."""
    start = time.monotonic()
    plan = request.plan()
    block = plan.blocks().get(request.unit)
    if block is None:
        raise BadPlanError(f"it has no block {request.unit}")
    image = open_image(request.image)
    if image.shape != plan.shape:
        raise BadPlanError("it was made for another image")
    create_labels(request.shared / LABELS, plan.plane, shard=plan.block_px, pixel_size_um=plan.pixel_size_um)
    areas = request.areas()
    labels, table, inside = detect_and_measure(image, plan, block, areas)
    open_labels(request.shared / LABELS).write(block.core[0], block.core[2], labels)
    if areas is not None:
        write_counts(request.out, count_block(areas, image, block, inside))
    pq.write_table(table, request.out / TABLE, compression="zstd")
    return {"result": {"nuclei": table.num_rows, **_note_cost(request.out, start)}}


def detect_and_measure(
    image: Image, plan: Plan, block: Block, areas: Sequence[Area] | None = None
) -> tuple[np.ndarray, pa.Table, list[int]]:
    """Detect and measure one block, reading one channel at a time.

    Parameters
    ----------
    areas
        The regions that nuclei may lie in; None where nobody drew any.

    Returns
    -------
    labels
        uint32 ids of the core, shape (y, x).
    table
        Rows of the nuclei whose raster-first pixel lies in the core.
    inside
        How many of them lie in each region.
    """
    top, bottom, left, right = block.outer
    found = plan.detector().detect(image.read(plan.channel, top, bottom, left, right), block, plan.plane)
    outlines = outline(found, block, plan.plane)
    values = _measure_channels(image, plan, block, outlines)
    regions, inside = None, []
    if areas is not None:
        middle = outlines.sums // outlines.areas[:, None]
        regions, inside = find_regions(areas, middle[:, 0], middle[:, 1])
    table = make_table(
        outlines,
        values,
        shape=plan.plane,
        channels=plan.channels,
        pixel_size_um=plan.pixel_size_um,
        regions=regions,
    )
    return found.core_ids(block), table, inside


def finish_step(request: Request) -> dict[str, Any]:
    """Write the label pyramid, the whole tables, the summary and the report."""
    start = time.monotonic()
    plan = request.plan()
    areas = request.areas()
    folders = [Path(folder) for folder in request.results.get("detect", [])]
    if len(folders) != len(plan.blocks()):
        raise BadPlanError(f"it has {len(plan.blocks())} blocks, and {len(folders)} are there")
    build_label_pyramid(request.shared / LABELS)
    tables = [pq.read_table(folder / TABLE) for folder in folders]
    schema = schema_for(plan.channels, plan.pixel_size_um, areas is not None)
    table = pa.concat_tables([schema.empty_table(), *tables])
    table = table.take(pc.sort_indices(table, [("id", "ascending")])).combine_chunks()
    pq.write_table(table, request.out / TABLE, compression="zstd")
    costs = {
        "plan": [_read_cost(Path(request.results["plan"][0]))],
        "detect": [_read_cost(folder) for folder in folders],
    }
    summary = summarise(plan, table, request.attempt, costs)
    if areas is not None:
        summary["regions"] = _finish_regions(request, plan, areas, folders)
    (request.out / "summary.json").write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", "utf-8")
    image = open_image(request.image)
    labels = open_labels(request.shared / LABELS)
    write_report(request.out / "report.html", image, labels, table, summary, areas=areas or ())
    return {"result": {"nuclei": table.num_rows, **_cost(start)}}


def _finish_regions(
    request: Request, plan: Plan, areas: Sequence[Area], folders: Sequence[Path]
) -> list[dict[str, Any]]:
    """Write the table of regions, and where they are; return the rows."""
    counts = add_counts(folders, len(areas), len(plan.channels))
    table = make_regions_table(areas, counts, plan.channels, plan.pixel_size_um)
    pq.write_table(table, request.out / REGIONS, compression="zstd")
    if request.regions is not None:
        shutil.copyfile(request.regions / NAME, request.out / NAME)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def summarise(
    plan: Plan, table: pa.Table, attempt: Mapping[str, Any], costs: Mapping[str, list[dict[str, float]]]
) -> dict[str, Any]:
    """Sum up one analysis: what was found, with what, at what cost.

    The density refers to the whole image, glass included. Medians and means of no nuclei are null. The
    `figures` are what people compare images by: a row of a table of images.
    """
    height, width = plan.plane
    area_mm2 = height * width * plan.pixel_size_um**2 * 1e-6
    names = ["area_px", "area_um2", "eccentricity"]
    names += [f"c{number}_mean" for number in range(len(plan.channels))]
    medians = {name: _median(table.column(name)) for name in names}
    peak = max(cost["peak_memory_bytes"] for step in costs.values() for cost in step)
    steps = [
        {"step": step, "units": len(units), "seconds": round(sum(unit["seconds"] for unit in units), 3)}
        for step, units in costs.items()
    ]
    return {
        "summary": 1,
        "nuclei": table.num_rows,
        "density_per_mm2": table.num_rows / area_mm2,
        "figures": {
            "nuclei": table.num_rows,
            "density_per_mm2": table.num_rows / area_mm2,
            "image_area_mm2": area_mm2,
            "area_um2_mean": _mean(table.column("area_um2")),
            "area_um2_median": medians["area_um2"],
            **{name: _mean(table.column(name)) for name in names if name.endswith("_mean")},
        },
        "image": {"shape": list(plan.shape), "channels": list(plan.channels), "area_mm2": area_mm2},
        "medians": medians,
        "touching_edge": int(pc.sum(table.column("touches_edge")).as_py() or 0),
        "box_clipped": int(pc.sum(table.column("box_clipped")).as_py() or 0),
        "channel": plan.channel,
        "pixel_size_um": plan.pixel_size_um,
        "diameter_px": plan.diameter_px,
        "halo_px": plan.geometry.halo,
        "levels": {
            "background": plan.levels.background / 16,
            "threshold": plan.levels.threshold / 16,
            "faint": plan.levels.faint / 16,
            "plain": plan.levels.plain / 16,
        },
        "parameters": {name: value for name, value in plan.parameters.items() if value is not None},
        "workflow": dict(attempt.get("release", {})),
        "runtime": attempt.get("runtime"),
        "versions": _versions(),
        "numeric_class": plan.numeric_class,
        "steps": steps,
        "peak_memory_bytes": peak,
    }


def _measure_channels(image: Image, plan: Plan, block: Block, outlines: Any) -> list[np.ndarray]:
    """Measure all channels, reading only where nuclei and their boxes lie."""
    windows, _ = outlines.windows(plan.plane)
    if not len(windows):
        return [np.empty((0, 2, 4)) for _ in plan.channels]
    bounds = np.concatenate([windows, outlines.boxes])
    top, left = (int(bounds[:, side].min()) for side in (0, 2))
    bottom, right = (int(bounds[:, side].max()) for side in (1, 3))
    values = []
    for channel in range(len(plan.channels)):
        pixels = image.read(channel, top, bottom, left, right)
        values.append(intensities(pixels, (top, left), outlines, windows))
    return values


def _median(column: pa.ChunkedArray) -> float | None:
    return float(np.median(column.to_numpy())) if len(column) else None


def _mean(column: pa.ChunkedArray) -> float | None:
    return float(np.mean(column.to_numpy())) if len(column) else None


def _versions() -> dict[str, str]:
    names = ("slidegate-analysis", "numpy", "numba", "pyarrow", "tensorstore")
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}


def _cost(start: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": round(time.monotonic() - start, 3), "peak_memory_bytes": peak}


def _note_cost(out: Path, start: float) -> dict[str, float]:
    cost = _cost(start)
    (out / COST).write_text(json.dumps(cost), "utf-8")
    return cost


def _read_cost(folder: Path) -> dict[str, float]:
    return json.loads((folder / COST).read_text("utf-8"))
