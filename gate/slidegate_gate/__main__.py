# SPDX-License-Identifier: BSD-3-Clause
"""The three programs of the gate: ``python3 -IS <home>/current serve|runner|ctl ...``.

``gatectl install`` puts this file beside the package, so that a version's folder can be run.
"""

import importlib
import sys
from typing import List

PROGRAMS = {
    "serve": "slidegate_gate.serve.main",
    "runner": "slidegate_gate.runner.main",
    "ctl": "slidegate_gate.gatectl.main",
}


def main(argv: List[str]) -> int:
    """Run the program that the first word names; return its exit code."""
    if not argv or argv[0] not in PROGRAMS:
        sys.stderr.write("usage: slidegate_gate {} ...\n".format("|".join(PROGRAMS)))
        return 2
    return int(importlib.import_module(PROGRAMS[argv[0]]).main(argv[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
