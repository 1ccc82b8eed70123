# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Telling the ends of Runs to addresses that people named, which may name anything.

So that nobody has slidegate ask inside its own network: a name is looked up here, every address that it has
is checked, and the connection goes to the address that was checked, whatever the name means by then. No
redirection is followed, no proxy is asked, nothing of the answer is read but its status, and all of it takes
a few seconds or is given up.
"""

import asyncio
import json
import logging
import socket
import ssl
from contextlib import suppress
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult

import httpx

from slidegate.domain.errors import SlidegateError
from slidegate.domain.hooks import SIGNATURE, TIMESTAMP, check_hook_url, is_public, signature
from slidegate.domain.logs import about
from slidegate.store.webhooks import Delivery
from slidegate.worker.tools import Tools

log = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
DELIVERY = "X-Slidegate-Delivery"
DAY_SECONDS = 86400.0
_PAUSES = (10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0)
_LEASE_SECONDS = 60.0
_SECONDS = 15.0
_STEP_SECONDS = 5.0
_BODY_BYTES = 65536


class HookFailed(SlidegateError):
    """The address did not take what it was told."""

    code = "hook-failed"
    transient = True


class HookRefused(SlidegateError):
    """The address is inside this network, or on this computer; those are not told."""

    code = "hook-refused"


class Hooks:
    """Tells what is to be told.

    Parameters
    ----------
    owner
        Under which name it is claimed.
    allow_private
        Whether addresses in this network are told, and http without encryption is good enough.
    """

    def __init__(self, tools: Tools, owner: str, allow_private: bool = False) -> None:
        self._hooks = tools.store.webhooks
        self._clock = tools.clock
        self._owner = owner
        self._allow_private = allow_private

    def step(self) -> bool:
        """Tell one thing that is due; returns False when nothing is."""
        delivery = self._hooks.due(self._owner, self._clock(), _LEASE_SECONDS)
        if delivery is None:
            return False
        with about(delivery=delivery.id, run=delivery.body.get("run")):
            try:
                tell(delivery, int(self._clock()), self._allow_private)
            except SlidegateError as error:
                self._failed(delivery, error)
            else:
                self._hooks.told(delivery, self._clock())
                log.info("an end was told", extra={"action": "hook_told", "tries": delivery.tries + 1})
        return True

    def _failed(self, delivery: Delivery, error: SlidegateError) -> None:
        now = self._clock()
        again = now + pause_after(delivery.tries)
        extra = {"action": "hook_failed", "code": error.code, "tries": delivery.tries + 1}
        log.info("an end was not told", extra=extra)
        if error.transient and again - delivery.at <= DAY_SECONDS:
            self._hooks.put_off(delivery, again, error.message)
        else:
            self._hooks.give_up(delivery, error.message, now)


def pause_after(tries: int) -> float:
    """Return how many seconds to wait after something was not told for so many times before this one."""
    return _PAUSES[min(tries, len(_PAUSES) - 1)]


def tell(delivery: Delivery, timestamp: int, allow_private: bool) -> None:
    """Tell one thing, once.

    Raises
    ------
    HookRefused, BadHookUrl
        It may not be told there.
    HookFailed
        The address does not answer, or not with a status from 200 to 299.
    """
    parts = check_hook_url(delivery.url, allow_private)
    body = json.dumps(delivery.body, sort_keys=True, ensure_ascii=True).encode()
    if len(body) > _BODY_BYTES:
        raise HookFailed("There is too much to tell.")
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": "slidegate",
        DELIVERY: str(delivery.id),
        TIMESTAMP: str(timestamp),
        SIGNATURE: signature(delivery.secret, timestamp, body),
    }
    try:
        status = asyncio.run(_post(parts, headers, body, allow_private))
    except TimeoutError as error:
        raise HookFailed("The address took too long.") from error
    except (httpx.HTTPError, OSError, UnicodeError) as error:
        raise HookFailed(f"The address cannot be reached ({type(error).__name__}).") from error
    if not httpx.codes.is_success(status):
        raise HookFailed(f"The address answered with {status}.")


async def _post(parts: SplitResult, headers: dict[str, str], body: bytes, allow_private: bool) -> int:
    async with asyncio.timeout(_SECONDS):
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        failed: Exception = HookFailed("The name of the address is not known.")
        for address in await _addresses(host, port, allow_private):
            there = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
            url = parts._replace(netloc=f"{there}:{port}").geturl()
            try:
                return await _post_to(url, host, headers, body)
            except httpx.ConnectError as error:
                failed = error
        raise failed


async def _addresses(host: str, port: int, allow_private: bool) -> list[Address]:
    """Look a name up; all that it means must be allowed, or none of it is used."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ip_address(str(at[4][0]).partition("%")[0]) for at in found]
    if not allow_private and not all(is_public(address) for address in addresses):
        raise HookRefused
    return list(dict.fromkeys(addresses))


async def _post_to(url: str, host: str, headers: dict[str, str], body: bytes) -> int:
    client = httpx.AsyncClient(
        verify=_trusted(), trust_env=False, follow_redirects=False, timeout=_STEP_SECONDS
    )
    async with client:
        request = client.build_request(
            "POST", url, headers=headers, content=body, extensions={"sni_hostname": host}
        )
        response = await client.send(request, stream=True)
        with suppress(httpx.HTTPError):
            await response.aclose()
        return response.status_code


@cache
def _trusted() -> ssl.SSLContext:
    """Return the authorities that this computer trusts, among them those that its administrator added."""
    return ssl.create_default_context()
