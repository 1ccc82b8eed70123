# SPDX-License-Identifier: BSD-3-Clause
"""The one spelling of a JSON value, so that its SHA-256 may name it."""

import hashlib
import json
from typing import Any


def canonical(obj: Any) -> bytes:
    """Return the one spelling of a JSON value whose SHA-256 may name it.

    Raises ``ValueError`` for numbers that JSON does not know (NaN, infinities).
    """
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
