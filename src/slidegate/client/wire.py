# SPDX-License-Identifier: BSD-3-Clause
"""Requests that survive a server that is just being started again, and answers that say what went wrong."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from slidegate.client.errors import NotAServer, NotSecret, Unreachable, problem
from slidegate.client.values import News

_PASSING: Final = (502, 503, 504)
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_STREAM_SECONDS = 45.0  # the server says something every 15 s


class Wire:
    """Speaks HTTP to one server.

    Parameters
    ----------
    server
        Its address, such as ``https://slidegate.example.org``.
    token
        What it knows you by; None to ask without one.
    patience
        For how many seconds a server that does not answer is asked again.
    seconds
        How long one answer may take.

    Raises
    ------
    NotSecret
        The address is that of another computer and does not begin with https.
    """

    def __init__(
        self, server: str, token: str | None = None, patience: float = 15.0, seconds: float = 30.0
    ) -> None:
        self.server = server.rstrip("/")
        check_secret(self.server)
        headers = {"Accept": "application/json", "User-Agent": "slidegate-client"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(base_url=self.server, headers=headers, timeout=seconds, trust_env=False)
        self._patience = patience

    def close(self) -> None:
        """Let go of all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        once: bool = False,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:
        """Ask, and return the JSON of the answer; None where it has none.

        Parameters
        ----------
        once
            Do not ask again when no answer comes: what is asked must not happen twice.
        key
            The Idempotency-Key: the server does what carries the same one only once.
        query
            Of the address; what is None is left out.

        Raises
        ------
        Problem, Unreachable, NotAServer
        """
        answer = self.answer(method, path, body=body, once=once, key=key, headers=headers, query=query)
        return read_json(answer)

    def answer(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        once: bool = False,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> httpx.Response:
        """Ask, and return the whole answer; see `ask`."""
        sent = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        params = _params(query or {})
        until = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            wait = pause
            try:
                found = self._http.request(method, path, json=body, headers=sent, params=params)
            except httpx.TransportError as error:
                if once or time.monotonic() + wait > until:
                    raise self._silent(error) from error
            else:
                wait = _asked_to_wait(found, pause)
                again = found.status_code == 429 or (found.status_code in _PASSING and not once)
                if not again or time.monotonic() + wait > until:
                    return checked(found)
            time.sleep(wait)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    @contextmanager
    def octets(self, path: str) -> Iterator[Iterator[bytes]]:
        """Ask for a file, and yield its pieces as they come."""
        try:
            with self._http.stream("GET", path, headers={"Accept": "*/*"}) as found:
                if found.status_code >= 400:
                    found.read()
                checked(found)
                yield found.iter_bytes()
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def news(self, query: Mapping[str, object]) -> Iterator[News]:
        """Yield what the server says by itself, until it closes the stream.

        Raises
        ------
        Unreachable
            The stream broke; ask again, or poll.
        """
        headers = {"Accept": "text/event-stream"}
        timeout = httpx.Timeout(_STREAM_SECONDS)
        try:
            with self._http.stream(
                "GET", "/v1/events", params=_params(query), headers=headers, timeout=timeout
            ) as found:
                if found.status_code >= 400:
                    found.read()
                checked(found)
                yield from _told(found.iter_lines())
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> Unreachable:
        return Unreachable(f"{self.server} does not answer ({type(error).__name__}).")


def new_key() -> str:
    """Return a new Idempotency-Key."""
    return secrets.token_hex(16)


def check_secret(server: str) -> None:
    """Raise NotSecret unless what is sent there stays secret on the way: https, or this computer."""
    parts = urlsplit(server)
    host = parts.hostname or ""
    if parts.scheme == "https" and host:
        return
    near = host == "localhost"
    with suppress(ValueError):
        near = near or ip_address(host).is_loopback
    if parts.scheme != "http" or not near:
        raise NotSecret(f"{server} does not begin with https://, and a token would travel readably.")


def checked(found: httpx.Response) -> httpx.Response:
    """Return an answer that is none of a problem; raise what it is otherwise."""
    if found.status_code < 400:
        if 300 <= found.status_code != 304:
            raise NotAServer(f"{found.request.url} answers with another address; name that one.")
        return found
    try:
        body = found.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"title": f"The server answered {found.status_code}."}
    raise problem(found.status_code, body)


def read_json(found: httpx.Response) -> Any:
    """Return the JSON of an answer; None where it has none."""
    if not found.content or found.status_code in (204, 304):
        return None
    try:
        return found.json()
    except ValueError:
        raise NotAServer(f"What answers at {found.request.url.host} is no slidegate server.") from None


def _params(query: Mapping[str, object]) -> dict[str, str]:
    words = {True: "true", False: "false"}
    return {
        name: words[value] if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


def _asked_to_wait(found: httpx.Response, pause: float) -> float:
    try:
        return max(pause, float(found.headers.get("Retry-After", "")))
    except ValueError:
        return pause


def _told(lines: Iterator[str]) -> Iterator[News]:
    """Read server-sent events: an empty line ends each; comments keep the line open."""
    kind, data = "message", list[str]()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                with suppress(ValueError):
                    body = json.loads("\n".join(data))
                    if isinstance(body, dict):
                        yield News(kind, body)
            kind, data = "message", []
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
