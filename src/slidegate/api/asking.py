# SPDX-License-Identifier: BSD-3-Clause
"""Asking workers for something, and answering with what they said."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from slidegate.api.guard import Who, parts_of
from slidegate.api.problems import Refused, request_id
from slidegate.domain.errors import SlidegateError
from slidegate.domain.text import plain
from slidegate.store.wishes import Wish

_WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,4})(?:$|[,;\s])", re.IGNORECASE)


async def ask_and_wait(
    request: Request,
    who: Who,
    kind: str,
    body: Mapping[str, Any],
    seconds: float,
    fresh_seconds: float = 0.0,
) -> Wish:
    """Ask for something, or find that it was asked for already, and wait a while for the answer.

    Parameters
    ----------
    seconds
        How long to wait, unless the request prefers less (``Prefer: wait=1``, RFC 7240); the wish is
        returned as it is then.
    fresh_seconds
        How old an answer to the same question may be.
    """
    parts = parts_of(request)
    asked = {**body, "request": request_id(request)}
    wish = await run_in_threadpool(
        parts.store.wishes.ask, kind, who.person, asked, parts.clock(), None, fresh_seconds
    )
    preferred = _WAIT.search(request.headers.get("Prefer", ""))
    return await parts.waiting.until_ended(wish, min(seconds, int(preferred[1])) if preferred else seconds)


def wish_view(wish: Wish) -> dict[str, Any]:
    """Return a wish as people and programs see it."""
    problem = None
    if wish.state == "refused":
        problem = {"code": wish.error_code or Refused.code, "message": plain(wish.error or "")}
    return {
        "id": wish.id,
        "kind": wish.kind,
        "state": wish.state,
        "step": None if wish.step is None else plain(wish.step),
        "done": wish.done,
        "total": wish.total,
        "trouble": None if wish.trouble is None else plain(wish.trouble),
        "answer": wish.answer,
        "problem": problem,
        "asked_at": wish.asked_at,
        "ended_at": wish.ended_at,
    }


def accepted(wish: Wish) -> Response:
    """Return 202: the wish was written down, and where its answer will be."""
    return JSONResponse(wish_view(wish), 202, {"Location": f"/v1/wishes/{wish.id}", "Retry-After": "1"})


def answer_of(wish: Wish, headers: Mapping[str, str] | None = None) -> Response:
    """Return what a worker answered; 202 while it has not.

    Raises
    ------
    SlidegateError
        The wish was refused: with the worker's code and words.
    """
    if wish.state == "granted":
        return JSONResponse(wish.answer, headers=dict(headers or {}))
    if wish.state == "refused":
        raise refusal(wish)
    return accepted(wish)


def refusal(wish: Wish) -> SlidegateError:
    """Return a refused wish as an error."""
    return Refused(plain(wish.error or "") or None, code=wish.error_code)
