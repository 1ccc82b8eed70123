# SPDX-License-Identifier: BSD-3-Clause
"""The sections of a report, each a piece of HTML; every text from outside is escaped here."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from slidegate_analysis.images import Area
from slidegate_analysis.nuclei import report_pictures as pictures
from slidegate_analysis.nuclei.report_charts import around, colour_key, frame, histogram, number, scale_bar
from slidegate_analysis.nuclei.report_facts import Facts

PARAMETER_WORDS = {
    "diameter_um": ("Typical diameter of a nucleus", "µm"),
    "sensitivity": ("Sensitivity", ""),
    "channel": ("Channel that shows the nuclei", ""),
    "pixel_size_um": ("Size of a pixel", "µm"),
    "block_px": ("Size of a block", "px"),
}
"""Title and unit of each parameter, as in the launch form."""

STEP_WORDS = {
    "plan": "Plan: grey levels of the whole slide",
    "detect": "Find and measure",
}

COLOURS = ("#ffd23f", "#56b4e9", "#e69f00", "#3ddc97", "#cc79a7", "#f0e442", "#7aa5ff", "#ff7f50")
"""Of the outlines of regions: apart for the colour-blind too (after Okabe and Ito), bright on dark."""

MOST_REGIONS = 100
"""So many regions are listed; the table holds all of them."""

MOST_CHANNELS = 8
"""Brightness is drawn for so many channels; the table holds all of them."""

METHOD = """
Nuclei are found as bright, roughly elliptic blobs: what rises above its local background is turned into hills
by its brightness and its distance to the outline; the hills that fill their ellipse best are kept, and those
with a waist are cut in two. The levels are the same for the whole slide. No trained network is involved, and
that large slides are computed in blocks leaves no trace in the result. Very faint or blurred nuclei are
missed, crowded and overlapping ones may be joined or cut wrongly, and bright dirt may be counted: compare the
outlines above with what you see before you rely on a number. For research, not for diagnosis.
"""


def lead(facts: Facts) -> str:
    """Say in one line what was looked at."""
    size = f"{facts.width:,} × {facts.height:,} pixels"
    if facts.um:
        size += f" of {number(facts.um)} µm ({facts.length(facts.width)} × {facts.length(facts.height)})"
    else:
        size += " of unknown size"
    channels = facts.image.shape[0]
    which = f"nuclei looked for in {facts.channel_name(facts.channel)}"
    which += f", one of {channels} channels" if channels > 1 else ""
    return f'<p class="soft">{escape(size)}; {escape(which)}.</p>'


def headline(facts: Facts) -> str:
    """Give the numbers that people came for."""
    area_px = facts.height * facts.width
    cards = [("Nuclei", f"{facts.count:,}", "", "")]
    cards.append(
        ("Density", *facts.per_area(facts.count / area_px), "of the whole image, empty glass included")
    )
    if facts.count:
        local = float(np.median(facts.density.at(facts.y, facts.x)))
        cards.append(
            ("Density where nuclei are", *facts.per_area(local), "around the median nucleus; see the map")
        )
        median = float(np.median(facts.area))
        disc = f"like a disc {number(2 * (median / np.pi) ** 0.5)} {'µm' if facts.um else 'px'} across"
        cards.append(("Median size", number(median), facts.area_unit, disc))
    millions = number(area_px / 1e6)
    if facts.um:
        cards.append(
            ("Area analysed", number(area_px * facts.um**2 * 1e-6), "mm²", f"{millions} million pixels")
        )
    else:
        cards.append(("Area analysed", millions, "million px", "the size of a pixel is not known"))
    items = "".join(
        f'<div><dt>{name}</dt><dd>{value} <small>{unit}</small></dd><dd class="note">{note}</dd></div>'
        for name, value, unit, note in cards
    )
    return f'<dl class="numbers">{items}</dl>'


def slide(facts: Facts) -> str:
    """Show the slide, its density map and the zooms."""
    overview = pictures.draw_overview(facts.image, facts.labels, facts.channel, facts.y, facts.x)
    chosen = pictures.choose_zooms((facts.height, facts.width), facts.y, facts.x)
    letter = 0.03 * max(overview.height, overview.width)
    per_px = overview.width / facts.width
    frames, zooms = "", ""
    for name, (kind, region) in zip("AB", chosen, strict=False):
        if region != overview.region:
            y0, y1, x0, x1 = (at * per_px for at in region)
            frames += frame((y0, y1, x0, x1), name, letter)
        zooms += _zoom(facts, name, kind, region)
    words = f"Overview of the slide, {facts.count:,} nuclei marked"
    marked = "Nuclei are outlined in pink." if overview.is_outlined else "Every nucleus is a pink dot."
    return (
        "<section><h2>The slide, and what was found on it</h2>"
        '<label class="switch"><input type="checkbox" id="outlines" checked> Show what was found</label>'
        f'<div class="pair"><figure>{_picture(overview, facts, words, frames)}<figcaption>{marked} '
        "Brightness is stretched for the eye; measurements use the original values.</figcaption></figure>"
        f'{_density_map(facts, overview)}</div><div class="pair">{zooms}</div></section>'
    )


def regions(facts: Facts, areas: Sequence[Area]) -> str:
    """Show the regions that people drew, and what was found in each."""
    shown = pictures.draw_overview(facts.image, facts.labels, facts.channel, facts.y, facts.x)
    letter = 0.03 * max(shown.height, shown.width)
    per_px = shown.width / facts.width
    said: Sequence[Mapping[str, Any]] = facts.summary.get("regions", ())
    drawn = "".join(
        around(area, per_px, at + 1, COLOURS[at % len(COLOURS)], letter)
        for at, area in enumerate(areas[:MOST_REGIONS])
    )
    channels = range(min(facts.image.shape[0], MOST_CHANNELS))
    with_class = any(row["class"] for row in said)
    heads = ["Region", *(["Class"] if with_class else []), "Area (mm²)", "Nuclei", "Nuclei per mm²"]
    heads += [f"Mean of {facts.channel_name(channel)}" for channel in channels]
    rows = []
    for at, row in enumerate(said[:MOST_REGIONS]):
        values = [number(row["area_um2"] * 1e-6), f"{row['nuclei']:,}"]
        means = [row["density_per_mm2"], *(row[f"c{channel}_mean"] for channel in channels)]
        values += ["–" if mean is None else number(mean) for mean in means]
        kind = [escape(str(row["class"]))] if with_class else []
        rows.append((f"{at + 1}: {row['name']}", *kind, *values))
    outside = facts.count - facts.table.column("region").drop_null().length()
    words = f"{outside:,} of {facts.count:,} nuclei lie in no region. "
    words += "A nucleus in a region within another counts in both. Means are over all pixels of a region."
    if len(areas) > MOST_REGIONS:
        words += f" {len(areas) - MOST_REGIONS:,} more regions are in the table regions.parquet alone."
    picture = _picture(shown, facts, f"Overview of the slide with {len(areas):,} regions outlined", drawn)
    return (
        f'<section><h2>Regions</h2><div class="pair wide"><figure>{picture}<figcaption>The regions, '
        "numbered as in the table.</figcaption></figure></div>"
        f"{_table(heads, rows, numeric=True)}<p>{escape(words)}</p></section>"
    )


def _zoom(facts: Facts, name: str, kind: str, region: pictures.Region) -> str:
    """Show one region at full resolution."""
    y0, y1, x0, x1 = region
    inside = int(((facts.y >= y0) & (facts.y < y1) & (facts.x >= x0) & (facts.x < x1)).sum())
    words = f"{name}: {kind}, at full resolution; {inside:,} nuclei"
    if (y0, x0) != (0, 0):
        words += f"; top left corner at x = {x0:,}, y = {y0:,} pixels"
    shown = pictures.draw_zoom(facts.image, facts.labels, facts.channel, region)
    return f"<figure>{_picture(shown, facts, words)}<figcaption>{escape(words)}.</figcaption></figure>"


def _density_map(facts: Facts, overview: pictures.Shown) -> str:
    """Show how many nuclei lie where; nothing where there are none."""
    if not facts.count:
        return ""
    art, high = pictures.draw_density(facts.density)
    value, unit = facts.per_area(high)
    around = facts.length(facts.density.blur_px)
    words = f"Density of nuclei, averaged over about {around} around each place; at most {value} {unit}"
    key = colour_key(pictures.VIRIDIS, value, f"nuclei {unit}")
    return (
        f'<figure><span class="picture" style="{_fit(overview)}"><img src="{art}" alt="{escape(words)}">'
        f"</span>{key}<figcaption>{escape(words)}.</figcaption></figure>"
    )


def _fit(shown: pictures.Shown) -> str:
    """Keep a picture's shape and fit it into a screen: at most 900 high, no image pixel wider than 8."""
    pixels = shown.region[3] - shown.region[2]
    widest = max(64, min(int(900 * shown.width / shown.height), 8 * pixels))
    return f"aspect-ratio:{shown.width}/{shown.height};max-width:min(100%,{widest}px)"


