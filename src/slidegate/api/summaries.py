# SPDX-License-Identifier: BSD-3-Clause
"""Rows of the store, as people and programs see them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slidegate.api.guard import Who
from slidegate.api.parts import ApiParts
from slidegate.api.results.folder import where_of
from slidegate.api.words import event_words
from slidegate.domain.causes import why_queued
from slidegate.domain.shelf_names import name_of
from slidegate.domain.states import FINISHED
from slidegate.domain.text import last_lines, plain
from slidegate.domain.values import Digest
from slidegate.domain.words import task_words
from slidegate.store.pages import EventRow, RunRow

_ENDED = frozenset(str(state) for state in FINISHED)
_SUMMARY_BYTES = 1 << 16
_LOG_BYTES = 8192
_LOG_LINES = 20
_LOG_LETTERS = 2048
_LEAST_PROGRESS = 0.02
_ACTIONS = (("cancel", "runs.cancel"), ("retry", "runs.retry"), ("delete", "runs.delete"))


def site_of(gate: str) -> str:
    """Return the plain name of a site from what its gate is called: the key is nobody's matter."""
    return gate.partition("/")[0]


def summary(parts: ApiParts, row: RunRow) -> dict[str, Any]:
    """Return a Run as everybody sees it who may; :func:`for_whom` adds what this person may do."""
    trouble = row.trouble
    return {
        "run": row.run,
        "state": row.state,
        "counts": {state: number for state, number in row.counts.items() if number},
        "tasks": row.tasks,
        "person": row.person,
        "group": row.group,
        "site": site_of(row.site),
        "workflow": row.workflow,
        "version": row.version,
        "title": parts.releases.title(Digest(row.release)) or row.workflow,
        "first": plain(row.first),
        "created_at": row.created_at,
        "changed_at": row.changed_at,
        "heard_at": row.heard_at,
        "trouble": None if trouble is None or row.state in _ENDED else plain(trouble),
        "progress": round(row.progress, 4),
        "left_seconds": _left(row, parts.clock()),
    }


def _left(row: RunRow, now: float) -> float | None:
    """Return how long the rest takes if it goes on as fast as so far; None as long as nobody can know."""
    known = row.state == "active" and row.trouble is None and row.progress >= _LEAST_PROGRESS
    if not known or now <= row.created_at:
        return None
    return round((now - row.created_at) * (1 - row.progress) / row.progress, 1)


def for_whom(shown: Mapping[str, Any], who: Who) -> dict[str, Any]:
    """Return a Run with what this person may do with it now."""
    owner, group, state = shown["person"], shown["group"], shown["state"]
    possible = {
        "cancel": state not in _ENDED,
        "retry": bool(shown["counts"].get("failed") or shown["counts"].get("cancelled")),
        "delete": state in _ENDED,
    }
    found = [name for name, action in _ACTIONS if possible[name] and who.may(action, owner, group)]
    if who.may("runs.launch", who.person, who.group):
        found.append("again")
    return {**shown, "may": found}


def task_summary(parts: ApiParts, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Task as people see it.

    Parameters
    ----------
    row
        Of :meth:`slidegate.store.pages.Pages.tasks_page`.
    """
    log = log_end(parts.cache, row["attempt_key"]) if row["state"] == "failed" else ()
    error = None
    if row["error_code"] is not None:
        error = {"code": plain(row["error_code"]), "message": plain(row["error"] or ""), "log": list(log)}
    state = str(row["state"])
    waiting = why_queued(row["crews"]) if state == "queued" else None
    return {
        "task": row["id"],
        "number": row["number"],
        "name": plain(row["name"]),
        "image": name_of(parts.settings.shelves, row["source"], row["image"]) or plain(row["name"]),
        "state": state,
        "wanted": str(row["wanted"]),
        "words": task_words(state, row["error"], row["trouble"], str(row["wanted"]), waiting),
        "attempt": row["attempt"],
        "step": None if row["step"] is None else plain(row["step"]),
        "done": row["done"],
        "total": row["total"],
        "left_seconds": _task_left(row, parts.clock()),
        "confirmed_at": row["confirmed_at"],
        "trouble": None if row["trouble"] is None else plain(row["trouble"]),
        "waits": waiting,
        "error": error,
        "published": row["published"] is not None,
        "usage": row["usage"],
        "summary": _result_summary(where_of(row, parts.cache)) if row["published"] else None,
    }


def image_task(parts: ApiParts, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Task that was found by its image, with what it belongs to.

    Parameters
    ----------
    row
        Of :meth:`slidegate.store.pages.Pages.image_tasks`.
    """
    of_run = {name: row[name] for name in ("run", "person", "workflow", "version", "at")}
    title = parts.releases.title(Digest(row["release"])) or row["workflow"]
    return task_summary(parts, row) | of_run | {"title": title}


def _task_left(row: Mapping[str, Any], now: float) -> float | None:
    since, done, total = row.get("since"), row["done"], row["total"]
    if str(row["state"]) in _ENDED or not since or not done or not total or done > total or now <= since:
        return None
    return round(float((now - since) * (total - done) / done), 1)


def _result_summary(where: Path | None) -> dict[str, Any] | None:
    """Return what the workflow summed up, where its results still lie on this computer."""
    if where is None:
        return None
    try:
        descriptor = os.open(where / "summary.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = json.loads(file.read(_SUMMARY_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def log_end(cache: Any, attempt_key: str) -> tuple[str, ...]:
    """Return the last lines of a log that a worker has kept for the pages; none where it has not."""
    file = None if cache is None else cache.open(f"logs/{attempt_key}")
    if file is None:
        return ()
    with file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
        return last_lines(file.read(_LOG_BYTES), _LOG_LINES, _LOG_LETTERS)


def event_summary(row: EventRow) -> dict[str, Any]:
    """Return a fact; what names places on this computer stays behind."""
    body = row.event.body()
    task = body.pop("task", None)
    kind = row.event.kind
    hidden = {"out", "where", "tasks", "run", "identity"}
    shown = {name: value for name, value in body.items() if name not in hidden}
    if kind in ("run-requested", "sealed"):
        shown["images"] = len(body.get("tasks", ()))
    for name in ("message", "reason"):
        if isinstance(shown.get(name), str):
            shown[name] = plain(shown[name])
    if "site" in shown:
        shown["site"] = site_of(str(shown["site"]))
    return {
        "seq": row.seq, "at": row.at, "kind": kind, "task": task,
        "words": event_words(kind, body), "body": shown,
    }  # fmt: skip
