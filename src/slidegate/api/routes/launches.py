# SPDX-License-Identifier: BSD-3-Clause
"""Launching, what it may take, and what was used the last time."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from slidegate.api import shapes
from slidegate.api.asking import accepted, ask_and_wait, wish_view
from slidegate.api.estimates import estimate
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.parts import ApiParts, ApiSettings
from slidegate.api.problems import NoKey, NotBesideFolders, OmeroNotConfigured, ParameterProblem, request_id
from slidegate.api.replies import ACCEPTED, problems, said
from slidegate.api.routes.workflows import choose, offers_for, queue_at
from slidegate.api.summaries import site_of
from slidegate.domain.errors import BadRequest, MixedSources, NothingSelected
from slidegate.domain.parameters import check
from slidegate.domain.shelf_names import in_omero
from slidegate.store.offers import Offer

router = APIRouter(tags=["launching"])
LAUNCH = Allowed("runs.launch")
ASK = Allowed("runs.launch", changes=False)
_DESCRIBED = 200
_FRESH = 300.0
_PROBLEMS = (
    "bad-parameter", "unknown-workflow", "unknown-site", "nothing-selected", "bad-image-name", "bad-request",
    "omero-mixed", "omero-not-configured",
)  # fmt: skip
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]


def checked(
    parts: ApiParts, who: Who, workflow: str, version: str | None, site: str, parameters: dict[str, Any]
) -> Offer:
    """Return what is to be launched, if its parameters fit.

    Raises
    ------
    UnknownSite, UnknownWorkflow
    ParameterProblem
        Names every parameter that does not fit.
    """
    offer = choose(offers_for(parts, who), workflow, version, site)
    found = check(offer.release.schema, parameters)
    if found.problems:
        raise ParameterProblem([{"name": one.name, "message": one.message} for one in found.problems])
    return offer


def check_images(images: Sequence[str], settings: ApiSettings) -> tuple[list[str], bool]:
    """Return images, each once, and whether they are in OMERO.

    Raises
    ------
    NothingSelected, BadImageName, OmeroNotConfigured
    MixedSources
        Some are in OMERO, and others are not.
    BadRequest
        There are too many.
    """
    if not images:
        raise NothingSelected
    if len(images) > settings.most_images:
        raise BadRequest(f"A run takes at most {settings.most_images} images.")
    found = {in_omero(image) is not None for image in images}
    if len(found) > 1:
        raise MixedSources
    if True in found and settings.omero_host is None:
        raise OmeroNotConfigured
    return list(dict.fromkeys(images)), True in found


@router.post(
    "/v1/launches",
    status_code=202,
    response_model=shapes.WishSaid,
    responses={
        **ACCEPTED,
        **problems(*_PROBLEMS, "no-idempotency-key", "key-reused", "publish-not-in-omero"),
    },
)
def launch(
    asked: shapes.LaunchAsked,
    request: Request,
    who: Annotated[Who, Depends(LAUNCH)],
    idempotency_key: Key = None,
) -> Response:
    """Launch a workflow on images. The same key with the same body is one launch, however often it comes."""
    parts = parts_of(request)
    if idempotency_key is None:
        raise NoKey
    offer = checked(parts, who, asked.workflow, asked.version, asked.site, asked.parameters)
    images, are_in_omero = check_images(asked.images, parts.settings)
    if asked.publish is not None and not are_in_omero:
        raise NotBesideFolders
    left_out = {
        name for name, said in (("publish", asked.publish), ("regions", not asked.regions)) if not said
    }
    body = asked.model_dump(exclude=left_out) | {
        "images": images,
        "version": asked.version or offer.release.version,
        "request": request_id(request),
    }
    wish = parts.store.wishes.ask("launch", who.person, body, parts.clock(), idempotency_key, math.inf)
    request.state.target = wish.id
    return accepted(wish)


@router.get("/v1/launches", response_model=shapes.WishesSaid)
def list_launches(request: Request, who: Annotated[Who, Depends(Allowed("wishes.see"))]) -> Response:
    """List one's launches that no worker has answered yet."""
    found = parts_of(request).store.wishes.open_of(who.person, "launch")
    return said({"items": [wish_view(wish) for wish in found]})


@router.post(
    "/v1/estimates",
    response_model=shapes.EstimateSaid,
    responses=problems(*_PROBLEMS, "too-many-wishes"),
)
async def estimate_launch(
    asked: shapes.EstimateAsked, request: Request, who: Annotated[Who, Depends(ASK)]
) -> Response:
    """Estimate how much a launch would be and how long it may take."""
    parts = parts_of(request)
    images, _ = check_images(asked.images, parts.settings)
    offer = await run_in_threadpool(
        checked, parts, who, asked.workflow, asked.version, asked.site, asked.parameters
    )
    body = {"images": images[:_DESCRIBED]}
    wish = await ask_and_wait(request, who, "describe", body, parts.settings.short_wait_seconds, _FRESH)
    found = (wish.answer or {}).get("images", []) if wish.state == "granted" else []

    def answer() -> dict[str, Any]:
        queue = queue_at(parts.store.pages.load().get(offer.site, {}))
        return estimate(parts.store, offer, len(images), found) | {"queue": queue}

    return said(await run_in_threadpool(answer))


@router.get("/v1/last-used", response_model=shapes.LastUsedSaid)
def last_used(
    request: Request, who: Annotated[Who, Depends(ASK)], workflow: Annotated[shapes.Text, Query()]
) -> Response:
    """Say what one launched a workflow with the last time."""
    row = parts_of(request).store.pages.last_used(who.person, workflow)
    if row is None:
        return said({"parameters": None, "site": None})
    return said({"parameters": dict(row["parameters"]), "site": site_of(row["site"])})
