# SPDX-License-Identifier: BSD-3-Clause
"""The command line of gatectl.

Exit codes: 0 done; 1 a check found faults; 2 the command line is wrong; 3 refused or impossible, with a
sentence on standard error that begins with a stable code.
"""

import argparse
import os
import sys
from typing import Any, List, Optional

from slidegate_gate.errors import GateError

from . import checkup, installing, keys, upkeep, workflows

NEW = "for a new config.json"
VERBS: Any = [
    ("install", installing.install, "copy this gate to its home and make it the current version", {
        "--site": {"default": "local", "help": NEW}, "--state": {"help": NEW}, "--data": {"help": NEW},
        "--scheduler": {"default": "local", "help": "local or slurm, " + NEW},
        "--cores": {"type": int, "help": "for local, " + NEW}, "--conf": {"help": "slurm.conf, " + NEW},
        "--partition": {"help": "Slurm's, " + NEW}, "--account": {"help": "Slurm's, " + NEW},
        "--qos": {"help": "Slurm's, " + NEW}}),
    ("upgrade", installing.upgrade, "make this gate the current version where its self-test is good", {
        "--quick": {"action": "store_true", "help": "let the self-test start no jobs"}}),
    ("rollback", installing.rollback, "make the version before the current one current again", {}),
    ("remove", installing.remove, "shut all keys out and remove the gate with what it keeps", {
        "--yes": {"action": "store_true", "help": "do it"},
        "--even-if-work-is-left": {"action": "store_true", "help": "cancel work, lose results"}}),
    ("key add", keys.add, "let a key start workflows", {
        "name": {}, "--workflow": {"action": "append", "required": True, "help": "its name, or * for all"},
        "--cores": {"type": int, "help": "for local: cores that only this key uses, and no others"}}),
    ("key limits", keys.limits, "give a key limits of its own, and print those that hold", {
        "name": {}, "limit": {"nargs": "*", "metavar": "LIMIT=NUMBER", "help": "none: take it back"}}),
    ("key list", keys.list_all, "print the keys and what they may start", {}),
    ("key remove", keys.remove, "take a key off the list", {"name": {}}),
    ("authorize", keys.authorize, "let a public key in", {
        "public_key": {"metavar": "KEY.pub"},
        "--key": {"required": True, "metavar": "NAME", "help": "its name here, from `key add`"},
        "--from": {"dest": "source", "metavar": "ADDR[,ADDR]", "help": "only from these addresses"},
        "--until": {"metavar": "DATE", "help": "until this day begins, as in 2027-12-31"}}),
    ("deauthorize", keys.deauthorize, "let a public key in no more", {
        "public_key": {"metavar": "KEY.pub", "nargs": "?"},
        "--key": {"metavar": "NAME", "help": "all keys of this name"}}),
    ("workflow check", workflows.check, "say what is wrong with a workflow's folder", {"folder": {}}),
    ("workflow install", workflows.install, "make a Release and its Runtime", {
        "folder": {}, "--wheels": {"help": "where the wheels lie (default: FOLDER/wheels)"},
        "--python": {"default": sys.executable, "help": "its interpreter (default: %(default)s)"}}),
    ("workflow list", workflows.list_all, "print the Releases", {}),
    ("workflow remove", workflows.remove, "remove Releases", {"name": {"help": "a workflow or Release"}}),
    ("explain", checkup.explain, "print every argument list that can be executed for a key", {}),
    ("selftest", checkup.selftest, "check that this place keeps what the gate promises", {
        "--quick": {"action": "store_true", "help": "start no jobs"},
        "--wait": {"type": float, "default": 120, "metavar": "SECONDS",
                   "help": "for jobs to start (default: %(default)s)"},
        "--member": {"help": argparse.SUPPRESS}}),
    ("audit verify", checkup.verify_audit, "walk the audit chains", {}),
    ("clean", upkeep.clean, "remove what nobody needs any more", {
        "--dry-run": {"action": "store_true", "help": "only say what would be removed"},
        "--keep": {"type": int, "default": 80, "metavar": "PERCENT",
                   "help": "how full a key's limit of bytes may stay (default: %(default)s)"}}),
]  # fmt: skip


def main(argv: Optional[List[str]] = None) -> int:
    """Do what the command line says; return the exit code."""
    umask = os.umask(0o077)
    try:
        asked = _parser().parse_args(argv)
        asked.home = os.path.abspath(asked.home)
        return int(asked.do(asked) or 0)
    except GateError as error:
        sys.stderr.write("{}: {}\n".format(error.code, error))
    except OSError as error:
        words = "system-error: {}. Nothing half-made is used: repeat when it is mended.\n"
        sys.stderr.write(words.format(error))
    finally:
        os.umask(umask)
    return 3


def _parser() -> argparse.ArgumentParser:
    home = argparse.ArgumentParser(add_help=False)
    home.add_argument("--home", default=_own_home(), help="the gate's folder (default: %(default)s)")
    parser = argparse.ArgumentParser(prog="gatectl", description="Install and look after a gate.")
    groups = {"": parser.add_subparsers()}
    for words, do, about, options in VERBS:
        group, _, verb = words.rpartition(" ")
        if group not in groups:
            made = groups[""].add_parser(group, help="see `gatectl {} -h`".format(group))
            groups[group] = made.add_subparsers()
        made = groups[group].add_parser(verb, parents=[home], help=about, description=about)
        made.set_defaults(do=do)
        for option, settings in options.items():
            made.add_argument(option, **settings)
    for each in groups.values():
        each.required, each.dest, each.metavar = True, "verb", "VERB"
    return parser


def _own_home() -> str:
    # An installed gatectl lies in <home>/versions/<version>/slidegate_gate/gatectl.
    here = os.path.dirname(os.path.realpath(__file__))
    home = os.path.abspath(os.path.join(here, *[os.pardir] * 4))
    installed = os.path.basename(os.path.dirname(os.path.dirname(os.path.dirname(here)))) == "versions"
    return home if installed else os.path.expanduser("~/.slidegate-gate")
