# SPDX-License-Identifier: BSD-3-Clause
"""What a person sees of Runs, whatever jobs have written."""

import io
import json
import os
import pty
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
    def house(_settings: object) -> Iterator[SimpleNamespace]:
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
