# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel of this computer tells of processes."""

import contextlib
import os
from typing import Any, Tuple

__all__ = ["oom_kills", "usage_of"]


def oom_kills() -> int:
    """Return how many processes the kernel of this computer has ended as memory was used up; 0 if unknown."""
    with contextlib.suppress(OSError, IndexError), open("/proc/vmstat") as file:
        return int(file.read().partition("\noom_kill ")[2].split()[0])
    return 0


def usage_of(process: Any) -> Tuple[float, int]:
    """Return (processor seconds, most bytes of memory) of a child process so far; zeros if unknown."""
    folder = "/proc/{}/".format(process.pid if process else 0)
    with contextlib.suppress(OSError), open(folder + "stat") as stat, open(folder + "status") as status:
        ticks = stat.read().rpartition(")")[2].split()[11:15]
        peak = status.read().partition("\nVmHWM:")[2].split()[:1]  # which a process that has ended lacks
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), sum(map(int, peak)) * 1024
    return 0.0, 0
