# SPDX-License-Identifier: AGPL-3.0-or-later
"""The key of this OMERO.web, and the statements it signs: who a user is, for a minute and one sign-in."""

from __future__ import annotations

import os
import stat
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from omero_slidegate.problems import KeyUnusable

__all__ = ["AUDIENCE", "STATEMENT_SECONDS", "Person", "make_key", "public_key", "read_key", "statement"]

AUDIENCE = "slidegate"
STATEMENT_SECONDS = 60
_LONGEST = 10_000
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in at OMERO.web.

    Attributes
    ----------
    user
        The number that OMERO knows them by, which is never given to anybody else.
    name
        The name that they log in with.
    """

    user: int
    name: str


def make_key(file: Path) -> Ed25519PrivateKey:
    """Make a key that only this account can read; return the one that is there, if one is.

    Raises
    ------
    KeyUnusable
        Something else is there, or the file cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return read_key(file)
    except OSError as error:
        raise KeyUnusable(f"{file} cannot be written: {error.strerror}.") from error
    with os.fdopen(made, "wb") as opened:
        opened.write(text)
    return key


def read_key(file: Path) -> Ed25519PrivateKey:
    """Read a key.

    Raises
    ------
    KeyUnusable
        There is none, others could read it too, or it is something else.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(_LONGEST)
    except OSError as error:
        raise KeyUnusable(f"The key {file} cannot be read: {error.strerror}.") from error
    if mode & _OTHERS:
        raise KeyUnusable(f"Other accounts can read the key {file}: chmod 600, or make a new one.")
    try:
        key = load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{file} holds no key of python -m omero_slidegate key.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{file} holds a key of another kind than Ed25519.")
    return key


def public_key(key: Ed25519PrivateKey) -> str:
    """Return what slidegate is given of a key, as PEM: `slidegate omero web add NAME FILE`."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def statement(key: Ed25519PrivateKey, issuer: str, person: Person) -> str:
    """Return a signed statement that slidegate takes once, within a minute: this is who is logged in."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": str(person.user),
        "name": person.name,
        "iat": now,
        "exp": now + STATEMENT_SECONDS,
        "jti": uuid.uuid4().hex,
    }
    return jwt.encode(claims, key, algorithm="EdDSA")
