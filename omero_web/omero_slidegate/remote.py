# SPDX-License-Identifier: AGPL-3.0-or-later
"""Talking to slidegate: one connection per request, so that nothing of one person is left for the next.

No redirect is followed, no proxy of the environment is used, no cookie is kept here.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from omero_slidegate import settings
from omero_slidegate.problems import (
    SlidegateAnsweredBadly,
    SlidegateNotTrusted,
    SlidegateSlow,
    SlidegateUnreachable,
)

__all__ = ["COOKIE", "CSRF_HEADER", "Answer", "ask"]

log = logging.getLogger("omero_slidegate")

COOKIE = "slidegate_session"
CSRF_HEADER = "X-CSRF-Token"
_CONNECT_S = 5.0
_ANSWER_S = 25.0  # less than a worker of OMERO.web is given for a request
_LARGEST = 4 << 20
_PIECE = 1 << 16
_FOUND, _UNCHANGED, _REFUSED = 300, 304, 400


class Answer:
    """What slidegate answered; close it.

    Attributes
    ----------
    status
        As HTTP counts them; never a redirect.
    """

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self._connection, self._response = connection, response
        self.status = response.status

    def header(self, name: str) -> str | None:
        """Return a header of the answer."""
        return self._response.getheader(name)

    def cookie(self, name: str) -> str | None:
        """Return a cookie that the answer sets."""
        for line in self._response.headers.get_all("Set-Cookie") or ():
            try:
                found = SimpleCookie(line).get(name)
            except CookieError:
                continue
            if found is not None and found.value:
                return found.value
        return None

    def read(self) -> bytes:
        """Return a short answer whole.

        Raises
        ------
        Trouble
            It did not arrive, or is no short one.
        """
        with _in_words():
            content = self._response.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SlidegateAnsweredBadly
        return content

    def json(self) -> dict[str, Any]:
        """Return an answer that is an object in JSON.

        Raises
        ------
        Trouble
        """
        try:
            said = json.loads(self.read())
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise SlidegateAnsweredBadly
        return said

    def __iter__(self) -> Iterator[bytes]:
        """Yield the answer piece by piece, as it arrives."""
        while piece := self._response.read(_PIECE):
            yield piece

    def close(self) -> None:
        """End the connection. A repeat is harmless."""
        self._response.close()
        self._connection.close()


def ask(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """Ask slidegate for something.

    Parameters
    ----------
    path
        Below the address of slidegate, from ``/``, percent-encoded, with its query.
    body
        JSON.

    Raises
    ------
    SlidegateUnreachable, SlidegateNotTrusted, SlidegateSlow
        There is no answer. What was asked may have been done unless the first two say so.
    SlidegateAnsweredBadly
        It would lead elsewhere, as slidegate never does.
    """
    connection = _connection()
    try:
        with _in_words():
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(_ANSWER_S)
            prefix = urlsplit(settings.URL).path
            connection.request(method, f"{prefix}{path}", body, {"Connection": "close", **(headers or {})})
            answer = Answer(connection, connection.getresponse())
        if _FOUND <= answer.status < _REFUSED and answer.status != _UNCHANGED:
            log.error("%s answered %d and would lead elsewhere", settings.URL, answer.status)
            raise SlidegateAnsweredBadly
    except BaseException:
        connection.close()
        raise
    return answer


def _connection() -> HTTPConnection:
    where = urlsplit(settings.URL)
    host = str(where.hostname)
    if where.scheme == "http":
        return HTTPConnection(host, where.port, timeout=_CONNECT_S)
    try:
        context = ssl.create_default_context(cafile=settings.CA or None)
    except OSError as error:
        log.error("omero.web.slidegate.ca %s: %s", settings.CA, error)
        raise SlidegateNotTrusted from error
    return HTTPSConnection(host, where.port, timeout=_CONNECT_S, context=context)


@contextmanager
def _in_words() -> Iterator[None]:
    """Say what the network does in words for people; its own words go to the log."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        log.error("%s: %s", settings.URL, error)
        raise SlidegateNotTrusted from error
    except TimeoutError as error:
        log.error("%s: no answer in time", settings.URL)
        raise SlidegateSlow from error
    except (OSError, HTTPException) as error:
        log.error("%s: %s %s", settings.URL, type(error).__name__, error)
        raise SlidegateUnreachable from error
