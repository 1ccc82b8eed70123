# SPDX-License-Identifier: BSD-3-Clause
"""How things look in a terminal: bars with an estimate, tables, one sentence for an error."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from slidegate.domain.text import plain
from slidegate.domain.words import STATE_WORDS, task_words

if TYPE_CHECKING:  # loading them takes longer than most commands do
    from slidegate.worker.views import RunView, TaskView

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_NARROW = 100  # columns; below, the bars are short
_BARS = 56  # columns of everything but the words
_BARS_NARROW = 28
_MANY = 6  # images; with more, only those that something happens to have a bar

_STATE_STYLE = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}


def say_error(sentence: str, code: str) -> None:
    """Print one sentence and its stable code to standard error."""
    text = Text("slidegate: ", style="bold red").append(plain(sentence), style="default")
    err.print(text.append(f"  [{code}]", style="dim"), soft_wrap=True)


def log_path() -> Path:
    """Where faults of slidegate itself are written: in $SLIDEGATE_HOME, or here if that fails."""
    from slidegate.settings import Settings

    home = Settings().home
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return Path("slidegate.log")
    return home / "slidegate.log"


class _Left(ProgressColumn):
    """How long a step still takes, by how fast it was; nothing as long as nobody can know."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """See ProgressColumn.render."""
        if task.finished or task.time_remaining is None:
            return Text("")
        minutes, seconds = divmod(int(task.time_remaining), 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{hours}:{minutes:02}:{seconds:02} left", style="cyan")


def _columns(quick: bool = False) -> Progress:
    """Return bars that leave room for words, also where the terminal is narrow."""
    narrow = err.width < _NARROW
    return Progress(
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=10 if narrow else 28),
        TaskProgressColumn(),
        *(() if narrow else (TimeElapsedColumn(),)),
        _Left(),
        console=err,
        transient=quick,
    )


@contextmanager
def progress_bar(title: str, quick: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show one bar while the block runs; yields ``progress(done, total)``.

    A quick one leaves no trace. Where nobody looks at a terminal, nothing is shown.
    """
    if not err.is_terminal:
        yield lambda _done, _total: None
        return
    with _columns(quick) as bars:
        task = bars.add_task(escape(title), total=None)

        def advance(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield advance


class Watch:
    """The Tasks of a Run while they move: a bar for each, with an estimate for the step that it is in.

    Of many images only those that something happens to are shown, as many as fit, and how many have ended.
    Where nobody looks at a terminal, there is a line when an image begins to be computed and when it ends.
    """

    def __init__(self) -> None:
        self._bars = _columns()
        self._all: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}
        self._shown: dict[str, str] = {}
        self._causes: set[str] = set()
        self._trouble: str | None = None

    def __enter__(self) -> "Watch":
        if err.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if err.is_terminal:
            self._bars.stop()

    def show(self, view: "RunView") -> None:
        """Bring the bars up to date."""
        if view.trouble not in (None, self._trouble):
            err.print(_silence(view), soft_wrap=True)
        self._trouble = view.trouble
        ended = sum(task.state in _STATE_STYLE for task in view.tasks)
        many = len(view.tasks) > _MANY
        if many and self._all is None:
            self._all = self._bars.add_task("")
        if self._all is not None:
            words = f"{ended} of {len(view.tasks)} images"
            self._bars.update(self._all, description=words, total=len(view.tasks), completed=ended)
        room = max(1, err.height - 3)
        for task, name in zip(view.tasks, names_of(view), strict=True):
            moving = task.state not in _STATE_STYLE and task.state != "waiting"
            visible = not many or (moving and room > 0)
            room -= visible
            away = task.state in ("queued", "running") and view.trouble
            heard = f", last heard {ago(view.heard_at)}" if away and view.heard_at else ""
            self._show_one(task, name, visible, heard)

    def _show_one(self, task: "TaskView", name: str, visible: bool, heard: str) -> None:
        if task.task not in self._tasks:
            self._tasks[task.task] = self._bars.add_task("", total=None, visible=visible)
        bar = self._tasks[task.task]
        ended = task.state in _STATE_STYLE
        words = STATE_WORDS[task.state] if ended else describe(task)  # why it failed needs a whole line
        if self._shown.get(task.task) != words:
            if task.state == "running":
                self._bars.reset(bar, total=None)  # the estimate is one of this step alone
            if not err.is_terminal and (ended or task.trouble or task.waits or task.state == "running"):
                err.print(Text(f"{name}: {words}"), soft_wrap=True)
        self._shown[task.task] = words
        succeeded = task.state == "succeeded"
        self._bars.update(
            bar,
            description=escape(_short(f"{name}: ", self._aside(name, task, words) + heard)),
            total=1 if succeeded else task.total or (1 if ended else None),
            completed=1 if succeeded else task.done or 0,
            visible=visible,
        )

    def _aside(self, name: str, task: "TaskView", words: str) -> str:
        """Print in a line of its own, once for all images, what is too long for a bar; return the rest."""
        cause = task.trouble or task.waits
        if not err.is_terminal or task.state in _STATE_STYLE or cause is None:
            return words
        if cause not in self._causes:
            err.print(Text(f"{name}: {words}", style="yellow"), soft_wrap=True)
        self._causes.add(cause)
        return STATE_WORDS[task.state]


