# SPDX-License-Identifier: BSD-3-Clause
"""How records reach the disk.

Every record of the gate is one small JSON file.  Two rules keep records whole when a process is killed or a
machine loses power between any two system calls:

1. A name never shows a half-written file.  The bytes go to a temporary file in the same folder, are flushed
   to the disk, and only then get their name, by ``rename`` (replace what is there) or ``link`` (only if
   nothing is there).
2. A name that was answered for stays.  After the naming, the folder itself is flushed.

``link`` is the one operation on which "at most one" rests.  It is atomic on local disks, NFS and the parallel
file systems; ``gatectl selftest`` checks that where the gate is installed.  A temporary file that a killed
process leaves behind starts with ``.tmp-`` and means nothing.
"""

import contextlib
import fcntl
import json
import os
from typing import Any, Iterator, List

from ..protocol.canonical import canonical


def fsync_dir(path: str) -> None:
    """Flush a folder, so that names made or removed in it survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_dirs(path: str) -> None:
    """Make a folder and its parents where they are missing, and flush each parent that got a new name."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    make_dirs(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    fsync_dir(parent)


def temporary(folder: str) -> str:
    """Return a new name in `folder` that no other process uses and that no record can have."""
    return os.path.join(folder, ".tmp-{}-{}".format(os.getpid(), os.urandom(8).hex()))


def read_json(path: str) -> Any:
    """Return the value in a JSON file, or None where there is no such file."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), open(path, "rb") as file:
        return json.loads(file.read().decode("utf-8"))
    return None


def read_unflushed(path: str) -> Any:
    """Return what `read_json` does, and None where a power cut has spoiled a record that was not flushed."""
    with contextlib.suppress(ValueError):
        return read_json(path)
    return None


def names_in(folder: str) -> List[str]:
    """Return the names in a folder in order, without temporary ones; none where there is no folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    return []


def time_of(folder: str) -> int:
    """Return when a name last came or went in a folder, in nanoseconds; 0 where there is no folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.stat(folder).st_mtime_ns
    return 0


def write_json(path: str, obj: Any, flush: bool = True) -> None:
    """Replace a record: afterwards it holds `obj` whole; killed before that, it holds the old value whole.

    Without `flush` that holds for kills only; a power cut may leave the old value, none or no JSON, and the
    record is read with `read_unflushed`.
    """
    with _written(path, obj, flush) as name:
        os.replace(name, path)
    if flush:
        fsync_dir(os.path.dirname(path))


def create_json(path: str, obj: Any, flush: bool = True) -> bool:
    """Create a record, with its content, only where none has that name; say whether this call created it.

    Of any number of callers on any number of machines, at most one is told True, and nobody ever sees the
    record without its content.  Flushed either way: a caller who is told False may rely on what is there.
    Without `flush` the name may be lost in a power cut, until the caller flushes the folder.
    """
    created = False
    if not os.path.lexists(path):
        with _written(path, obj) as name:
            with contextlib.suppress(FileExistsError):
                os.link(name, path)
            # On NFS the answer to a link that worked can be lost and its repeat refused: two names tell.
            created = os.stat(name).st_nlink == 2
    if flush:
        fsync_dir(os.path.dirname(path))
    return created


@contextlib.contextmanager
def _written(path: str, obj: Any, flush: bool = True) -> Iterator[str]:
    """Write the value to a temporary file beside `path`; yield its name, which is gone afterwards."""
    name = temporary(os.path.dirname(path))
    try:
        with open(name, "xb") as file:
            file.write(canonical(obj))
            file.flush()
            if flush:
                os.fsync(file.fileno())
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


@contextlib.contextmanager
def locked(path: str) -> Iterator[int]:
    """Hold the exclusive lock on the file at `path` (made if missing); the kernel drops it with the process.

    Yields the locked descriptor.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
