# SPDX-License-Identifier: BSD-3-Clause
"""Who is asking, and whether they may: sessions, tokens, CSRF, pace, and whose Run it is."""

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request

from slidegate.api.limits import Pace
from slidegate.api.parts import ApiParts, ApiSettings
from slidegate.api.problems import NoCsrfToken, NotAllowed, NotSignedIn, TooManyRequests, WrongOrigin
from slidegate.api.rights import PUBLIC, Scope, reaches, scope
from slidegate.domain.errors import UnknownRun
from slidegate.store.pages import RunRow

COOKIE = "slidegate_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Who:
    """Who makes a request.

    Attributes
    ----------
    csrf
        What unsafe requests by cookie must show; None when a token was used.
    ends_at
        When the session ends; None for a token.
    secret
        The secret of the session, None for a token.
    web
        The OMERO.web that has vouched for the person, None where none has.
    """

    person: str
    role: str
    group: str
    csrf: str | None = None
    ends_at: float | None = None
    secret: str | None = None
    web: str | None = None

    def may(self, action: str, owner: str, owners_group: str) -> bool:
        """Say whether an action of this person reaches what belongs to an owner."""
        return reaches(scope(self.role, action), self.person, self.group, owner, owners_group)


class Allowed:
    """A dependency of a route: names its action, and returns who asks if their role has it at all.

    Parameters
    ----------
    action
        A row of :data:`slidegate.api.rights.RIGHTS`.
    changes
        Whether the route changes something: such requests are recorded, and counted by themselves.

    Raises
    ------
    NotSignedIn, NoCsrfToken, WrongOrigin, NotAllowed, TooManyRequests
    """

    def __init__(self, action: str, changes: bool | None = None) -> None:
        self.action = action
        self._changes = changes

    def changes(self, method: str) -> bool:
        """Say whether a request by a method changes something."""
        return method not in SAFE if self._changes is None else self._changes

    def __call__(self, request: Request) -> Who:
        """See the class."""
        parts = parts_of(request)
        changes = self.changes(request.method)
        try:
            who = identify(request, parts)
        except NotSignedIn:
            count_address(request, parts)
            raise
        state = request.scope["state"]
        state["person"] = who.person
        _count(parts, who, changes)
        if changes:
            state["audited"] = self.action
        if request.method not in SAFE and who.csrf is not None:
            check_origin(request, parts.settings)
            if not _same(request.headers.get(CSRF_HEADER, ""), who.csrf):
                raise NoCsrfToken
        if scope(who.role, self.action) == Scope.NONE:
            raise NotAllowed("Your role does not allow this.")
        return who


class Public:
    """A dependency of a route that everybody may use; counts requests by address."""

    action = PUBLIC

    def __call__(self, request: Request) -> None:
        """See the class."""
        count_address(request, parts_of(request))


def parts_of(request: Request) -> ApiParts:
    """Return what the service is made of."""
    parts: ApiParts = request.app.state.parts
    return parts


def address_of(request: Request) -> str:
    """Return the address that a request came from; behind a proxy, what uvicorn took from its headers."""
    return request.client.host if request.client else "unknown"


def identify(request: Request, parts: ApiParts) -> Who:
    """Return who asks, by token or by cookie; a token that is not right is not made good by a cookie.

    Raises
    ------
    NotSignedIn
    """
    header = request.headers.get("Authorization")
    now = parts.clock()
    if header is not None:
        kind, _, token = header.partition(" ")
        holder = parts.store.tokens.find(token.strip(), now) if kind.lower() == "bearer" else None
        if holder is None:
            raise NotSignedIn("The token is not known, has expired, or was revoked.")
        return Who(holder.person, holder.role, holder.group, web=holder.web)
    secret = request.cookies.get(COOKIE)
    session = parts.store.sessions.find(secret, now) if secret else None
    if secret is None or session is None:
        raise NotSignedIn
    return Who(
        session.person, session.role, session.group, session.csrf, session.ends_at, secret, session.web
    )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def check_origin(request: Request, settings: ApiSettings) -> None:
    """Refuse what another page sent.

    Raises
    ------
    WrongOrigin
    """
    origin = request.headers.get("Origin")
    if origin is None:
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise WrongOrigin
        return
    if origin == settings.origin:
        return
    said = urlsplit(origin)
    scheme_fits = not settings.secure or said.scheme == "https"
    if not said.netloc or said.netloc != request.headers.get("Host") or not scheme_fits:
        raise WrongOrigin


def count_address(request: Request, parts: ApiParts) -> None:
    """Count a request of somebody who has not signed in.

    Raises
    ------
    TooManyRequests
    """
    pace = Pace(parts.settings.address_burst, parts.settings.address_per_second)
    _wait(parts.limits.take("address", address_of(request), pace))


def _count(parts: ApiParts, who: Who, changes: bool) -> None:
    settings = parts.settings
    _wait(parts.limits.take("person", who.person, Pace(settings.person_burst, settings.person_per_second)))
    if changes:
        pace = Pace(settings.change_burst, settings.change_per_second)
        _wait(parts.limits.take("change", who.person, pace))


def _wait(seconds: float) -> None:
    if seconds > 0:
        raise TooManyRequests(retry_after=seconds)


def check_run(parts: ApiParts, who: Who, run: str, action: str = "runs.see") -> None:
    """Make sure that this person may do this with a Run; asks no more of it than whose it is.

    Parameters
    ----------
    action
        ``runs.see`` or ``results.see`` for looking; others for what changes it.

    Raises
    ------
    UnknownRun
        There is none, or the person may not see it.
    NotAllowed
        The person sees it, and may not do this.
    """
    owner, group = parts.store.pages.owner(run)
    if not who.may("runs.see", owner, group):
        raise UnknownRun(f"There is no run {run}.")
    if not who.may(action, owner, group):
        raise NotAllowed


class OnRun(Allowed):
    """As :class:`Allowed`, for routes with ``{run}`` in their path: what may not be seen is not there."""

    def __call__(self, request: Request) -> Who:
        """See the class."""
        who = super().__call__(request)
        check_run(parts_of(request), who, str(request.path_params["run"]), self.action)
        return who


def the_run(request: Request) -> RunRow:
    """Return the Run of a route that :class:`OnRun` guards."""
    return parts_of(request).store.pages.run_row(str(request.path_params["run"]))
