# SPDX-License-Identifier: BSD-3-Clause
"""Facts of a Run in words for people."""

from collections.abc import Mapping
from typing import Any

from slidegate.domain.text import plain

_EVENT_WORDS = {
    "run-requested": "launched",
    "out-chosen": "another place for the results was chosen",
    "sealed": "ready to be handed to the site, together with what else is ready",
    "crew-started": "more computing was asked for",
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
