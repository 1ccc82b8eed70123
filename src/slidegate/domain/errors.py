# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong, each situation as a class.

The docstring of a class is the sentence that a person reads when no better one is given. ``code`` is stable
and may be relied on by programs, ``transient`` says whether trying again later can help, ``exit_code`` is
what the command line ends with.
"""

import traceback


class SlidegateError(Exception):
    """Something went wrong in slidegate."""

    code: str = "error"
    transient: bool = False
    exit_code: int = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))

    @property
    def message(self) -> str:
        """The sentence for the person."""
        return str(self)


class BadRequest(SlidegateError):
    """The request cannot be carried out as it was given."""

    code = "bad-request"
    exit_code = 2


class UnknownRun(BadRequest):
    """There is no run with that name."""

    code = "unknown-run"


class UnknownWorkflow(BadRequest):
    """There is no workflow with that name at the site."""

    code = "unknown-workflow"


class UnknownSite(BadRequest):
    """There is no site with that name."""

    code = "unknown-site"


class UnknownSource(BadRequest):
    """There is no image source with that name."""

    code = "unknown-source"


class BadParameter(BadRequest):
    """A parameter has a value that the workflow does not accept."""

    code = "bad-parameter"


class NothingSelected(BadRequest):
    """No image was chosen."""

    code = "nothing-selected"


class MixedSources(BadRequest):
    """Images of OMERO and of folders are not mixed in one run: ask for two."""

    code = "omero-mixed"


class OmeroNotInstalled(BadRequest):
    """What talks to OMERO is not installed: pip install slidegate[omero]."""

    code = "omero-not-installed"


class RunStillActive(BadRequest):
    """The run is still active: cancel it first."""

    code = "run-still-active"


class IllegalMove(SlidegateError):
    """A task cannot go from the state that it is in to the state that was asked for."""

    code = "illegal-move"


class Outdated(SlidegateError):
    """Somebody else moved the task meanwhile; what was about to be written is not written."""

    code = "outdated"
    transient = True


def trace_of(error: BaseException) -> str:
    """Return where an error and what caused it came from, without their own words.

    Those often name a file or hold a row's values, and so can name a patient.
    """
    lines: list[str] = []
    left: BaseException | None = error
    while left is not None:
        words = f": {left.strerror}" if isinstance(left, OSError) else ""
        lines[:0] = [*traceback.format_tb(left.__traceback__), f"{type(left).__name__}{words}\n"]
        left = left.__cause__ or (None if left.__suppress_context__ else left.__context__)
    return "".join(lines).rstrip("\n")
