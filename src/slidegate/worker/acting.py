# SPDX-License-Identifier: BSD-3-Clause
"""What a worker that serves many people needs where each of them has rights of their own: at an OMERO."""

from collections.abc import Collection, Mapping
from typing import Protocol

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef, RunId
from slidegate.sources.base import ImageSource, ResultSink


class Acting(Protocol):
    """Reads and writes as a person, with their rights and no more. For one thread.

    Every method raises SlidegateError where it cannot act for that person just now, or at all.

    Attributes
    ----------
    name
        What sources call it: that of its images' ImageRefs.
    """

    name: str

    def place(self, wishes: Mapping[str, object]) -> str:
        """Return what ``out`` of a Run says when results go beside the images.

        Parameters
        ----------
        wishes
            ``objects``, ``labels`` and ``tags``: what is to be written; empty for the usual.
        """
        ...

    def serves(self, out: str) -> bool:
        """Say whether ``out`` of a Run means a place here."""
        ...

    def source(self, person: str) -> ImageSource:
        """Return what reads images for a person."""
        ...

    def sink(self, out: str, person: str) -> ResultSink:
        """Return what writes results for a person; it asks first whether the person still may."""
        ...

    def refusals(
        self, person: str, images: Collection[ImageRef], writing: bool
    ) -> dict[ImageRef, SlidegateError]:
        """Ask for the rights of a person; return why images cannot be used, for those that cannot.

        Parameters
        ----------
        writing
            Whether results will be written beside them.
        """
        ...

    def undo(self, run: RunId, out: str, person: str) -> int:
        """Remove all that a Run wrote, complete or not; returns how much. A repeat changes nothing."""
        ...

    def waits_for(self, error: SlidegateError, tries: int) -> bool:
        """Say whether what failed so often is not given up: it mends itself, or somebody does it."""
        ...

    def grant(self, person: str, user_id: int, name: str, password: str) -> float | None:
        """Begin a session by a person's password, to act with until it ends.

        Parameters
        ----------
        user_id, name
            Who it has to be.

        Returns
        -------
        When it ends at the latest, in seconds since 1970; None where it has no such end.
        """
        ...

    def revoke(self, person: str) -> None:
        """End the session that a person granted, and forget it. Safe to repeat."""
        ...

    def unseal(self, letter: str) -> bytes:
        """Return what somebody has sealed for this worker; ValueError where it was not sealed for it."""
        ...

    def hang_up(self, all_of_it: bool) -> None:
        """End what was not used for some minutes, or all of it; what is asked afterwards begins anew."""
        ...
