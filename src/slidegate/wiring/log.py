# SPDX-License-Identifier: BSD-3-Clause
"""Where faults are told, and the home that all is kept in."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from slidegate.domain.errors import BadRequest, trace_of
from slidegate.settings import Settings

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action", "taskName"}


class HomeUnusable(BadRequest):
    """The folder that slidegate keeps everything in cannot be used."""

    code = "home-unusable"


def make_home(settings: Settings) -> None:
    """Make the home, unless it is there.

    Raises
    ------
    HomeUnusable
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HomeUnusable(
            f"{settings.home} cannot be used: {error.strerror}. Set SLIDEGATE_HOME."
        ) from error


class Log(logging.FileHandler):
    """Where the faults of slidegate are told: a file in its home, opened when there is one.

    A log that cannot be written keeps nothing else from being done.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home.absolute() / "slidegate.log", encoding="utf-8", delay=True)
        words = "%(asctime)s %(levelname)s %(action)s %(message)s"
        self.setFormatter(logging.Formatter(words, defaults={"action": "-"}))

    def emit(self, record: logging.LogRecord) -> None:
        """Write it down, if that can be done."""
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (a name of the library)
        """Say nothing."""

    def __enter__(self) -> "Log":
        logging.getLogger("slidegate").addHandler(self)
        return self

    def __exit__(self, *_error: object) -> None:
        logging.getLogger("slidegate").removeHandler(self)
        with suppress(OSError):
            self.close()


class Lines(logging.Formatter):
    """A record as one JSON object on one line: what programs that gather logs read.

    ``at`` (UTC), ``level``, ``part`` (api or worker), ``action`` and ``message``, and what came with the
    record beside: the request, the Run, the Task. A trace names lines of code, and no values.
    """

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        said = {
            "at": f"{at}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "part": self._part,
            "action": getattr(record, "action", "-"),
            "message": record.getMessage(),
        }
        said |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info and record.exc_info[1] is not None:
            said["trace"] = trace_of(record.exc_info[1])
        return json.dumps(said, default=str)


@contextmanager
def told_in_lines(part: str) -> Iterator[None]:
    """Let a service tell what it does on standard error, a JSON object per line, while the block runs.

    Parameters
    ----------
    part
        ``api`` or ``worker``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(part))
    ours, others = logging.getLogger("slidegate"), logging.getLogger()
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    handler_of_others = logging.StreamHandler(sys.stderr)
    handler_of_others.setFormatter(Lines(part))
    handler_of_others.setLevel(logging.WARNING)
    others.addHandler(handler_of_others)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.propagate = True
        others.removeHandler(handler_of_others)
