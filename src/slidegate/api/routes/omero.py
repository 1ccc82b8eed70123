# SPDX-License-Identifier: BSD-3-Clause
"""People of OMERO: signing in as one, and permitting slidegate to act for oneself there."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from slidegate.api import omero_shapes, shapes
from slidegate.api.asking import accepted, ask_and_wait, refusal
from slidegate.api.guard import Allowed, Public, Who, address_of, check_origin, parts_of
from slidegate.api.limits import Limits
from slidegate.api.parts import ApiParts
from slidegate.api.problems import (
    GrantNotNeeded,
    NoOmeroWorker,
    NotOfOmero,
    OmeroBusy,
    OmeroNotConfigured,
    OmeroPersonRefused,
    StatementRefused,
    TooManySignIns,
)
from slidegate.api.replies import ACCEPTED, problems, said
from slidegate.api.routes.session import begin_session, end_former
from slidegate.api.signin import ONE_ADDRESS, ONE_PERSON
from slidegate.api.statements import read_statement
from slidegate.domain.errors import OmeroNotInstalled, SlidegateError
from slidegate.domain.sealing import OMERO_GRANT, seal
from slidegate.store.omero import OmeroPerson

router = APIRouter(tags=["omero"])
GRANT = Allowed("omero.grant")
_TURN_SECONDS = 5.0
_ADMINISTRATOR = "administrator"
_NOBODIES = frozenset({0, 1})
_NOBODYS_NAMES = frozenset({"root", "guest"})
_REFUSALS = frozenset({"omero-statement-refused", "omero-session-gone"})
_AWAY = (
    "omero-unreachable", "omero-busy", "omero-interrupted", "omero-certificate", "omero-failed",
)  # fmt: skip


@router.post(
    "/v1/session/omero",
    response_model=shapes.SessionSaid,
    dependencies=[Depends(Public())],
    responses=problems(
        *_REFUSALS, *_AWAY, "omero-person-refused", "omero-not-configured", "omero-not-installed",
        "wrong-origin", "too-many-sign-ins",
    ),
)  # fmt: skip
async def sign_in_by_omero(
    asked: omero_shapes.OmeroStatement | omero_shapes.OmeroSession, request: Request
) -> Response:
    """Sign in as somebody of OMERO; the answer sets the cookie.

    Either an OMERO.web that is known here says who it is, in a statement that is believed once; or the key of
    a session in OMERO does, which is joined, asked, and left at once: it is neither kept nor logged.
    """
    parts = parts_of(request)
    check_origin(request, parts.settings)
    request.state.audited = "session.begin"
    if parts.settings.omero_host is None:
        raise OmeroNotConfigured
    web = None
    if isinstance(asked, omero_shapes.OmeroStatement):
        request.state.target = "by a statement of OMERO.web"
        with _refusals_counted(parts.limits, "omero-statements", address_of(request)):
            found, web = await run_in_threadpool(_stated, parts, asked.statement)
        request.state.target = f"by a statement of OMERO.web {web}"
    else:
        request.state.target = "by a session in OMERO"
        with _refusals_counted(parts.limits, "omero-sessions", address_of(request)):
            found = await _joined(parts, asked.session)
    return await run_in_threadpool(_let_in, parts, request, found, web)


@contextmanager
def _refusals_counted(limits: Limits, kind: str, address: str) -> Iterator[None]:
    """Slow down who is refused again and again: all people of an OMERO.web come from its one address."""
    wait = limits.look(kind, address, ONE_ADDRESS)
    if wait > 0:
        raise TooManySignIns(retry_after=wait)
    try:
        yield
    except SlidegateError as error:
        if error.code in _REFUSALS:
            limits.take(kind, address, ONE_ADDRESS)
        raise


def _stated(parts: ApiParts, text: str) -> tuple[OmeroPerson, str]:
    """Return whom an OMERO.web vouches for, and its name."""
    webs, now = parts.store.omero_webs, parts.clock()
    found = read_statement(text, webs.key, now)
    if not webs.said(found.web, found.jti, now, found.ends_at):
        raise StatementRefused("It was used already: each is believed once.")
    return OmeroPerson(found.user_id, found.name), found.web


async def _joined(parts: ApiParts, key: str) -> OmeroPerson:
    """Return whose a session in OMERO is; few are asked at once: an OMERO that hangs holds up nobody else."""
    if parts.omero is None:
        raise OmeroNotInstalled
    try:
        async with asyncio.timeout(_TURN_SECONDS):
            await parts.omero_turns.acquire()
    except TimeoutError as error:
        raise OmeroBusy from error
    try:
        return await run_in_threadpool(parts.omero, key)
    finally:
        parts.omero_turns.release()


def _let_in(parts: ApiParts, request: Request, found: OmeroPerson, web: str | None) -> Response:
    """Sign somebody of OMERO in."""
    person = _person_of(parts, found)
    request.state.person = person
    end_former(parts, request)
    return begin_session(parts, person, said, web)


def _person_of(parts: ApiParts, found: OmeroPerson) -> str:
    """Return the person that somebody of OMERO is here, if they may sign in so."""
    if found.user_id in _NOBODIES or found.name in _NOBODYS_NAMES:
        raise OmeroPersonRefused(
            "Who is root, a guest or the public in OMERO does not sign in here: log in there as yourself."
        )
    role = parts.settings.omero_role
    person = parts.store.omero_people.signed_in(found.user_id, found.name, parts.clock(), role)
    account = parts.store.accounts.get(person)
    if not account.active:
        raise OmeroPersonRefused("Your account here is closed: ask who looks after slidegate.")
    if account.role == _ADMINISTRATOR:
        raise OmeroPersonRefused(
            "Who administers slidegate signs in by a password: OMERO makes nobody administrator here."
        )
    return person


@router.get("/v1/omero/grant", response_model=omero_shapes.GrantSaid)
def show_grant(request: Request, who: Annotated[Who, Depends(GRANT)]) -> Response:
    """Say whether one has permitted slidegate to act for oneself in OMERO, and whether that is needed."""
    return said(_shown(parts_of(request), who.person))


@router.post(
    "/v1/omero/grant",
    response_model=omero_shapes.GrantSaid,
    responses={
        **ACCEPTED,
        **problems(
            "omero-not-configured", "omero-grant-not-needed", "not-of-omero", "omero-no-worker",
            "too-many-sign-ins", "wish-refused",
        ),
    },
)  # fmt: skip
async def grant(
    asked: omero_shapes.GrantAsked, request: Request, who: Annotated[Who, Depends(GRANT)]
) -> Response:
    """Permit slidegate to act for oneself in OMERO, by one's password there, typed this once.

    It is sealed for the worker, which begins a session in OMERO with it and forgets it. 202 while it does.
    """
    parts = parts_of(request)
    sealed = await run_in_threadpool(_sealed, parts, who.person, asked.password)
    wait = parts.limits.take("omero-grant", who.person, ONE_PERSON)
    if wait > 0:
        raise TooManySignIns("Too many passwords were wrong: wait a while.", retry_after=wait)
    wish = await ask_and_wait(request, who, "omero-grant", {"sealed": sealed}, parts.settings.wait_seconds)
    if wish.state == "open":
        return accepted(wish)
    if wish.state == "refused":
        raise refusal(wish)
    parts.limits.refill("omero-grant", who.person)
    return said(await run_in_threadpool(_shown, parts, who.person))


@router.delete(
    "/v1/omero/grant",
    response_model=omero_shapes.GrantSaid,
    responses={**ACCEPTED, **problems("omero-not-configured", "wish-refused")},
)
async def revoke(request: Request, who: Annotated[Who, Depends(GRANT)]) -> Response:
    """Take that back: a worker ends the session in OMERO and forgets it; 202 until then. Safe to repeat."""
    parts = parts_of(request)
    if parts.settings.omero_host is None:
        raise OmeroNotConfigured
    wish = await ask_and_wait(request, who, "omero-revoke", {}, parts.settings.wait_seconds)
    if wish.state == "open":
        return accepted(wish)
    if wish.state == "refused":
        raise refusal(wish)
    return said(await run_in_threadpool(_shown, parts, who.person))


def _sealed(parts: ApiParts, person: str, password: str) -> str:
    """Return a password, and whose it is, so that the worker alone can read it."""
    if parts.settings.omero_host is None:
        raise OmeroNotConfigured
    if not parts.settings.omero_grants:
        raise GrantNotNeeded
    known = parts.store.omero_people.get(person)
    if known is None:
        raise NotOfOmero
    public = parts.store.omero_grants.public()
    if public is None:
        raise NoOmeroWorker
    words = {"person": person, "user_id": known.user_id, "name": known.name, "password": password}
    return seal(public, json.dumps(words).encode(), OMERO_GRANT)


def _shown(parts: ApiParts, person: str) -> dict[str, Any]:
    settings = parts.settings
    known, granted = parts.store.omero_people.get(person), parts.store.omero_grants.get(person)
    ended = granted is not None and granted.ends_at is not None and granted.ends_at <= parts.clock()
    there = None if granted is None or ended else granted
    return {
        "omero": settings.omero_host,
        "name": None if known is None else known.name,
        "needed": settings.omero_host is not None and settings.omero_grants and known is not None,
        "granted": there is not None,
        "granted_at": None if there is None else there.granted_at,
        "ends_at": None if there is None else there.ends_at,
    }