def _picture(shown: pictures.Shown, facts: Facts, words: str, frames: str = "") -> str:
    """Lay a picture, its outlines, frames and scale bar over each other."""
    bar = scale_bar(shown.width, shown.height, facts.um, shown.region[3] - shown.region[2])
    sharp = "sharp" if shown.width < 400 else "smooth"
    return (
        f'<span class="picture" style="{_fit(shown)}">'
        f'<img class="{sharp}" src="{shown.plain}" alt="{escape(words)}">'
        f'<img class="outline {sharp}" src="{shown.over}" alt="">'
        f'<svg viewBox="0 0 {shown.width} {shown.height}" aria-hidden="true">{frames}{bar}</svg></span>'
    )


def sizes(facts: Facts) -> str:
    """Show the distributions of size and shape; nothing without nuclei."""
    if not facts.count:
        return ""
    charts = histogram(facts.area, "Area", facts.area_unit)
    across = 2.0 * np.sqrt(facts.area / np.pi)
    charts += histogram(across, "Diameter of a disc of the same area", "µm" if facts.um else "px")
    if "eccentricity" in facts.table.column_names:
        charts += histogram(facts.column("eccentricity"), "Eccentricity", "0 round, towards 1 long")
    return f'<section><h2>Size and shape</h2><div class="charts">{charts}</div></section>'


