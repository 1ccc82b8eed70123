# SPDX-License-Identifier: BSD-3-Clause
"""Lines of a log that a program can read, with one id from a click to its job."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from slidegate.domain.logs import JsonLines, about

log = logging.getLogger("slidegate.test_logs")


@pytest.fixture
def lines() -> Iterator[StringIO]:
    said = StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(JsonLines("worker"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield said
    log.removeHandler(handler)


def read(lines: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_a_record_is_one_line_with_what_it_is_about(lines: StringIO) -> None:
    with about(request="r1", run="a", site=None), about(task="a.1"):
        log.info("step %s", "done", extra={"action": "step_done", "state": "staging"})
    log.info("two\nlines")
    first, second = read(lines)
    assert first.pop("at").endswith("Z")
    assert first == {
        "level": "info",
        "part": "worker",
        "action": "step_done",
        "message": "step done",
        "request": "r1",
        "run": "a",
        "task": "a.1",
        "state": "staging",
    }
    assert (second["message"], second["action"], "request" in second) == ("two\nlines", "-", False)


def test_what_is_not_named_in_advance_is_not_written(lines: StringIO) -> None:
    with about(image="Jane_Doe.tif"):
        log.info("step done", extra={"image": "Jane_Doe.tif", "path": "/data/Jane_Doe.tif"})
    assert "Jane_Doe" not in lines.getvalue()


def test_a_trace_is_written_without_the_words_of_the_error(lines: StringIO) -> None:
    name = "Jane" + "_Doe.tif"
    try:
        raise ZeroDivisionError(name)
    except ZeroDivisionError:
        log.exception("broke")
    (said,) = read(lines)
    assert "ZeroDivisionError" in said["trace"]
    assert name not in lines.getvalue()
