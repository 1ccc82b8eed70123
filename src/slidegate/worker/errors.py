# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong while a Task is moved."""

from slidegate.domain.errors import SlidegateError


class ImageChanged(SlidegateError):
    """The image is not the one that the run was asked for: it was changed since."""

    code = "image-changed-since"


class NoSpaceHere(SlidegateError):
    """The disk of this computer is full."""

    code = "disk-full-here"
    transient = True


class SystemRefused(SlidegateError):
    """The computer that slidegate runs on refused to read or write something."""

    code = "system-error"
    transient = True


class CrewsEnded(SlidegateError):
    """The workers at the site ended several times before the work was done; their log there says why."""

    code = "crews-ended"


class DataKeepsVanishing(SlidegateError):
    """The data at the site vanished again and again."""

    code = "data-keeps-vanishing"


class Unexpected(SlidegateError):
    """Something unexpected happened in slidegate."""

    code = "internal"


class NoLongerWanted(SlidegateError):
    """The work under way is not wanted any more, or is somebody else's now."""

    code = "no-longer-wanted"
    transient = True
