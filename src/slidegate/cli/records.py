# SPDX-License-Identifier: BSD-3-Clause
"""The store alone, for commands that need nothing else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slidegate.store import Store


@contextmanager
def open_store() -> Iterator["Store"]:
    """Open the store of this home while the block runs."""
    from slidegate.settings import Settings
    from slidegate.store import Store
    from slidegate.wiring.log import make_home

    settings = Settings()
    make_home(settings)
    store = Store.open(settings.database)
    try:
        yield store
    finally:
        store.close()


def note(store: "Store", action: str, target: str) -> None:
    """Remember who changed what by a command; changes made in the pages stand beside it."""
    from slidegate.settings import Settings

    store.audit.note(time.time(), Settings().person, action, target, "done", None, "command line")
