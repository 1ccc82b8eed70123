# SPDX-License-Identifier: BSD-3-Clause
"""The report that people see: one HTML file with pictures inside, no scripts, nothing fetched from anywhere.

Readable on screen in light and dark, on paper, and by a screen reader. Reads one coarse level and two crops
of the slide, so that memory does not grow with it.
"""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa

from slidegate_analysis.images import Area, Image, Labels
from slidegate_analysis.nuclei import report_sections as sections
from slidegate_analysis.nuclei.report_facts import Facts

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Even if something slipped in, the browser would fetch and run nothing."""


def write_report(
    path: str | os.PathLike[str],
    image: Image,
    labels: Labels,
    table: pa.Table,
    summary: Mapping[str, Any],
    *,
    image_name: str | None = None,
    areas: Sequence[Area] = (),
) -> None:
    """Write `report.html` for one image; a repeat replaces it with the same bytes.

    Parameters
    ----------
    path : path
        The file to write.
    image : Image
        The staged image, (c, y, x).
    labels : Labels
        Its nuclei, (y, x), same size.
    table : pyarrow.Table
        One row per nucleus; needed columns: `y_px`, `x_px`, `area_px`. Shown when present: `eccentricity`,
        `c<n>_mean`, `box_clipped`, `touches_edge` (both boolean).
    summary : mapping
        What else is known, each key optional: `channel` (number of the channel analysed), `pixel_size_um`
        (used in place of the image's own), `parameters` (name to value), `workflow` ({"name", "version",
        "digest"}), `runtime` (digest), `versions` (name to version), `numeric_class`, `steps` (list of
        {"step", "units", "seconds", "mpx_per_s"}; the last one optional), `peak_memory_bytes`, `regions`
        (the rows of the table of regions).
    image_name : str, optional
        Shown in the title. Left out by default: names of files can name patients.
    areas : sequence of Area, optional
        The regions that people drew, in the order of `regions` in the summary.

    Raises
    ------
    slidegate_analysis.images.ImagesError
        Image or labels cannot be read.
    OSError
        The file cannot be written.
    """
    facts = Facts(image, labels, table, summary)
    title = f"Nuclei in {image_name}" if image_name else "Nuclei"
    style = Path(__file__).with_name("report.css").read_text("utf-8")
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body><main>",
        f"<header><h1>{escape(title)}</h1>{sections.lead(facts)}</header>",
        sections.headline(facts),
        sections.slide(facts),
        *([sections.regions(facts, areas)] if areas else []),
        sections.sizes(facts),
        sections.intensities(facts),
        sections.watch(facts),
        sections.method(),
        sections.settings(facts),
        sections.timings(facts),
        sections.origin(facts),
        "</main></body></html>\n",
    ]
    whole = Path(path)
    part = whole.with_name(f".{whole.name}.part")
    part.write_text("\n".join(parts), "utf-8")
    part.replace(whole)
