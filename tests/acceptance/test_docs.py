# SPDX-License-Identifier: BSD-3-Clause
"""The commands of the tutorial, typed in their order."""

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile

from tests.acceptance.conftest import SLIDEGATE
from tests.unit.house.test_howto import blocks

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```\n(.*?)```", re.S)


def serve_for_a_moment(home: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Serve pages until they answer, and press Ctrl-C."""
    argv = [str(SLIDEGATE), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, env={**os.environ, "SLIDEGATE_HOME": str(home)}, **pipes) as process:
        link = process.stdout.readline().strip()
        assert httpx.get(link, timeout=30).headers["location"] == "/"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def test_the_commands_of_the_tutorial_work_in_their_order(slidegate, home, tmp_path):
    page = (ROOT / "docs" / "tutorial" / "first-run.md").read_text("utf-8")
    lines = [line for block in BLOCK.findall(page) for line in block.splitlines() if line]
    commands = [line for line in lines if line.startswith(".venv/bin/slidegate ")]
    assert len(commands) >= 7
    assert set(lines) - set(commands) == {"make demo"}  # which is walked in a fresh clone

    outputs = []
    for command in commands:
        words = shlex.split(command.replace("build/tutorial", str(tmp_path / "tutorial")))[1:]
        done = serve_for_a_moment(home, words) if words[0] == "serve" else slidegate(*words)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        outputs.append(done.stdout + done.stderr)

    assert "New run" in outputs[1]
    assert "nothing had to be done" in outputs[2]
    assert {path.name for path in (tmp_path / "tutorial").iterdir()} >= {"slide", "results", "larger"}
    assert (tmp_path / "tutorial" / "results" / "slide" / "report.html").exists()


def test_nuclei_are_counted_in_regions_as_the_page_says(slidegate, tmp_path):
    slide = tmp_path / "regions" / "slide.tif"
    slide.parent.mkdir()
    y, x = np.mgrid[:300, :400]
    discs = (y % 40 - 20) ** 2 + (x % 40 - 20) ** 2 < 8**2
    ome = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(slide, (100 + 900 * discs).astype(np.uint16), ome=True, metadata=ome)
    ring = [[0, 0], [200, 0], [200, 120], [0, 120], [0, 0]]
    hole = [[0, 0], [40, 0], [40, 40], [0, 40], [0, 0]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [one]},
            "properties": {"name": name},
        }
        for name, one in (("tissue", ring), ("hole", hole))
    ]
    Path(f"{slide}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    page = blocks("how-to/draw-regions.md")
    for line in [text.strip() for language, text in page if language == "sh"]:
        done = slidegate(*shlex.split(line.replace("build/howto", str(tmp_path)))[1:])
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    results, whole = (tmp_path / "regions" / name / "slide" for name in ("results", "whole"))
    (tissue,) = pq.read_table(results / "regions.parquet").to_pylist()
    assert (tissue["name"], tissue["area_px"], tissue["nuclei"]) == ("tissue", 200 * 120 - 1600, 14)
    nuclei = pq.read_table(results / "nuclei.parquet")
    assert nuclei.column("region").to_pylist().count("tissue") == 14
    assert nuclei.num_rows == 80
    assert "<h2>Regions" in (results / "report.html").read_text()
    assert not (whole / "regions.parquet").exists()
    without = pq.read_table(whole / "nuclei.parquet")
    assert repr(without.to_pydict()) == repr(nuclei.drop_columns("region").to_pydict())  # NaN and all
