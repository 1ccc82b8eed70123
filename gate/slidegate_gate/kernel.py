# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel of this computer tells of processes."""

import contextlib
import os
from typing import Any, Optional, Tuple

__all__ = ["oom_kills", "usage_of"]


_COUNTS = (
    ("memory", "/sys/fs/cgroup/memory{}/memory.oom_control"),
    ("", "/sys/fs/cgroup{}/memory.events"),
    (None, "/proc/vmstat"),
)


def oom_kills() -> int:
    """Return how many processes the kernel has ended as memory was used up; 0 if unknown.

    Counted are those of this process's control group, as jobs of a scheduler have one each; all of this
    computer where there is none, so that somebody else's may be among them.
    """
    for controller, place in _COUNTS:
        with contextlib.suppress(OSError, IndexError), open(place.format(_group(controller))) as file:
            return int(file.read().partition("\noom_kill ")[2].split()[0])
    return 0


def _group(controller: Optional[str]) -> str:
    """Return this process's control group, as a path below where its controller is mounted."""
    if controller is None:
        return ""
    with open("/proc/self/cgroup") as file:
        groups = [line.rstrip("\n").split(":", 2) for line in file]
    paths = [path for _, kinds, path in groups if controller in kinds.split(",")]
    return paths[0]


def usage_of(process: Any) -> Tuple[float, int]:
    """Return (processor seconds, most bytes of memory) of a child process so far; zeros if unknown."""
    folder = "/proc/{}/".format(process.pid if process else 0)
    with contextlib.suppress(OSError), open(folder + "stat") as stat, open(folder + "status") as status:
        ticks = stat.read().rpartition(")")[2].split()[11:15]
        peak = status.read().partition("\nVmHWM:")[2].split()[:1]  # which a process that has ended lacks
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), sum(map(int, peak)) * 1024
    return 0.0, 0
