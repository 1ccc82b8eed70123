# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Who else could write to a place where this account must be alone?"""

import os
import stat

from ..errors import GateError

__all__ = ["UnsafePermissions", "check_alone"]


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
