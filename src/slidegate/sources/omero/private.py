# SPDX-License-Identifier: BSD-3-Clause
"""Small files that hold a secret: this account's alone, or they are not used."""

import os
from contextlib import suppress
from pathlib import Path

from slidegate.sources.errors import SourceError

_MOST = 65536


class SecretOpenError(SourceError):
    """Others than this account can read or replace a file that holds a secret."""

    code = "omero-secret-open"
    is_of_image = False
    exit_code = 2


class SecretUnreadableError(SourceError):
    """A file that holds a secret is not there, cannot be read, or is not what it should be."""

    code = "omero-secret-unreadable"
    is_of_image = False
    exit_code = 2


def read_private(path: Path) -> bytes | None:
    """Return what a file holds, at most 64 KiB; None if there is none.

    Raises
    ------
    SecretOpenError
        It belongs to another account, others have any right to it, or it is a link.
    SecretUnreadableError
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretUnreadableError(f"{path}: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if state.st_mode & 0o077 or state.st_uid != os.getuid():
            raise SecretOpenError(f"{path}; run chmod 600 on it as its owner, and change what it holds")
        return file.read(_MOST)


def write_private(path: Path, content: bytes, replace: bool = True) -> None:
    """Write a file that this account alone may read; it has the old content or all of the new one.

    Safe to repeat. Of two that write at the same time one wins.

    Parameters
    ----------
    replace
        Whether what is there already is replaced; else it stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        if replace:
            part.replace(path)
        else:
            with suppress(FileExistsError):
                path.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)
