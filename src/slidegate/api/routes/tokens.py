# SPDX-License-Identifier: BSD-3-Clause
"""Tokens: what programs prove a person by."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.problems import UnknownToken
from slidegate.api.replies import problems, said

router = APIRouter(tags=["tokens"])
USE = Allowed("tokens.use")
_DAY = 86400.0


@router.get("/v1/tokens", response_model=shapes.TokensSaid)
def list_tokens(request: Request, who: Annotated[Who, Depends(USE)]) -> Response:
    """List one's tokens; their secrets are kept nowhere."""
    names = ("id", "name", "at", "ends_at", "used_at")
    found = parts_of(request).store.tokens.all(who.person)
    return said({"items": [{name: getattr(one, name) for name in names} for one in found]})


@router.post(
    "/v1/tokens", status_code=201, response_model=shapes.TokenMade, responses=problems("bad-request")
)
def make_token(asked: shapes.TokenAsked, request: Request, who: Annotated[Who, Depends(USE)]) -> Response:
    """Make a token. Its secret is shown this once."""
    parts = parts_of(request)
    now = parts.clock()
    ends = None if asked.days is None else now + asked.days * _DAY
    request.state.target = asked.name
    return said({"token": parts.store.tokens.make(who.person, asked.name, now, ends, who.web)}, 201)


@router.delete(
    "/v1/tokens/{token}", status_code=204, response_class=Response, responses=problems("unknown-token")
)
def revoke_token(
    token: Annotated[int, Path(ge=1, le=2**31 - 1)], request: Request, who: Annotated[Who, Depends(USE)]
) -> Response:
    """Take a token back: from now on it proves nothing."""
    if not parts_of(request).store.tokens.revoke(who.person, token):
        raise UnknownToken
    return Response(status_code=204)
