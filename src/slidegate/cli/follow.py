# SPDX-License-Identifier: BSD-3-Clause
"""Showing what happens to a Run until it ends."""

from typing import TYPE_CHECKING

from slidegate.cli.errors import Interrupted
from slidegate.cli.view import Watch
from slidegate.domain.values import RunId

if TYPE_CHECKING:
    from slidegate.cli.place import Place
    from slidegate.worker.views import RunView

_ENDED = ("succeeded", "failed", "cancelled")
_MANY = 200  # images; with more, they are looked at less often
_SECONDS_OF_MANY = 3.0


def follow(place: "Place", run: RunId) -> "RunView":
    """Show the Tasks of a Run until all of them have ended; returns how it ended.

    Interrupted, the Run stays as it is, and what the site computes goes on.
    """
    view = place.show(run)
    if view.state in _ENDED:
        return view
    pause = _SECONDS_OF_MANY if len(view.tasks) > _MANY else 0.0
    with place.at_work(run) as goes_on:
        try:
            with Watch() as watch:
                watch.show(view)
                while view.state not in _ENDED and goes_on(pause):
                    view = place.show(run)
                    watch.show(view)
        except KeyboardInterrupt:
            raise Interrupted(
                "Interrupted. What the site computes goes on; the same command takes it up again, and "
                f"slidegate cancel {run[:8]} ends it."
            ) from None
    return place.show(run)
