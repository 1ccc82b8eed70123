# SPDX-License-Identifier: BSD-3-Clause
"""What granting a wish needs: the outside world, and a hold on the wish while it takes long."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from slidegate.cache import Cache
from slidegate.domain.shelf_names import in_omero
from slidegate.domain.values import ImageRef
from slidegate.sites import Gate
from slidegate.sources.shelves import Shelves
from slidegate.store.wishes import HeldWish, Wishes
from slidegate.worker.acting import Acting
from slidegate.worker.errors import NoLongerWanted
from slidegate.worker.renewing import Clock, Renewing
from slidegate.worker.runs import Runs
from slidegate.worker.tools import Tools
from slidegate.worker.wishes.errors import BadWish, OmeroNotServed

_NOTE_SECONDS = 0.25


@dataclass(frozen=True)
class Desk:
    """Where wishes are granted; each thread has its own, as its gates are its own.

    Attributes
    ----------
    shelves
        The folders that people may choose images from.
    results
        Where results of Runs go that pages asked for: a folder per person.
    gate_at
        Returns what Runs of a person at a site are filed under; raises what keeps the person from it.
    runs
        Asks for Runs and deletes them.
    preview
        The embedded site, by a key that is used for previews only.
    """

    tools: Tools
    cache: Cache
    shelves: Shelves
    results: Path
    gate_at: Callable[[str, str], str]
    runs: Runs
    preview: Gate

    def image(self, name: str) -> ImageRef:
        """Return the image of a name; that it can be read is not looked at.

        Raises
        ------
        BadImageName, ImageNotFoundError, ImageUnreadableError, NotAnImageError
            There is no such image on a shelf.
        OmeroNotServed
        """
        number = in_omero(name)
        return self.shelves.image(name) if number is None else ImageRef(self.acting.name, number)

    @property
    def acting(self) -> Acting:
        """What reads and writes in OMERO; OmeroNotServed is raised where there is none."""
        if self.tools.acting is None:
            raise OmeroNotServed
        return self.tools.acting


class Asked(Renewing):
    """One wish in this worker's hands; as a context, its lease is renewed by another thread.

    Parameters
    ----------
    held
        The wish and the lease on it.
    stop
        Set when the worker shall go: what takes long is given up.
    """

    def __init__(
        self, wishes: Wishes, held: HeldWish, clock: Clock, seconds: float, stop: Event | None = None
    ) -> None:
        super().__init__(clock, seconds, stop)
        self.held = held
        self._wishes = wishes
        self._noted_at = 0.0
        self._noted_step: str | None = None

    @property
    def id(self) -> str:
        """The name of the wish."""
        return self.held.wish.id

    @property
    def person(self) -> str:
        """Who asks."""
        return self.held.wish.person

    @property
    def asked_at(self) -> float:
        """When it was asked, seconds since 1970."""
        return self.held.wish.asked_at

    @property
    def body(self) -> Mapping[str, Any]:
        """What is asked."""
        return self.held.wish.body

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text of the body.

        Raises
        ------
        BadWish
            It is missing, or no text.
        """
        found = self.body.get(name, default)
        if not isinstance(found, str):
            raise BadWish(f"The request lacks {name}.")
        return found

    def texts(self, name: str, most: int) -> list[str]:
        """Return a list of texts of the body; BadWish where it is none, or longer than `most`."""
        found = self.body.get(name)
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise BadWish(f"The request lacks {name}.")
        if len(found) > most:
            raise BadWish(f"The request names {len(found)} {name}; at most {most} are taken at once.")
        return found

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object of the body, empty where it is absent; BadWish where it is something else."""
        found = self.body.get(name) or {}
        if not isinstance(found, dict):
            raise BadWish(f"The request lacks {name}.")
        return found

    def renew(self, until: float) -> bool:
        """See Renewing."""
        return self._wishes.renew(self.held, until)

    def note(self, step: str, done: int | None = None, total: int | None = None) -> None:
        """Say how far it is, a few times a second; raises NoLongerWanted as `check` does."""
        self.check()
        now = self._clock()
        is_new = step != self._noted_step or done is None or done == total
        if not is_new and abs(now - self._noted_at) < _NOTE_SECONDS:
            return
        self._noted_at, self._noted_step = now, step
        if not self._wishes.progress(self.held, step, done, total, now):
            raise NoLongerWanted
