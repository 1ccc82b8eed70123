# SPDX-License-Identifier: AGPL-3.0-or-later
"""``python -m omero_slidegate``: what an administrator of OMERO does once."""

import argparse
import sys
from pathlib import Path

from omero_slidegate import checking, keys, making
from omero_slidegate.problems import KeyUnusable


def main() -> int:
    """Do what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m omero_slidegate", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_key(verbs)
    checking.add_verb(verbs)
    desired = verbs.add_parser("desired", help="print where desired.yml is, for slidegate omero config apply")
    desired.set_defaults(call=_desired)
    making.add_verb(verbs)
    asked = parser.parse_args()
    return int(asked.call(asked))


def _add_key(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    key = verbs.add_parser(
        "key",
        help="make the key of this OMERO.web",
        description="Make the key with which OMERO.web tells slidegate who its users are, and print its "
        "public half: slidegate omero web add NAME FILE takes that. Run it as the account that OMERO.web "
        "runs in. Where the key is there already, it stays, and its public half is printed.",
    )
    key.add_argument(
        "file", type=Path, metavar="FILE", help="where the key shall be; nobody else can read it"
    )
    key.set_defaults(call=_key)


def _key(asked: argparse.Namespace) -> int:
    try:
        key = keys.make_key(asked.file)
    except KeyUnusable as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    sys.stdout.write(keys.public_key(key))
    sys.stderr.write(f"omero config set omero.web.slidegate.key_file {asked.file.absolute()}\n")
    return 0


def _desired(_asked: argparse.Namespace) -> int:
    sys.stdout.write(f"{Path(__file__).with_name('desired.yml')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
