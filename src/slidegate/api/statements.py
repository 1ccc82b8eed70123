# SPDX-License-Identifier: BSD-3-Clause
"""Statements of an OMERO.web about who has logged in there: JWTs, signed by Ed25519, that are believed once.

The session in OMERO stays where it is; what travels is the number and the login name of its person.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from slidegate.api.problems import StatementRefused
from slidegate.domain.errors import BadRequest

AUDIENCE = "slidegate"
LONGEST_SECONDS = 60
CLOCKS_SECONDS = 30.0
"""So much the clocks of the two hosts may differ."""
NAME = re.compile("[a-z0-9][a-z0-9_-]{0,39}")
_CLAIMS = ("iss", "aud", "sub", "name", "iat", "exp", "jti")
_NUMBER = re.compile("0|[1-9][0-9]{0,17}")
_FAR = 2**53
_JTI = re.compile("[A-Za-z0-9_-]{8,64}")


class BadWebKey(BadRequest):
    """That is no public key of an OMERO.web: it is Ed25519, in PEM, as openssl pkey -pubout writes it."""

    code = "bad-web-key"


@dataclass(frozen=True, slots=True)
class Statement:
    """What an OMERO.web said.

    Attributes
    ----------
    web
        The name under which its key is known.
    user_id, name
        Who has logged in there: the number and the login name.
    jti
        What the statement is called; no other one of this OMERO.web is.
    ends_at
        When it is too old to be believed, seconds since 1970.
    """

    web: str
    user_id: int
    name: str
    jti: str
    ends_at: float


def public_key(text: str) -> str:
    """Return a public key in the form that is kept.

    Parameters
    ----------
    text
        In PEM.

    Raises
    ------
    BadWebKey
        It is none, or one of another kind, or a private key.
    """
    if "PRIVATE KEY" in text:
        raise BadWebKey(
            "That is the private key, which stays with OMERO.web: openssl pkey -in KEY -pubout writes the "
            "public one."
        )
    return _loaded(text).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _loaded(text: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadWebKey from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadWebKey
    return key


def read_statement(text: str, key_of: Callable[[str], str | None], now: float) -> Statement:
    """Return what a statement says, once it is sure who says so, to whom, and when.

    That it was not believed before is not looked at.

    Parameters
    ----------
    key_of
        Returns the public key (PEM) that an OMERO.web is known by; None for one that is not.

    Raises
    ------
    StatementRefused
    """
    key = key_of(_issuer(text))
    if key is None:
        raise StatementRefused(
            "It is not signed by an OMERO.web that is known here: slidegate omero web add."
        )
    try:
        claims = jwt.decode(
            text,
            _loaded(key),
            algorithms=["EdDSA"],
            audience=AUDIENCE,
            options={
                "require": list(_CLAIMS),
                "strict_aud": True,
                "verify_exp": False,  # times are checked below, by the service's own clock
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidAudienceError as error:
        raise StatementRefused("It is meant for somebody else: its audience is not slidegate.") from error
    except jwt.PyJWTError as error:
        raise StatementRefused(
            "Its signature is not right, or it lacks something: the key of that OMERO.web may be another one."
        ) from error
    return _checked(claims, now)


def _issuer(text: str) -> str:
    """Return who says that they have made a statement, which nothing is believed for yet."""
    try:
        found = jwt.decode(text, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise StatementRefused("It cannot be read.") from error
    if not isinstance(found, str) or not NAME.fullmatch(found):
        raise StatementRefused("It does not say which OMERO.web has made it.")
    return found


def _checked(claims: Mapping[str, Any], now: float) -> Statement:
    """Return what claims say that are signed rightly."""
    began, ends = claims["iat"], claims["exp"]
    fits = (
        type(began) is int
        and type(ends) is int
        and 0 <= began < _FAR
        and isinstance(claims["sub"], str)
        and _NUMBER.fullmatch(claims["sub"])
        and isinstance(claims["jti"], str)
        and _JTI.fullmatch(claims["jti"])
        and isinstance(claims["name"], str)
        and 0 < len(claims["name"]) <= 255
        and claims["name"].isprintable()
    )
    if not fits:
        raise StatementRefused("It does not have the form that is documented.")
    if not 0 < ends - began <= LONGEST_SECONDS:
        raise StatementRefused(f"It would be believed for longer than {LONGEST_SECONDS} seconds.")
    if now >= ends + CLOCKS_SECONDS:
        raise StatementRefused("It is too old: the clock of OMERO.web's host may be slow, or ours fast.")
    if now < began - CLOCKS_SECONDS:
        raise StatementRefused(
            "It is of the future: the clock of OMERO.web's host may be fast, or ours slow."
        )
    return Statement(claims["iss"], int(claims["sub"]), claims["name"], claims["jti"], ends + CLOCKS_SECONDS)
