# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""The roots of a home: whose they are, and what of their contents the gate has made."""

import os
import shutil
import stat

from ..errors import GateError

__all__ = ["UnsafePermissions", "check_alone", "empty"]

# what the gate makes in each of its roots; config.json goes last, so that a removal can be repeated
MADE = {
    "data": ("keys",),
    "state": ("keys", "scheduler"),
    "home": ("releases", "runtimes", "current", "previous", "versions", ".lock", "config.json"),
}


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
        mode = os.stat(above).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            words = "Everybody can rename what lies in {}: choose another place than {}."
            raise UnsafePermissions(words.format(above, path))


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
        os.rmdir(root)
    return not os.path.isdir(root)
