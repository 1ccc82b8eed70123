# SPDX-License-Identifier: BSD-3-Clause
"""The one page, which draws itself by what its address says, and the files that it is made of."""

import mimetypes
import re
from pathlib import Path

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from slidegate.api.guard import Public, parts_of
from slidegate.api.problems import NotFound, http_problem

router = APIRouter(include_in_schema=False, dependencies=[Depends(Public())])
_ASSET = re.compile("[A-Za-z0-9_-][A-Za-z0-9_.-]{0,120}")
_ADDRESSES = (
    "/", "/runs", "/runs/{run}", "/runs/{run}/results/{number}", "/launch", "/account", "/administration",
    "/sign-in",
)  # fmt: skip
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}


def show_page(request: Request) -> Response:
    """Return the page; everything that it shows it asks for itself."""
    return _page(request, 200)


def wants_page(request: Request) -> bool:
    """Say whether a person's browser asks for a page, not a program for an answer."""
    apart = request.url.path.startswith(("/v1/", "/assets/"))
    return request.method == "GET" and not apart and "text/html" in request.headers.get("Accept", "")


def not_found(request: Request, error: Exception) -> Response:
    """Return the page, which says that there is none at this address; to programs, the problem."""
    if isinstance(error, HTTPException) and error.status_code == 404 and wants_page(request):
        return _page(request, 404)
    return http_problem(request, error)


def _page(request: Request, status: int) -> Response:
    folder = parts_of(request).settings.pages
    index = None if folder is None else folder / "index.html"
    if index is None or not index.is_file():
        words = "The pages of slidegate are not installed here. The service answers below /v1/.\n"
        return PlainTextResponse(words, 404)
    return FileResponse(index, status, headers={"Cache-Control": "no-cache"}, media_type="text/html")


for _address in _ADDRESSES:
    router.add_api_route(_address, show_page, methods=["GET"], response_class=Response)


@router.get("/assets/{name}", response_class=Response)
def asset(name: str, request: Request) -> Response:
    """Return a file that the page is made of; its name changes with its contents."""
    return _file(request, Path("assets"), name, "public, max-age=31536000, immutable")


@router.get("/{name}", response_class=Response)
def icon(name: str, request: Request) -> Response:
    """Return a file beside the page, such as its icon."""
    try:
        return _file(request, Path(), name, "public, max-age=3600")
    except NotFound:
        if wants_page(request):
            return _page(request, 404)
        raise


def _file(request: Request, below: Path, name: str, keep: str) -> Response:
    folder = parts_of(request).settings.pages
    if folder is None or not _ASSET.fullmatch(name) or name.startswith(".") or name == "index.html":
        raise NotFound
    path = folder / below / name
    if not path.is_file() or path.is_symlink():
        raise NotFound
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return FileResponse(path, headers={"Cache-Control": keep}, media_type=kind)
