# SPDX-License-Identifier: BSD-3-Clause
"""Records of what slidegate does, as lines that a program can read, with one id from a click to its job.

A line holds what is named here and nothing else that a caller may have handed along, so that no image's
name, which can name a patient, comes into a log by mistake.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from slidegate.domain.errors import trace_of

NAMES = (
    "request", "person", "wish", "run", "task", "site", "submission", "delivery", "workflow", "state", "code",
    "status", "tries", "round", "tasks", "seconds", "doing", "route", "method", "address", "outcome",
)  # fmt: skip
"""What a line may say beside when, where, what and in which words."""
_about: ContextVar[Mapping[str, object]] = ContextVar("slidegate_about", default=MappingProxyType({}))


@contextmanager
def about(**names: object) -> Iterator[None]:
    """Let every record that is made inside say what it is about; None says nothing.

    Parameters
    ----------
    names
        Some of ``NAMES``: ``request="4f1c..."``, for example.
    """
    said = {name: value for name, value in names.items() if value is not None}
    token = _about.set({**_about.get(), **said})
    try:
        yield
    finally:
        _about.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object per record: ``at`` (UTC), ``level``, ``part``, ``action``, ``message``, and ``NAMES``.

    Parameters
    ----------
    part
        Who speaks: ``api`` or ``worker``.
    """

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; where an exception came from stands in it, its own words do not."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "part": self._part,
            "action": getattr(record, "action", "-"),
            "message": record.getMessage(),
        }
        known = _about.get()
        for name in NAMES:
            value = getattr(record, name, known.get(name))
            if value is not None:
                line[name] = value
        if record.exc_info and record.exc_info[1] is not None:
            line["trace"] = trace_of(record.exc_info[1])
        return json.dumps(line, ensure_ascii=True, default=str)
