# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: N818  (a situation is named as what it is)
"""What pocket OMERO answers when it cannot do what it was asked.

One class per situation. `raised` names the exception that a client meets on the wire; it is made at one place
only, where calls arrive (`pocket_omero.ice.dispatch`).
"""

__all__ = [
    "BadQuery",
    "Concurrent",
    "Forbidden",
    "Invalid",
    "NotReady",
    "PocketError",
    "ReadOnlyServer",
    "SessionGone",
    "SessionTimedOut",
    "SlowDown",
    "Unsupported",
    "WrongUse",
]


class PocketError(Exception):
    """Something went wrong in pocket OMERO."""

    raised: str = "InternalException"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class Unsupported(PocketError):
    """Pocket OMERO does not do this. A real OMERO does."""


class WrongUse(PocketError):
    """The call makes no sense as it was made."""

    raised = "ApiUsageException"


class BadQuery(WrongUse):
    """The query cannot be understood, or asks for what pocket OMERO does not know."""

    raised = "QueryException"


class Invalid(PocketError):
    """What was given breaks a rule of the model, or names what does not exist."""

    raised = "ValidationException"


class Forbidden(PocketError):
    """The caller may not do this."""

    raised = "SecurityViolation"


class ReadOnlyServer(Forbidden):
    """The server only reads at the moment."""


class Concurrent(PocketError):
    """Somebody else changed this object in between."""

    raised = "OptimisticLockException"


class SessionGone(PocketError):
    """There is no such session, or it has ended."""

    raised = "RemovedSessionException"


class SessionTimedOut(SessionGone):
    """The session's time was over."""

    raised = "SessionTimeoutException"


class NotReady(PocketError):
    """What was asked for is not there yet."""

    raised = "ResourceError"


class SlowDown(PocketError):
    """The server is too busy for this."""

    raised = "TryAgain"
