# SPDX-License-Identifier: BSD-3-Clause
"""The HTTP service, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from slidegate.api import document, problems
from slidegate.api.door import Door
from slidegate.api.guard import OnRun
from slidegate.api.known import Releases
from slidegate.api.limits import Limits
from slidegate.api.metrics import Metrics
from slidegate.api.parts import ApiParts, ApiSettings
from slidegate.api.results import make_router
from slidegate.api.routes import (
    audit,
    events,
    health,
    images,
    launches,
    omero,
    pages,
    people,
    previews,
    runs,
    session,
    tasks,
    tokens,
    webhooks,
    wishes,
    workflows,
)
from slidegate.api.signin import LocalAccounts
from slidegate.api.stream import Stream
from slidegate.api.waiting import Waiting

__all__ = ["ApiParts", "ApiSettings", "create_app"]

_ROUTES = (
    session, omero, workflows, images, wishes, launches, previews, runs, tasks, events, tokens, webhooks,
    people, audit, health, pages,
)  # fmt: skip
_OMERO_AT_ONCE = 4
"""So many sessions in OMERO are asked at once whose they are: the threads of the service are few."""
_ABOUT = """What people and programs ask of slidegate. Times are seconds since 1970. What goes wrong is said
as `application/problem+json` with a `code` that never changes. Sign in with `Authorization: Bearer sg_...`,
or with the cookie of a session and `X-CSRF-Token` for what changes something. What waits for a worker waits
shorter with `Prefer: wait=1`."""


def create_app(parts: ApiParts) -> FastAPI:
    """Make the service; the caller closes the store when it has ended.

    Parameters
    ----------
    parts
        What it is made of. Its threads end with the service.
    """
    parts.limits = Limits()
    parts.omero_turns = asyncio.Semaphore(_OMERO_AT_ONCE)
    parts.metrics = Metrics()
    parts.releases = Releases(parts.store)
    parts.accounts = LocalAccounts(parts.store)
    parts.waiting = Waiting(parts.store, parts.metrics.waits.set)
    parts.stream = Stream(parts)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        parts.stream.close()
        parts.waiting.close()

    app = FastAPI(
        title="slidegate",
        version=version("slidegate"),
        description=_ABOUT,
        openapi_url=None,  # a route of our own says it, which counts who asks
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
    )
    app.state.parts = parts
    for module in _ROUTES[:-1]:
        app.include_router(module.router)
    app.include_router(make_router(OnRun, parts.store, parts.cache, parts.clock))
    app.include_router(pages.router)
    problems.install(app)
    app.add_exception_handler(HTTPException, pages.not_found)
    document.complete(app)
    app.add_middleware(Door, parts=parts)
    return app
