# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a script as OMERO's Processor does: a process of its own, told where to log in by a file.

A script runs under the account of the server and may do what that account may do. That is so with a real
OMERO, too: only administrators can add scripts that the server runs.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["Job", "Runner"]

_log = logging.getLogger(__name__)

# What OMERO's Processor lets through.
_ENVIRONMENT = (
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "OMERODIR",
    "OMERO_TEMPDIR",
    "OMERO_TMPDIR",
    "PATH",
    "PYTHONPATH",
)
_GRACE_S = 5.0


class Job:
    """A script that runs, or has run.

    Parameters
    ----------
    folder
        Where it runs: a folder of its own, removed by `forget`.
    process
        What was started.
    timeout
        After how many seconds it is ended.
    ended
        Called once from a thread of its own when the process has gone, with this job and its return code.
    """

    def __init__(
        self,
        folder: Path,
        process: subprocess.Popen[bytes],
        timeout: float,
        ended: Callable[[Job, int], None],
    ) -> None:
        self.folder = folder
        self.stdout, self.stderr = folder / "out", folder / "err"
        self.timed_out = False
        self.cancelled = False
        self._process = process
        self._timeout = timeout
        self._ended = ended
        self._done = threading.Event()

    def watch(self) -> None:
        """Begin to wait for its end, in a thread of its own."""
        threading.Thread(target=self._watch, name=f"script-{self._process.pid}", daemon=True).start()

    def _watch(self) -> None:
        try:
            self._process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self.timed_out = True
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
        self._signal(signal.SIGKILL)  # what the script started and left behind
        try:
            self._ended(self, self._process.returncode)
        finally:
            self._done.set()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended, and `ended` has been called; whether it has."""
        return self._done.wait(seconds)

    def cancel(self, *, at_once: bool = False) -> None:
        """Ask the script to end, or end it. Repeats, and ending what has ended, are harmless."""
        if not self._done.is_set():
            self.cancelled = True
            self._signal(signal.SIGKILL if at_once else signal.SIGTERM)

    def forget(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Runner:
    """Starts scripts.

    Parameters
    ----------
    folder
        Where each script gets a folder of its own while it runs.
    timeout
        After how many seconds a script is ended; OMERO's default is an hour.
    """

    def __init__(self, folder: Path, timeout: float = 3600.0) -> None:
        self._folder = folder
        self.timeout = timeout
        self._jobs: set[Job] = set()
        self._lock = threading.Lock()

    def start(
        self,
        text: bytes,
        login: Mapping[str, str],
        ended: Callable[[Job, int], None],
        *,
        timeout: float | None = None,
    ) -> Job:
        """Start a script.

        Parameters
        ----------
        text
            The script.
        login
            What its ``ICE_CONFIG`` says: ``omero.host``, ``omero.port``, ``omero.user`` and ``omero.pass``
            (both the key of a session), and more. Only the account of the server can read that file.
        ended
            Called once when it has ended, with what is returned here and its return code.
        timeout
            Seconds, instead of the runner's.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix="script-", dir=self._folder))
        (folder / "script").write_bytes(text)
        config = folder / "config"
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in login.items())
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {"ICE_CONFIG": str(config), "OMERO_USERDIR": str(folder), "OMERO_TMPDIR": str(folder)}
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "./script"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        _log.info("script started", extra={"pid": process.pid})

        def done(job: Job, code: int) -> None:
            try:
                ended(job, code)
            finally:
                with self._lock:
                    self._jobs.discard(job)

        job = Job(folder, process, timeout or self.timeout, done)
        with self._lock:
            self._jobs.add(job)
        job.watch()
        return job

    def close(self) -> None:
        """End all scripts, and wait for that."""
        with self._lock:
            jobs = list(self._jobs)
        for job in jobs:
            job.cancel(at_once=True)
        for job in jobs:
            job.wait(_GRACE_S)
            job.forget()
