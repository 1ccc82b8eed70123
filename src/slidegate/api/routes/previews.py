# SPDX-License-Identifier: BSD-3-Clause
"""Trying a workflow on a part of one image, here and now."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.asking import accepted, refusal
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.problems import InvalidRequest, PictureGone, request_id
from slidegate.api.replies import ACCEPTED, problems
from slidegate.api.routes.images import read_picture
from slidegate.api.routes.launches import checked
from slidegate.api.routes.wishes import own_wish
from slidegate.domain.shelf_names import parse_shelf_name

router = APIRouter(tags=["launching"])
SIDE = 2048
LOCAL = "local"


@router.post(
    "/v1/previews",
    status_code=202,
    response_model=shapes.WishSaid,
    responses={
        **ACCEPTED,
        **problems("bad-parameter", "unknown-workflow", "unknown-site", "bad-image-name", "invalid"),
    },
)
def preview(
    asked: shapes.PreviewAsked, request: Request, who: Annotated[Who, Depends(Allowed("runs.launch"))]
) -> Response:
    """Run a workflow on a rectangle of an image, on this computer; nothing is published."""
    parts = parts_of(request)
    parse_shelf_name(asked.image)
    y0, x0, y1, x1 = asked.region
    if not (y0 < y1 <= y0 + SIDE and x0 < x1 <= x0 + SIDE):
        words = f"a rectangle is y0, x0, y1, x1 with at most {SIDE} pixels on a side"
        raise InvalidRequest(
            f"The request does not fit: {words}.", errors=[{"name": "region", "message": words}]
        )
    offer = checked(parts, who, asked.workflow, asked.version, LOCAL, asked.parameters)
    body = asked.model_dump() | {"version": asked.version or offer.release.version}
    body["request"] = request_id(request)
    wish = parts.store.wishes.ask("preview", who.person, body, parts.clock())
    request.state.target = wish.id
    return accepted(wish)


@router.get(
    "/v1/previews/{wish}/{picture}",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {}}, "description": "The picture."},
        **ACCEPTED,
        **problems("unknown-wish", "picture-not-kept", "wish-refused"),
    },
)
def preview_picture(
    wish: str,
    picture: Literal["picture", "plain"],
    request: Request,
    who: Annotated[Who, Depends(Allowed("wishes.see"))],
) -> Response:
    """Return what a preview found, drawn on the image, or the image alone."""
    parts = parts_of(request)
    found = own_wish(parts, who, wish)
    if found.kind != "preview":
        raise PictureGone
    if found.state == "open":
        return accepted(found)
    if found.state == "refused":
        raise refusal(found)
    content = read_picture(parts.cache, str((found.answer or {}).get(picture, "")))
    if content is None:
        raise PictureGone
    return Response(content, headers={"Cache-Control": "private, max-age=600"}, media_type="image/png")
