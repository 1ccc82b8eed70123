# SPDX-License-Identifier: BSD-3-Clause
"""Runs: lists of them, one of them, and what people want of it."""

import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.asking import accepted
from slidegate.api.guard import Allowed, OnRun, Who, parts_of, the_run
from slidegate.api.parts import ApiParts
from slidegate.api.problems import request_id
from slidegate.api.replies import ACCEPTED, encoded, kept, kept_as, problems, said
from slidegate.api.rights import Scope, scope
from slidegate.api.summaries import event_summary, for_whom, summary
from slidegate.domain.errors import RunStillActive
from slidegate.domain.omero_places import PREFIX, OmeroPlace
from slidegate.domain.values import Digest, RunId
from slidegate.store.pages import RunRow

router = APIRouter(tags=["runs"])
SEE = OnRun("runs.see")
State = Literal["waiting", "active", "succeeded", "failed", "cancelled"]
Limit = Annotated[int, Query(ge=1, le=500)]
After = Annotated[int, Query(ge=0, le=2**31 - 1)]


@router.get("/v1/runs", response_model=shapes.RunsSaid, responses=problems("bad-request"))
def list_runs(
    request: Request,
    who: Annotated[Who, Depends(Allowed("runs.see"))],
    mine: bool = False,
    group: shapes.Text | None = None,
    person: shapes.Text | None = None,
    state: State | None = None,
    workflow: shapes.Text | None = None,
    image: shapes.Text | None = None,
    cursor: shapes.Text | None = None,
    limit: Limit = 50,
) -> Response:
    """List the runs that one may see, newest first."""
    parts = parts_of(request)
    whose = whose_runs(parts, who, who.person if mine else person, group)
    rows: list[RunRow] = []
    further = None
    if whose is not None:
        rows, further = parts.store.pages.runs_page(*whose, state, workflow, image, cursor, limit)
    items = [for_whom(summary(parts, row), who) for row in rows]
    return kept(request, {"items": items, "next": further})


def whose_runs(
    parts: ApiParts, who: Who, person: str | None, group: str | None
) -> tuple[str | None, str | None] | None:
    """Return the person and the group whose Runs are asked for, as far as one may see them."""
    if scope(who.role, "runs.see") == Scope.ALL:
        return person, group
    if group is not None and (group != who.group or not group):
        return None
    if person is not None and person != who.person:
        theirs = parts.store.accounts.group_of(person)
        return (person, group) if who.may("runs.see", person, theirs) else None
    if person is not None or not who.group:
        return who.person, None
    return None, who.group


@router.get("/v1/runs/{run}", response_model=shapes.RunWholeSaid, responses=problems("unknown-run"))
def show_run(run: str, request: Request, who: Annotated[Who, Depends(SEE)]) -> Response:
    """Show one run; its ETag changes whenever anything of it does."""
    parts, row = parts_of(request), the_run(request)
    stamp = parts.store.pages.run_stamp(row.run)
    tag = hashlib.sha256(f"{stamp} {row.out} {who.person} {who.role} {who.group}".encode()).hexdigest()[:32]
    return kept_as(request, tag, lambda: encoded(_whole(parts, who, row)))


def _whole(parts: ApiParts, who: Who, row: RunRow) -> dict[str, Any]:
    release = parts.releases.get(Digest(row.release))
    shown = for_whom(summary(parts, row), who)
    return {
        **shown,
        "publish": _publish(row.out),
        "parameters": dict(row.parameters),
        "release": row.release,
        "runtime": None if release is None else release.runtime,
        "schema": None if release is None else dict(release.schema),
        "outputs": {} if release is None else dict(release.manifest.get("outputs", {})),
    }


def _publish(out: str) -> dict[str, Any] | None:
    """Return how results are written into OMERO; None for a Run whose results go elsewhere."""
    if not out.startswith(PREFIX):
        return None
    place = OmeroPlace.parse(out)
    return {"objects": place.objects, "labels": place.labels, "tags": list(place.tags)}


@router.get("/v1/runs/{run}/events", response_model=shapes.EventsSaid, responses=problems("unknown-run"))
def list_events(
    run: str, request: Request, who: Annotated[Who, Depends(SEE)], after: After = 0, limit: Limit = 100
) -> Response:
    """List the facts of a run, oldest first."""
    rows = parts_of(request).store.pages.events_page(RunId(run), after, limit)
    items = [event_summary(row) for row in rows]
    return kept(request, {"items": items, "next": rows[-1].seq if len(rows) == limit else None})


@router.get("/v1/runs/{run}/costs", response_model=shapes.CostsSaid, responses=problems("unknown-run"))
def show_costs(run: str, request: Request, who: Annotated[Who, Depends(SEE)]) -> Response:
    """Say what a run took so far."""
    costs = parts_of(request).store.pages.costs(RunId(run))
    names = ("core_hours", "gpu_hours", "bytes_moved", "bytes_at_site", "images")
    return kept(request, {name: getattr(costs, name) for name in names})


@router.post(
    "/v1/runs/{run}/cancel",
    response_model=shapes.AskedSaid,
    responses=problems("unknown-run", "not-allowed"),
)
def cancel_run(run: str, request: Request, who: Annotated[Who, Depends(OnRun("runs.cancel"))]) -> Response:
    """Wish that all images of a run that have not ended be cancelled. Safe to repeat."""
    parts = parts_of(request)
    return said({"images": parts.store.asking.cancel(RunId(run), parts.clock())})


@router.post(
    "/v1/runs/{run}/retry",
    response_model=shapes.AskedSaid,
    responses=problems("unknown-run", "not-allowed", "reconciling"),
)
def retry_run(run: str, request: Request, who: Annotated[Who, Depends(OnRun("runs.retry"))]) -> Response:
    """Try the images of a run again that failed or were cancelled. Safe to repeat."""
    parts = parts_of(request)
    return said({"images": parts.store.asking.retry(RunId(run), parts.clock())})


@router.delete(
    "/v1/runs/{run}",
    status_code=202,
    response_model=shapes.WishSaid,
    responses={**ACCEPTED, **problems("unknown-run", "not-allowed", "run-still-active")},
)
def delete_run(
    run: str,
    request: Request,
    who: Annotated[Who, Depends(OnRun("runs.delete"))],
    results: Annotated[bool, Query(description="The files of its results too.")] = False,
) -> Response:
    """Ask a worker to delete a run with its history, and its results if that is wanted."""
    parts = parts_of(request)
    if the_run(request).state in ("waiting", "active"):
        raise RunStillActive
    body = {"run": run, "results": results, "request": request_id(request)}
    return accepted(parts.store.wishes.ask("delete", who.person, body, parts.clock()))
