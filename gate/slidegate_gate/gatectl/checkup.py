# SPDX-License-Identifier: BSD-3-Clause
"""What an administrator wants to know: what can be started, is this place fit, are the records whole?"""

import json
import os
import sys
from argparse import Namespace
from typing import Any, Dict, List, Tuple

from slidegate_gate.door import keyfile
from slidegate_gate.home.config import key_layouts, open_home, open_scheduler
from slidegate_gate.protocol.canonical import canonical, digest_of
from slidegate_gate.selftest import checks, nodes
from slidegate_gate.workflows.releases import find_releases, step_command


def explain(asked: Namespace) -> None:
    """Print every argument list that can be executed because of what arrives with a key."""
    config = open_home(asked.home)
    program = [sys.executable, "-IS", os.path.join(asked.home, "versions", "<version>"), "runner", "--home"]
    about = ["--key", "<key>", "--submission", "<submission>", "--class", "<class>", "--round", "<round>"]
    print("For a key, sshd lets the account's login shell start, by its line in {}:".format(keyfile.path()))
    for line in keyfile.lines_into(asked.home):
        print("  " + line.decode("ascii", "backslashreplace"))
    print("The gate starts:")
    for argv in open_scheduler(config).explain():
        print("  " + " ".join(argv))
    print("The scheduler starts, in each job, by the launcher:")
    print("  " + " ".join(program + [asked.home] + about))
    print("A job starts, with requests as JSON on its standard input:")
    for release in find_releases(asked.home):
        print("  {}    ({name} {version})".format(" ".join(_command(asked.home, release)), **release))
    print("Nothing else, and no other shell.  A crew has, by its class, at most:")
    for name, settings in sorted(config["classes"].items()):
        print("  {}: {}".format(name, " ".join("{}={}".format(*one) for one in sorted(settings.items()))))


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
            if not data.endswith(b"\n"):
                break  # cut off by a kill: nobody was told of it, and the next record takes its place
            line = data[:-1]
            try:
                record = json.loads(line.decode("ascii"))
                good = (record["prev"], record["seq"]) == (head, number + 1) and canonical(record) == line
            except (ValueError, KeyError, TypeError):
                good = False
            if not good:
                return number, head, False
            number, head = number + 1, digest_of(line)
    return number, head, True


def selftest(asked: Namespace) -> int:
    """Try everything that the gate relies on, and print each in words; 1 where something does not hold."""
    if asked.member:
        nodes.member(asked.member)
        return 0
    config = open_home(asked.home)
    return checks.run(asked.home, config, open_scheduler(config), 0 if asked.quick else asked.wait)
