# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What the gate answers when it cannot do what it was asked.

One class per situation.  The docstring is a sentence for people; `code` never changes and is what programs
look at; `transient` says whether the same request may succeed later without anybody changing anything.
"""

from typing import Any

__all__ = [
    "AttemptConflict",
    "BadFrame",
    "BadOutput",
    "BadParameters",
    "BadPlan",
    "BadRequest",
    "BadTree",
    "Busy",
    "DigestMismatch",
    "Failure",
    "GateError",
    "Gone",
    "Idle",
    "Internal",
    "MissingBlobs",
    "NoSpace",
    "NotAllowed",
    "NotFinished",
    "NotFound",
    "OverLimit",
    "RoundTooEarly",
    "SchedulerError",
    "SchedulerUnknown",
    "UnknownClass",
    "UnknownRelease",
    "WrongOffset",
]


# limit -> when there is room again
FREES = {
    "requests_per_minute": "with the next minute",
    "bytes": "when contents are removed at the site",
    "attempts_alive": "as Attempts end",
    "jobs_alive": "as jobs end",
    "attempts_per_day": "at midnight UTC",
    "jobs_per_day": "at midnight UTC",
    "gpu_hours_per_day": "at midnight UTC",
    "channels": "when another connection of this key ends",
}


class GateError(Exception):
    """The gate cannot do what it was asked."""

    code = "gate-error"
    transient = False

    def __init__(self, message: str = "", **detail: Any) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])
        self.detail = detail


class BadFrame(GateError):
    """What arrived is not a frame of this protocol; the channel cannot be used any further."""

    code = "bad-frame"


class Idle(BadFrame):
    """Nothing arrived for longer than the gate waits."""

    code = "idle"
    transient = True


class BadRequest(GateError):
    """The request does not have the form that its verb asks for."""

    code = "bad-request"


class NotAllowed(GateError):
    """This key may not start that workflow."""

    code = "not-allowed"


class UnknownRelease(GateError):
    """No Release of that digest is installed here."""

    code = "unknown-release"


class UnknownClass(GateError):
    """The site has no resource class of that name; its administrator must add it to config.json."""

    code = "unknown-class"


class BadPlan(GateError):
    """The plan does not have the form that a plan must have."""

    code = "bad-plan"


class BadParameters(GateError):
    """A parameter is missing, unknown, of the wrong type or out of range."""

    code = "bad-parameters"


class AttemptConflict(GateError):
    """An Attempt of that key is already known here with another Release, other inputs or other parameters."""

    code = "attempt-conflict"


class BadTree(GateError):
    """A Tree that the plan names is not written as a Tree must be."""

    code = "bad-tree"


class MissingBlobs(GateError):
    """Contents that the plan needs are not kept here; send them and submit again."""

    code = "missing-blobs"
    transient = True


class WrongOffset(GateError):
    """The upload continues at another place; send from there."""

    code = "wrong-offset"
    transient = True


class DigestMismatch(GateError):
    """What was sent is not what its digest says; the upload was thrown away."""

    code = "digest-mismatch"
    transient = True


class Busy(GateError):
    """Another connection is sending the same contents."""

    code = "busy"
    transient = True


class OverLimit(GateError):
    """A limit of this key is reached; where no waiting helps, more was asked for than it ever allows."""

    code = "limit"
    transient = True

    def __init__(self, limit: str, most: float, used: float, asked: float) -> None:
        self.transient = asked <= most
        frees = FREES[limit] if self.transient else "never: ask for less, or the site for a higher limit"
        figures = [
            int(figure) if figure == int(figure) else round(figure, 2) for figure in (most, used, asked)
        ]
        words = "The limit {} of this key is {}: {} used, {} asked for. Room comes {}."
        detail = dict(zip(("most", "used", "asked"), figures), limit=limit, frees=frees)
        super().__init__(words.format(limit, *figures, frees), **detail)


class Gone(GateError):
    """These contents are not kept here, or not any more."""

    code = "gone"


class NotFound(GateError):
    """This key has no Attempt of that name."""

    code = "not-found"


class NotFinished(GateError):
    """The Attempt has no result yet, so it cannot be let go; cancel it first."""

    code = "not-finished"
    transient = True


class RoundTooEarly(GateError):
    """An earlier crew of that Submission has not ended, so no other is started."""

    code = "round-too-early"
    transient = True


class SchedulerError(GateError):
    """The scheduler refused to start the jobs; nothing was started."""

    code = "scheduler-refused"
    transient = True


class SchedulerUnknown(GateError):
    """The scheduler did not answer clearly; whether jobs were started is not known yet."""

    code = "scheduler-unknown"
    transient = True


class NoSpace(GateError):
    """The site has no space left for this."""

    code = "no-space"
    transient = True


class Internal(GateError):
    """The gate failed; its administrator finds the reason in the log under the id that is given here."""

    code = "internal"
    transient = True


class Failure(GateError):
    """Why a try of a Unit failed; `transient` says that a new Attempt may succeed with nothing changed."""


class BadOutput(Failure):
    """What the workflow wrote is not what its manifest promises."""

    code = "bad-output"