def intensities(facts: Facts) -> str:
    """Show the distribution of brightness per channel; nothing without nuclei."""
    channels = [n for n in range(facts.image.shape[0]) if f"c{n}_mean" in facts.table.column_names]
    if not channels or not facts.count:
        return ""
    charts = "".join(
        histogram(facts.column(f"c{n}_mean"), f"Mean of {facts.channel_name(n)}", "grey value")
        for n in channels[:MOST_CHANNELS]
    )
    more = "" if len(channels) <= MOST_CHANNELS else f" The table holds all {len(channels)} channels."
    return (
        "<section><h2>Brightness</h2><p>Mean grey value over each nucleus, background not subtracted; the "
        f'dashed line is the median.{more}</p><div class="charts">{charts}</div></section>'
    )


def watch(facts: Facts) -> str:
    """Say what deserves a second look."""
    points = []
    cut = facts.flagged("touches_edge")
    if cut:
        points.append(
            f"{cut:,} of {facts.count:,} nuclei touch the edge of the image: they may be cut off, "
            "and are at least as large as measured."
        )
    clipped = facts.flagged("box_clipped")
    if clipped:
        points.append(
            f"For {clipped:,} nuclei the 101-pixel box around the centre reaches beyond the image: "
            "box statistics use the part inside."
        )
    if facts.um is None:
        points.append(
            "The size of a pixel is not known: sizes are in pixels, and there is no density per mm²."
        )
    if facts.count == 0:
        points.append(
            "No nuclei were found. If you see some: is it the right channel, is the typical diameter "
            "about right, is the sensitivity high enough?"
        )
    items = "".join(f"<li>{escape(point)}</li>" for point in points)
    return f"<section><h2>Worth knowing</h2><ul>{items}</ul></section>" if points else ""


def method() -> str:
    """Say how nuclei are found, and where that fails."""
    return f"<section><h2>How nuclei are found</h2><p>{escape(METHOD.strip())}</p></section>"


def settings(facts: Facts) -> str:
    """List the parameters in words, in the order of the launch form."""
    given = facts.summary.get("parameters", {})
    rows = []
    for name in [
        *(known for known in PARAMETER_WORDS if known in given),
        *sorted(set(given) - set(PARAMETER_WORDS)),
    ]:
        value = given[name]
        title, unit = PARAMETER_WORDS.get(name, (name, ""))
        shown = number(value, 6) if isinstance(value, float) else str(value)
        rows.append((title, escape(f"{shown} {unit}".strip()), f"<code>{escape(name)}</code>"))
    if not rows:
        return ""
    return f"<section><h2>Settings</h2>{_table(('Setting', 'Value', 'Name'), rows)}</section>"


def timings(facts: Facts) -> str:
    """List what each step took."""
    steps: Sequence[Mapping[str, Any]] = facts.summary.get("steps", ())
    if not steps:
        return ""
    megapixels = facts.height * facts.width / 1e6
    rows = []
    for step in steps:
        seconds = float(step["seconds"])
        speed = step.get("mpx_per_s", megapixels / seconds if seconds > 0 else None)
        speed_words = "–" if speed is None else number(float(speed))
        rows.append(
            (
                STEP_WORDS.get(step["step"], str(step["step"])),
                f"{step['units']:,}",
                number(seconds),
                speed_words,
            )
        )
    heads = ("Step", "Units of work", "Seconds of one worker", "Million pixels per second and worker")
    peak = facts.summary.get("peak_memory_bytes")
    memory = f"Peak memory of a process: {number(peak / 2**20)} MiB. " if peak else ""
    words = f"<p>{memory}The step that wrote this page is not in the table.</p>"
    return f"<section><h2>Time</h2>{_table(heads, rows, numeric=True)}{words}</section>"


def origin(facts: Facts) -> str:
    """Name the versions that computed this."""
    summary = facts.summary
    workflow = summary.get("workflow", {})
    rows = []
    if workflow:
        rows.append(("Workflow", escape(f"{workflow.get('name', '')} {workflow.get('version', '')}".strip())))
        rows.append(("Release", f"<code>{escape(str(workflow.get('digest', '–')))}</code>"))
    if summary.get("runtime"):
        rows.append(("Runtime", f"<code>{escape(str(summary['runtime']))}</code>"))
    if summary.get("numeric_class"):
        rows.append(("Numeric class", escape(str(summary["numeric_class"]))))
    rows += [
        (str(name), escape(str(version))) for name, version in sorted(summary.get("versions", {}).items())
    ]
    if not rows:
        return ""
    return f"<footer><h2>Versions</h2>{_table(('What', 'Which'), rows)}</footer>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: bool = False) -> str:
    """Write a table; first cells are escaped here and name their rows, the others are HTML already."""
    kind = ' class="n"' if numeric else ""
    top = "".join(f'<th scope="col"{kind if n else ""}>{escape(head)}</th>' for n, head in enumerate(heads))
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td{kind}>{cell}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
