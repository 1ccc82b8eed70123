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
from typing import Any, Callable, Dict, List, Optional

from ..errors import Failure
from ..kernel import oom_kills

MAX_ANSWER = 8 << 20
MAX_LOG = 10 << 20
MAX_UNITS = 100000
LOOK_SECONDS = 0.5  # how often a member looks whether the work is still wanted
END_SECONDS = 2.0  # how long a process that closed its output may take to end
KILL_SECONDS = 1.0  # when one was killed, and the member is not told to end for so long, it may try again

UNIT_NAME = re.compile("[a-z0-9_]{1,40}")
CODE = re.compile("[a-z0-9-]{1,60}")

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
# which GPUs the scheduler has given to this job
ENVIRONMENT.update((name, os.environ[name]) for name in os.environ if name.endswith("_VISIBLE_DEVICES"))
ENVIRONMENT.update((name + "_NUM_THREADS", "1") for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLOSC"))


class StepFailed(Failure):
    """A step said that it cannot do its work."""


class StepCrashed(Failure):
    """The process of a step ended, or answered something that is no answer, again and again."""

    code = "step-crashed"


class OutOfMemory(Failure):
    """A step needed more memory than the site gives to the jobs of its class."""

    code = "out-of-memory"


class InputVanished(Failure):
    """An input, or a part of the work, is not kept at the site any more; it has to be sent again."""

    code = "input-vanished"
    transient = True


class NotWanted(Failure):
    """The Attempt got a result, by another member or by being cancelled: nothing that is said now counts."""


class StepProcess:
    """A process that computes Units, started when it is first asked.

    `argv` is its argument list, `scratch` a folder of its own, in which it is started; `memory_mb` what the
    class of the job has.  Closing ends it.
    """

    def __init__(self, argv: List[str], memory_mb: int = 0) -> None:
        self.argv, self.scratch, self.memory_mb = argv, "", memory_mb
        self.process: "Optional[subprocess.Popen[bytes]]" = None

    def ask(self, request: Dict[str, Any], log: str, wanted: Callable[[], bool]) -> Dict[str, Any]:
        """Have one Unit computed; return the parts of the answer that are kept.

        Raises StepFailed where the step says so; StepCrashed; OutOfMemory; NotWanted soon after `wanted` says
        no.  Unless the step has answered, its process is ended: what it was doing must not be taken for the
        answer to another request.
        """
        answer = None
        self.kills = oom_kills()
        try:
            if self.process is None:
                self._start()
            answer = json.loads(self._exchange(json.dumps(request), log, wanted).decode("utf-8"))
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise StepCrashed("The process of step {} failed: {}.".format(request["step"], error))
        except SystemExit:
            append(log, b"-- this member was told to leave: its time is over, or its job was taken away\n")
            raise
        finally:
            if answer is None:
                self.close()
        return checked_answer(request["step"], answer)

    def _start(self) -> None:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        environment = dict(ENVIRONMENT, HOME=self.scratch, TMPDIR=self.scratch)
        # Descriptors that the scheduler handed down stay open in the process: by them it knows who lives.
        settings: Any = dict(pipes, bufsize=0, close_fds=False, start_new_session=True)
        self.process = subprocess.Popen(self.argv, cwd=self.scratch, env=environment, **settings)
        self.requests, self.answers, self.errors = [getattr(self.process, name).fileno() for name in pipes]

    def _exchange(self, request: str, log: str, wanted: Callable[[], bool]) -> bytes:
        if what_is_there(self.answers):
            raise ValueError("it spoke without being asked")
        listen = [self.answers, self.errors]
        unsent = memoryview(request.encode("ascii") + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            _, accepting, _ = select.select(listen, [self.requests] if unsent else [], [], LOOK_SECONDS)
            if not wanted():
                raise NotWanted()
            part = what_is_there(self.answers)
            errors = what_is_there(self.errors)  # looked at later: what was said before the answer is there
            append(log, errors or b"")
            listen = listen[:1] if errors == b"" else listen
            if part == b"" or len(line) > MAX_ANSWER:
                raise self._end()
            line += part or b""
            with contextlib.suppress(BrokenPipeError):  # it has ended, which is seen above
                unsent = unsent[os.write(self.requests, unsent[: select.PIPE_BUF]) if accepting else 0 :]
        if unsent or line.count(b"\n") != 1:
            raise ValueError("it wrote what it was not asked for: {!r}".format(line[:200]))
        return line

    def _end(self) -> Exception:
        """Return what the end of the process means."""
        status = self.process.wait(END_SECONDS) if self.process else 0
        if status < 0:
            time.sleep(KILL_SECONDS)  # a scheduler that ends a job tells all of its processes, this one too
        if status == -signal.SIGKILL and oom_kills() > self.kills:
            return OutOfMemory(
                "Memory was used up: the class of this job has memory_mb {}.".format(self.memory_mb)
            )
        return ValueError("it ended with {} {}".format("signal" if status < 0 else "status", abs(status)))

    def close(self) -> None:
        """End the process and what it has started."""
        process, self.process = self.process, None
        if process is not None:
            with process, contextlib.suppress(OSError):  # leaving closes the pipes and waits
                os.killpg(process.pid, signal.SIGKILL)


def append(log: str, data: bytes) -> None:
    """Append to a log what still fits; one that cannot be written to is no reason to fail."""
    with contextlib.suppress(OSError), open(log, "ab") as file:
        room = MAX_LOG - file.tell()
        if room > 0:
            file.write(data if len(data) <= room else data[:room] + b"\n(the log is full)\n")


def what_is_there(pipe: int) -> Optional[bytes]:
    """Return all that a pipe holds, at most 64 KiB; b"" at its end, None where it is only empty."""
    return os.read(pipe, 65536) if select.select([pipe], [], [], 0)[0] else None


def checked_answer(step: str, answer: Any) -> Dict[str, Any]:
    """Return the units and the result in a step's answer; raise StepFailed or StepCrashed."""
    said = answer if isinstance(answer, dict) else {}
    units, result = said.get("units", []), said.get("result", {})
    if said.get("ok") is True and isinstance(result, dict) and is_list_of_units(units):
        return {"result": result, "units": units}
    if said.get("ok") is False and CODE.fullmatch(str(said.get("code"))) and "message" in said:
        failure = StepFailed(str(said["message"]))
        failure.code, failure.transient = said["code"], said.get("transient") is True
        raise failure
    raise StepCrashed("Step {} answered what is no answer: {!r}.".format(step, answer)[:500])


def is_list_of_units(units: Any) -> bool:
    """Say whether `units` is a list of names of Units, none twice."""
    names = [str(name) for name in units] if isinstance(units, list) else []
    good = units == names and all(map(UNIT_NAME.fullmatch, names))
    return good and len(set(names)) == len(names) <= MAX_UNITS
