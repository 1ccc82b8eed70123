# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""The account's ``authorized_keys``: other people's lines stay as they are, byte for byte.

The file is replaced whole, by a rename within its folder, so that sshd never reads half of it.
"""

import os
import pwd
import stat
from typing import Callable, List

from .. import folders
from ..errors import GateError
from ..home.places import UnsafePermissions
from ..serve import files
from . import line as lines

__all__ = ["KeyInUse", "add", "lines_into", "path", "remove"]


class KeyInUse(GateError):
    """Another line lets the same public key in with other rights, or somebody else is changing the file."""

    code = "key-in-use"


def path() -> str:
    """Return where sshd looks for this account's keys, unless its administrator chose another place."""
    home = os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir)
    return os.path.join(home, ".ssh", "authorized_keys")


def lines_into(home: str) -> List[bytes]:
    """Return the lines that let keys into the gate at `home`.

    Raises UnsafePermissions where there are any, and others could write to the file.
    """
    found = [line for line in _contents(path()).split(b"\n") if lines.name_in(line, home)]
    if found:
        _check(path())
    return found


def add(line: bytes, home: str) -> str:
    """Let the key of a line into the gate at `home`: "new", "changed", or "was there".

    A line that lets this key in under the same name is replaced.  Raises KeyInUse where any other line has
    this key, as sshd takes the first that fits, and UnsafePermissions.
    """
    before = _read(path())
    found = before.split(b"\n")
    name, (_, key) = lines.name_in(line, home), lines.split(line)
    same = [number for number, each in enumerate(found) if lines.split(each)[1] == key]
    others = [number for number in same if lines.name_in(found[number], home) != name]
    second = path() + "2"  # sshd reads this one, too
    if others or key in [lines.split(each)[1] for each in _read(second).split(b"\n")]:
        where = "Line {} of {}".format(others[0] + 1, path()) if others else second
        words = "{} lets the same key in with other rights: remove it there first, or use another key."
        raise KeyInUse(words.format(where))
    after = [line if number in same else each for number, each in enumerate(found)]
    if not same:
        after[-1:] = [line, b""] if after[-1] == b"" else [after[-1], line, b""]
    _replace(before, b"\n".join(after))
    return "new" if not same else "was there" if after == found else "changed"


def remove(home: str, chosen: Callable[[bytes], bool]) -> List[bytes]:
    """Take out those of the lines into the gate at `home` that are chosen; return them."""
    before = _read(path())
    gone = [line for line in lines_into(home) if chosen(line)]
    _replace(before, b"\n".join(line for line in before.split(b"\n") if line not in gone))
    return gone


def _read(file: str) -> bytes:
    _check(file)
    return _contents(file)


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
            words = "Other accounts can write to {}, and sshd mistrusts it: run `chmod go-w {}`."
            raise UnsafePermissions(words.format(place, place))


def _replace(before: bytes, after: bytes) -> None:
    if before == after:
        return
    folder, name = os.path.split(path())
    made = "{}.slidegate-{}".format(name, os.urandom(8).hex())
    folders.write(folder, {made: after})
    if _read(path()) != before:
        os.unlink(os.path.join(folder, made))
        raise KeyInUse("Somebody else has just changed {}: look at it, and repeat.".format(path()))
    os.replace(os.path.join(folder, made), path())
    files.fsync_dir(folder)
