# SPDX-License-Identifier: BSD-3-Clause
"""Tells how a result came about, from what the store knows of its Run."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from slidegate.domain.events import Computed, RunRequested, Submitted
from slidegate.domain.values import RunId
from slidegate.sites.trees import Entry
from slidegate.sources.base import Output
from slidegate.worker.tools import Tools, digest

Row = Mapping[str, Any]


def write_account(
    tools: Tools, folder: Path, run: Row, task: Row, outputs: Mapping[str, Output], entries: Sequence[Entry]
) -> None:
    """Write the account of a Task's result into the result's folder; a repeat writes the same bytes."""
    from slidegate.worker.crate import Account, Workflow, write_crate

    release = tools.store.releases.get(digest(run["release"]))
    if release is None:
        return
    started, ended = _times(tools, run, task)
    account = Account(
        run=run["id"],
        task=task["id"],
        person=run["person"],
        site=run["site"],
        workflow=Workflow(release.digest, release.manifest, release.schema, release.runtime),
        parameters=run["parameters"],
        image_name=task["name"],
        image_content=task["content"],
        image_tree=task["input"],
        regions_tree=task["regions"],
        outputs=outputs,
        entries=entries,
        started=started,
        ended=ended,
        software={"slidegate": version("slidegate"), run["workflow"]: run["version"]},
    )
    write_crate(folder, account)


def _times(tools: Tools, run: Row, task: Row) -> tuple[datetime, datetime]:
    """Return when the site got the Attempt that gave the result, and when it was heard to have ended."""
    asked = started = ended = 0.0
    for at, event in tools.store.history.dated(RunId(run["id"])):
        if isinstance(event, RunRequested):
            asked = at
        elif isinstance(event, Submitted) and event.task == task["id"]:
            started = at
        elif isinstance(event, Computed) and event.task == task["id"]:
            ended = at
    begin = started or asked
    return datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(max(begin, ended), UTC)
