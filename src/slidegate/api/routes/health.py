# SPDX-License-Identifier: BSD-3-Clause
"""What the service is, whether it lives and can work, in words and in numbers."""

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.guard import Allowed, Public, Who, address_of, parts_of
from slidegate.api.parts import LOOPBACK
from slidegate.api.replies import kept, problems, said

router = APIRouter(tags=["health"])
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


class Near(Allowed):
    """Whoever asks from this computer, and through no proxy; from elsewhere, who may see the numbers."""

    def __call__(self, request: Request) -> Who | None:  # type: ignore[override]
        """See the class."""
        through = any(name in request.headers for name in (*_FORWARDED, "Authorization"))
        if address_of(request) in LOOPBACK and not through:
            return None
        return super().__call__(request)


@router.get("/healthz", response_model=shapes.HealthSaid, dependencies=[Depends(Public())])
def is_alive() -> Response:
    """Say that the process answers."""
    return said({"state": "alive"})


@router.get(
    "/readyz",
    response_model=shapes.HealthSaid,
    dependencies=[Depends(Public())],
    responses=problems("store-unusable"),
)
def is_ready(request: Request) -> Response:
    """Say whether the database answers."""
    parts_of(request).store.wishes.several([""])
    return said({"state": "ready"})


@router.get("/v1/openapi.json", include_in_schema=False, dependencies=[Depends(Public())])
def describe(request: Request) -> Response:
    """Describe the service for programs."""
    return kept(request, request.app.openapi())


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(Near("metrics.see"))],
    responses={200: {"content": {"text/plain": {}}, "description": "As Prometheus reads it."}},
)
def metrics(request: Request) -> Response:
    """Return numbers for Prometheus."""
    text = parts_of(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
