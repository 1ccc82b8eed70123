# SPDX-License-Identifier: BSD-3-Clause
"""Where a worker keeps files on this computer, all of them below one home and all of them replaceable."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slidegate.domain.values import AttemptKey, Digest, digest_of


@dataclass(frozen=True, slots=True)
class Places:
    """Names below ``$SLIDEGATE_HOME``.

    - ``staging/<tree>``: an image on its way to a site; ``staging/<task>.<print>``: being converted, as it
      was at that fingerprint
    - ``collected/<attempt>``: a result on its way to where a person wants it;
      ``collected/<attempt>.<token>``: being fetched
    - ``logs/<attempt>``: the log of an Attempt, for when its site has let go of it
    - ``workers/<owner>``: held locked by a worker that lives
    - ``locks/<name>``: held locked by whoever does what must not be done twice at once
    """

    home: Path

    @property
    def staging(self) -> Path:
        """Images on their way to a site."""
        return self.home / "staging"

    @property
    def collected(self) -> Path:
        """Results on their way back."""
        return self.home / "collected"

    @property
    def logs(self) -> Path:
        """Logs of Attempts that were collected."""
        return self.home / "logs"

    @property
    def workers(self) -> Path:
        """Signs of life."""
        return self.home / "workers"

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Yield whether nobody else on this computer does what ``name`` stands for; nobody begins meanwhile.

        Killed, a process lets go of it.
        """
        folder = self.home / "locks"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / name
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = _same_file(handle, path)
        except BlockingIOError:
            mine = False
        try:
            yield mine
        finally:
            if mine:
                path.unlink(missing_ok=True)
            os.close(handle)

    def converting(self, task: str, fingerprint: str) -> Path:
        """Where a Task's image is converted; what is left of it as it was at other fingerprints is removed.

        The place is the same for every lease: who killed workers leave it to goes on there.
        """
        here = self.staging / f"{task}.{digest_of(fingerprint)[:16]}"
        for left, path in self.begun():
            if left == task and path != here:
                shutil.rmtree(path, ignore_errors=True)
        return here

    def begun(self) -> Iterator[tuple[str, Path]]:
        """Yield the Tasks whose images are being converted, or were, and where."""
        for path in sorted(self.staging.glob("*.*")):
            yield path.name.rpartition(".")[0], path

    def converted(self, tree: Digest) -> Path:
        """Where an image lies that was converted to this Tree."""
        return self.staging / tree

    def fetching(self, attempt: AttemptKey, token: int) -> Path:
        """Where a result is fetched to under this lease; what an earlier lease has fetched is taken over."""
        here = self.collected / f"{attempt}.{token}"
        for left in self.collected.glob(f"{attempt}.*"):
            if left == here:
                continue
            if here.exists():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.rename(here)
        return here

    def fetched(self, attempt: AttemptKey) -> Path:
        """Where a whole result lies."""
        return self.collected / attempt

    def leftovers(self, tasks: set[str], trees: set[str], attempts: set[str]) -> Iterator[Path]:
        """Yield what is kept for none of these Tasks, Trees and Attempts."""
        for path in sorted(self.staging.glob("*")):
            if path.name not in trees and path.name.rpartition(".")[0] not in tasks:
                yield path
        for path in sorted(self.collected.glob("*")):
            if path.name.partition(".")[0] not in attempts:
                yield path


def _same_file(handle: int, path: Path) -> bool:
    """Say whether what was opened still has its name: who held it before may have taken the name away."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
