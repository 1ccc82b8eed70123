# SPDX-License-Identifier: GPL-2.0-or-later
"""Services that read many rows in one operation."""

from collections.abc import Iterator
from contextlib import contextmanager

from pocket_omero.ice.dispatch import Service

__all__ = ["Steady"]


class Steady(Service):
    """A service whose operations see the state as it is at one moment: nobody writes in between."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the state while an operation runs."""
        with self.house.state.lock:
            yield
