# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages, the selection, and the proxy to slidegate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods
from omeroweb.webclient.decorators import render_response

from omero_slidegate import selection
from omero_slidegate.keys import Person
from omero_slidegate.people import for_pages, for_programs
from omero_slidegate.permitted import BODY_BYTES, REQUEST_HEADERS, Ask, permitted, shown
from omero_slidegate.problems import BadSelection, TooLong, Trouble
from omero_slidegate.remote import Answer
from omero_slidegate.signin import asked_as

__all__ = ["slidegate_api", "slidegate_index", "slidegate_launch", "slidegate_run", "slidegate_selection"]

_SELECTIONS = "slidegate_selections"
_SELECTIONS_KEPT = 3


@require_GET
@never_cache
@ensure_csrf_cookie
@for_pages
@render_response()
def slidegate_index(request: Any, conn: Any, who: Person, **_: Any) -> dict[str, Any]:
    """Show the runs, and by its hash routes one run and its results."""
    return _page("index")


@require_http_methods(["GET", "POST"])
@never_cache
@ensure_csrf_cookie
@for_pages
@render_response()
def slidegate_launch(request: Any, conn: Any, who: Person, **_: Any) -> dict[str, Any] | HttpResponse:
    """Show how a run is launched on what was selected; a long selection comes by POST."""
    if request.method == "POST":
        chosen = selection.read(dict(request.POST.lists()))
        return HttpResponseRedirect(f"{reverse('slidegate_launch')}?selection={_keep(request, chosen.query)}")
    kept = request.GET.get("selection")
    query = selection.read(_kept(request, kept) if kept else dict(request.GET.lists())).query
    asked = f"selection={kept}" if kept else query
    more = {"selection_query": f"?{asked}" if asked else ""}
    return _page("launch") | more | {name: request.GET.get(name, "") for name in ("from", "only")}


@require_GET
@never_cache
@for_pages
def slidegate_run(request: Any, conn: Any, who: Person, run: str, **_: Any) -> HttpResponse:
    """Lead to a run, its results and their files; after the login, where there is none."""
    return HttpResponseRedirect(f"{reverse('slidegate_index')}#/runs/{run}")


@require_GET
@never_cache
@for_programs
def slidegate_selection(request: Any, conn: Any, who: Person, **_: Any) -> HttpResponse:
    """Say which images are selected, and which of them can be used."""
    kept = request.GET.get("selection")
    chosen = selection.read(_kept(request, kept) if kept else dict(request.GET.lists()))
    return JsonResponse(selection.found(conn, chosen))


def slidegate_api(request: Any, path: str) -> HttpResponse:
    """Pass on to slidegate what is on the list of what may be asked."""
    try:
        wish = permitted(request.method, path, dict(request.GET.lists()))
        if int(request.META.get("CONTENT_LENGTH") or 0) > BODY_BYTES:
            raise TooLong
    except Trouble as trouble:
        return trouble.as_json()
    answer: HttpResponse = _passed_on(request, wish=wish)
    return answer


@for_programs
def _passed_on(request: Any, conn: Any, who: Person, wish: Ask, **_: Any) -> HttpResponse:
    headers = {name: request.headers[name] for name in REQUEST_HEADERS if name in request.headers}
    if wish.path == "/v1/session":
        return _without_csrf(asked_as(request, who, wish, {}, None))
    body = request.body if wish.changes else None
    answer = asked_as(request, who, wish, headers, body or None)
    headers = shown(answer.header)
    kind = headers.pop("Content-Type", "application/octet-stream")
    return StreamingHttpResponse(_Pieces(answer), status=answer.status, content_type=kind, headers=headers)


class _Pieces:
    """An answer, piece by piece; Django closes it, also when the browser has gone."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        """End the connection to slidegate."""
        self._answer.close()


def _without_csrf(answer: Answer) -> HttpResponse:
    """Say who is signed in at slidegate, without what only this computer needs to know."""
    try:
        said = answer.json()
    finally:
        answer.close()
    return JsonResponse({**said, "csrf": None}, status=answer.status, headers={"Cache-Control": "no-store"})


def _page(name: str) -> dict[str, Any]:
    return {"template": f"omero_slidegate/{name}.html"}


def _keep(request: Any, query: str) -> str:
    """Keep a selection that is too long for an address with the login; return its name there."""
    name = hashlib.sha256(query.encode()).hexdigest()[:16]
    kept = {**request.session.get(_SELECTIONS, {}), name: query}
    request.session[_SELECTIONS] = dict(list(kept.items())[-_SELECTIONS_KEPT:])
    return name


def _kept(request: Any, name: str) -> dict[str, list[str]]:
    query = request.session.get(_SELECTIONS, {}).get(name)
    if query is None:
        raise BadSelection("This selection is not kept any more: select the images again.")
    return parse_qs(query)
