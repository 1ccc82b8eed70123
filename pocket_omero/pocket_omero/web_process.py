# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that serves OMERO.web: gunicorn on a socket that was handed over, until standard input ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from gunicorn.app.base import BaseApplication

THREADS = 8


class _OmeroWeb(BaseApplication):
    """OMERO.web on an open socket."""

    def __init__(self, socket: int, workers: int) -> None:
        self._socket, self._workers = socket, workers
        super().__init__()

    def load_config(self) -> None:
        for name, value in {
            "bind": f"fd://{self._socket}",
            "workers": self._workers,
            "threads": THREADS,
            "worker_class": "gthread",
            "timeout": 120,
            "graceful_timeout": 2,
            "loglevel": "warning",
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from omeroweb.wsgi import application

        return application


def _end_with_parent() -> None:
    """End when the other end of standard input is closed, as it is when its process dies."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _OmeroWeb(int(sys.argv[1]), int(sys.argv[2])).run()
