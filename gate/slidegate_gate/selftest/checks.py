# SPDX-License-Identifier: BSD-3-Clause
"""The list of what is tried, each with the sentence that stands for it."""

import os
import sys
from functools import partial
from typing import Any, Callable, Dict, Iterator, Tuple

from ..errors import GateError
from ..home.places import check_alone
from ..serve import files
from ..serve.layout import class_of
from ..workflows.releases import find_releases, step_command
from ..workflows.runtimes import ask_python, run_program
from . import places
from .places import demand

__all__ = ["run"]


def run(home: str, config: Dict[str, Any], scheduler: Any) -> int:
    """Try everything that the gate relies on, and print each in words; 1 where something does not hold."""
    failed = 0
    for what, check in _checks(home, config, scheduler):
        try:
            check()
            print("good  {}".format(what))
        except (GateError, OSError, ValueError) as error:
            failed = 1
            print("BAD   {}: {}".format(what, error))
    return failed


def _checks(home: str, config: Dict[str, Any], scheduler: Any) -> Iterator[Tuple[str, Callable[[], None]]]:
    yield "Python is 3.6 or later", partial(demand, sys.version_info >= (3, 6), "use a newer python3")
    for name, root in (("home", home), ("state", config["state"]), ("data", config["data"])):
        yield "{} is this account's alone".format(name), partial(check_alone, root)
    for name in ("state", "data"):
        for what, check in places.CHECKS.items():
            yield "{}: {}".format(name, what), partial(places.try_in, config[name], check)
    for name in sorted(config["classes"]):
        yield "the class {!r} has its figures".format(name), partial(_has_figures, config, name)
    yield "the scheduler answers", partial(_scheduler_answers, scheduler)
    for release in find_releases(home):
        yield "{name} {version} starts in its Runtime".format(**release), partial(_starts, home, release)


def _has_figures(config: Dict[str, Any], name: str) -> None:
    missing = {"members", "memory_mb", "minutes"} - set(class_of(config, name)[1])
    demand(not missing, "config.json lacks its {}: add it".format(", ".join(sorted(missing))))


def _scheduler_answers(scheduler: Any) -> None:
    demand(scheduler.find("sg-selftest") == [], "it knows jobs that were never started")


def _starts(home: str, release: Dict[str, Any]) -> None:
    path = os.path.join(home, "runtimes", release["runtime"], "runtime.json")
    stated = files.read_json(path) or {"python": "lost"}
    found = ask_python(release["python"])["python"]
    words = "built for Python {}, now {}: install it again".format(stated["python"], found)
    demand(stated["python"] == found, words)
    code, words = run_program(
        step_command(release, os.path.join(home, "releases", release["digest"])), "/", 300
    )
    demand(code == 0, "exit code {}, {}: install it again".format(code, words))
