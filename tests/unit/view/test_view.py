# SPDX-License-Identifier: BSD-3-Clause
"""What a person sees of Runs, whatever jobs have written."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from slidegate.cli import answer as answers
from slidegate.cli import main, view
from slidegate.worker.views import RunView, run_view

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eboo\r\n"
SCHEMA = json.loads(Path(answers.__file__).with_name("answer.schema.json").read_text())
DIGEST = "a" * 64


def view_of(state: str, site: dict[str, Any] | None = None, crews: Any = None, **task: Any) -> RunView:
    """A Run of one image, made as the worker makes it."""
    run = {
        "id": "0123456789ab", "at": time.time(), "person": "ada", "site": "hpc/omero", "workflow": "nuclei",
        "version": "1.0", "release": DIGEST, "parameters": {}, "out": "/out",
    }  # fmt: skip
    row = {
        "id": "0123456789ab.1", "state": state, "source": "folder", "image": "/a/b.tif", "name": "b.tif",
        "wanted": "run", "attempt": 1, "attempt_key": DIGEST, "submission": "s", "step": None, "done": None,
        "total": None, "confirmed_at": None, "trouble": None, "error_code": None, "error": None,
        "published": None, "usage": None, **task,
    }  # fmt: skip
    known = {"trouble": None, "heard_at": None, **(site or {})}
    log = ("first line", "last line") if state == "failed" else ()
    return run_view(run, [row], 1.0, known, [{"id": "s", "crews": crews}], lambda _attempt: log)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Where everything is printed, as nobody looks at a terminal."""
    found = io.StringIO()
    for name in ("out", "err"):
        monkeypatch.setattr(view, name, Console(file=found, width=200, highlight=False))
    return found


def test_of_what_failed_the_cause_and_the_last_lines_of_its_log_are_printed(screen: io.StringIO) -> None:
    view.print_run(view_of("failed", error_code="time-limit", error="The time was up."))
    lines = [line.strip() for line in screen.getvalue().splitlines()]
    assert "1  b.tif: failed: The time was up. [time-limit]" in lines
    assert lines[-3:] == ["The last lines of its log:", "| first line", "| last line"]


def test_what_waits_says_why(screen: io.StringIO) -> None:
    crews = {"cpu": {"round": 1, "state": "queued", "array": "7", "reason": "Priority"}}
    with view.Watch() as watch:
        for _ in range(3):
            watch.show(view_of("queued", crews=crews))
    view.print_run(view_of("queued", crews=crews))
    words = "b.tif: queued at the site: waits because others are before it in the queue (Priority)"
    assert screen.getvalue().count(words) == 2  # once while it is watched, once when it is shown


def test_a_site_that_does_not_answer_is_named_with_when_it_was_heard_last(screen: io.StringIO) -> None:
    silent = view_of("running", {"trouble": "The host does not answer.", "heard_at": time.time() - 7200})
    with view.Watch() as watch:
        for _ in range(3):
            watch.show(silent)
    view.print_run(silent)
    words = "hpc/omero: The host does not answer. Last heard 2 h ago."
    assert screen.getvalue().count(words) == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_that_others_wrote_controls_the_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    found = io.StringIO()
    for name in ("out", "err"):
        console = Console(file=found, width=200, highlight=False, force_terminal=terminal, color_system=None)
        monkeypatch.setattr(view, name, console)
    crews = {"cpu": {"round": 1, "state": "queued", "array": "7"}}
    texts = {"name": HOSTILE, "trouble": HOSTILE, "error": HOSTILE, "error_code": "bad"}
    for state in ("staging", "queued", "running", "failed"):
        shown = view_of(state, {"trouble": HOSTILE, "heard_at": 1.0}, crews, **texts)
        twice = replace(shown, tasks=(shown.tasks[0], replace(shown.tasks[0], image=f"/{HOSTILE}/x")))
        view.print_run(twice, whole=True)
        view.say_error(f"It said {HOSTILE}", "bad")
        view.table("", ["a"], [(HOSTILE,)])
    for sign in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e", "\r"):
        assert sign not in found.getvalue()
    assert "boo" in found.getvalue()


