# SPDX-License-Identifier: BSD-3-Clause
"""The gates as they are now: a site or a person's link that was added appears without a restart."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from slidegate.sites import Gate


class LiveGates(Mapping[str, Gate]):
    """Gates by what Runs call them, each with a client that is made when it is first asked for.

    For one thread: a client carries one conversation. What all threads share, such as the patience with a
    site, is shared by what ``build`` gives them.

    Parameters
    ----------
    names
        Lists the gates that there are now.
    build
        Makes a client of one of them; opens nothing.
    """

    def __init__(self, names: Callable[[], Iterable[str]], build: Callable[[str], Gate]) -> None:
        self._names = names
        self._build = build
        self._made: dict[str, Gate] = {}
        self._used_at: dict[str, float] = {}

    def __getitem__(self, name: str) -> Gate:
        if name not in self._made:
            if name not in set(self._names()):
                raise KeyError(name)
            self._made[name] = self._build(name)
        self._used_at[name] = time.monotonic()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(set(self._names()))

    def quiet(self, seconds: float) -> tuple[Gate, ...]:
        """Return the clients that were not asked for for so long, and forget that they were used."""
        before = time.monotonic() - seconds
        names = [name for name, used in self._used_at.items() if used <= before]
        for name in names:
            del self._used_at[name]
        return tuple(self._made[name] for name in names)
