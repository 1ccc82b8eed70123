# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""The account's ``authorized_keys``: other people's lines stay as they are, byte for byte.

The file is replaced whole, by a rename within its folder, so that sshd never reads half of it.
"""

import contextlib
import os
import pwd
import stat
from typing import Callable, List

from .. import folders
from ..errors import GateError
from ..home.places import UnsafePermissions
from ..serve import files
from . import line as lines

__all__ = ["KeyInUse", "add", "lines_into", "path", "remove", "rival"]


class KeyInUse(GateError):
    """Another line lets the same public key in with other rights, or somebody else is changing the file."""

    code = "key-in-use"


def path() -> str:
    """Return where sshd looks for this account's keys, unless its administrator chose another place."""
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        home = "/nonexistent"  # to such an account sshd lets nobody
    return os.path.join(os.path.realpath(home), ".ssh", "authorized_keys")


def lines_into(home: str) -> List[bytes]:
    """Return the lines that let keys into the gate at `home`.

    Raises UnsafePermissions where there are any, and others could write to the file.
    """
    found = [line for line in _contents(path()).split(b"\n") if lines.name_in(line, home)]
    if found:
        _check(path())
    return found


def rival(line: bytes, home: str) -> str:
    """Return where another line lets the same key in, but not to the same name here; "" where none does.

    sshd takes the first line that fits, and reads both files.
    """
    for file in (path(), path() + "2"):
        for number, each in enumerate(_contents(file).split(b"\n"), 1):
            alike = file == path() and lines.name_in(each, home) == lines.name_in(line, home)
            if lines.split(each)[1] == lines.split(line)[1] and not alike:
                return "line {} of {}".format(number, file)
    return ""


def add(line: bytes, home: str) -> str:
    """Let the key of a line into the gate at `home`: "new", "changed", or "was there".

    A line that lets this key in under the same name is replaced.  Raises KeyInUse where there is a rival, and
    UnsafePermissions.
    """
    _check(path())
    place = rival(line, home)
    if place:
        raise KeyInUse("That key has other rights by {}: remove it there, or use another key.".format(place))
    before = _contents(path())
    found = before.split(b"\n")
    after = [line if lines.split(each)[1] == lines.split(line)[1] else each for each in found]
    if line not in after:
        after[-1:] = [line, b""] if after[-1] == b"" else [after[-1], line, b""]
    _replace(before, b"\n".join(after))
    return "was there" if line in found else "changed" if len(after) == len(found) else "new"


def remove(home: str, chosen: Callable[[bytes], bool]) -> List[bytes]:
    """Take out those of the lines into the gate at `home` that are chosen; return them."""
    gone = [line for line in lines_into(home) if chosen(line)]
    before = _contents(path())
    _replace(before, b"\n".join(line for line in before.split(b"\n") if line not in gone))
    return gone


def _contents(file: str) -> bytes:
    if not os.path.exists(file):
        return b""
    with open(file, "rb") as opened:
        return opened.read()


def _check(file: str) -> None:
    """Raise UnsafePermissions where others could write to a file of keys, or replace it."""
    ssh = os.path.dirname(file)
    for place, is_kind in ((os.path.dirname(ssh), stat.S_ISDIR), (ssh, stat.S_ISDIR), (file, stat.S_ISREG)):
        if not os.path.lexists(place):
            return
        info = os.lstat(place)
        if not is_kind(info.st_mode):
            raise UnsafePermissions("{} is a link, or no plain file: make it one.".format(place))
        if info.st_uid not in (os.getuid(), 0):
            raise UnsafePermissions("{} belongs to account {}: sshd mistrusts it.".format(place, info.st_uid))
        if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            words = "Other accounts can write to {0}, and sshd mistrusts it: run `chmod go-w {0}`."
            raise UnsafePermissions(words.format(place))


def _replace(before: bytes, after: bytes) -> None:
    if before == after:
        return
    made = "{}.slidegate-{}".format(path(), os.urandom(8).hex())
    try:
        folders.write(os.path.dirname(made), {os.path.basename(made): after})
        if _contents(path()) != before:
            raise KeyInUse("Somebody else has just changed {}: look at it, and repeat.".format(path()))
        os.replace(made, path())
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made)
    files.fsync_dir(os.path.dirname(made))
