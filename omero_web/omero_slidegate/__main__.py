# SPDX-License-Identifier: AGPL-3.0-or-later
"""``python -m omero_slidegate``: what an administrator of OMERO does once."""

import argparse
import sys

from omero_slidegate import making


def main() -> int:
    """Do what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m omero_slidegate", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    making.add_verb(verbs)
    asked = parser.parse_args()
    return int(asked.call(asked))


if __name__ == "__main__":
    sys.exit(main())
