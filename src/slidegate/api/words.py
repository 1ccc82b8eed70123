# SPDX-License-Identifier: BSD-3-Clause
"""States and facts in words for people."""

from collections.abc import Mapping
from typing import Any

from slidegate.domain.text import plain

STATE_WORDS = {
    "waiting": "waiting",
    "staging": "bringing the image to the site",
    "submitting": "handing over",
    "queued": "queued at the site",
    "running": "computing",
    "collecting": "fetching results",
    "publishing": "putting results in place",
    "succeeded": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}
_ENDED = ("succeeded", "failed", "cancelled")

_EVENT_WORDS = {
    "run-requested": "asked for",
    "out-chosen": "another place for the results was chosen",
    "sealed": "put into an envelope for the site",
    "crew-started": "another crew was asked for",
    "cancel-wanted": "is to be cancelled",
    "staging-began": "bringing the image to the site began",
    "staged": "the image is at the site",
    "staged-data-lost": "data at the site is gone: the image is brought again",
    "submitted": "the site has it",
    "forgotten": "the site did not know it any more: handed over again",
    "started": "computing began",
    "computed": "computed",
    "collected": "the results were fetched",
    "collect-again": "the results are fetched again",
    "published": "the results are in place",
    "failed": "failed",
    "cancelled": "cancelled",
    "retried": "another try was asked for",
}


def task_words(task: Mapping[str, Any], waits: str | None) -> str:
    """A Task's state in words; with the cause when it failed, and with what keeps it from going on."""
    state = str(task["state"])
    words = STATE_WORDS[state]
    if state == "failed" and task["error"]:
        return f"failed: {plain(task['error'])}"
    if state in _ENDED:
        return words
    if task["trouble"]:
        return f"{words} ({plain(task['trouble'])})"
    if task["wanted"] == "cancel":
        return f"{words}, to be cancelled"
    return f"{words}: {waits}" if waits else words


def event_words(kind: str, body: Mapping[str, Any]) -> str:
    """A fact in words."""
    words = _EVENT_WORDS.get(kind, kind)
    if kind == "failed":
        return f"failed: {plain(str(body.get('message', '')))}"
    if kind == "staged-data-lost" and body.get("reason"):
        return f"{words} ({plain(str(body['reason']))})"
    if kind in ("retried", "staged-data-lost") and body.get("attempt"):
        return f"{words} (try {body['attempt']})"
    return words
