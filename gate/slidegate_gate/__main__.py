# SPDX-License-Identifier: BSD-3-Clause
"""The gate's one program: ``python3 -IS <home>/current serve|runner|ctl ...``.

``serve --key NAME`` answers the frames on its standard input (``--home`` where it is not started from the
home's own ``current``); ``runner`` is a member of a crew, inside a job; ``ctl`` is the administrator's hand
tool.  Here, and nowhere else, the scheduler that ``config.json`` names is built and handed to ``serve``,
which knows none.
"""

import argparse
import contextlib
import fcntl
import os
import re
import sys
from typing import List, Optional

HERE = os.path.dirname(os.path.abspath(__file__))
if not __package__ and os.path.basename(HERE) == "slidegate_gate":  # ``python3 FOLDER/slidegate_gate ctl``
    sys.path[0] = os.path.dirname(HERE)

import slidegate_gate  # noqa: E402

__all__ = ["main"]

F_SETPIPE_SZ = 1031
PIPE_BYTES = 1 << 18

PROGRAM = os.path.dirname(os.path.realpath(slidegate_gate.__file__))


def main(argv: Optional[List[str]] = None) -> int:
    """Run one of the gate's commands; return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    command, rest = (argv or [""])[0], argv[1:]
    if command == "serve":
        return serve(rest)
    if command == "runner":
        from slidegate_gate.runner.main import main as runner

        return runner(rest)
    if command == "ctl":
        from slidegate_gate.gatectl.main import main as gatectl

        return gatectl(rest)
    usage = "usage: serve|runner|ctl ...  (slidegate-gate {})".format(slidegate_gate.__version__)
    print(usage, file=sys.stderr)
    return 2


def serve(argv: List[str]) -> int:
    """Put the gate together for one key and let it answer."""
    from slidegate_gate import config as settings
    from slidegate_gate import errors, folders
    from slidegate_gate.protocol import frames
    from slidegate_gate.schedulers import adapter
    from slidegate_gate.serve import layout, loop

    program = os.path.dirname(PROGRAM)
    parser = argparse.ArgumentParser(prog="serve")
    parser.add_argument("--home", default=os.path.dirname(os.path.dirname(program)))
    parser.add_argument("--key", required=True)
    asked = parser.parse_args(argv)
    os.umask(0o077)
    try:
        config = settings.load_config(asked.home)
        scheduler_class = adapter(config)
    except ValueError:
        print("This gate's config.json cannot be read: `gatectl selftest` says why.", file=sys.stderr)
        return 2
    if asked.key not in config.get("keys", {}):
        print("This gate has no key of that name.", file=sys.stderr)
        return 2
    here = layout.Layout(asked.home, config, asked.key)
    found = re.match(r"[0-9A-Za-z.:%_-]{2,64}(?= )", os.environ.get("SSH_CONNECTION", ""))
    peer = found.group() if found else "local"
    with folders.in_use(program):
        scheduler = scheduler_class(config, here.scheduler)
        gate = loop.Gate(here, scheduler, slidegate_gate.__version__, program, peer)
        places = gate.limits.values["channels"]
        free = folders.take_place(here.channels, places)
        command = os.environ.get("SSH_ORIGINAL_COMMAND", "")
        if command not in ("", "slidegate"):
            refusal = errors.NotAllowed("This key opens slidegate's gate and starts nothing else.")
            gate.refuse(refusal, fields={"command": re.sub("[^ -~]", "?", command[:100])})
            print(refusal, file=sys.stderr)
            return 2
        if not free:
            frames.write_frame(1, gate.refuse(errors.OverLimit("channels", places, places, 1)))
            return 2
        with contextlib.suppress(OSError):  # not every channel is a pipe
            fcntl.fcntl(0, F_SETPIPE_SZ, PIPE_BYTES)
        return loop.serve(gate)


if __name__ == "__main__":
    sys.exit(main())
