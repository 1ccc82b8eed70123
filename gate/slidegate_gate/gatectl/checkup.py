# SPDX-License-Identifier: BSD-3-Clause
"""What an administrator wants to know: what can be started, is this place fit, are the records whole?"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Tuple

from slidegate_gate.errors import GateError
from slidegate_gate.serve import files
from slidegate_gate.serve.layout import class_of
from slidegate_gate.workflows.releases import find_releases, step_command
from slidegate_gate.workflows.runtimes import ask_python, run_program

from .errors import Unfit
from .homes import check_alone, key_layouts, open_home, open_scheduler

TRY_LOCK = """
import fcntl, sys
try:
    fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("held")
"""


def explain(asked: Namespace) -> None:
    """Print every argument list that can be executed because of what arrives with a key."""
    config = open_home(asked.home)
    program = [sys.executable, "-IS", os.path.join(asked.home, "versions", "<version>"), "runner", "--home"]
    about = ["--key", "<key>", "--submission", "<submission>", "--class", "<class>", "--round", "<round>"]
    print("The gate starts:")
    for argv in open_scheduler(config).explain():
        print("  " + " ".join(argv))
    print("The scheduler starts, in each job:")
    print("  " + " ".join(program + [asked.home] + about))
    print("A job starts, with requests as JSON on its standard input:")
    for release in find_releases(asked.home):
        print("  {}    ({name} {version})".format(" ".join(_command(asked.home, release)), **release))
    print("Nothing else, and no shell.")


def _command(home: str, release: Dict[str, Any]) -> List[str]:
    return step_command(release, os.path.join(home, "releases", release["digest"]))


def verify_audit(asked: Namespace) -> int:
    """Walk the audit chain of each key and print its length and head; 1 where one is broken."""
    broken = 0
    for layout in key_layouts(asked.home):
        if os.path.exists(layout.audit):
            number, head, whole = _walk(layout.audit)
            broken |= not whole
            state = "whole" if whole else "BROKEN here: compare with the heads that the server keeps"
            print("{}  {} records  head {}  {}".format(layout.key, number, head, state))
    return broken


def _walk(path: str) -> Tuple[int, str, bool]:
    """Return number and digest of the last record that continues the chain, and whether it is the last."""
    number, head = 0, "0" * 64
    with open(path, "rb") as file:
        for data in file:
            line = data.rstrip(b"\n")
            try:
                record = json.loads(line.decode("ascii"))
                good = (record["prev"], record["seq"]) == (head, number + 1) and files.canonical(
                    record
                ) == line
            except (ValueError, KeyError, TypeError):
                good = False
            if not good:
                return number, head, False
            number, head = number + 1, files.digest_of(line)
    return number, head, True


def selftest(asked: Namespace) -> int:
    """Try everything that the gate relies on, and print each in words; 1 where something does not hold."""
    config = open_home(asked.home)
    failed = 0
    for what, check in _checks(asked.home, config):
        try:
            check()
            print("good  {}".format(what))
        except (GateError, OSError, ValueError) as error:
            failed = 1
            print("BAD   {}: {}".format(what, error))
    return failed


def _checks(home: str, config: Dict[str, Any]) -> Iterator[Tuple[str, Callable[[], None]]]:
    yield "Python is 3.6 or later", partial(_demand, sys.version_info >= (3, 6), "use a newer python3")
    for name, root in (("home", home), ("state", config["state"]), ("data", config["data"])):
        yield "{} is this account's alone".format(name), partial(check_alone, root)
    for name in ("state", "data"):
        for what, check in FILE_CHECKS.items():
            yield "{}: {}".format(name, what), partial(_in, config[name], check)
    for name in sorted(config["classes"]):
        yield "the class {!r} has its figures".format(name), partial(_has_figures, config, name)
    yield "the scheduler answers", partial(_scheduler_answers, config)
    for release in find_releases(home):
        yield "{name} {version} starts in its Runtime".format(**release), partial(_starts, home, release)


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unfit(otherwise)


def _in(root: str, check: Callable[[str], None]) -> None:
    folder = os.path.join(root, ".tmp-selftest-{}".format(os.getpid()))
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
    _demand(files.read_json(record) == one, "a name that was taken was given again: use another file system")


def _rename_replaces(folder: str) -> None:
    path = os.path.join(folder, "record.json")
    for number in (1, 2):
        files.write_json(path, number)
    names = os.listdir(folder)
    _demand(files.read_json(path) == 2 and names == ["record.json"], "rename left {}".format(names))


def _links_cross_folders(folder: str) -> None:
    for name in ("a", "b"):
        os.mkdir(os.path.join(folder, name))
    files.write_json(os.path.join(folder, "a", "x"), 1)
    os.link(os.path.join(folder, "a", "x"), os.path.join(folder, "b", "X"))
    _demand(os.listdir(os.path.join(folder, "b")) == ["X"], "names lose their capital letters")


def _lock_excludes(folder: str) -> None:
    path = os.path.join(folder, "lock")
    with files.locked(path):
        held = subprocess.check_output([sys.executable, "-IS", "-c", TRY_LOCK, path])
    free = subprocess.check_output([sys.executable, "-IS", "-c", TRY_LOCK, path])
    _demand(
        (held, free) == (b"held\n", b""), "flock has no effect: mount with locks, or use another file system"
    )


def _clocks_agree(folder: str) -> None:
    files.write_json(os.path.join(folder, "now"), 1)
    apart = os.stat(os.path.join(folder, "now")).st_mtime - time.time()
    _demand(abs(apart) < 10, "its clock is {:.0f} seconds from this computer's: set them".format(apart))
    _demand(time.time() > 1.7e9, "the clock of this computer is years behind: set it")


def _has_room(folder: str) -> None:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    _demand(free > 1 << 30, "only {} MiB are free: make room, or move it".format(free >> 20))
    _demand(room.f_files == 0 or room.f_favail > 10000, "only {} files more fit".format(room.f_favail))


FILE_CHECKS = {
    "a name is given once (link), on the disk (fsync)": _link_is_exclusive,
    "a record is replaced whole (rename)": _rename_replaces,
    "a file can have names in two folders": _links_cross_folders,
    "a lock excludes other processes (flock)": _lock_excludes,
    "clocks agree": _clocks_agree,
    "there is room": _has_room,
}


def _has_figures(config: Dict[str, Any], name: str) -> None:
    missing = {"members", "memory_mb", "minutes"} - set(class_of(config, name)[1])
    _demand(not missing, "config.json lacks its {}: add it".format(", ".join(sorted(missing))))


def _scheduler_answers(config: Dict[str, Any]) -> None:
    _demand(open_scheduler(config).find("sg-selftest") == [], "it knows jobs that were never started")


def _starts(home: str, release: Dict[str, Any]) -> None:
    path = os.path.join(home, "runtimes", release["runtime"], "runtime.json")
    stated = files.read_json(path) or {"python": "lost"}
    found = ask_python(release["python"])["python"]
    words = "built for Python {}, now {}: install it again".format(stated["python"], found)
    _demand(stated["python"] == found, words)
    code, words = run_program(_command(home, release), "/", 300)
    _demand(code == 0, "exit code {}, {}: install it again".format(code, words))
