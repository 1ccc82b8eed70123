# SPDX-License-Identifier: BSD-3-Clause
"""The RO-Crate beside a result: what it says, and that a strict reader accepts it."""

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests_cache import CachedSession

from slidegate.sites.trees import tree_digest
from slidegate.sources.base import Output
from slidegate.worker.crate import METADATA_NAME, WORKFLOW_NAME, Account, Workflow, write_crate

ROOT = Path(__file__).parents[3]
CONTEXT = "https://w3id.org/ro/crate/1.1/context"

FILES = {
    "labels.zarr/zarr.json": b"{}",
    "labels.zarr/0/c/0/0": b"shard",
    "nuclei.parquet": b"rows",
    "summary.json": b"{}",
    "report.html": b"<p>",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {**FILES, "run.log": b"two lines\n"}.items():
        (tmp_path / "result" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "result" / name).write_bytes(content)
    return tmp_path / "result"


@pytest.fixture
def account() -> Account:
    manifest = json.loads((ROOT / "workflows/nuclei/workflow.json").read_text("utf-8"))
    schema = json.loads((ROOT / "workflows/nuclei/parameters.schema.json").read_text("utf-8"))
    return Account(
        run="brave-otter-12",
        task="brave-otter-12.1",
        person="ada",
        site="local",
        workflow=Workflow("ab" * 32, manifest, schema, "cd" * 32),
        parameters={"diameter_um": 9},
        image_name="Smith_1950.tif",
        image_content="12" * 32,
        image_tree="34" * 32,
        outputs={role: Output(one["type"], one["path"]) for role, one in manifest["outputs"].items()},
        entries=[(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in FILES.items()],
        started=datetime(2026, 11, 20, 6, 0, tzinfo=UTC),
        ended=datetime(2026, 11, 20, 6, 5, tzinfo=UTC),
        software={"numpy": "2.4.6", "Python": "3.11.7"},
    )


def graph(folder: Path) -> dict[str, dict[str, Any]]:
    metadata = json.loads((folder / METADATA_NAME).read_text("utf-8"))
    return {entity["@id"]: entity for entity in metadata["@graph"]}


def test_every_file_of_the_result_is_listed_with_its_size_and_digest(folder: Path, account: Account) -> None:
    assert write_crate(folder, account) == (WORKFLOW_NAME, METADATA_NAME)
    entities = graph(folder)
    for name in ("nuclei.parquet", "summary.json", "report.html"):
        data = FILES[name]
        assert entities[name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert entities[name]["contentSize"] == str(len(data))
    labels = [e for e in account.entries if e[0].startswith("labels.zarr/")]
    inside = [(name.removeprefix("labels.zarr/"), size, digest) for name, size, digest in labels]
    named = entities[entities["labels.zarr/"]["identifier"]["@id"]]
    assert named["value"] == tree_digest(inside)
    assert entities["labels.zarr/"]["contentSize"] == "7"
    parts = {part["@id"] for part in entities["./"]["hasPart"]}
    assert parts >= {"labels.zarr/", "nuclei.parquet", "run.log", WORKFLOW_NAME}


def test_the_action_names_person_workflow_image_parameters_results_and_times(
    folder: Path, account: Account
) -> None:
    write_crate(folder, account)
    entities = graph(folder)
    action = entities[entities["./"]["mentions"]["@id"]]
    assert action["@type"] == "CreateAction"
    assert entities[action["agent"]["@id"]]["name"] == "ada"
    assert action["instrument"]["@id"] == entities["./"]["mainEntity"]["@id"] == WORKFLOW_NAME
    assert (action["startTime"], action["endTime"]) == (
        "2026-11-20T06:00:00+00:00",
        "2026-11-20T06:05:00+00:00",
    )
    objects = [entities[one["@id"]] for one in action["object"]]
    assert objects[0]["sha256"] == account.image_content
    values = {one["name"]: one["value"] for one in objects[1:]}
    assert values == {"diameter_um": "9", "sensitivity": "0.5", "channel": "0", "block_px": "2048"}
    assert {one["@id"] for one in action["result"]} == {
        "labels.zarr/",
        "nuclei.parquet",
        "summary.json",
        "report.html",
    }


def test_the_workflow_that_ran_is_in_the_crate(folder: Path, account: Account) -> None:
    write_crate(folder, account)
    assert json.loads((folder / WORKFLOW_NAME).read_text("utf-8")) == account.workflow.manifest
    entities = graph(folder)
    digests = {entities[one["@id"]]["value"] for one in entities[WORKFLOW_NAME]["identifier"]}
    assert digests == {"ab" * 32, "cd" * 32}
    software = {entities[one["@id"]]["name"] for one in entities[WORKFLOW_NAME]["softwareRequirements"]}
    assert software == {"numpy", "Python"}


def test_the_name_of_the_image_is_written_only_where_that_is_allowed(folder: Path, account: Account) -> None:
    write_crate(folder, account)
    assert "Smith" not in (folder / METADATA_NAME).read_text("utf-8")
    write_crate(folder, account, include_names=True)
    assert "Smith_1950.tif" in (folder / METADATA_NAME).read_text("utf-8")


def test_a_repeat_writes_the_same_bytes(folder: Path, account: Account) -> None:
    write_crate(folder, account)
    first = (folder / METADATA_NAME).read_bytes()
    write_crate(folder, account)
    assert (folder / METADATA_NAME).read_bytes() == first


@pytest.fixture(scope="session")
def context() -> bytes:
    """Give the context document, fetched once from the package index."""
    subprocess.run([sys.executable, ROOT / "scripts/ro-crate-contexts"], check=True, timeout=300)
    return (ROOT / "build/ro-crate-contexts/ro-crate-1.1.jsonld").read_bytes()


@pytest.fixture
def check(context: bytes, tmp_path: Path) -> Callable[[Path], list[str]]:
    """Give a validator with the context in its cache and no way to the internet; it returns complaints."""
    cache = tmp_path / "http-cache"
    with CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1) as session:
        session.cache.save_response(_answer(CONTEXT, context))

    def run(crate: Path) -> list[str]:
        validator = Path(sys.executable).with_name("rocrate-validator")
        command = [validator, "validate", "--offline", "--cache-path", cache, "--no-paging", "-v"]
        report = tmp_path / "complaints.json"
        report.unlink(missing_ok=True)
        profile = ["-p", "workflow-run-crate", "-l", "required", "-f", "json", "-o", report]
        nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
        done = subprocess.run(
            [*command, *profile, crate],
            env={**os.environ, **nowhere},
            capture_output=True,
            text=True,
            timeout=120,
        )
        found = json.loads(report.read_text("utf-8"))
        complaints = [f"{issue['check']['identifier']}: {issue['message']}" for issue in found["issues"]]
        assert (done.returncode == 0) == found["passed"] == (not complaints), done.stdout + done.stderr
        return complaints

    return run


def _answer(url: str, body: bytes) -> requests.Response:
    """Make the answer that w3id.org would give."""
    answer = requests.Response()
    answer.status_code, answer.url, answer.encoding = 200, url, "utf-8"
    answer.headers["Content-Type"] = "application/ld+json"
    answer.raw = urllib3.HTTPResponse(
        io.BytesIO(body), headers=dict(answer.headers), status=200, preload_content=False
    )
    answer.request = requests.Request("GET", url).prepare()
    answer._content = body
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("include_names", [False, True])
def test_a_strict_reader_accepts_the_crate(
    folder: Path, account: Account, check: Callable[[Path], list[str]], include_names: bool
) -> None:
    write_crate(folder, account, include_names=include_names)
    assert check(folder) == []


@pytest.mark.slow
def test_a_strict_reader_accepts_the_crate_of_an_image_with_regions(
    folder: Path, account: Account, check: Callable[[Path], list[str]]
) -> None:
    write_crate(folder, dataclasses.replace(account, regions_tree="ef" * 32))
    assert check(folder) == []
    said = {one["@id"]: one for one in json.loads((folder / METADATA_NAME).read_text())["@graph"]}
    assert said["#value-regions"]["value"] == "ef" * 32


@pytest.mark.slow
def test_a_strict_reader_accepts_the_crate_of_a_workflow_without_parameters(
    folder: Path, account: Account, check: Callable[[Path], list[str]]
) -> None:
    bare = dataclasses.replace(account.workflow, schema={"type": "object"})
    write_crate(folder, dataclasses.replace(account, workflow=bare, parameters={}, software={}))
    assert check(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ("missing file", "nuclei.parquet"),
        ("no main workflow", "main workflow"),
        ("parameter without type", "additionalType"),
        ("no action", "instrument"),
    ],
)
def test_a_strict_reader_refuses_a_broken_crate(
    folder: Path, account: Account, check: Callable[[Path], list[str]], broken: str, complaint: str
) -> None:
    write_crate(folder, account)
    metadata = json.loads((folder / METADATA_NAME).read_text("utf-8"))
    entities = {entity["@id"]: entity for entity in metadata["@graph"]}
    if broken == "missing file":
        (folder / "nuclei.parquet").unlink()
    elif broken == "no main workflow":
        (folder / WORKFLOW_NAME).unlink()
    elif broken == "parameter without type":
        del entities["#input-sensitivity"]["additionalType"]
    else:
        entities[entities["./"]["mentions"]["@id"]]["instrument"] = {"@id": "#person"}
    (folder / METADATA_NAME).write_text(json.dumps(metadata), "utf-8")
    assert any(complaint.lower() in said.lower() for said in check(folder))
