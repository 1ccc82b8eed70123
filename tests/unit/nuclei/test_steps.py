# SPDX-License-Identifier: BSD-3-Clause
"""The step process does what a crew asks of it, and its answers do not depend on the crew."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from slidegate_analysis.images import open_labels, write_image

from .pictures import discs, unkind
from .runner import STEP_PROCESS, StepError, StepProcess, run_workflow

pytestmark = pytest.mark.slow

PIXEL_UM = 0.8
DIAMETER_UM = 8.0


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[StepProcess]]:
    """Yield two step processes for all tests of this module."""
    pair = [StepProcess(tmp_path_factory.mktemp("home")) for _ in range(2)]
    yield pair
    for process in pair:
        assert process.close() == 0


def stage(folder: Path, planes: np.ndarray, pixel_size_um: float | None = PIXEL_UM) -> Path:
    names = ("DAPI", "GFP", "DAPI 2")[: len(planes)]
    write_image(
        folder / "image",
        planes.shape,
        planes.dtype,
        lambda c, y0, y1, x0, x1: planes[c, y0:y1, x0:x1],
        channels=names,
        pixel_size_um=pixel_size_um,
    )
    return folder / "image"


def outcome(out: Path) -> tuple[np.ndarray, pa.Table]:
    labels = open_labels(out.parent.parent / "shared" / "labels.zarr")
    return labels.read(0, labels.shape[0], 0, labels.shape[1]), pq.read_table(out / "nuclei.parquet")


def cells(table: pa.Table) -> list[bytes]:
    return [table.column(name).to_numpy().tobytes() for name in table.column_names]


def test_blocks_order_and_number_of_workers_leave_no_trace(tmp_path, processes):
    planes = np.stack([discs((520, 410), 10, 250, 1), discs((520, 410), 10, 90, 2)])
    image = stage(tmp_path, planes)
    reference = None
    for block_px, crew, shuffle in ((2048, 1, 0), (128, 2, 7), (200, 1, 3), (256, 2, 5)):
        folder = tmp_path / f"run-{block_px}"
        out = run_workflow(image, {"block_px": block_px}, folder, processes[:crew], shuffle)
        labels, table = outcome(out)
        reference = reference or (labels, table)
        assert np.array_equal(labels, reference[0])
        assert cells(table) == cells(reference[1])
        assert table.schema.equals(reference[1].schema, check_metadata=True)
    assert table.num_rows > 120
    assert np.array_equal(np.unique(labels)[1:], table.column("id").to_numpy())


def test_the_outputs_are_complete(tmp_path, processes):
    out = run_workflow(
        stage(tmp_path, discs((300, 260), 10, 90, 3)[None]), {"block_px": 128}, tmp_path / "run", processes
    )
    summary = json.loads((out / "summary.json").read_text())
    labels = open_labels(tmp_path / "run" / "shared" / "labels.zarr")
    table = pq.read_table(out / "nuclei.parquet")
    assert summary["nuclei"] == table.num_rows
    assert summary["density_per_mm2"] == pytest.approx(table.num_rows / (300 * 260 * 0.64e-6))
    assert summary["figures"] == {
        "nuclei": table.num_rows,
        "density_per_mm2": summary["density_per_mm2"],
        "image_area_mm2": pytest.approx(300 * 260 * 0.64e-6),
        "area_um2_mean": pytest.approx(np.mean(table.column("area_um2"))),
        "area_um2_median": summary["medians"]["area_um2"],
        "c0_mean": pytest.approx(np.mean(table.column("c0_mean"))),
    }
    assert [step["step"] for step in summary["steps"]] == ["plan", "detect"]
    assert summary["steps"][1]["units"] == 9
    assert summary["peak_memory_bytes"] > 10**7
    assert labels.pixel_size_um == PIXEL_UM
    assert (out / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("name", "plane"),
    [
        ("one pixel", np.full((1, 1), 9, np.uint16)),
        ("smaller than a nucleus", np.full((3, 5), 9, np.uint8)),
        ("a line", np.arange(300, dtype=np.uint16)[None] * 100),
        ("empty", np.zeros((200, 140), np.uint16)),
        ("saturated", np.full((140, 200), 65535, np.uint16)),
        ("noise", np.random.default_rng(0).poisson(100, (260, 260)).astype(np.uint16)),
    ],
)
def test_an_image_without_nuclei_gives_an_empty_table(tmp_path, processes, name, plane):
    labels, table = outcome(
        run_workflow(stage(tmp_path, plane[None]), {"block_px": 128}, tmp_path / "run", processes)
    )
    assert table.num_rows == 0
    assert labels.shape == plane.shape
    assert not labels.any()
    assert "c0_box_skewness" in table.column_names


def test_bytes_and_saturated_nuclei_are_found(tmp_path, processes):
    plane = (unkind((200, 200), "saturated", 4) >> 8).astype(np.uint8)
    parameters = {"diameter_um": 6.0, "pixel_size_um": 1.0}
    _, table = outcome(
        run_workflow(stage(tmp_path, plane[None], None), parameters, tmp_path / "run", processes)
    )
    assert table.num_rows > 50
    assert max(table.column("c0_median").to_pylist()) == 255


def plan_request(folder: Path, image: Path, parameters: dict) -> dict:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    inputs = {"image": str(image)}
    return {
        "step": "plan",
        "unit": "all",
        "inputs": inputs,
        "parameters": parameters,
        "shared": str(folder),
        "out": str(out),
    }


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ({"channel": "RFP"}, "no-such-channel", "0 'DAPI', 1 'GFP'"),
        ({"channel": "2"}, "no-such-channel", "'GFP'"),
        ({"diameter_um": 50.0, "pixel_size_um": 0.1}, "diameter-out-of-range", "500 pixels"),
        ({"sensitivity": 2}, "bad-parameters", "sensitivity"),
        ({"sensitivity": float("nan")}, "bad-parameters", "sensitivity"),
        ({"block_px": 300.5}, "bad-parameters", "block_px"),
        ({"block_px": 2039}, "bad-parameters", "multiple of 256"),
        ({"channel": 0}, "bad-parameters", "channel"),
        ({"colour": 1}, "bad-parameters", "colour"),
    ],
)
def test_a_request_that_cannot_be_met_says_why(tmp_path, processes, parameters, code, words):
    image = stage(tmp_path, np.zeros((2, 40, 40), np.uint16))
    answer = processes[0].ask(plan_request(tmp_path, image, parameters))
    assert (answer["ok"], answer["code"], answer["transient"]) == (False, code, False)
    assert words in answer["message"]
    assert "\n" not in answer["message"]


def test_a_plan_tells_how_its_units_cover_the_image_row_by_row(tmp_path, processes):
    image = stage(tmp_path, np.zeros((1, 130, 300), np.uint16))
    answer = processes[0].ask(plan_request(tmp_path, image, {"block_px": 128}))
    assert answer["result"]["grid"] == {"shape": [130, 300], "side": 128}
    assert answer["units"] == ["b000_000", "b000_001", "b000_002", "b001_000", "b001_001", "b001_002"]


def test_a_channel_can_be_named_or_numbered(tmp_path, processes):
    image = stage(tmp_path, np.zeros((3, 40, 40), np.uint16))
    for wanted, number in (("GFP", 1), ("2", 2), ("DAPI 2", 2), ("0", 0)):
        answer = processes[0].ask(plan_request(tmp_path, image, {"channel": wanted}))
        assert answer["result"]["channel"] == number


def test_a_missing_pixel_size_says_what_to_do(tmp_path, processes):
    image = stage(tmp_path, np.zeros((1, 40, 40), np.uint16), None)
    answer = processes[0].ask(plan_request(tmp_path, image, {}))
    assert answer["code"] == "pixel-size-missing"
    assert "pixel_size_um" in answer["message"]
    assert processes[0].ask(plan_request(tmp_path, image, {"pixel_size_um": 0.5}))["ok"]


def test_a_plan_of_another_numeric_class_is_refused(tmp_path, processes):
    image = stage(tmp_path, discs((60, 60), 10, 5, 1)[None])
    request = plan_request(tmp_path, image, {})
    assert processes[0].ask(request)["ok"]
    plan = tmp_path / "out" / "plan.json"
    plan.write_text(plan.read_text().replace("numba ", "numba 9"))
    (tmp_path / "detect").mkdir()
    request |= {"step": "detect", "unit": "b000_000", "out": str(tmp_path / "detect")}
    answer = processes[1].ask(request | {"results": {"plan": [str(tmp_path / "out")]}})
    assert answer["code"] == "other-numeric-class"
    assert not (tmp_path / "labels.zarr").exists()


def test_repeating_a_block_writes_the_same_bytes(tmp_path, processes):
    image = stage(tmp_path, discs((150, 150), 10, 40, 1)[None])
    request = plan_request(tmp_path, image, {"block_px": 64})
    assert "b001_001" in processes[0].ask(request)["units"]
    request |= {"step": "detect", "unit": "b001_001", "results": {"plan": [str(tmp_path / "out")]}}
    seen = []
    for process, name in ((processes[0], "first"), (processes[1], "second")):
        (tmp_path / name).mkdir()
        assert process.ask(request | {"out": str(tmp_path / name)})["ok"]
        files = [tmp_path / name / "nuclei.parquet", *sorted((tmp_path / "labels.zarr").rglob("*"))]
        seen.append({file.name: file.read_bytes() for file in files if file.is_file()})
    assert seen[0] == seen[1]


def test_noise_on_the_line_is_answered_and_survived(tmp_path, processes):
    for line in ("", "{", "[]", '{"step": "plan"}', "null"):
        answer = processes[0].ask_raw(line)
        assert (answer["ok"], answer["code"]) == (False, "internal-error")
    image = stage(tmp_path, np.zeros((1, 40, 40), np.uint16))
    assert processes[0].ask(plan_request(tmp_path, image, {}))["ok"]
    answer = processes[0].ask(plan_request(tmp_path, image, {}) | {"step": "dance"})
    assert answer["code"] == "bad-plan"


def test_a_vanished_image_is_no_empty_image(tmp_path, processes):
    answer = processes[0].ask(plan_request(tmp_path, tmp_path / "nowhere", {}))
    assert not answer["ok"]
    assert answer["code"] != "internal-error"


def test_a_block_that_is_missing_stops_the_end(tmp_path, processes):
    image = stage(tmp_path, discs((150, 150), 10, 40, 1)[None])
    with pytest.raises(StepError):
        run_workflow(image, {"block_px": 64}, tmp_path / "run", _Forgetful(processes[0]))


class _Forgetful(list):
    """A crew of one whose finish forgets the results of a block."""

    def __init__(self, process: StepProcess) -> None:
        super().__init__([self])
        self._process = process

    def ask(self, request: dict) -> dict:
        if request["step"] == "finish":
            request["results"]["detect"].pop()
        return self._process.ask(request)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_a_runtime_compiled_is_all_that_a_job_needs(tmp_path, tmp_path_factory, kind):
    cache = tmp_path_factory.getbasetemp() / "compiled"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    if not cache.exists():
        subprocess.run([*STEP_PROCESS, "compile"], env=environment, check=True)
    before = sorted(file.name for file in cache.rglob("*.nbc"))
    process = StepProcess(tmp_path, {"NUMBA_CACHE_DIR": str(cache)})
    plane = discs((260, 200), 10, 60, 1).clip(0, 255).astype(kind)
    run_workflow(stage(tmp_path, plane[None]), {"block_px": 128}, tmp_path / "run", [process])
    assert process.close() == 0
    assert before
    assert sorted(file.name for file in cache.rglob("*.nbc")) == before
