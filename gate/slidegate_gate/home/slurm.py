# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What a Slurm says about itself: enough for a first ``config.json``, and to check one later."""

import os
import re
import shutil
from typing import Any, Dict, List, NamedTuple

from ..errors import GateError, SchedulerError, SchedulerUnknown
from ..schedulers.slurm_words import run

__all__ = ["NoScheduler", "Partition", "longest_array", "partitions", "settings"]

COLUMNS = "%R|%P|%a|%D|%c|%m|%l"


class Partition(NamedTuple):
    """`nodes` of them, each with at least so much; `minutes` a job may last, 0 for ever."""

    name: str
    is_default: bool
    nodes: int
    cpus: int
    memory_mb: int
    minutes: int


class NoScheduler(GateError):
    """The scheduler's programs are not here, or refuse to answer."""

    code = "no-scheduler"


def settings(conf: str) -> Dict[str, Any]:
    """Return the ``scheduler`` of a config.json for the Slurm that this account's ``sbatch`` talks to."""
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        words = "There is no sbatch on the PATH: use a login node, if need be after `module load slurm`."
        raise NoScheduler(words)
    found: Dict[str, Any] = {"name": "slurm", "bin": os.path.dirname(os.path.abspath(sbatch))}
    if conf or os.environ.get("SLURM_CONF"):
        found["conf"] = os.path.abspath(conf or os.environ["SLURM_CONF"])
    said = _ask(found, "scontrol", "show", "config")
    stores = re.search(r"^AccountingStorageType\s*=\s*accounting_storage/slurmdbd", said, re.M)
    found.update(accounting=bool(stores), poll_seconds=30, settle_seconds=30, timeout_seconds=30)
    return dict(found, max_array=longest_array(found))


def longest_array(scheduler: Dict[str, Any]) -> int:
    """Return how many elements an array may have; its highest index is one less than MaxArraySize."""
    said = _ask(scheduler, "scontrol", "show", "config")
    found = re.search(r"^MaxArraySize\s*=\s*([0-9]+)", said, re.M)
    return int(found.group(1)) - 1 if found else 1000


def partitions(scheduler: Dict[str, Any]) -> List[Partition]:
    """Return the partitions that are up; one with several kinds of nodes has the figures of the weakest."""
    found: Dict[str, Partition] = {}
    for line in _ask(scheduler, "sinfo", "--noheader", "--exact", "--format=" + COLUMNS).splitlines():
        words = [word.strip() for word in line.split("|")]
        if len(words) != 7 or words[2] != "up":
            continue
        nodes, cpus, memory = [_number(word) for word in words[3:6]]
        one = Partition(words[0], words[1].endswith("*"), nodes, cpus, memory, _minutes(words[6]))
        other = found.get(one.name, one._replace(nodes=0))
        found[one.name] = one._replace(
            nodes=one.nodes + other.nodes,
            cpus=min(one.cpus, other.cpus),
            memory_mb=min(one.memory_mb, other.memory_mb),
        )
    return list(found.values())


def _number(text: str) -> int:
    found = re.match("[0-9]+", text)
    return int(found.group()) if found else 1


def _minutes(limit: str) -> int:
    """Return a time limit ([days-]hours:minutes:seconds) in minutes, 0 for none."""
    if not re.fullmatch("([0-9]+-)?([0-9]+:)?[0-9]+:[0-9]+", limit):
        return 0
    days, _, rest = limit.rpartition("-")
    hours, minutes = ([0] + [int(part) for part in rest.split(":")])[-3:-1]
    return int(days or 0) * 1440 + hours * 60 + minutes


def _ask(scheduler: Dict[str, Any], program: str, *words: str) -> str:
    try:
        return run([os.path.join(scheduler["bin"], program)] + list(words), scheduler)
    except (SchedulerError, SchedulerUnknown) as error:
        raise NoScheduler("Slurm does not answer: {}.".format(error))
