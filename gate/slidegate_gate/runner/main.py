# SPDX-License-Identifier: BSD-3-Clause
"""The program of a job: ``runner --home H --key K --submission S --class C --round N``."""

import argparse
import os
import signal
import sys
from typing import List

from ..schedulers import adapter
from ..serve import files
from ..serve.layout import Layout, load_config
from .member import Member


def main(argv: List[str]) -> int:
    """Work as one member of a crew until there is nothing left to do for it; return the exit code."""
    parser = argparse.ArgumentParser(prog="runner")
    for name in ("home", "key", "submission", "class", "round"):
        parser.add_argument("--" + name, required=True)
    asked = vars(parser.parse_args(argv))
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    config = load_config(asked["home"])
    layout = Layout(asked["home"], config, asked["key"])
    array, element = adapter(config).identity(os.environ)
    if claimed(layout.claim(asked["submission"], asked["class"], int(asked["round"])), array):
        Member(layout, asked["submission"], asked["class"], "{}.{}".format(array, element)).work()
    return 0


def claimed(path: str, array: str) -> bool:
    """Say whether the crew of this class and round is `array`, making it so where nobody was before.

    A scheduler may start two arrays for one request, when the answer to the first was lost.  The members of
    all but one of them leave here, without having done anything.
    """
    if files.read_json(path) is None:
        files.create_json(path, {"array": array})
    return bool(files.read_json(path)["array"] == array)
