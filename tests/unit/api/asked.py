# SPDX-License-Identifier: BSD-3-Clause
"""Every route of the service, found in the application, and what each is asked with."""

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import httpx
from fastapi.routing import APIRoute
from starlette.routing import Route

from slidegate.api.document import routes_of
from slidegate.api.guard import Allowed, Public
from tests.unit.api.service import Service

KEY = {"Idempotency-Key": "a key"}
PASSWORD = "a sentence of theirs"
LAUNCH = {"workflow": "count", "site": "local", "images": ["a:1.tif"]}

# What each route is asked with, for people who are allowed; {run}, {wish} and so on are filled in.
EXAMPLES: dict[str, dict[str, Any]] = {
    "GET /v1/session": {},
    "POST /v1/session": {"json": {"person": "nobody", "password": "nothing at all"}},
    "POST /v1/session/omero": {"json": {"statement": "a.b.c"}},
    "DELETE /v1/session": {},
    "POST /v1/session/password": {"json": {"current": PASSWORD, "new": PASSWORD}},
    "GET /login": {"params": {"link": "x"}},
    "GET /v1/workflows": {},
    "GET /v1/sites": {},
    "GET /v1/browse": {},
    "POST /v1/images/describe": {"json": {"images": ["a:1.tif"]}},
    "GET /v1/images/thumbnail": {"params": {"image": "a:1.tif"}},
    "GET /v1/images/tasks": {"params": {"image": "omero:1"}},
    "GET /v1/omero/grant": {},
    "POST /v1/omero/grant": {"json": {"password": "theirs in OMERO"}},
    "DELETE /v1/omero/grant": {},
    "GET /v1/wishes/{wish}": {},
    "POST /v1/launches": {"json": LAUNCH, "headers": KEY},
    "GET /v1/launches": {},
    "POST /v1/estimates": {"json": LAUNCH},
    "GET /v1/last-used": {"params": {"workflow": "count"}},
    "POST /v1/previews": {"json": {"workflow": "count", "image": "a:1.tif", "region": [0, 0, 9, 9]}},
    "GET /v1/previews/{wish}/{picture}": {},
    "GET /v1/runs": {},
    "GET /v1/runs/{run}": {},
    "GET /v1/runs/{run}/events": {},
    "GET /v1/runs/{run}/costs": {},
    "POST /v1/runs/{run}/cancel": {},
    "POST /v1/runs/{run}/retry": {},
    "DELETE /v1/runs/{run}": {},
    "GET /v1/runs/{run}/tasks": {},
    "GET /v1/runs/{run}/tasks/{number}/log": {},
    "GET /v1/runs/{run}/tasks/{number}/units": {},
    "GET /v1/events": {},
    "GET /v1/tokens": {},
    "POST /v1/tokens": {"json": {"name": "mine"}},
    "DELETE /v1/tokens/{token}": {},
    "GET /v1/webhooks": {},
    "POST /v1/webhooks": {"json": {"url": "https://example.org/hook"}},
    "DELETE /v1/webhooks/{webhook}": {},
    "GET /v1/people": {},
    "POST /v1/people": {"json": {"person": "somebody new"}},
    "PATCH /v1/people/{person}": {"json": {"group": "here"}},
    "GET /v1/audit": {},
    "GET /v1/openapi.json": {},
    "GET /healthz": {},
    "GET /readyz": {},
    "GET /metrics": {},
    "GET /v1/runs/{run}/tasks/{number}/files": {},
    "GET /v1/runs/{run}/tasks/{number}/files/{name}": {},
    "GET /v1/runs/{run}/archive": {},
    "GET /v1/runs/{run}/tasks/{number}/archive": {},
    "GET /v1/runs/{run}/tasks/{number}/picture": {},
    "GET /v1/runs/{run}/tasks/{number}/tiles/{level}/{tile_row}/{column}": {},
    "GET /v1/runs/{run}/tasks/{number}/labels/{level}/{tile_row}/{column}": {},
    "GET /v1/runs/{run}/tasks/{number}/table": {},
    "GET /v1/runs/{run}/tasks/{number}/table/{column}": {},
    "GET /": {},
    "GET /runs": {},
    "GET /runs/{run}": {},
    "GET /runs/{run}/results/{number}": {},
    "GET /launch": {},
    "GET /account": {},
    "GET /administration": {},
    "GET /sign-in": {},
    "GET /assets/{name}": {},
    "GET /{name}": {},
}


def routes(service: Service) -> list[tuple[str, APIRoute]]:
    found = [
        (f"{method} {one.path_format}", one)
        for one in routes_of(service.app.routes)
        for method in one.methods
    ]
    assert not [one.path for one in service.app.routes if type(one) is Route]  # which nobody would guard
    return found


def guards(route: APIRoute) -> list[Allowed | Public]:
    return [one.call for one in route.dependant.dependencies if isinstance(one.call, Allowed | Public)]


def ask(
    client: httpx.Client, name: str, headers: Mapping[str, str] = MappingProxyType({}), **values: str
) -> httpx.Response:
    """Ask a route with its example; `headers` go beside those that it has, `values` into its path."""
    method, _, path = name.partition(" ")
    given = {
        "run": "0" * 12, "number": "1", "wish": "0" * 32, "picture": "plain", "token": "999999",
        "webhook": "999999", "person": "neighbour", "name": "x",
    }  # fmt: skip
    filled = defaultdict(lambda: "0", given | values)
    example = dict(EXAMPLES[name])
    sent = {**example.pop("headers", {}), **headers}
    return client.request(method, path.format_map(filled), headers=sent, **example)
