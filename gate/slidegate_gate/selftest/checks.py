# SPDX-License-Identifier: BSD-3-Clause
"""The list of what is tried, each with the sentence that stands for it."""

import os
from functools import partial
from typing import Any, Callable, Dict, Iterator, Tuple

from ..errors import GateError
from ..home import slurm, versions
from ..home.places import check_alone
from ..serve import files
from ..serve.layout import class_of
from ..workflows.releases import find_releases, step_command
from ..workflows.runtimes import ask_python, run_program
from . import account, nodes, places
from .places import demand

__all__ = ["run"]

FIGURES = {"members", "memory_mb", "minutes"}
Checks = Iterator[Tuple[str, Callable[[], None]]]


def run(home: str, config: Dict[str, Any], scheduler: Any, seconds: float) -> int:
    """Try everything that the gate relies on, and print each in words; 1 where something does not hold.

    Jobs that do not start within so many seconds are a fault; none are started where it is 0.
    """
    failed = 0
    for what, check in _checks(home, config, scheduler, seconds):
        try:
            check()
            print("good  {}".format(what), flush=True)
        except (GateError, OSError, LookupError, ValueError) as error:
            failed = 1
            print("BAD   {}: {}".format(what, error), flush=True)
    return failed


def _checks(home: str, config: Dict[str, Any], scheduler: Any, seconds: float) -> Checks:
    for name, root in (("home", home), ("state", config["state"]), ("data", config["data"])):
        yield "{} is this account's alone".format(name), partial(check_alone, root)
    yield "the gate's files are as they were installed", partial(_is_unchanged, home)
    yield "the lines in authorized_keys are exact", partial(account.lines_are_exact, home, config)
    yield "no shell greets a key", partial(account.shell_is_silent, home, config)
    for name in ("state", "data"):
        for what, check in places.CHECKS.items():
            yield "{}: {}".format(name, what), partial(places.try_in, config[name], check)
    for name in sorted(config["classes"]):
        yield "the class {!r} has its figures".format(name), partial(_has_figures, config, name)
    yield "the scheduler answers", partial(_scheduler_answers, scheduler)
    if config["scheduler"]["name"] == "slurm":
        yield "Slurm takes arrays and jobs of these sizes", partial(_fit_slurm, config)
    for name, settings in sorted(config["classes"].items() if seconds else ()):
        if FIGURES - set(settings):
            continue
        trial = nodes.Trial(config, scheduler, settings, seconds)
        yield "jobs of the class {!r} start and report".format(name), trial.run
        alone = ", the only node tried: {}".format(trial.alone) if trial.alone else ""
        for host, faults in sorted(trial.faults.items()):
            what = "state and data are as good on {}{}".format(host, alone)
            yield what, partial(demand, not faults, "; ".join(faults))
        if trial.faults:
            yield "a name is given once among all of them", trial.names_are_given_once
    for release in find_releases(home):
        yield "{name} {version} starts in its Runtime".format(**release), partial(_starts, home, release)


def _is_unchanged(home: str) -> None:
    words = "they were altered: install it anew from where it came, and ask who could write there"
    demand(versions.is_unchanged(versions.folder_of(home)), words)


def _has_figures(config: Dict[str, Any], name: str) -> None:
    missing = FIGURES - set(class_of(config, name)[1])
    demand(not missing, "config.json lacks its {}: add it".format(", ".join(sorted(missing))))


def _scheduler_answers(scheduler: Any) -> None:
    demand(scheduler.find("sg-selftest") == [], "it knows jobs that were never started")


def _fit_slurm(config: Dict[str, Any]) -> None:
    longest = slurm.longest_array(config["scheduler"])
    words = "its arrays have {} elements at most: set scheduler.max_array to that, or less"
    demand(config["scheduler"].get("max_array", 1000) <= longest, words.format(longest))
    limits = {one.name: one.minutes for one in slurm.partitions(config["scheduler"])}
    for name, settings in sorted(config["classes"].items()):
        partition = settings.get("partition")
        demand(partition is None or partition in limits, "no partition {!r} is up".format(partition))
        most = limits.get(partition) or settings.get("minutes", 0)
        words = "jobs in {!r} end after {} minutes: set no more for the class {!r}"
        demand(settings.get("minutes", 0) <= most, words.format(partition, most, name))


def _starts(home: str, release: Dict[str, Any]) -> None:
    path = os.path.join(home, "runtimes", release["runtime"], "runtime.json")
    stated = files.read_json(path) or {"python": "lost"}
    found = ask_python(release["python"])["python"]
    words = "built for Python {}, now {}: install it again".format(stated["python"], found)
    demand(stated["python"] == found, words)
    folder = os.path.join(home, "releases", release["digest"])
    code, words = run_program(step_command(release, folder), "/", 300)
    demand(code == 0, "exit code {}, {}: install it again".format(code, words))
