# SPDX-License-Identifier: BSD-3-Clause
"""Saying what went wrong: a sentence and a code for the person, and where it came from for the log.

An error's own words often name a file, and that can name a patient. So neither holds them, unless slidegate
itself has chosen them.
"""

import errno
import logging
from uuid import uuid4

from slidegate.domain.errors import SlidegateError, trace_of
from slidegate.worker.errors import NoSpaceHere, SystemRefused, Unexpected

log = logging.getLogger(__name__)

_NO_SCHEDULER = "The site's scheduler does not answer clearly just now; it is asked again."


def in_words(error: Exception, doing: str) -> SlidegateError:
    """Return an error with a sentence for the person; what needs a look is logged, under a number.

    Parameters
    ----------
    doing
        What was being done, for the log: a Task or a site.
    """
    if isinstance(error, SlidegateError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceHere()
    number = uuid4().hex[:12]
    extra = {"action": "step_broke", "doing": doing}
    log.error("step broke, see %s (%s)\n%s", number, doing, trace_of(error), extra=extra)
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return SystemRefused(f"This computer refused something: {reason} (its log says more under {number}).")
    return Unexpected(f"Something unexpected happened in slidegate; its log says more under {number}.")


def trouble_of(error: SlidegateError) -> str:
    """Return what keeps something from going on, with the code under which it can be looked up."""
    words = (
        f"{_NO_SCHEDULER} It says: {error.message}" if error.code == "scheduler-unknown" else error.message
    )
    return f"{words} [{error.code}]"
