# SPDX-License-Identifier: BSD-3-Clause
"""Folders that can be seen only when they are whole: made under a temporary name, flushed, renamed."""

import contextlib
import fcntl
import os
import shutil
from typing import Iterator, Mapping

from .serve import files

__all__ = ["in_use", "is_used", "publish", "take_place", "write"]

USED = os.path.join("slidegate_gate", "__main__.py")


def write(folder: str, contents: Mapping[str, bytes]) -> None:
    """Write new files that only this account can read, and flush them."""
    for name, data in contents.items():
        path = os.path.join(folder, name)
        files.make_dirs(os.path.dirname(path))
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def publish(made: str, target: str) -> None:
    """Give a finished folder its name; where another process was faster, its equal folder stays."""
    try:
        os.rename(made, target)
    except OSError:
        shutil.rmtree(made)
        if not os.path.isdir(target):
            raise
    files.fsync_dir(os.path.dirname(target))


@contextlib.contextmanager
def in_use(version: str) -> Iterator[None]:
    """Keep a version of the gate where it is, as a process that runs from it does."""
    with open(os.path.join(version, USED)) as file:
        with contextlib.suppress(OSError):  # a file system without locks is no reason not to answer
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def is_used(version: str) -> bool:
    """Say whether a process that answers a key runs from this version of the gate, or may do so."""
    try:
        with open(os.path.join(version, USED), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return False


def take_place(folder: str, places: int) -> bool:
    """Hold one of so many places until this process ends; say whether one was free."""
    files.make_dirs(folder)
    for number in range(places):
        path = os.path.join(folder, str(number))
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        os.close(handle)
    return False
