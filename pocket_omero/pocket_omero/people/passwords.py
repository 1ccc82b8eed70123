# SPDX-License-Identifier: GPL-2.0-or-later
"""Passwords of people, hashed, in a file of their own beside the state."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
from pathlib import Path

_COST = {"n": 2**10, "r": 8, "p": 1}  # low: logins of tests should be fast; this server is never for data


class Passwords:
    """Passwords by the id of the person.

    Parameters
    ----------
    file
        Where they are kept (mode 0600, written whole and renamed); None: in memory only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._hashes: dict[str, str] = {}
        if file is not None and file.exists():
            self._hashes = json.loads(file.read_text())

    def check(self, person: int, password: str) -> bool:
        """Whether `password` is that of `person`; False for people without one."""
        stored = self._hashes.get(str(person))
        if stored is None:
            return False
        salt, digest = (base64.b64decode(part) for part in stored.split("$"))
        return hmac.compare_digest(digest, _digest(password, salt))

    def set(self, person: int, password: str) -> None:
        """Give `person` a password; a repeat replaces it."""
        salt = os.urandom(16)
        hashed = "$".join(base64.b64encode(part).decode() for part in (salt, _digest(password, salt)))
        with self._lock:
            self._hashes[str(person)] = hashed
            self._write()

    def has(self, person: int) -> bool:
        """Whether `person` has a password."""
        return str(person) in self._hashes

    def remove(self, person: int) -> None:
        """Forget the password of `person`; a repeat changes nothing."""
        with self._lock:
            if self._hashes.pop(str(person), None) is not None:
                self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        part = self._file.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(self._hashes))
        part.replace(self._file)


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_COST)
