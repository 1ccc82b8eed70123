# SPDX-License-Identifier: BSD-3-Clause
"""The process that computes: one per member, taking one Unit after the other.

Requests and answers are lines of JSON.  What the process writes to its standard error goes to the log of the
Attempt that it is working for.  A process that dies, answers with anything but one line of JSON, or speaks
without being asked is ended and counts as crashed; the next request starts a new one.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from .failures import StepCrashed, StepFailed

__all__ = ["Log", "NotWanted", "StepProcess"]

MAX_ANSWER = 8 << 20
MAX_LOG = 10 << 20
MAX_UNITS = 100000
LOOK_SECONDS = 0.5  # how often a member looks whether the work is still wanted
END_SECONDS = 2.0  # how long a process that closed its output may take to end

ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLOSC")

UNIT_NAME = re.compile("[a-z0-9_]{1,40}")
CODE = re.compile("[a-z0-9-]{1,60}")


class NotWanted(Exception):  # noqa: N818 - a situation is named as what it is
    """The Attempt got a result, by another member or by being cancelled, while this Unit was computed."""


class Log:
    """The log of an Attempt: any member appends to it, and at 10 MiB it is full."""

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, data: bytes) -> None:
        """Append what still fits; a log that cannot be written to is no reason to fail."""
        with contextlib.suppress(OSError), open(self.path, "ab") as file:
            room = MAX_LOG - file.tell()
            if room > 0:
                file.write(data if len(data) <= room else data[:room] + b"\n(the log is full)\n")


class StepProcess:
    """A process that computes Units, started when it is first asked.

    `argv` is its argument list, `scratch` a folder of its own, in which it is started.
    """

    def __init__(self, argv: List[str], scratch: str) -> None:
        self.argv = argv
        self.scratch = scratch
        self.process: "Optional[subprocess.Popen[bytes]]" = None
        self.pipes: List[int] = []

    def ask(self, request: Dict[str, Any], log: Log, wanted: Callable[[], bool]) -> Dict[str, Any]:
        """Have one Unit computed; return the parts of the answer that are kept.

        Raises StepFailed where the step says so; StepCrashed; NotWanted soon after `wanted` says no.  Unless
        the step has answered well, its process is ended: what it was doing must not be taken for the answer
        to another request.
        """
        answered = False
        try:
            self._start()
            line = self._exchange(json.dumps(request).encode("ascii") + b"\n", log, wanted)
            answer = json.loads(line.decode("utf-8"))
            answered = isinstance(answer, dict) and isinstance(answer.get("ok"), bool)
        except (OSError, ValueError) as error:
            raise StepCrashed("The process of step {} failed: {}.".format(request["step"], error))
        finally:
            if not answered:
                self.end()
        return _checked(request["step"], answer)

    def _start(self) -> None:
        if self.process is not None:
            return
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": self.scratch,
            "TMPDIR": self.scratch,
            "LANG": "C.UTF-8",
        }
        environment.update((library + "_NUM_THREADS", "1") for library in ONE_THREAD)
        # Descriptors that the scheduler handed down stay open in the process: by them it knows who lives.
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=self.scratch,
            env=environment,
            close_fds=False,
            start_new_session=True,
        )
        pipes = (self.process.stdin, self.process.stdout, self.process.stderr)
        self.pipes = [pipe.fileno() for pipe in pipes if pipe]
        os.set_blocking(self.pipes[0], False)

    def _exchange(self, request: bytes, log: Log, wanted: Callable[[], bool]) -> bytes:
        to_process, answers, errors = self.pipes
        if select.select([answers], [], [], 0)[0]:
            raise ValueError("it ended, or wrote something without being asked: " + self._last_words())
        unsent = memoryview(request)
        line = b""
        listen = [answers, errors]
        look_at = time.monotonic() + LOOK_SECONDS
        while not line.endswith(b"\n"):
            readable, writable, _ = select.select(listen, [to_process] if unsent else [], [], LOOK_SECONDS)
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_SECONDS
                if not wanted():
                    raise NotWanted()
            if writable:
                unsent = unsent[os.write(to_process, unsent[:65536]) :]
            if errors in readable and not self._copy(errors, log):
                listen.remove(errors)
            if answers in readable:
                part = os.read(answers, 65536)
                line += part
                if not part or len(line) > MAX_ANSWER:
                    self._copy_rest(log)
                    raise ValueError(self._last_words())
        self._copy_rest(log)
        if unsent or line.count(b"\n") != 1:
            raise ValueError("it wrote more than one line: {!r}".format(line[:200]))
        return line

    def _copy(self, errors: int, log: Log) -> bool:
        data = os.read(errors, 65536)
        log.write(data)
        return bool(data)

    def _copy_rest(self, log: Log) -> None:
        """Copy what has been written so far, so that it lands in the log of the right Attempt."""
        errors = self.pipes[2]
        while select.select([errors], [], [], 0)[0] and self._copy(errors, log):
            pass

    def _last_words(self) -> str:
        """Say how the process ended."""
        if self.process is None:
            return "it did not start"
        try:
            status = self.process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            return "it closed its output, or its answer has no end"
        return (
            "it was ended by signal {}".format(-status)
            if status < 0
            else "it left with status {}".format(status)
        )

    def usage(self) -> Tuple[float, int]:
        """Return (processor seconds, most bytes of memory) of the process so far; zeros where unknown."""
        if self.process is None:
            return 0.0, 0
        folder = "/proc/{}/".format(self.process.pid)
        try:
            with open(folder + "stat") as file:
                ticks = file.read().rpartition(")")[2].split()[11:15]
            with open(folder + "status") as file:
                peaks = [line.split()[1] for line in file if line.startswith("VmHWM:")]
        except OSError:
            return 0.0, 0
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), int(peaks[0]) * 1024 if peaks else 0

    def end(self) -> None:
        """End the process and what it has started."""
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


def _checked(step: str, answer: Any) -> Dict[str, Any]:
    if isinstance(answer, dict) and answer.get("ok") is True:
        result, units = answer.get("result", {}), answer.get("units", [])
        named = isinstance(units, list) and all(
            isinstance(name, str) and UNIT_NAME.fullmatch(name) for name in units
        )
        if isinstance(result, dict) and named and len(units) == len(set(units)) <= MAX_UNITS:
            return {"result": result, "units": units}
    if isinstance(answer, dict) and answer.get("ok") is False:
        code, message, transient = answer.get("code"), answer.get("message"), answer.get("transient", False)
        if isinstance(code, str) and CODE.fullmatch(code) and isinstance(message, str):
            raise StepFailed(code, message, transient is True)
    raise StepCrashed("Step {} answered what is no answer: {!r}.".format(step, answer)[:500])
