# SPDX-License-Identifier: BSD-3-Clause
"""Sealed letters: whoever has a public key can write one, and only the holder of the private key reads it.

So a password can lie in the store, and in its backups, until the worker takes it out. It is HPKE (RFC 9180)
with X25519, HKDF-SHA256 and ChaCha20-Poly1305.
"""

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
_MOST = 16_384
OMERO_GRANT = "omero-grant"
"""The purpose of passwords by which people let the worker act for them in OMERO."""


class NotSealedForUs(ValueError):  # noqa: N818  (a situation is named as what it is)
    """It was sealed for another key, for another purpose, or was changed."""


def seal(public: bytes, plain: bytes, purpose: str) -> str:
    """Return `plain` as text that only the holder of the private key can read.

    Parameters
    ----------
    public
        The 32 bytes that `public_of` returns.
    purpose
        Has to be said again to open it.

    Raises
    ------
    ValueError
        That is no public key.
    """
    key = X25519PublicKey.from_public_bytes(public)
    return base64.b64encode(_SUITE.encrypt(plain, key, info=purpose.encode())).decode()


def unseal(secret: bytes, sealed: str, purpose: str) -> bytes:
    """Return what was sealed.

    Parameters
    ----------
    secret
        What the private key is made from, as for `public_of`.

    Raises
    ------
    NotSealedForUs
    """
    try:
        if len(sealed) > _MOST:
            raise NotSealedForUs
        return bytes(_SUITE.decrypt(base64.b64decode(sealed, validate=True), _key(secret), purpose.encode()))
    except (InvalidTag, binascii.Error, ValueError):
        raise NotSealedForUs from None


def public_of(secret: bytes) -> bytes:
    """Return the public key (32 bytes) of a secret: random bytes, at least 32, that nobody else has."""
    return _key(secret).public_key().public_bytes_raw()


def _key(secret: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(hashlib.sha256(b"slidegate sealed letters:" + secret).digest())
