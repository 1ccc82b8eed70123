# SPDX-License-Identifier: BSD-3-Clause
"""What workers were asked for, and what they said."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.asking import wish_view
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.parts import ApiParts
from slidegate.api.replies import problems, said
from slidegate.store.wishes import UnknownWish, Wish

router = APIRouter(tags=["wishes"])


@router.get("/v1/wishes/{wish}", response_model=shapes.WishSaid, responses=problems("unknown-wish"))
def show_wish(wish: str, request: Request, who: Annotated[Who, Depends(Allowed("wishes.see"))]) -> Response:
    """Show how far something is that one has asked for."""
    return said(wish_view(own_wish(parts_of(request), who, wish)))


def own_wish(parts: ApiParts, who: Who, name: str) -> Wish:
    """Return a wish of this person.

    Raises
    ------
    UnknownWish
        There is none, or it is somebody else's.
    """
    wish = parts.store.wishes.get(name)
    if wish.person != who.person:
        raise UnknownWish
    return wish
