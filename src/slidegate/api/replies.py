# SPDX-License-Identifier: BSD-3-Clause
"""Answers that a client may keep: with an ETag, and 304 for who has them already. And cursors."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.problems import PROBLEMS
from slidegate.domain.errors import BadRequest

_JSON = "application/json"
_KEPT = {"Cache-Control": "private, no-cache"}


def encoded(value: Any) -> bytes:
    """Return the JSON text of an answer."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def is_known(request: Request, etag: str) -> bool:
    """Say whether the client has what an ETag names."""
    said = request.headers.get("If-None-Match", "")
    return said.strip() == "*" or etag in [one.strip().removeprefix("W/") for one in said.split(",")]


def kept(request: Request, value: Any) -> Response:
    """Return an answer under the digest of its contents, or 304."""
    body = encoded(value)
    return kept_as(request, hashlib.sha256(body).hexdigest()[:32], lambda: body)


def kept_as(request: Request, stamp: str, make: Callable[[], bytes]) -> Response:
    """Return an answer under a stamp that changes whenever it does, or 304 without making it."""
    etag = f'"{stamp}"'
    headers = _KEPT | {"ETag": etag}
    if is_known(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(make(), headers=headers, media_type=_JSON)


def said(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that nobody keeps."""
    return Response(encoded(value), status, dict(headers or {}), _JSON)


def to_cursor(values: list[Any] | tuple[Any, ...] | None) -> str | None:
    """Return a place in a list as text that means nothing to others."""
    return None if values is None else base64.urlsafe_b64encode(encoded(list(values))).decode().rstrip("=")


def from_cursor(text: str | None) -> list[Any] | None:
    """Read a place in a list.

    Raises
    ------
    BadRequest
        It is none that was given out.
    """
    if text is None:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        found = None
    fits = isinstance(found, list) and len(found) == 2 and type(found[0]) in (int, float)
    if found is None or not fits or not isinstance(found[1], str) or "\0" in found[1]:
        raise BadRequest("The cursor is none that slidegate has given out.")
    try:
        found[1].encode("utf-8")
        return [float(found[0]), found[1]]
    except (ValueError, OverflowError) as error:
        raise BadRequest("The cursor is none that slidegate has given out.") from error


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Describe the problems that a route can answer with, for OpenAPI."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        kind = PROBLEMS[code]
        entry = found.setdefault(kind.status, {"model": shapes.Problem, "description": ""})
        entry["description"] = ", ".join(filter(None, [entry["description"], f"`{code}`"]))
        entry["content"] = {"application/problem+json": {}}
    return found


ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": shapes.WishSaid, "description": "A worker was asked; look at the wish."},
    **problems("too-many-wishes"),
}
