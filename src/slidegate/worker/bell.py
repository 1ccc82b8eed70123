# SPDX-License-Identifier: BSD-3-Clause
"""Threads that wake each other: whoever has changed something rings, whoever has nothing to do listens."""

from threading import Condition


class Bell:
    """Rung and heard by any number of threads; a ring that comes just before one listens is not missed."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._rings = 0

    @property
    def rings(self) -> int:
        """How often it was rung; to be asked before one looks for something to do."""
        return self._rings

    def ring(self) -> None:
        """Wake all."""
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def wait(self, heard: int, seconds: float) -> bool:
        """Wait until it was rung more than ``heard`` times, or so long; returns whether it was."""
        with self._condition:
            return self._condition.wait_for(lambda: self._rings != heard, seconds)
