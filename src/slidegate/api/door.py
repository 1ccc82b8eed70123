# SPDX-License-Identifier: BSD-3-Clause
"""What every request passes first and last: its id, its size, its host, its headers, the record."""

import asyncio
import logging
import re
import time
import uuid
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slidegate.api.guard import address_of
from slidegate.api.parts import ApiParts
from slidegate.api.problems import (
    TOO_MANY,
    BodyTooLong,
    Broken,
    TooSlow,
    WrongHost,
    WrongMediaType,
    problem,
)
from slidegate.domain.errors import BadRequest, SlidegateError, trace_of
from slidegate.domain.logs import about

log = logging.getLogger("slidegate.api")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = (
    ("content-security-policy", CSP),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_HSTS = ("strict-transport-security", "max-age=31536000")
_ID = re.compile("[A-Za-z0-9_-]{8,64}")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Door:
    """An ASGI application around the service; see the module.

    Parameters
    ----------
    app
        The service.
    """

    def __init__(self, app: ASGIApp, parts: ApiParts) -> None:
        self._app = app
        self._parts = parts
        self._headers = HEADERS + ((_HSTS,) if parts.settings.secure else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        said = request.headers.get("X-Request-ID", "")
        state = scope.setdefault("state", {})
        state["request_id"] = said if _ID.fullmatch(said) else uuid.uuid4().hex
        began = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message, state["request_id"], scope["path"])
                await self._record(request, status)
            await send(message)

        try:
            body = await self._checked_body(request)
        except SlidegateError as error:
            response = problem(error, scope["path"], state["request_id"])
            await response(scope, receive, answer)
        else:
            with about(request=state["request_id"]):
                await self._served(scope, _replayed(body, receive), answer)
        finally:
            self._told(request, status, time.perf_counter() - began)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the service answer; a fault of its own is told to the log under an id, and to nobody else."""
        began = False

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001  (the edge)
            name = scope["state"]["request_id"]
            log.error("%s %s", name, trace_of(error), extra={"action": "request"})
            if not began:
                await problem(Broken(), scope["path"], name)(scope, receive, send)

    async def _checked_body(self, request: Request) -> bytes:
        settings = self._parts.settings
        name = request.headers.get("Host", "").rsplit("@", 1)[-1]
        name = name.rpartition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]
        if name.lower() not in settings.hosts:
            raise WrongHost
        if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
            raise BadRequest("An address holds no zero bytes.")
        if request.method not in _WITH_BODY:
            return b""
        length = request.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > settings.body_bytes:
            raise BodyTooLong
        chunks, size = [], 0
        try:
            async with asyncio.timeout(settings.body_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > settings.body_bytes:
                        raise BodyTooLong
                    chunks.append(chunk)
        except TimeoutError as error:
            raise TooSlow from error
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if size and kind != "application/json":
            raise WrongMediaType
        return b"".join(chunks)

    def _add_headers(self, message: Message, request_id: str, path: str) -> None:
        headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
        present = {name.lower() for name, _ in headers}
        ours = [*self._headers, ("x-request-id", request_id)]
        if path.startswith("/v1/"):
            ours.append(("cache-control", "no-store"))
        message["headers"] = headers + [
            (name.encode(), value.encode()) for name, value in ours if name.encode() not in present
        ]

    async def _record(self, request: Request, status: int) -> None:
        """Write down who changed what, before they hear of it."""
        state = request.scope["state"]
        if "audited" not in state or status == TOO_MANY:  # a flood must not fill the record
            return
        target = state.get("target") or "/".join(map(str, request.scope.get("path_params", {}).values()))
        refused = status >= 400 or state.get("refused", False)
        outcome = f"refused ({status})" if refused else "done"
        try:
            await run_in_threadpool(
                self._parts.store.audit.note,
                self._parts.clock(), state.get("person", ""), state["audited"], target[:200], outcome,
                state["request_id"], address_of(request),
            )  # fmt: skip
        except SlidegateError as error:
            words = "%s not recorded: %s"
            log.error(words, state["request_id"], trace_of(error), extra={"action": "audit"})

    def _told(self, request: Request, status: int, seconds: float) -> None:
        """Count and log a request: by its route, as addresses can name images."""
        route = getattr(request.scope.get("route"), "path", "") or "unknown"
        self._parts.metrics.request(request.method, route, status, seconds)
        state: dict[str, Any] = request.scope["state"]
        if request.method not in ("GET", "HEAD") or status >= 400:
            about_it = {"action": state.get("audited", "request"), "person": state.get("person")}
            about_it |= {"method": request.method, "route": route, "status": status, "seconds": seconds}
            words = "%s %s %s %d %.0f ms"
            log.info(
                words, state["request_id"], request.method, route, status, seconds * 1000, extra=about_it
            )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a body that was read already, and then what else comes (that the client has gone)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
