# SPDX-License-Identifier: BSD-3-Clause
"""An OMERO.web that vouches for people: a key, and statements that are signed with it."""

import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from slidegate.store import Store


class OmeroWeb:
    """Says who has logged in there; known by a store from the beginning.

    Parameters
    ----------
    ahead
        How far the service's clock is set forward.
    """

    def __init__(self, store: Store, name: str = "lab") -> None:
        self.name = name
        self.secret = Ed25519PrivateKey.generate()
        self.public = (
            self.secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        )
        store.omero_webs.add(name, self.public, time.time())

    def claims(self, user_id: int | str = 7, name: str = "ada", **other: Any) -> dict[str, Any]:
        """Return what it says of somebody; `other` in the place of what it would say, None to say nothing."""
        now = int(time.time())
        said = {
            "iss": self.name, "aud": "slidegate", "sub": str(user_id), "name": name, "iat": now,
            "exp": now + 60, "jti": uuid.uuid4().hex,
        }  # fmt: skip
        return {claim: value for claim, value in (said | other).items() if value is not None}

    def says(self, user_id: int | str = 7, name: str = "ada", **other: Any) -> dict[str, str]:
        """Return the body of a request that signs somebody in."""
        return {"statement": jwt.encode(self.claims(user_id, name, **other), self.secret, "EdDSA")}