def test_the_answer_for_programs_holds_the_same_and_fits_its_schema() -> None:
    site = {"trouble": HOSTILE, "heard_at": 5.0}
    given = answers.answer(view_of("failed", site, error_code="bad", error=HOSTILE))
    jsonschema.validate(given, SCHEMA)
    (image,) = given["images"]
    assert image["error"] == {"code": "bad", "message": "boo  ", "log": ["first line", "last line"]}
    assert (given["trouble"], given["heard_at"]) == ("boo  ", 5.0)
    crews = {"cpu": {"round": 1, "state": "queued", "array": "7", "reason": "Resources"}}
    waiting = answers.answer(view_of("queued", crews=crews))
    jsonschema.validate(waiting, SCHEMA)
    assert waiting["images"][0]["waits"] == "waits for a free computer (Resources)"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_log_is_harmless_on_a_terminal_and_whole_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, terminal: bool
) -> None:
    log = HOSTILE.encode() + b"second\n"
    runs = SimpleNamespace(find=lambda name: name, log=lambda run, image: iter([(HOSTILE, log)]))

    @contextmanager
    def house(_settings: object, _say: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(runs=runs)

    monkeypatch.setattr("slidegate.wiring.open_house", house)
    monkeypatch.setattr("sys.argv", ["slidegate", "log", "last"])
    monkeypatch.setenv("SLIDEGATE_HOME", str(tmp_path))
    reading, writing = pty.openpty() if terminal else os.pipe()
    with os.fdopen(writing, "w") as stdout, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit):
            main()
    seen = os.read(reading, 65536)
    os.close(reading)
    if terminal:
        assert [line.strip() for line in seen.decode().splitlines() if line.strip()] == ["boo", "second"]
        assert b"\x1b" not in seen
    else:
        assert seen == log


class Screen:
    """A terminal that remembers what was drawn, without the signs that only move and colour."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
        self._file = io.StringIO()
        console = Console(
            file=self._file, width=width, highlight=False, force_terminal=True, color_system=None
        )
        monkeypatch.setattr(view, "err", console)

    def lines(self) -> list[str]:
        return [
            line.strip()
            for line in re.sub(r"\x1b\[[\d?;]*[A-Za-z]|\r", "\n", self._file.getvalue()).split("\n")
        ]


def test_why_it_waits_is_told_once_and_whole_beside_bars_that_stay_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Screen(monkeypatch, 80)
    crews = {"cpu": {"round": 1, "state": "queued", "array": "7", "reason": "PartitionDown"}}
    with view.Watch() as watch:
        for _ in range(3):
            watch.show(view_of("queued", crews=crews))
    words = "waits because computers of the site are down or reserved (PartitionDown)"
    assert screen.lines().count(f"b.tif: queued at the site: {words}") == 1
    assert [line for line in screen.lines() if line.startswith("b.tif: queued at the site ━")]


def test_the_bar_of_a_site_that_is_silent_says_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch, 130)
    with view.Watch() as watch:
        for hours in (2, 3):
            heard_at = time.time() - 3600 * hours
            watch.show(view_of("running", {"trouble": "The host does not answer.", "heard_at": heard_at}))
            time.sleep(0.2)
    for hours in (2, 3):
        words = f"b.tif: computing, last heard {hours} h ago ━"
        assert [line for line in screen.lines() if line.startswith(words)]


def test_nothing_is_said_to_be_left_before_that_can_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch, 130)
    with view.Watch() as watch:
        watch.show(view_of("running", step="work", done=0, total=3))
    assert not [line for line in screen.lines() if "left" in line]
    with view.Watch() as watch:
        for done in range(3):
            watch.show(view_of("running", step="work", done=done, total=9))
            time.sleep(0.02)
        time.sleep(0.6)
    assert re.search(r" \d:\d\d:\d\d left", "\n".join(screen.lines()))


def test_a_bar_of_what_failed_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch, 130)
    with view.Watch() as watch:
        watch.show(view_of("running", step="work", done=1, total=4))
        watch.show(view_of("failed", done=1, total=4, error_code="bad", error="It broke."))
    (shown,) = {line for line in screen.lines() if line.startswith("b.tif: failed")}
    assert "25%" in shown


def test_what_is_in_a_table_stays_whole_where_nobody_looks_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = io.StringIO()
    monkeypatch.setattr(view, "out", Console(file=found, width=80, highlight=False))
    view.table("", ["key", "fingerprint", "used by"], [("omero", "SHA256:" + "x" * 43, "everybody " * 9)])
    assert "SHA256:" + "x" * 43 in found.getvalue()
    assert len(found.getvalue().strip().splitlines()) == 2


@pytest.mark.slow
def test_commands_that_need_no_image_do_not_wait_for_what_reads_images(tmp_path: Path) -> None:
    code = "import sys, atexit; sys.argv = ['slidegate', 'key', 'list']; from slidegate.cli import main\n"
    code += "atexit.register(lambda: print('numpy' in sys.modules))\nmain()"
    environment = {**os.environ, "SLIDEGATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n", done.stderr