def _short(name: str, words: str) -> str:
    """Join a name and what happens to it, in what the bars leave of a line; the name is cut first."""
    room = max(20, err.width - (_BARS_NARROW if err.width < _NARROW else _BARS))
    left = max(8, room - len(words))
    if len(name) > left:
        name = f"{name[: left // 2 - 1]}…{name[-(left - left // 2) :]}"
    return name + words


def names_of(view: "RunView") -> list[str]:
    """The images' names, in order; with the folder before it where several have the same name."""
    names = [task.name for task in view.tasks]
    twice = {name for name, number in Counter(names).items() if number > 1}
    return [
        plain(f"{Path(task.image).parent.name}/{task.name}") if task.name in twice else task.name
        for task in view.tasks
    ]


def describe(task: "TaskView") -> str:
    """A Task's state in words; with the cause when it failed, and with what keeps it from going on."""
    error = f"{task.error} [{task.error_code}]" if task.error else None
    return task_words(task.state, error, task.trouble, task.wanted, task.waits)


def _silence(view: "RunView") -> Text:
    """Say why nothing is heard of a site, and since when."""
    since = f" Last heard {ago(view.heard_at)}." if view.heard_at else ""
    return Text(f"{view.site}: {view.trouble}{since}", style="yellow")


def print_run(view: "RunView", whole: bool = False) -> None:
    """Print a Run: a line per image and where its results are; with `whole`, all that is known of it."""
    counts = ", ".join(f"{number} {STATE_WORDS[state]}" for state, number in view.counts.items())
    counted = f"  {len(view.tasks)} images: {counts}" if len(view.tasks) > 1 else ""
    out.print(
        Text(f"run {view.run[:8]}  ")
        .append_text(state_text(view.state))
        .append(f"  {view.workflow} {view.version}{counted}"),
        soft_wrap=True,
    )
    if whole:
        out.print(
            f"asked for {ago(view.created_at)} by {view.person}, at {view.site}, release {view.release}",
            soft_wrap=True,
            markup=False,
        )
        out.print(
            ", ".join(f"{name} = {value}" for name, value in view.parameters.items()),
            soft_wrap=True,
            markup=False,
        )
    if view.trouble:
        out.print(_silence(view), soft_wrap=True)
    for number, (task, name) in enumerate(zip(view.tasks, names_of(view), strict=True), start=1):
        heard = f", last heard {ago(task.confirmed_at)}" if whole and task.confirmed_at else ""
        out.print(Text(f"{number:3}  {name}: {describe(task)}{heard}"), soft_wrap=True)
        if task.log_end:
            out.print(Text("     The last lines of its log:"), soft_wrap=True)
        for line in task.log_end:
            out.print(Text(f"     | {line}", style="dim"), soft_wrap=True)
        if task.published:
            report = Path(task.published) / "report.html"
            out.print(Text(f"     {report if report.exists() else task.published}"), soft_wrap=True)


def ago(at: float) -> str:
    """A time in the past, in words."""
    seconds = max(0, int(time.time() - at))
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {word} ago"
    return "just now"


def day(at: float) -> str:
    """The day of a time, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns whose name begins with ``#`` are numbers."""
    cells = [[cell if isinstance(cell, Text) else Text(plain(str(cell))) for cell in row] for row in rows]
    if not out.is_terminal:
        _print_wide([name.lstrip("#") for name in columns], [[cell.plain for cell in row] for row in cells])
        return
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(
            name.lstrip("#"), justify="right" if name.startswith("#") else "left", overflow="fold"
        )
    for row in cells:
        made.add_row(*row)
    out.print(made)


def _print_wide(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table as wide as it is: where no screen ends a line, nothing of it is cut or folded."""
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        out.print(Text("  ".join(cells).rstrip()), soft_wrap=True)


def state_text(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=_STATE_STYLE.get(state, "cyan"))
