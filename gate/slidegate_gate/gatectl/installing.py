# SPDX-License-Identifier: BSD-3-Clause
"""Putting the gate into a home, a newer one into its place, the older one back, and all of it away."""

import os
import subprocess
import sys
import time
from argparse import Namespace
from typing import Any, Dict, List, Set, Tuple

import slidegate_gate
from slidegate_gate import folders
from slidegate_gate.door import keyfile
from slidegate_gate.home import places, versions
from slidegate_gate.home.config import (
    key_layouts,
    locked_home,
    open_home,
    open_scheduler,
    write_config,
)
from slidegate_gate.home.first_config import first_config
from slidegate_gate.serve import files, status

from .errors import NotSwitched, StillInUse

END_SECONDS = 120


def install(asked: Namespace) -> None:
    """Copy this gate to its home, make it the current one, and write ``config.json`` if there is none.

    A repeat changes nothing; a newer gate is put beside the older ones.
    """
    home = asked.home
    stated = os.path.join(home, "config.json")
    config = open_home(home) if os.path.exists(stated) else first_config(asked)
    open_scheduler(config)
    for which, path in (("home", home), ("state", config["state"]), ("data", config["data"])):
        if not os.path.exists(stated):
            places.check_new(path, which)
        files.make_dirs(path)
        places.check_alone(path)
        os.chmod(path, 0o700)
    with files.locked(os.path.join(home, ".lock")):
        version = versions.copy_into(home)
        versions.switch(home, version)
        if os.path.exists(stated):
            print("{} stays as it is".format(stated))
        else:
            write_config(home, config)
    print("gate {} is current in {}".format(version, home))


def upgrade(asked: Namespace) -> None:
    """Put this gate beside the current one, let it test the place, and only then make it the current one.

    Raises NotSwitched where it is older, or its self-test finds a fault.
    """
    with locked_home(asked.home):
        current = versions.folder_of(asked.home)
        if versions.number_of(slidegate_gate.__version__) < versions.number_of(current):
            words = "{} is older than what is current, {}: `gatectl rollback` goes back to the one before."
            raise NotSwitched(words.format(slidegate_gate.__version__, os.path.basename(current)))
        version = versions.copy_into(asked.home)
        program = os.path.join(asked.home, "versions", version)
        if _ctl(program, ["selftest", "--home", asked.home] + (["--quick"] if asked.quick else [])):
            words = "The self-test of {} found what is said above: {} stays current."
            raise NotSwitched(words.format(version, current))
        versions.switch(asked.home, version)
    print("gate {} is current in {}; `gatectl rollback` goes back".format(version, asked.home))


def rollback(asked: Namespace) -> None:
    """Make the version before the current one current again; a repeat goes forward again."""
    with locked_home(asked.home):
        previous = versions.folder_of(asked.home, "previous")
        if not previous:
            raise NotSwitched("No version was current before this one.")
        if not versions.is_unchanged(previous):
            raise NotSwitched("The files of {} were altered since it was installed.".format(previous))
        if _ctl(previous, ["key", "list", "--home", asked.home]):
            raise NotSwitched("{} cannot read this home any more.".format(previous))
        versions.switch(asked.home, os.path.basename(previous))
    print("gate {} is current in {}".format(os.path.basename(previous), asked.home))


def _ctl(program: str, words: List[str]) -> int:
    sys.stdout.flush()
    return subprocess.call([sys.executable, "-IS", program, "ctl"] + words)


def remove(asked: Namespace) -> None:
    """Shut all keys out, end what runs, and remove what the gate has made.  Safe to repeat.

    Raises StillInUse without ``--yes``, where work was not collected, and while a client is connected.
    """
    with locked_home(asked.home) as config:
        work = [(one, *each) for one in key_layouts(asked.home) for each in status.open_submissions(one)]
        roots = {"data": config["data"], "state": config["state"], "home": asked.home}
        if not asked.yes:
            words = "This removes the gate and its data in {}: say --yes."
            raise StillInUse(words.format(", ".join(roots.values())))
        if work and not asked.even_if_work_is_left:
            words = "{} Submissions were not collected: let them finish, or say --even-if-work-is-left."
            raise StillInUse(words.format(len(work)))
        shut = keyfile.remove(asked.home, bool)
        program = os.path.join(asked.home, "versions")
        if any(folders.is_used(os.path.join(program, name)) for name in files.names_in(program)):
            raise StillInUse("All keys are shut out, but a client is connected: end `serve`, and repeat.")
        arrays = _cancel(open_scheduler(config), work)
        left = [root for name, root in roots.items() if not places.empty(root, name)]
    words = "removed: {} keys, {} arrays of jobs, and what lay in {}"
    print(words.format(len(shut), arrays, ", ".join(roots.values())))
    print("What stays: results that were fetched, and what the scheduler remembers of the jobs.")
    for root in left:
        print("What stays, as it is not the gate's: other things in {}".format(root))


def _cancel(scheduler: Any, work: List[Tuple[Any, str, Dict[str, Any]]]) -> int:
    """End all arrays of jobs, return how many there were; raise StillInUse where they do not end in time."""
    arrays: Set[str] = set()
    for layout, submission, _ in work:
        for crew in status.crews_of(layout, submission):
            array = status.array_of(layout, crew)
            orders = files.read_json(layout.crew("intent", *crew))
            arrays.update([array] if array else scheduler.find(orders[crew.name]["name"]))
    for array in sorted(arrays):
        scheduler.cancel(array)
    deadline = time.monotonic() + END_SECONDS
    while arrays and any(view["state"] != "ended" for view in scheduler.states(sorted(arrays)).values()):
        if time.monotonic() > deadline:
            raise StillInUse("Jobs were cancelled but have not ended yet: repeat in some minutes.")
        time.sleep(0.2)
    return len(arrays)
