# SPDX-License-Identifier: BSD-3-Clause
"""The command line of gatectl.

Exit codes: 0 done; 1 a check found faults; 2 the command line is wrong; 3 refused or impossible, with a
sentence on standard error that begins with a stable code.
"""

import argparse
import os
import sys
from typing import Callable, List, Optional

from slidegate_gate.errors import GateError

from . import homes, manifests, releases

__all__ = ["main"]


def main(argv: Optional[List[str]] = None) -> int:
    """Do what the command line says; return the exit code."""
    os.umask(0o077)
    arguments = _parser().parse_args(argv)
    arguments.home = os.path.abspath(arguments.home)
    try:
        return int(arguments.do(arguments) or 0)
    except GateError as error:
        sys.stderr.write("{}: {}\n".format(error.code, error))
        return 3
    except OSError as error:
        sys.stderr.write(
            "system-error: {}. Nothing half-made is used: repeat when it is mended.\n".format(error)
        )
        return 3


def _parser() -> argparse.ArgumentParser:
    home = argparse.ArgumentParser(add_help=False)
    home.add_argument("--home", default=_own_home(), help="the gate's folder (default: %(default)s)")
    parser = argparse.ArgumentParser(prog="gatectl", description="Install and look after a gate.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.required = True

    def add(
        group: "argparse._SubParsersAction[argparse.ArgumentParser]",
        name: str,
        do: Callable[[argparse.Namespace], Optional[int]],
        about: str,
    ) -> argparse.ArgumentParser:
        made = group.add_parser(name, parents=[home], help=about, description=about)
        made.set_defaults(do=do)
        return made

    install = add(verbs, "install", _install, "copy this gate to its home and make it the current version")
    for option in ("site", "scheduler", "data", "state"):
        install.add_argument("--" + option, help="for a new config.json")
    install.add_argument("--cores", type=int, help="for a new config.json")

    key = verbs.add_parser("key", help="who may send work").add_subparsers(dest="what", metavar="WHAT")
    key.required = True
    made = add(key, "add", _key_add, "let a key start workflows")
    made.add_argument("name")
    made.add_argument("--workflow", action="append", required=True, help="a workflow's name, or * for all")
    add(key, "list", _key_list, "print the keys and what they may start")
    add(key, "remove", _key_remove, "take a key off the list").add_argument("name")

    workflow = verbs.add_parser("workflow", help="what may run").add_subparsers(dest="what", metavar="WHAT")
    workflow.required = True
    add(workflow, "check", _workflow_check, "say what is wrong with a folder").add_argument("folder")
    made = add(workflow, "install", _workflow_install, "make a Release and its Runtime")
    made.add_argument("folder")
    made.add_argument("--wheels", help="where the wheels lie (default: FOLDER/wheels)")
    made.add_argument("--python", default=sys.executable, help="its interpreter (default: %(default)s)")
    add(workflow, "list", _workflow_list, "print the Releases")
    add(workflow, "remove", _workflow_remove, "remove Releases").add_argument("name")
    return parser


def _own_home() -> str:
    # An installed gatectl lies in <home>/versions/<version>/slidegate_gate/gatectl.
    home = os.path.abspath(os.path.join(os.path.dirname(os.path.realpath(__file__)), *[os.pardir] * 4))
    return home if os.path.isdir(os.path.join(home, "versions")) else os.path.expanduser("~/.slidegate-gate")


def _install(arguments: argparse.Namespace) -> None:
    names = ("site", "scheduler", "cores", "data", "state")
    settings = {name: getattr(arguments, name) for name in names}
    version = homes.install_gate(arguments.home, settings)
    print("gate {} is current in {}".format(version, arguments.home))


def _key_add(arguments: argparse.Namespace) -> None:
    homes.add_key(arguments.home, arguments.name, arguments.workflow)
    print("key {} may start: {}".format(arguments.name, ", ".join(sorted(set(arguments.workflow)))))


def _key_list(arguments: argparse.Namespace) -> None:
    for name, stated in sorted(homes.open_home(arguments.home).get("keys", {}).items()):
        print("{}  {}".format(name, " ".join(stated.get("workflows", []))))


def _key_remove(arguments: argparse.Namespace) -> None:
    homes.remove_key(arguments.home, arguments.name)
    print("key {} may start nothing any more".format(arguments.name))


def _workflow_check(arguments: argparse.Namespace) -> None:
    workflow = manifests.check_workflow(arguments.folder)
    print("{name} {version} can be installed".format(**workflow.manifest))


def _workflow_install(arguments: argparse.Namespace) -> None:
    wheels = arguments.wheels or os.path.join(arguments.folder, "wheels")
    done = releases.install_workflow(arguments.home, arguments.folder, wheels, arguments.python)
    words = {True: "new", False: "was there"}
    print("{} {}".format(done.name, done.version))
    print("release {} ({})".format(done.release, words[done.new_release]))
    print("runtime {} ({})".format(done.runtime, words[done.new_runtime]))


def _workflow_list(arguments: argparse.Namespace) -> None:
    homes.open_home(arguments.home)
    for one in releases.find_releases(arguments.home):
        print("{name} {version}  release {digest}  runtime {runtime}".format(**one))


def _workflow_remove(arguments: argparse.Namespace) -> None:
    for digest in releases.remove_workflow(arguments.home, arguments.name):
        print("removed release {}".format(digest))
