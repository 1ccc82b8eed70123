# SPDX-License-Identifier: BSD-3-Clause
"""What happens, as it happens: server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from slidegate.api import shapes
from slidegate.api.guard import Allowed, Who, check_run, parts_of
from slidegate.api.replies import problems
from slidegate.api.routes.wishes import own_wish

router = APIRouter(tags=["runs"])
_RETRY_MS = 2000
_HEARTBEAT_SECONDS = 15
_WISHES = 20


@router.get(
    "/v1/events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "content": {"text/event-stream": {}},
            "description": "`hello` first (read again what is shown), then `run`, `gone` and `wish`.",
        },
        **problems("unknown-run", "unknown-wish", "too-many-streams"),
    },
)
async def watch(
    request: Request,
    who: Annotated[Who, Depends(Allowed("runs.see"))],
    run: Annotated[shapes.Text | None, Query(description="This run only.")] = None,
    runs: Annotated[bool, Query(description="All runs that one may see.")] = True,
    wish: Annotated[list[shapes.Text] | None, Query(max_length=_WISHES)] = None,
) -> Response:
    """Tell of every change of runs and of one's own wishes. Ends by itself after a while: connect again."""
    parts = parts_of(request)
    wishes = wish or []

    def check() -> None:
        if run is not None:
            check_run(parts, who, run)
        for name in wishes:
            own_wish(parts, who, name)

    await run_in_threadpool(check)
    watched = run if run is not None else (None if runs else "")
    watcher = parts.stream.watch(who, watched, wishes)

    async def told() -> AsyncIterator[ServerSentEvent]:
        async for kind, data in parts.stream.told(watcher, parts.settings.stream_seconds):
            yield ServerSentEvent(data, event=kind, retry=_RETRY_MS if kind == "hello" else None)

    return EventSourceResponse(told(), ping=_HEARTBEAT_SECONDS, headers={"Cache-Control": "no-store"})
