# SPDX-License-Identifier: BSD-3-Clause
"""Believing what a server tells a program of yours, because it is signed."""

import hashlib
import hmac
import re
import time
from collections.abc import Mapping

_TIMESTAMP = re.compile("[0-9]{1,12}")
_FRESH_SECONDS = 300.0


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> bool:
    """Say whether a webhook's request comes from the server that knows a secret, and was sent just now.

    Parameters
    ----------
    secret
        What the server showed once, when the webhook was made.
    headers
        Of the request, by name in any case: ``X-Slidegate-Timestamp`` and ``X-Slidegate-Signature``.
    body
        Of the request, as it came.
    now
        Seconds since 1970; by default what the clock says. What was sent more than five minutes before or
        after is not believed, so that nobody can send it a second time later.
    """
    known = {name.lower(): value for name, value in headers.items()}
    timestamp = known.get("x-slidegate-timestamp", "")
    said = known.get("x-slidegate-signature", "")
    if not _TIMESTAMP.fullmatch(timestamp):
        return False
    if abs((time.time() if now is None else now) - int(timestamp)) > _FRESH_SECONDS:
        return False
    right = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={right}".encode(), said.encode())
