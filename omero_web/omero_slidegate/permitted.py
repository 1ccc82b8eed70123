# SPDX-License-Identifier: AGPL-3.0-or-later
"""What may be asked of slidegate through OMERO.web: a list. All else is answered here, with *not found*."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from omero_slidegate.problems import BadAddress, WrongMethod

__all__ = ["BODY_BYTES", "REQUEST_HEADERS", "Ask", "permitted", "shown"]

BODY_BYTES = 1 << 20
"""The longest body of a request, which is that of slidegate itself."""

REQUEST_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "Idempotency-Key", "If-None-Match")
"""What a browser says that slidegate hears."""

_RESPONSE_HEADERS = (
    "Content-Type",
    "Content-Length",
    "Content-Encoding",
    "Content-Disposition",
    "Cache-Control",
    "ETag",
    "Retry-After",
    "Vary",
    "X-Image-Width",
    "X-Image-Height",
    "X-Image-Scale",
    "X-Request-ID",
)

# What comes from a workflow is shown, and never runs in OMERO.web's name.
_SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
_ALWAYS = {"Content-Security-Policy": _SANDBOX, "X-Content-Type-Options": "nosniff"}

_NAME = r"(?!\.{1,2}(?:/|$))[^/\\\x00-\x1f\x7f]{1,255}"
_WORDS = {
    "RUN": "[0-9a-f]{1,64}",
    "WISH": "[0-9A-Za-z_-]{1,64}",
    "N": "[0-9]{1,10}",
    "NAME": _NAME,
    "NAMES": rf"{_NAME}(?:/{_NAME}){{0,30}}",
}
_TASK = "runs/RUN/tasks/N"
_LIST = {
    "GET": {
        "session": "",
        "workflows": "",
        "sites": "",
        "last-used": "workflow",
        "launches": "",
        "wishes/WISH": "",
        "images/thumbnail": "image side",
        "images/tasks": "image",
        "previews/WISH/picture": "",
        "previews/WISH/plain": "",
        "runs": "mine group person state workflow image cursor limit",
        "runs/RUN": "",
        "runs/RUN/events": "after limit",
        "runs/RUN/costs": "",
        "runs/RUN/archive": "",
        "runs/RUN/tasks": "state after limit",
        _TASK: "",
        f"{_TASK}/log": "",
        f"{_TASK}/units": "",
        f"{_TASK}/files": "",
        f"{_TASK}/files/NAMES": "",
        f"{_TASK}/archive": "",
        f"{_TASK}/picture": "",
        f"{_TASK}/tiles/N/N/N": "v",
        f"{_TASK}/labels/N/N/N": "v",
        f"{_TASK}/table": "",
        f"{_TASK}/table/NAME": "v",
        "omero/grant": "",
    },
    "POST": {
        "images/describe": "",
        "estimates": "",
        "launches": "",
        "previews": "",
        "runs/RUN/cancel": "",
        "runs/RUN/retry": "",
        "omero/grant": "",
    },
    "DELETE": {
        "runs/RUN": "results",
        "omero/grant": "",
    },
}


@dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    query: frozenset[str]


def _routes() -> Iterable[_Route]:
    for method, paths in _LIST.items():
        for path, query in paths.items():
            pattern = "/".join(_WORDS.get(part, re.escape(part)) for part in path.split("/"))
            yield _Route(method, re.compile(f"v1/{pattern}"), frozenset(query.split()))


_ROUTES = tuple(_routes())


@dataclass(frozen=True)
class Ask:
    """A request that may be made.

    Attributes
    ----------
    path
        From ``/``, percent-encoded anew, with its query.
    """

    method: str
    path: str

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"


def permitted(method: str, path: str, query: Mapping[str, Iterable[str]]) -> Ask:
    """Return a request if it is on the list.

    Parameters
    ----------
    path
        Below the proxy, decoded: ``v1/runs``.
    query
        All values by name.

    Raises
    ------
    BadAddress
        It is not on the list, or asks with a name that is not.
    WrongMethod
    """
    fitting = [route for route in _ROUTES if route.pattern.fullmatch(path)]
    if not fitting:
        raise BadAddress
    for route in fitting:
        if route.method == method:
            if not set(query) <= route.query:
                raise BadAddress("The address asks with a name that is not known.")
            pairs = [(name, value) for name, values in query.items() for value in values]
            asked = f"?{urlencode(pairs)}" if pairs else ""
            return Ask(method, f"/{quote(path, safe='/')}{asked}")
    raise WrongMethod


def shown(header: Callable[[str], str | None]) -> dict[str, str]:
    """Return what a browser hears of an answer beside its content: no cookie, and nothing that could run.

    Parameters
    ----------
    header
        Returns a header of slidegate's answer.
    """
    said = {name: header(name) for name in _RESPONSE_HEADERS}
    return {name: value for name, value in said.items() if value is not None} | _ALWAYS
