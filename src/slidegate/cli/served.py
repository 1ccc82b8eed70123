# SPDX-License-Identifier: BSD-3-Clause
"""The two processes below ``slidegate serve``: the api at a socket that it is given, or a worker.

Each ends by itself when the command that started it is gone, however that ended: then the other end of a pipe
closes, and the process tells itself to stop.
"""

import os
import signal
import socket
import sys
import threading


def main() -> None:
    """Be what the arguments say; where it came to grief goes to standard error, what with does not."""
    try:
        _serve()
    except Exception as error:  # noqa: BLE001 - the edge of the process
        from slidegate.domain.errors import SlidegateError, trace_of

        sys.stderr.write(f"{trace_of(error)}\n")
        if isinstance(error, SlidegateError):
            sys.stderr.write(f"{error.message}  [{error.code}]\n")
        sys.exit(1)


def _serve() -> None:
    """Be an api (``api LIFELINE SOCKET``) or a worker (``worker LIFELINE``): numbers of open files."""
    from slidegate.settings import Settings

    part, lifeline, *rest = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(lifeline),), name="slidegate-lifeline", daemon=True).start()
    if part == "api":
        from slidegate.wiring.api import serve_api

        serve_api(Settings(), socket.socket(fileno=int(rest[0])), embedded=True)
    else:
        from slidegate.wiring.service import serve_worker

        serve_worker(Settings())


def _end_with(lifeline: int) -> None:
    """Wait until nobody holds the other end; then stop as if told to."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
