# SPDX-License-Identifier: BSD-3-Clause
"""States in words for people, the same on a screen and on a page."""

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


def task_words(state: str, error: str | None, trouble: str | None, wanted: str, waits: str | None) -> str:
    """Return a Task's state in words; with the cause when it failed, or with what keeps it from going on.

    Parameters
    ----------
    error
        Why it failed, with its code, if a code is to be shown.
    trouble, waits
        What keeps it from going on: what went wrong, or what the site waits for.
    wanted
        ``run`` or ``cancel``.
    """
    words = STATE_WORDS[state]
    if state == "failed" and error:
        return f"failed: {plain(error)}"
    if state in _ENDED:
        return words
    if trouble:
        return f"{words} ({plain(trouble)})"
    if wanted == "cancel":
        return f"{words}, to be cancelled"
    return f"{words}: {waits}" if waits else words
