# SPDX-License-Identifier: BSD-3-Clause
"""What a Task does just now, as its site says: the end of its log, and which Units are done."""

from collections.abc import Mapping
from typing import Any

from slidegate.domain.states import AT_SITE, FINISHED, State
from slidegate.domain.text import harmless, plain
from slidegate.domain.values import RunId, TaskId
from slidegate.sites import Gate
from slidegate.sites.errors import Gone
from slidegate.worker.tools import Tools, key_of
from slidegate.worker.wishes.desk import Asked, Desk

_LOG_BYTES = 64 << 10
_NOTHING: dict[str, Any] = {"step": None, "shape": None, "side": None, "units": 0, "done": "", "current": []}


def log_of(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Return the end of a Task's log, from the site while it is kept there, then from this computer."""
    tools = desk.tools
    row = tools.store.runs.task(TaskId(asked.text("task")))
    ended = State(row["state"]) in FINISHED
    data = b""
    try:
        data = log_end(_gate(tools, row), key_of(row))
    except Gone:
        kept = tools.places.logs / key_of(row)
        if kept.is_file():
            with kept.open("rb") as file:
                file.seek(max(0, kept.stat().st_size - _LOG_BYTES))
                data = file.read(_LOG_BYTES)
    return {"text": harmless(_whole_lines(data)).decode(), "ended": ended}


def log_end(gate: Gate, attempt: str, most: int = _LOG_BYTES) -> bytes:
    """Return the last bytes of an Attempt's log.

    Raises
    ------
    Gone
        The site has no such Attempt, or no log of it.
    """

    def read(offset: int, length: int) -> tuple[int, bytes]:
        request = {"verb": "read", "attempt": attempt, "log": True, "offset": offset, "length": length}
        ((answer, body),) = gate.stream([(request, b"")])
        return int(answer["size"]), body

    size, data = read(0, most)
    return data if size <= most else read(size - most, most)[1]


def _whole_lines(data: bytes) -> bytes:
    """Leave out the beginning of a line that was cut."""
    if len(data) < _LOG_BYTES:
        return data
    return data.partition(b"\n")[2] or data


def units(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Return which Units of a Task's step are done; of one that is not at its site, that nothing is known."""
    tools = desk.tools
    row = tools.store.runs.task(TaskId(asked.text("task")))
    if State(row["state"]) not in AT_SITE:
        return dict(_NOTHING)
    said = _gate(tools, row).units(key_of(row))
    if said is None:
        return dict(_NOTHING)
    grid = said["grid"] or {}
    return {
        "step": plain(said["step"])[:60],
        "shape": grid.get("shape"),
        "side": grid.get("side"),
        "units": said["units"],
        "done": said["done"],
        "current": said["current"],
    }


def _gate(tools: Tools, row: Mapping[str, Any]) -> Gate:
    return tools.gate(tools.store.runs.run(RunId(row["run"]))["site"])
