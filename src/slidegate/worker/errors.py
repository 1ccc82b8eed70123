# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong while a Task is moved."""

from slidegate.domain.errors import SlidegateError


class ImageChanged(SlidegateError):
    """The image is not the one that the run was asked for: it was changed since."""

    code = "image-changed-since"


class RegionsChanged(ImageChanged):
    """The regions on the image are not those that the run was asked for: they were changed since."""

    code = "regions-changed-since"


class RegionsMissing(SlidegateError):
    """The workflow works on regions, and nobody has drawn any on the image."""

    code = "regions-missing"


class NoSpaceHere(SlidegateError):
    """The disk of this computer is full."""

    code = "disk-full-here"
    transient = True


class SystemRefused(SlidegateError):
    """The computer that slidegate runs on refused to read or write something."""

    code = "system-error"
    transient = True


class CrewsEnded(SlidegateError):
    """The jobs at the site ended again and again before anything was done.

    The administrator of the site finds out why with gatectl selftest.
    """

    code = "crews-ended"


class CancelledOutside(SlidegateError):
    """Somebody at the site ended the job; it was not slidegate. Nothing is wrong with the image.

    Whoever uses the same account there, or the administrator of the site, knows why.
    """

    code = "cancelled-outside"


class TimeLimit(SlidegateError):
    """The time that the site gives a job was up before anything more was done; as much again would not help.

    Nothing is wrong with the image. The administrator of the site can give such jobs more minutes.
    """

    code = "time-limit"


class OutOfMemory(SlidegateError):
    """A job needed more memory than the site gives it, and was ended; as much again would not help.

    The administrator of the site can give such jobs more memory; or take smaller blocks, where the workflow
    has a parameter for it.
    """

    code = "out-of-memory"


class NodeLost(SlidegateError):
    """Computers of the site failed again and again before the work was done. Nothing is wrong with the image.

    The administrator of the site should know of it.
    """

    code = "node-lost"


class Preempted(SlidegateError):
    """More urgent work took the place of the job again and again. Nothing is wrong with the image.

    Try again when the site is less busy; or its administrator can give such jobs a higher rank.
    """

    code = "preempted"


BY_CAUSE: dict[str | None, type[SlidegateError]] = {
    "cancelled": CancelledOutside,
    "time-limit": TimeLimit,
    "out-of-memory": OutOfMemory,
    "node-lost": NodeLost,
    "preempted": Preempted,
}
"""What the causes that a site names mean for a Task; any other means that crews ended."""


class DataKeepsVanishing(SlidegateError):
    """The data at the site vanished again and again."""

    code = "data-keeps-vanishing"


class WorkersDied(SlidegateError):
    """Several workers in a row ended suddenly with this in their hands: by it, or by what ran beside it.

    Try again; if it happens again with this image alone, the image is what makes them end.
    """

    code = "workers-died"


class Unexpected(SlidegateError):
    """Something unexpected happened in slidegate."""

    code = "internal"


class InOtherHands(SlidegateError):
    """Another worker of this computer does just the same for another task; what it brings does for both."""

    code = "in-other-hands"
    transient = True


class NoLongerWanted(SlidegateError):
    """The work under way is not wanted any more, or is somebody else's now."""

    code = "no-longer-wanted"
    transient = True
