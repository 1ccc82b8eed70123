# SPDX-License-Identifier: BSD-3-Clause
"""Webhooks: who is told when a Run ends. A worker tells it; here is only written down whom."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.problems import UnknownWebhook
from slidegate.api.replies import problems, said
from slidegate.domain.hooks import check_hook_url

router = APIRouter(tags=["webhooks"])
USE = Allowed("webhooks.use")


@router.get("/v1/webhooks", response_model=shapes.WebhooksSaid)
def list_webhooks(request: Request, who: Annotated[Who, Depends(USE)]) -> Response:
    """List one's webhooks."""
    found = parts_of(request).store.webhooks.all(who.person)
    return said({"items": [{"id": one.id, "url": one.url, "at": one.at} for one in found]})


@router.post(
    "/v1/webhooks",
    status_code=201,
    response_model=shapes.WebhookMade,
    responses=problems("bad-hook-url", "too-many-webhooks"),
)
def add_webhook(asked: shapes.WebhookAsked, request: Request, who: Annotated[Who, Depends(USE)]) -> Response:
    """Have an address told when one's runs end. Its secret, which signs what is told, is shown this once."""
    parts = parts_of(request)
    check_hook_url(asked.url, parts.settings.allow_private_webhooks)
    secret = secrets.token_urlsafe(32)
    made = parts.store.webhooks.add(who.person, asked.url, secret, parts.clock())
    request.state.target = str(made)
    return said({"id": made, "secret": secret}, 201)


@router.delete(
    "/v1/webhooks/{webhook}", status_code=204, response_class=Response, responses=problems("unknown-webhook")
)
def remove_webhook(
    webhook: Annotated[int, Path(ge=1, le=2**31 - 1)], request: Request, who: Annotated[Who, Depends(USE)]
) -> Response:
    """Tell an address nothing more."""
    if not parts_of(request).store.webhooks.remove(who.person, webhook):
        raise UnknownWebhook
    return Response(status_code=204)
