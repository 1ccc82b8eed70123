# SPDX-License-Identifier: BSD-3-Clause
"""What the steps of a workflow wrote while they ran: kept here before the site lets go of it."""

import os
from contextlib import suppress
from pathlib import Path

from slidegate.domain.text import harmless, last_lines
from slidegate.domain.values import AttemptKey
from slidegate.sites import Gate
from slidegate.sites.errors import Gone
from slidegate.worker.tools import Tools

LINES = 20
LETTERS = 2048
SHOWN_BYTES = 65536


def keep_log(tools: Tools, gate: Gate, attempt: AttemptKey) -> Path | None:
    """Fetch the log of an Attempt and keep it; safe to repeat.

    Returns
    -------
    Where it is kept; None where neither the site nor this computer has one.
    """
    kept = tools.places.logs / attempt
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = kept.with_name(f"{attempt}.part")
    try:
        with part.open("wb") as file:
            file.writelines(gate.log(attempt))
        part.replace(kept)
        _show(tools, attempt, kept)
    except Gone:
        return kept if kept.is_file() else None
    finally:
        part.unlink(missing_ok=True)
    return kept


def end_of_log(tools: Tools, attempt: AttemptKey) -> tuple[str, ...]:
    """Return the last lines of a log that is kept here, harmless for a terminal; none where it is not."""
    try:
        return last_lines(_end(tools.places.logs / attempt, 4 * LETTERS), LINES, LETTERS)
    except OSError:
        return ()


def _show(tools: Tools, attempt: AttemptKey, kept: Path) -> None:
    """Put the end of a log where the pages find it, harmless for a terminal."""
    if tools.cache is not None:
        with suppress(OSError):  # without it, the pages show none
            tools.cache.put(f"logs/{attempt}", harmless(_end(kept, SHOWN_BYTES)))


def _end(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most)
