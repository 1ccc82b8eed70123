# SPDX-License-Identifier: BSD-3-Clause
"""The images of a Run: where each is, its log, and its Units as they finish."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from slidegate.api import shapes
from slidegate.api.asking import answer_of, ask_and_wait
from slidegate.api.guard import OnRun, Who, parts_of
from slidegate.api.problems import UnknownTask
from slidegate.api.replies import ACCEPTED, kept, problems
from slidegate.api.summaries import task_summary
from slidegate.domain.errors import UnknownRun
from slidegate.domain.run import task_id
from slidegate.domain.values import RunId, TaskId

router = APIRouter(tags=["runs"])
SEE = OnRun("runs.see")
State = Literal[
    "waiting", "staging", "submitting", "queued", "running", "collecting", "publishing", "succeeded",
    "failed", "cancelled",
]  # fmt: skip
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
_UNITS_FRESH = 1.0
_LOG_FRESH = 2.0


@router.get("/v1/runs/{run}/tasks", response_model=shapes.TasksSaid, responses=problems("unknown-run"))
def list_tasks(
    run: str,
    request: Request,
    who: Annotated[Who, Depends(SEE)],
    state: State | None = None,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the images of a run by number."""
    parts = parts_of(request)
    rows = parts.store.pages.tasks_page(RunId(run), state, after, limit)
    items = [task_summary(parts, row) for row in rows]
    return kept(request, {"items": items, "next": rows[-1]["number"] if len(rows) == limit else None})


@router.get(
    "/v1/runs/{run}/tasks/{number}/log",
    responses={**ACCEPTED, **problems("unknown-run", "unknown-task", "wish-refused")},
)
async def show_log(run: str, number: Number, request: Request, who: Annotated[Who, Depends(SEE)]) -> Response:
    """Show the end of what the steps of an image wrote; 202 while a worker fetches it."""
    return await _asked(run, number, request, who, "log", _LOG_FRESH)


@router.get(
    "/v1/runs/{run}/tasks/{number}/units",
    responses={**ACCEPTED, **problems("unknown-run", "unknown-task", "wish-refused")},
)
async def show_units(
    run: str, number: Number, request: Request, who: Annotated[Who, Depends(SEE)]
) -> Response:
    """Show which blocks of an image are finished; 202 while a worker asks for it."""
    return await _asked(run, number, request, who, "units", _UNITS_FRESH)


async def _asked(run: str, number: int, request: Request, who: Who, kind: str, fresh: float) -> Response:
    parts = parts_of(request)
    task = task_id(RunId(run), number)

    def exists() -> None:
        try:
            parts.store.runs.task(TaskId(task))
        except UnknownRun as error:
            raise UnknownTask from error

    await run_in_threadpool(exists)
    wish = await ask_and_wait(request, who, kind, {"task": task}, parts.settings.short_wait_seconds, fresh)
    return answer_of(wish)
