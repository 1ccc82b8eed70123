# SPDX-License-Identifier: BSD-3-Clause
"""Signing in and out."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from slidegate.api import shapes
from slidegate.api.guard import COOKIE, Allowed, Public, Who, address_of, check_origin, parts_of
from slidegate.api.parts import ApiParts
from slidegate.api.problems import LinkUsed, NotAllowed
from slidegate.api.replies import problems, said
from slidegate.api.rights import may
from slidegate.api.routes.pages import wants_page
from slidegate.api.signin import Throttle

router = APIRouter(tags=["session"])
PUBLIC = [Depends(Public())]


@router.get("/v1/session", response_model=shapes.SessionSaid)
def who_am_i(request: Request, who: Annotated[Who, Depends(Allowed("session.see"))]) -> Response:
    """Say who is signed in, and what they may do."""
    return said(_shown(parts_of(request), who))


@router.post(
    "/v1/session",
    response_model=shapes.SessionSaid,
    dependencies=PUBLIC,
    responses=problems("wrong-password", "wrong-origin", "too-many-sign-ins"),
)
def sign_in(asked: shapes.SignInAsked, request: Request) -> Response:
    """Sign in with a name and a password; the answer sets the cookie."""
    parts = parts_of(request)
    check_origin(request, parts.settings)
    request.state.audited = "session.begin"
    request.state.person = asked.person
    method = parts.sign_in or parts.accounts
    Throttle(parts.limits).check(method, asked.person, asked.password, address_of(request))
    end_former(parts, request)
    return begin_session(parts, asked.person, said)


@router.delete("/v1/session", status_code=204, response_class=Response)
def sign_out(request: Request, who: Annotated[Who, Depends(Allowed("session.end"))]) -> Response:
    """Sign out here."""
    parts = parts_of(request)
    if who.secret is not None:
        parts.store.sessions.end(who.secret)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", secure=parts.settings.secure, httponly=True, samesite="lax")
    return answer


@router.post(
    "/v1/session/password",
    response_model=shapes.SessionSaid,
    responses=problems("wrong-current-password", "not-allowed", "bad-password", "too-many-sign-ins"),
)
def change_password(
    asked: shapes.PasswordChange,
    request: Request,
    who: Annotated[Who, Depends(Allowed("password.change"))],
) -> Response:
    """Change one's own password. All sessions of the person end; the answer begins a new one.

    Tokens stay: revoke those that are not trusted any more.
    """
    parts = parts_of(request)
    if not parts.store.accounts.get(who.person).has_password:
        raise NotAllowed("You have no password here to change: an administrator can give you one.")
    kept = parts.accounts.hash(asked.new)
    Throttle(parts.limits).check_own(parts.accounts, who.person, asked.current)
    parts.store.accounts.set_password(who.person, kept)
    if who.secret is None:
        return said(_shown(parts, who))
    return begin_session(parts, who.person, said, who.web)


@router.get("/login", include_in_schema=False, dependencies=PUBLIC)
def follow_link(request: Request, link: Annotated[str, Query(max_length=200)]) -> Response:
    """Sign in with a link that works once."""
    parts = parts_of(request)
    request.state.audited = "session.begin"
    person = parts.store.login_links.use(link, parts.clock())
    if person is None:
        request.state.refused = True  # also where a browser is led to a page that says so
        if wants_page(request):
            return RedirectResponse("/?problem=link-used", 303)
        raise LinkUsed
    request.state.person = person
    end_former(parts, request)
    return begin_session(parts, person, lambda _shown: RedirectResponse("/", 303))


def end_former(parts: ApiParts, request: Request) -> None:
    """End the session of the cookie that came along: nobody goes on with a secret from before signing in."""
    former = request.cookies.get(COOKIE)
    if former:
        parts.store.sessions.end(former)


def begin_session(
    parts: ApiParts,
    person: str,
    answer_with: Callable[[dict[str, object]], Response],
    web: str | None = None,
) -> Response:
    """Sign a person in: return an answer that says who they are, and sets the cookie.

    Parameters
    ----------
    web
        The OMERO.web that has vouched for them, if one has.
    """
    seconds = parts.settings.session_seconds
    secret, session = parts.store.sessions.begin(person, parts.clock(), seconds, web)
    who = Who(person, session.role, session.group, session.csrf, session.ends_at, secret, web)
    answer = answer_with(_shown(parts, who))
    answer.set_cookie(
        COOKIE, secret, path="/", secure=parts.settings.secure, httponly=True, samesite="lax",
        max_age=30 * 86400,
    )  # fmt: skip
    return answer


def _shown(parts: ApiParts, who: Who) -> dict[str, object]:
    known = parts.store.omero_people.get(who.person)
    return {
        "person": who.person,
        "role": who.role,
        "group": who.group,
        "csrf": who.csrf,
        "ends_at": who.ends_at,
        "has_password": parts.store.accounts.get(who.person).has_password,
        "may": may(who.role),
        "embedded": parts.settings.embedded,
        "omero": None if known is None else known.name,
    }
