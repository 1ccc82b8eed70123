# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Does a file system keep what the gate promises?  Tried in a folder that is gone afterwards."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from typing import Callable

from ..errors import GateError
from ..serve import files

__all__ = ["CHECKS", "Unfit", "demand", "try_in"]

TRY_LOCK = """
import fcntl, sys
try:
    fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("held")
"""


class Unfit(GateError):
    """A check of the self-test failed."""

    code = "unfit"


def demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unfit(otherwise)


def try_in(root: str, check: Callable[[str], None]) -> None:
    folder = files.temporary(root)
    os.mkdir(folder, 0o700)
    try:
        check(folder)
    finally:
        shutil.rmtree(folder)


def _link_is_exclusive(folder: str) -> None:
    one, two, record = (os.path.join(folder, name) for name in ("one", "two", "record"))
    for path in (one, two):
        files.write_json(path, path)
        with contextlib.suppress(FileExistsError):
            os.link(path, record)
    demand(files.read_json(record) == one, "a name that was taken was given again: use another file system")


def _rename_replaces(folder: str) -> None:
    path = os.path.join(folder, "record.json")
    for number in (1, 2):
        files.write_json(path, number)
    names = os.listdir(folder)
    demand(files.read_json(path) == 2 and names == ["record.json"], "rename left {}".format(names))


def _links_cross_folders(folder: str) -> None:
    for name in ("a", "b"):
        os.mkdir(os.path.join(folder, name))
    files.write_json(os.path.join(folder, "a", "x"), 1)
    os.link(os.path.join(folder, "a", "x"), os.path.join(folder, "b", "X"))
    demand(os.listdir(os.path.join(folder, "b")) == ["X"], "names lose their capital letters")


def _lock_excludes(folder: str) -> None:
    path = os.path.join(folder, "lock")
    with files.locked(path):
        held = subprocess.check_output([sys.executable, "-IS", "-c", TRY_LOCK, path])
    free = subprocess.check_output([sys.executable, "-IS", "-c", TRY_LOCK, path])
    words = "flock has no effect: mount with locks, or use another file system"
    demand((held, free) == (b"held\n", b""), words)


def _clocks_agree(folder: str) -> None:
    files.write_json(os.path.join(folder, "now"), 1)
    apart = os.stat(os.path.join(folder, "now")).st_mtime - time.time()
    demand(abs(apart) < 10, "its clock is {:.0f} seconds from this computer's: set them".format(apart))
    demand(time.time() > 1.7e9, "the clock of this computer is years behind: set it")


def _has_room(folder: str) -> None:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    demand(free > 1 << 30, "only {} MiB are free: make room, or move it".format(free >> 20))
    demand(room.f_files == 0 or room.f_favail > 10000, "only {} files more fit".format(room.f_favail))


CHECKS = {
    "a name is given once (link), on the disk (fsync)": _link_is_exclusive,
    "a record is replaced whole (rename)": _rename_replaces,
    "a file can have names in two folders": _links_cross_folders,
    "a lock excludes other processes (flock)": _lock_excludes,
    "clocks agree": _clocks_agree,
    "there is room": _has_room,
}
