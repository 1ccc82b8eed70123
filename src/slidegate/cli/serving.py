# SPDX-License-Identifier: BSD-3-Clause
"""Keeping the processes of ``slidegate serve`` alive: an api and a worker, started again when they die."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_WELL_AFTER = 60.0  # seconds; one that lived so long starts again at once
_GIVE_UP_AFTER = 10  # deaths in a row before it was well; more than a Task survives
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.1


@dataclass
class Child:
    """One process, and how it fared.

    Attributes
    ----------
    deaths
        How often in a row it died soon after it was started.
    not_before
        When it may be started again, by the monotonic clock.
    """

    name: str
    argv: list[str]
    files: tuple[int, ...]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    deaths: int = 0
    not_before: float = field(default=0.0)

    def start(self, environment: Mapping[str, str], log: Path) -> None:
        """Start it, in a session of its own: Ctrl-C is for the command, which tells its children."""
        self.began = time.monotonic()
        with log.open("ab") as told:
            self.process = subprocess.Popen(
                self.argv,
                env=dict(environment),
                pass_fds=self.files,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )

    def stop(self, how: int) -> None:
        """Send it a signal, if it lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)


class Serving:
    """An api and a worker that share one home.

    Parameters
    ----------
    listener
        Where the api is asked. It stays open while an api is started again: who asks meanwhile waits.
    environment
        What the two are started with.
    log
        The file that they tell all to.
    say
        Told in words when one of them died.
    """

    def __init__(
        self,
        listener: socket.socket,
        environment: Mapping[str, str],
        log: Path,
        say: Callable[[str], None],
    ) -> None:
        self._environment = environment
        self._log = log
        self._say = say
        self._stop = threading.Event()
        lifeline, self._held = os.pipe()
        begin = [sys.executable, "-P", "-m", "slidegate.cli.served"]
        self._children = [
            Child(
                "api", [*begin, "api", str(lifeline), str(listener.fileno())], (lifeline, listener.fileno())
            ),
            Child("worker", [*begin, "worker", str(lifeline)], (lifeline,)),
        ]

    def run(self) -> int:
        """Keep both alive until told to stop; return an exit code: 5 when one cannot be kept alive."""
        try:
            while not self._stop.is_set():
                for child in self._children:
                    if not self._look_after(child):
                        return 5
                self._stop.wait(_LOOK_SECONDS)
            return 0
        finally:
            self._end()

    def stop(self) -> None:
        """Let `run` return; from a signal or another thread."""
        self._stop.set()

    def _look_after(self, child: Child) -> bool:
        """Start one that is not alive; say False when that has failed too often."""
        now = time.monotonic()
        if child.process is not None and child.process.poll() is None:
            return True
        if child.process is not None:
            code = child.process.returncode
            child.process = None
            well = now - child.began > _WELL_AFTER
            child.deaths = 0 if well else child.deaths + 1
            if child.deaths > _GIVE_UP_AFTER:
                self._say(f"The {child.name} ended {child.deaths} times in a row: {self._log} says why.")
                return False
            child.not_before = now + (0.0 if well else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**child.deaths))
            self._say(f"The {child.name} ended ({_how(code)}); it is started again, and nothing is lost.")
        if now >= child.not_before:
            child.start(self._environment, self._log)
        return True

    def _end(self) -> None:
        """Tell both to stop, and wait; one that does not is killed."""
        for child in self._children:
            child.stop(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for child in self._children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.stop(signal.SIGKILL)
                child.process.wait()
        os.close(self._held)


def _how(code: int) -> str:
    """Say how a process ended."""
    return f"signal {-code}" if code < 0 else f"code {code}"
