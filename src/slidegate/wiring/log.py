# SPDX-License-Identifier: BSD-3-Clause
"""Where faults are told, and the home that all is kept in."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from slidegate.domain.errors import BadRequest
from slidegate.domain.logs import JsonLines
from slidegate.settings import Settings

_LARGE_BYTES = 10_000_000


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


def serve_log(settings: Settings) -> Path:
    """Return the file that what ``slidegate serve`` starts tells all to; a large one is put aside first."""
    path = settings.home.absolute() / "serve.log"
    with suppress(OSError):
        if path.stat().st_size > _LARGE_BYTES:
            path.replace(path.with_name("serve.log.1"))
    return path


@contextmanager
def told_in_lines(part: str) -> Iterator[None]:
    """Let a service tell what it does on standard error, a JSON object per line, while the block runs.

    Parameters
    ----------
    part
        ``api`` or ``worker``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(part))
    ours, others = logging.getLogger("slidegate"), logging.getLogger()
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    handler_of_others = logging.StreamHandler(sys.stderr)
    handler_of_others.setFormatter(JsonLines(part))
    handler_of_others.setLevel(logging.WARNING)
    others.addHandler(handler_of_others)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.propagate = True
        others.removeHandler(handler_of_others)
