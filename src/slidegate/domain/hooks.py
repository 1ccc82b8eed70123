# SPDX-License-Identifier: BSD-3-Clause
"""Where a person may have the end of a Run told to, and how what is told is signed."""

import hashlib
import hmac
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from slidegate.domain.errors import BadRequest

SIGNATURE = "X-Slidegate-Signature"
TIMESTAMP = "X-Slidegate-Timestamp"
_LETTERS = 2000
_WITH_IPV4_INSIDE = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("2002::/16"))


class BadHookUrl(BadRequest):
    """That is no address that slidegate tells the end of a run to: it must begin with https://."""

    code = "bad-hook-url"


def check_hook_url(url: str, allow_private: bool = False) -> SplitResult:
    """Return the parts of an address that the end of a Run may be told to.

    Parameters
    ----------
    allow_private
        Whether addresses in this network, and http without encryption, are allowed.

    Raises
    ------
    BadHookUrl
    """
    if len(url) > _LETTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise BadHookUrl("The address has letters that an address cannot have, or is too long.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadHookUrl("The address cannot be read.") from error
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise BadHookUrl
    if not parts.hostname or port == 0:
        raise BadHookUrl("The address names no host.")
    if "@" in parts.netloc:
        raise BadHookUrl("The address must hold no name and no password.")
    if parts.fragment:
        raise BadHookUrl("The address must hold no #.")
    try:
        literal = ip_address(parts.hostname)
    except ValueError:
        return parts
    if not allow_private and not is_public(literal):
        raise BadHookUrl("The address is inside this network; those are not told.")
    return parts


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address belongs to the whole internet: to no computer or network of one's own."""
    if isinstance(address, IPv6Address):
        inside = address.ipv4_mapped
        if inside is not None:
            return is_public(inside)
        if any(address in network for network in _WITH_IPV4_INSIDE) or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return what the receiver of ``body`` computes too: ``sha256=`` and HMAC-SHA-256, 64 hex.

    Parameters
    ----------
    secret
        What only the person and slidegate know.
    timestamp
        Seconds since 1970, as the header says them; a receiver refuses what is too old.
    """
    signed = str(timestamp).encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
