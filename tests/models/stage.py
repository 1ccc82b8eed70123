# SPDX-License-Identifier: BSD-3-Clause
"""A stage on which the gate's real code runs one system call at a time, in any order, and can be killed.

An actor is a thread with real code in it: a gate that answers one request, or a member of a crew. It stops
before everything that another process could notice, or that shows what other processes did: making, naming
and removing files, looking at them, locks, the scheduler, sleep. Whoever directs lets one actor at a time go
on to its next stop. A killed actor does nothing more, not even what its code would do on the way out; its
locks are dropped, as the kernel does it. The clock is that of the stage: sleeping is what makes it go on.
"""

import builtins
import fcntl
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from slidegate_gate.runner import leases
from slidegate_gate.serve import files

WATCHED = ("link", "rename", "replace", "unlink", "rmdir", "mkdir", "listdir", "stat", "ftruncate", "scandir")


class Killed(BaseException):
    """This actor was killed with SIGKILL: nothing catches that."""


class Actor(threading.Thread):
    """Something that runs on the stage; `act` is its code, `part` what the directors want to know of it."""

    def __init__(self, stage: "Stage", act: Callable[[], Any], part: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.stage, self.act, self.part = stage, act, part
        self.answer: Any = None
        self.error: BaseException | None = None
        self.over = self.doomed = False
        self.going, self.stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.start()

    def run(self) -> None:
        """Act, from the first cue on."""
        self.going.acquire()
        try:
            if not self.doomed:
                self.answer = self.act()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - looked at by the director
            self.error = error
        self.over = True
        self.stopped.release()

    def stop(self) -> None:
        """Wait for the next cue; called by the actor."""
        if not self.doomed:
            self.stopped.release()
            self.going.acquire()
        if self.doomed:
            raise Killed

    def go_on(self, steps: int = 1) -> None:
        """Let it go on for some steps; called by the director."""
        for _ in range(steps):
            if self.over:
                return
            if "beat" in self.part and not self.doomed:
                self.part["beat"].beat()
            self.going.release()
            if not self.stopped.acquire(timeout=10):
                raise AssertionError("an actor never came to its next stop")

    def kill(self) -> None:
        """Let it go no further."""
        self.doomed = True
        self.go_on()
        assert self.over


class Stage:
    """All actors, and the clock; what happens, happens in `folder`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.now = 1000.0
        self.actors: list[Actor] = []

    def enter(self, act: Callable[[], Any], **part: Any) -> Actor:
        """Let an actor stand in the wings."""
        self.actors.append(Actor(self, act, part))
        return self.actors[-1]

    def clear(self) -> list[Actor]:
        """Return those who are over, and forget them."""
        over = [actor for actor in self.actors if actor.over]
        self.actors = [actor for actor in self.actors if not actor.over]
        return over

    def play_to_the_end(self) -> None:
        """Let all go on in turn until all are over."""
        for _ in range(200_000):
            if all(actor.over for actor in self.actors):
                return
            for actor in self.actors:
                actor.go_on()
        raise AssertionError(f"these never ended: {[actor.part for actor in self.actors if not actor.over]}")

    def kill_all(self) -> None:
        """End everything."""
        for actor in self.actors:
            if not actor.over:
                actor.kill()


def stop(path: Any = 0) -> None:
    """Stop here if an actor runs this code, and not for what lies elsewhere, such as Python's own files."""
    actor = threading.current_thread()
    if isinstance(actor, Actor) and (isinstance(path, int) or str(path).startswith(actor.stage.folder)):
        actor.stop()


class Beat:
    """In place of the thread that counts: an actor counts when it goes on; one that does not looks dead."""

    def __init__(self, interval: float) -> None:
        self.path, self.count = "", itertools.count()

    def start(self) -> None:
        """Counting begins with the next step."""
        actor = threading.current_thread()
        if isinstance(actor, Actor):
            actor.part["beat"] = self

    def beat(self) -> None:
        """Count once."""
        if self.path and os.path.isdir(os.path.dirname(self.path)):  # noqa: PTH112, PTH120
            with open(self.path, "w") as file:  # noqa: PTH123
                file.write(str(next(self.count)))


@contextmanager
def directed(stage: Stage) -> Iterator[None]:
    """Make all that actors do stop before each step."""
    with (
        mock.patch.object(leases, "Heartbeat", Beat),
        mock.patch("slidegate_gate.runner.main.Heartbeat", Beat),
    ):
        patches = [mock.patch.object(os, name, _stopping(getattr(os, name))) for name in WATCHED]
        patches += [
            mock.patch.object(builtins, "open", _stopping(open)),
            mock.patch.object(os, "symlink", _stopping(os.symlink, 1)),
            mock.patch.object(os, "fsync", lambda handle: None),
            mock.patch.object(os, "open", _stopping_open(os.open)),
            mock.patch.object(files, "locked", _locked),
            mock.patch.object(time, "sleep", _sleep(stage, time.sleep)),
            mock.patch.object(time, "monotonic", _clock(stage, time.monotonic)),
            mock.patch.object(time, "time", _clock(stage, time.time)),
        ]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


def _stopping(function: Callable[..., Any], place: int = 0) -> Callable[..., Any]:
    def stopping(*arguments: Any, **named: Any) -> Any:
        stop(*arguments[place : place + 1])
        return function(*arguments, **named)

    return stopping


def _stopping_open(function: Callable[..., int]) -> Callable[..., int]:
    def stopping(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if not flags & os.O_DIRECTORY:  # folders are opened to be flushed
            stop(path)
        return function(path, flags, *arguments, **named)

    return stopping


def _sleep(stage: Stage, function: Callable[[float], None]) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        if isinstance(threading.current_thread(), Actor):
            stage.now += seconds
            stop()
        else:
            function(seconds)

    return sleep


def _clock(stage: Stage, function: Callable[[], float]) -> Callable[[], float]:
    return lambda: stage.now if isinstance(threading.current_thread(), Actor) else function()


@contextmanager
def _locked(path: str) -> Iterator[int]:
    """What files.locked does; who has to wait, waits on the stage."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                stop()
        yield handle
    finally:
        os.close(handle)
