# SPDX-License-Identifier: BSD-3-Clause
"""What ``--json`` prints: one object, described by answer.schema.json beside this file."""

import json
from collections.abc import Callable
from typing import Any

from slidegate.worker.views import RunView, TaskView

Summary = Callable[[TaskView], dict[str, Any] | None]


def print_answer(view: RunView, summary: Summary, outcome: str | None = None) -> None:
    """Print a Run as one JSON object on one line."""
    print(json.dumps(answer(view, summary, outcome), sort_keys=True))


def answer(
    view: RunView, summary: Summary = lambda _task: None, outcome: str | None = None
) -> dict[str, Any]:
    """Return a Run as JSON values.

    Parameters
    ----------
    summary
        Returns what the workflow summed up of an image, where that can be read.
    outcome
        What became of the request, None when nothing was asked.
    """
    return {
        "slidegate": 1,
        "run": view.run,
        "outcome": outcome,
        "state": view.state,
        "site": view.site,
        "workflow": {"name": view.workflow, "version": view.version, "release": view.release},
        "parameters": dict(view.parameters),
        "out": view.out,
        "created_at": view.created_at,
        "changed_at": view.changed_at,
        "heard_at": view.heard_at,
        "trouble": view.trouble,
        "images": [_image(task, summary(task)) for task in view.tasks],
    }


def _image(task: TaskView, summary: dict[str, Any] | None) -> dict[str, Any]:
    failed = {"code": task.error_code, "message": task.error, "log": list(task.log_end)}
    return {
        "name": task.name,
        "image": task.image,
        "state": str(task.state),
        "attempt": task.attempt,
        "error": None if task.error_code is None else failed,
        "waits": task.waits,
        "results": task.published,
        "summary": summary,
        "usage": None if task.usage is None else dict(task.usage),
    }
