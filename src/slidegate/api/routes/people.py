# SPDX-License-Identifier: BSD-3-Clause
"""People: who may sign in, as what."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.parts import ApiParts
from slidegate.api.problems import LastAdministrator, PersonExists
from slidegate.api.replies import problems, said
from slidegate.api.rights import Scope, scope
from slidegate.store.accounts import Account
from slidegate.store.omero import OmeroPerson
from slidegate.store.people import UnknownPerson

router = APIRouter(tags=["people"])
SEE = Allowed("people.see")
CHANGE = Allowed("people.change")
ADMINISTRATOR = "administrator"


@router.get("/v1/people", response_model=shapes.PeopleSaid)
def list_people(request: Request, who: Annotated[Who, Depends(SEE)]) -> Response:
    """List the accounts that one may see."""
    found = parts_of(request).store.accounts.all()
    if scope(who.role, "people.see") != Scope.ALL:
        found = [one for one in found if who.may("people.see", one.person, one.group)]
    there = parts_of(request).store.omero_people.all()
    return said({"items": [_shown(one, there.get(one.person)) for one in found]})


@router.post(
    "/v1/people",
    status_code=201,
    response_model=shapes.PersonSaid,
    responses=problems("person-exists", "bad-request", "bad-password"),
)
def add_person(asked: shapes.PersonAsked, request: Request, who: Annotated[Who, Depends(CHANGE)]) -> Response:
    """Let somebody sign in."""
    parts = parts_of(request)
    request.state.target = asked.person
    if _account(parts, asked.person) is not None:
        raise PersonExists
    kept = None if asked.password is None else parts.accounts.hash(asked.password)
    parts.store.accounts.set(asked.person, asked.role, asked.group, parts.clock())
    if kept is not None:
        parts.store.accounts.set_password(asked.person, kept)
    return said(_shown(parts.store.accounts.get(asked.person), None), 201)


@router.patch(
    "/v1/people/{person}",
    response_model=shapes.PersonSaid,
    responses=problems("unknown-person", "bad-password", "last-administrator"),
)
def change_person(
    person: str, asked: shapes.PersonChange, request: Request, who: Annotated[Who, Depends(CHANGE)]
) -> Response:
    """Change an account: role, group, password, whether it may sign in. What is left out stays."""
    parts = parts_of(request)
    accounts = parts.store.accounts
    account = accounts.get(person)
    role = asked.role or account.role
    active = account.active if asked.active is None else asked.active
    if account.role == ADMINISTRATOR and account.active and (role != ADMINISTRATOR or not active):
        _check_another(accounts.all(), person)
    kept = None if asked.password is None else parts.accounts.hash(asked.password)
    accounts.set(person, role, account.group if asked.group is None else asked.group, parts.clock())
    if kept is not None:
        accounts.set_password(person, kept)
    if active != account.active:
        accounts.deactivate(person, active)
    return said(_shown(accounts.get(person), parts.store.omero_people.get(person)))


def _shown(account: Account, there: OmeroPerson | None) -> dict[str, Any]:
    return {**asdict(account), "omero": None if there is None else there.name}


def _account(parts: ApiParts, person: str) -> Account | None:
    try:
        return parts.store.accounts.get(person)
    except UnknownPerson:
        return None


def _check_another(accounts: list[Account], person: str) -> None:
    others = [one for one in accounts if one.person != person and one.active and one.role == ADMINISTRATOR]
    if not others:
        raise LastAdministrator
