# SPDX-License-Identifier: BSD-3-Clause
"""How things look in a terminal: bars with an estimate, tables, one sentence for an error."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn
from rich.table import Table
from rich.text import Text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_STATE_STYLE = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}
_STATE_WORDS = {
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


def say_error(sentence: str, code: str) -> None:
    """Print one sentence and its stable code to standard error."""
    text = Text("slidegate: ", style="bold red").append(sentence, style="default")
    err.print(text.append(f"  [{code}]", style="dim"), soft_wrap=True)


def log_path() -> Path:
    """Where faults of slidegate itself are written: in $SLIDEGATE_HOME, or beside the caller if that fails."""
    from slidegate.settings import Settings

    home = Settings().home
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return Path("slidegate.log")
    return home / "slidegate.log"


def _columns() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err,
    )


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show one bar while the block runs; yields ``progress(done, total)``."""
    with _columns() as bars:
        task = bars.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield advance


class Watch:
    """The Tasks of a Run while they move: a bar for each, with an estimate once Units are done."""

    def __init__(self) -> None:
        self._bars = _columns()
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Watch":
        self._bars.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._bars.stop()

    def note(self, sentence: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(sentence)

    def show(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Bring the bars up to date with the rows of a Run's Tasks."""
        for row in tasks:
            if row["id"] not in self._tasks:
                self._tasks[row["id"]] = self._bars.add_task(row["name"], total=None)
            self._bars.update(
                self._tasks[row["id"]],
                description=f"{row['name']}: {describe_state(row)}",
                total=row["total"] if row["total"] else 1 if row["state"] in _STATE_STYLE else None,
                completed=row["done"] if row["total"] else int(row["state"] in _STATE_STYLE),
            )


def describe_state(row: Mapping[str, Any]) -> str:
    """A Task's state in words; with the cause when it failed, and what was last heard when that is old."""
    words = _STATE_WORDS[row["state"]]
    if row["state"] == "failed" and row.get("error"):
        return f"failed: {row['error']} [{row['error_code']}]"
    if row["state"] not in _STATE_STYLE and row.get("trouble"):
        return f"{words} ({row['trouble']})"
    return words


def ago(at: float) -> str:
    """A time in the past, in words."""
    seconds = max(0, int(time.time() - at))
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {word} ago"
    return "just now"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns whose name begins with ``#`` are numbers."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name.lstrip("#"), justify="right" if name.startswith("#") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in row))
    out.print(made)


def state_text(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=_STATE_STYLE.get(state, "cyan"))



