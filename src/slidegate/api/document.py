# SPDX-License-Identifier: BSD-3-Clause
"""The OpenAPI document: what every route can answer besides what it says, and how to prove who one is."""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from slidegate.api.guard import COOKIE, CSRF_HEADER, Allowed, Public
from slidegate.api.problems import MEDIA_TYPE, PROBLEMS
from slidegate.api.rights import PUBLIC

_ALWAYS = ("bad-request", "wrong-host", "invalid", "too-many-requests", "internal", "store-unusable")
_GUARDED = ("not-signed-in", "not-allowed")
_CHANGING = ("no-csrf-token", "wrong-origin", "body-too-long", "too-slow", "wrong-media-type")
_ON_RUN = ("unknown-run",)
_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token: sg_..."},
    "session": {
        "type": "apiKey", "in": "cookie", "name": COOKIE,
        "description": f"What changes something needs {CSRF_HEADER} too.",
    },
}  # fmt: skip


def routes_of(found: Iterable[Any]) -> Iterator[APIRoute]:
    """Yield every route of an application, also those of routers inside it."""
    for route in found:
        inside = getattr(getattr(route, "original_router", route), "routes", None)
        if inside is not None:
            yield from routes_of(inside)
        elif isinstance(route, APIRoute):
            yield route


def guard_of(route: APIRoute) -> Allowed | Public:
    """Return what says who may use a route; every route has exactly one."""
    (found,) = (one.call for one in route.dependant.dependencies if isinstance(one.call, Allowed | Public))
    return found


def complete(app: FastAPI) -> None:
    """Have an application's OpenAPI document name all problems, and how people prove who they are."""
    make = app.openapi
    routes = {
        (route.path_format, method): route
        for route in routes_of(app.routes)
        for method in route.methods or ()
    }

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = make()
            for path, operations in made["paths"].items():
                for method, operation in operations.items():
                    _complete(operation, method.upper(), path, guard_of(routes[path, method.upper()]).action)
            components = made["components"]
            components["securitySchemes"] = _SCHEMES
            for name in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(name, None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(operation: dict[str, Any], method: str, path: str, action: str) -> None:
    codes = list(_ALWAYS)
    if action != PUBLIC:
        operation["security"] = [{"token": []}, {"session": []}]
        operation["x-action"] = action
        codes += _GUARDED
    if method not in ("GET", "HEAD"):
        codes += _CHANGING
    if "{run}" in path:
        codes += _ON_RUN
    answers = operation["responses"]
    if "ETag" not in str(answers) and method == "GET" and "application/json" in str(answers.get("200")):
        answers["304"] = {"description": "What the ETag in If-None-Match names is what there is."}
    named = {status: _codes(answer.get("description", "")) for status, answer in answers.items()}
    for code in codes:
        named.setdefault(str(PROBLEMS[code].status), []).append(code)
    for status, found in named.items():
        known = sorted({code for code in found if code in PROBLEMS})
        if int(status) >= 400:
            answers[status] = {
                "description": ", ".join(f"`{code}`" for code in known),
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
    operation["responses"] = dict(sorted(answers.items()))


def _codes(description: str) -> list[str]:
    return description.replace("`", "").replace(",", " ").split()
