# SPDX-License-Identifier: BSD-3-Clause
"""Signing in: who says that somebody is who they say. Local accounts; others can take their place."""

import threading
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from slidegate.api.limits import Limits, Pace
from slidegate.api.problems import BadPassword, TooManySignIns, WrongCurrentPassword, WrongPassword
from slidegate.store import Store
from slidegate.store.people import UnknownPerson

_AT_ONCE = 2
LEAST_LETTERS = 10
MOST_LETTERS = 200
ONE_PERSON = Pace(5, 1 / 60)
"""Failed sign-ins of one name from one address: five, then one a minute."""
ONE_ADDRESS = Pace(50, 1 / 6)
"""Failed sign-ins from one address, of whatever names."""


class SignIn(Protocol):
    """Says whether a name and a password belong together."""

    def check(self, person: str, password: str) -> bool:
        """Return whether they do; takes as long for names that nobody has."""


class LocalAccounts:
    """Passwords kept here, as argon2id hashes.

    At most two are computed at once in a process: each takes 64 MiB of memory and a processor for a while.
    """

    def __init__(self, store: Store, hasher: PasswordHasher | None = None) -> None:
        self._store = store
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._nobody = self._hasher.hash("the password of nobody")

    def check(self, person: str, password: str) -> bool:
        """See SignIn.check."""
        try:
            kept = self._store.accounts.password_hash(person)
            active = self._store.accounts.get(person).active
        except UnknownPerson:
            kept, active = None, False
        with self._turns:
            try:
                self._hasher.verify(kept or self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False
        if kept is None or not active:
            return False
        if self._hasher.check_needs_rehash(kept):
            self._store.accounts.set_password(person, self.hash(password))
        return True

    def hash(self, password: str) -> str:
        """Return what is kept of a password.

        Raises
        ------
        BadPassword
            It is too short or too long.
        """
        if not LEAST_LETTERS <= len(password) <= MOST_LETTERS:
            raise BadPassword
        with self._turns:
            return self._hasher.hash(password)


class Throttle:
    """Slows down who guesses passwords, without locking anybody else out.

    What is counted is failures, by name *and* address: somebody who guesses a person's password from
    elsewhere does not keep that person from signing in.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def check(self, sign_in: SignIn, person: str, password: str, address: str) -> None:
        """Check a password.

        Raises
        ------
        WrongPassword
        TooManySignIns
            Too many from that address failed lately; the password was not looked at.
        """
        pair = f"{address} {person}"
        wait = max(
            self._limits.take("sign-in", pair, ONE_PERSON),
            self._limits.take("sign-ins", address, ONE_ADDRESS),
        )
        if wait > 0:
            raise TooManySignIns(retry_after=wait)
        if not sign_in.check(person, password):
            raise WrongPassword
        self._limits.refill("sign-in", pair)

    def check_own(self, sign_in: SignIn, person: str, password: str) -> None:
        """Check the password of somebody who is signed in: who has taken their place guesses slowly too.

        Raises
        ------
        WrongCurrentPassword
        TooManySignIns
            Too many were wrong lately, from wherever; the password was not looked at.
        """
        wait = self._limits.take("own-password", person, ONE_PERSON)
        if wait > 0:
            raise TooManySignIns("Too many passwords were wrong: wait a while.", retry_after=wait)
        if not sign_in.check(person, password):
            raise WrongCurrentPassword
        self._limits.refill("own-password", person)
