# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong when a server is asked."""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The server cannot do what was asked for.

    Attributes
    ----------
    code
        Stable; programs may rely on it. What the server says, if it said something.
    transient
        Whether the same again, later, can help.
    """

    code: str = "client"
    transient: bool = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split("\n\n")[0].split()))

    @property
    def message(self) -> str:
        """The sentence for the person."""
        return str(self)


class Unreachable(ClientError):
    """The server does not answer."""

    code = "server-unreachable"
    transient = True


class NotAServer(ClientError):
    """What answers there is no slidegate server."""

    code = "not-a-server"


class NotSecret(ClientError):
    """The address does not begin with https, and a token would travel readably."""

    code = "not-secret"


class TookTooLong(ClientError):
    """It has not ended in the time that was given. It goes on."""

    code = "took-too-long"
    transient = True


class Refused(ClientError):
    """What was asked for was not done on the server.

    Attributes
    ----------
    errors
        What is wrong with single parameters: ``{"name": …, "message": …}``.
    """

    code = "refused"

    def __init__(self, message: str, code: str, errors: list[Mapping[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.errors = errors or []


class Problem(Refused):
    """The server has answered with a problem (RFC 9457).

    Attributes
    ----------
    status
        That of HTTP.
    request
        What the request is called in the server's log.
    """

    code = "problem"

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        words = str(body.get("detail") or body.get("title") or f"The server answered {status}.")
        errors = body.get("errors")
        super().__init__(
            words, str(body.get("code") or "problem"), errors if isinstance(errors, list) else None
        )
        self.status = status
        self.request = body.get("request")
        self.transient = status in (429, 502, 503, 504)


class NotSignedIn(Problem):
    """The server does not know who asks: the token is missing, wrong or over."""

    code = "not-signed-in"


class NotAllowed(Problem):
    """You may not do that there."""

    code = "not-allowed"


class NotFound(Problem):
    """There is no such thing on the server, or you may not see it."""

    code = "not-found"


def problem(status: int, body: Mapping[str, Any]) -> Problem:
    """Return what an answer of the server means."""
    kind = {401: NotSignedIn, 403: NotAllowed, 404: NotFound}.get(status, Problem)
    return kind(status, body)
