# SPDX-License-Identifier: BSD-3-Clause
"""Bringing results home and putting them where the person wants them."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from slidegate.domain.events import Artifact, Collected, Published
from slidegate.domain.run import kept_result
from slidegate.domain.states import State
from slidegate.domain.values import Digest, RunId, TaskId, canonical_json
from slidegate.sites.errors import Gone
from slidegate.sites.transfer import fetch_tree
from slidegate.sites.trees import Entry, tree_digest
from slidegate.sources.base import Output, Publication, part_of
from slidegate.sources.errors import ResultDamagedError, SourceError
from slidegate.sources.folder import FolderSink
from slidegate.store.queue import Claim
from slidegate.worker.holding import Holding
from slidegate.worker.logs import keep_log
from slidegate.worker.provenance import write_account
from slidegate.worker.tools import Tools, digest, key_of, ref_of

LOG_NAME = "run.log"


def collect(tools: Tools, claim: Claim, hold: Holding) -> None:
    """Fetch the result of a Task, whole and verified.

    Safe to repeat after being killed anywhere: files that were fetched and match are kept. When the site no
    longer has the result, the Task goes back to be computed again, as a new Attempt.
    """
    row = claim.row
    key = key_of(row)
    run = tools.store.runs.run(claim.run)
    gate = tools.gate(run["site"])
    folder = tools.places.fetching(key, claim.token)
    try:
        entries = fetch_tree(gate, digest(row["output"]), folder, hold.note("fetching"))
    except Gone as error:
        tools.append(claim, tools.lost_data(row, error.message))
        return
    log = keep_log(tools, gate, key)
    if log is not None:
        shutil.copyfile(log, folder / LOG_NAME)
    outputs = outputs_of(tools, run)
    write_account(tools, folder, run, row, outputs, entries)
    shutil.rmtree(tools.places.fetched(key), ignore_errors=True)
    folder.rename(tools.places.fetched(key))
    tools.append(claim, Collected(claim.task, State.COLLECTING, _artifacts(outputs, entries)))


def outputs_of(tools: Tools, run: Mapping[str, Any]) -> dict[str, Output]:
    """Return the outputs that a Run's workflow promises, by role."""
    release = tools.store.releases.get(digest(run["release"]))
    stated = {} if release is None else release.manifest.get("outputs", {})
    return {role: Output(str(one["type"]), str(one.get("path", role))) for role, one in stated.items()}


def _artifacts(outputs: Mapping[str, Output], entries: Sequence[Entry]) -> tuple[Artifact, ...]:
    """Return each output that is there as a Tree of its own: of one file, or of what lies in its folder."""
    found = []
    for role, output in outputs.items():
        inside = part_of(entries, output)
        if inside:
            found.append(Artifact(role, output.type, tree_digest(inside)))
    return tuple(found)


def publish(tools: Tools, claim: Claim, hold: Holding) -> None:
    """Put a collected result where the Run's person wants it; a repeat changes nothing.

    A result that a power cut damaged goes, and is fetched again next time.
    """
    row = claim.row
    folder = tools.places.fetched(key_of(row))
    if not folder.is_dir():
        tools.append(claim, tools.lost_result(row, "The result is gone from this computer."))
        return
    run = tools.store.runs.run(claim.run)
    tasks = tools.store.runs.tasks(claim.run)
    hold.note("publishing")(0, 1)
    publication = Publication(
        run=RunId(run["id"]),
        task=TaskId(row["id"]),
        attempt=key_of(row),
        image=ref_of(row),
        name=row["name"],
        tree=digest(row["output"]),
        outputs=outputs_of(tools, run),
        names=tuple(task["name"] for task in tasks),
        parts=_parts(tools, claim),
        facts=_facts(run, row),
    )
    try:
        published = tools.sink(run["out"], run["person"]).publish(publication, folder)
    except ResultDamagedError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if tools.acting is not None and tools.acting.serves(run["out"]):
        _keep_copy(tools, publication, folder)
    tools.append(claim, Published(claim.task, State.PUBLISHING, published.where))
    shutil.rmtree(folder, ignore_errors=True)


def _keep_copy(tools: Tools, publication: Publication, folder: Path) -> None:
    """Keep a result that lies in OMERO for the pages, too; they do without where the disk takes no more."""
    if tools.cache is None:
        return
    name = kept_result(publication.run, publication.task, publication.tree)
    with suppress(OSError, SourceError), tools.cache.making() as made:
        kept = FolderSink(made).publish(publication, folder)
        tools.cache.keep_tree(Path(kept.where), name)


def _facts(run: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, str]:
    """Return what people want to know of a Task's result, in words."""
    regions = {} if task["regions"] is None else {"Regions (SHA-256)": str(task["regions"])}
    parameters = {
        f"Parameter {name}": value if isinstance(value, str) else canonical_json(value).decode()
        for name, value in sorted(run["parameters"].items())
    }
    return {
        "Workflow": run["workflow"],
        "Version": run["version"],
        "Workflow (SHA-256)": run["release"],
        **regions,
    } | parameters


def _parts(tools: Tools, claim: Claim) -> dict[str, Digest]:
    """Return what a Task's result was made of when it was fetched last, by role."""
    fetched = [
        event.artifacts
        for event in tools.store.history.of(claim.run)
        if isinstance(event, Collected) and event.task == claim.task
    ]
    return {artifact.role: artifact.tree for artifact in fetched[-1]}
