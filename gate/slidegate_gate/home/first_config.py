# SPDX-License-Identifier: BSD-3-Clause
"""The config.json of a new gate: figures to begin with, taken from the computer or from the cluster."""

import os
import re
from argparse import Namespace
from typing import Any, Dict, Tuple

from ..config import CONFIG_FORMAT
from . import slurm
from .config import UnknownName, check_word

__all__ = ["first_config"]

# A member of a crew is small and short, so that it finds its place between other people's jobs.
MEMBERS = 8
MEMORY_MB = 4000
MINUTES = 120


def first_config(asked: Namespace) -> Dict[str, Any]:
    """Return the configuration of a gate that has none; raise UnknownName or NoScheduler."""
    check_word(asked.site)
    on_slurm = asked.scheduler == "slurm"
    scheduler, members = _slurm(asked) if on_slurm else _computer(asked)
    return {
        "format": CONFIG_FORMAT,
        "site": asked.site,
        "state": os.path.abspath(asked.state or os.path.join(asked.home, "state")),
        "data": os.path.abspath(asked.data or os.path.join(asked.home, "data")),
        "scheduler": scheduler,
        "classes": {"small": {"as": "cpu"}, "cpu": members},
        "keys": {},
        "limits": {},
        # On a cluster's file system other nodes may see a sign of life long after it was given.
        "lease_seconds": 60 if on_slurm else 10,
    }


def _computer(asked: Namespace) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    cores = asked.cores or os.cpu_count() or 1
    return {"name": asked.scheduler, "cores": cores}, {"members": cores, "memory_mb": 4000, "minutes": 720}


def _slurm(asked: Namespace) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    scheduler = slurm.settings(asked.conf)
    found = slurm.partitions(scheduler)
    chosen = [one for one in found if (one.name == asked.partition if asked.partition else one.is_default)]
    if not chosen:
        words = "Slurm has no such partition, or none by default: say --partition with one of {}."
        raise UnknownName(words.format(", ".join(one.name for one in found) or "those that it does not show"))
    given = {"partition": chosen[0].name, "account": asked.account, "qos": asked.qos}
    for option, value in given.items():
        if value and not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}", value):
            raise UnknownName("{!r} cannot be a name for --{}.".format(value, option))
    minutes = min(MINUTES, chosen[0].minutes or MINUTES)
    memory = min(MEMORY_MB, chosen[0].memory_mb)
    members = min(MEMBERS, chosen[0].nodes * chosen[0].cpus)
    figures = {"members": members, "memory_mb": memory, "minutes": minutes, "cpus": 1, "gpus": 0}
    return scheduler, dict(figures, **{option: value for option, value in given.items() if value})
