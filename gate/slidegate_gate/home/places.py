# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""The roots of a home: whose they are, and what of their contents the gate has made."""

import contextlib
import grp
import os
import pwd
import shutil
import stat

from ..errors import GateError
from .config import NoHome

__all__ = ["UnsafePermissions", "check_alone", "check_new", "empty"]

# what the gate makes in each of its roots; config.json goes last, so that a removal can be repeated
MADE = {
    "data": ("keys",),
    "state": ("keys", "scheduler"),
    "home": ("releases", "runtimes", "current", "previous", "versions", ".lock", "config.json"),
}
INSIDE = ("state", "data")  # where the other roots are, unless install was told another place


class UnsafePermissions(GateError):
    """Somebody else could write where the gate must be alone."""

    code = "unsafe-permissions"


def check_alone(path: str) -> None:
    """Raise UnsafePermissions where another account could write to `path` or replace it."""
    info = os.stat(path)
    if info.st_uid != os.getuid():
        words = "{} belongs to account {}, this is account {}: choose your own."
        raise UnsafePermissions(words.format(path, info.st_uid, os.getuid()))
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafePermissions("Other accounts can write to {}: run `chmod go-w {}`.".format(path, path))
    above = os.path.realpath(path)
    while above != os.path.dirname(above):
        above = os.path.dirname(above)
        if _is_shared(os.stat(above)):
            words = "Other accounts can rename what lies in {}: choose another place than {}."
            raise UnsafePermissions(words.format(above, path))


def _is_shared(info: os.stat_result) -> bool:
    own = False  # many systems give each account a group of its own, with its name
    with contextlib.suppress(KeyError):
        own = grp.getgrgid(info.st_gid).gr_name == pwd.getpwuid(os.getuid()).pw_name
    rights = info.st_mode & (stat.S_IWOTH if own else stat.S_IWOTH | stat.S_IWGRP)
    return bool(rights) and not info.st_mode & stat.S_ISVTX


def check_new(root: str, which: str) -> None:
    """Raise NoHome where a root of a new gate holds things that no gate made: it would take them along."""
    found = os.listdir(root) if os.path.isdir(root) else []
    if [name for name in found if name not in MADE[which] + INSIDE and not name.startswith(".tmp-")]:
        raise NoHome("{} holds other things: choose a new or empty folder for the gate.".format(root))


def empty(root: str, which: str) -> bool:
    """Remove what the gate has made in a root; say whether nothing else was there, and the root went, too."""
    found = os.listdir(root) if os.path.isdir(root) else []
    halves = [name for name in found if name.startswith(".tmp-")]
    for path in [os.path.join(root, name) for name in halves + [one for one in MADE[which] if one in found]]:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    if os.path.isdir(root) and not os.listdir(root):
        os.rmdir(os.path.realpath(root))
    return not os.path.isdir(root)
