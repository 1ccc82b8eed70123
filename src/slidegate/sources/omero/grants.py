# SPDX-License-Identifier: BSD-3-Clause
"""Sessions that people granted once, encrypted at rest: who reads the folder, or a backup, is nobody."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from slidegate.domain.sealing import public_of, unseal

from .acting import end_session
from .connection import Connection, Server
from .errors import OmeroError, OmeroSessionGoneError
from .private import SecretUnreadableError, read_private, write_private


class OmeroNoGrantError(OmeroError):
    """In OMERO slidegate may not act for you, or not any more: permit it, by your password there, once.

    What waits for it goes on by itself then.
    """

    code = "omero-no-grant"


class Grants:
    """Keeps one session for each person at each OMERO.

    Parameters
    ----------
    folder
        Where they are kept: one encrypted file each.
    key_file
        Holds what they are encrypted with, 0600; made when it is first needed. Keep it out of the backups
        that `folder` goes to.
    """

    def __init__(self, folder: Path, key_file: Path) -> None:
        self._folder = folder
        self._key_file = key_file

    def keep(self, server: Server, person: str, key: str) -> None:
        """Keep the session that a person granted, in the place of an earlier one."""
        box = Fernet(self._secret())
        said = {"server": f"{server.host}:{server.port}", "person": person, "key": key}
        write_private(self._file(server, person), box.encrypt(json.dumps(said).encode()))

    def key(self, server: Server, person: str) -> str:
        """Return the key of a person's session; that it still lives is not asked.

        Raises
        ------
        OmeroNoGrantError
        SecretOpenError, SecretUnreadableError
            What is kept can be read by others, or is not what was kept for this person.
        """
        found = read_private(self._file(server, person))
        if found is None:
            raise OmeroNoGrantError
        try:
            said = json.loads(Fernet(self._secret()).decrypt(found))
        except (InvalidToken, ValueError):
            raise SecretUnreadableError("a grant is encrypted with another key, or damaged") from None
        if (said["server"], said["person"]) != (f"{server.host}:{server.port}", person):
            raise SecretUnreadableError("a grant is somebody else's")
        return str(said["key"])

    def acting(self, server: Server, person: str) -> Connection:
        """Be a person who granted it, until the connection is closed; the session lives on.

        Raises
        ------
        OmeroNoGrantError
            The session has ended, too; then it is forgotten.
        OmeroError, SecretOpenError, SecretUnreadableError
        """
        key = self.key(server, person)
        try:
            return Connection.join(server, key)
        except OmeroSessionGoneError:
            self.forget(server, person, key)
            raise OmeroNoGrantError from None

    def forget(self, server: Server, person: str, key: str) -> None:
        """Forget a session that has ended, unless the person has granted another since. Safe to repeat."""
        with suppress(OmeroError, SecretUnreadableError):
            if self.key(server, person) == key:
                self._file(server, person).unlink(missing_ok=True)

    def revoke(self, server: Server, person: str) -> bool:
        """Forget a person's session and end it in OMERO; returns whether there was one. Safe to repeat.

        Raises
        ------
        OmeroError
            OMERO cannot be reached: the session is forgotten, and ends by itself when it is idle.
        """
        try:
            with self.acting(server, person) as connection:
                end_session(connection, connection.key)
        except OmeroNoGrantError:
            return False
        finally:
            self._file(server, person).unlink(missing_ok=True)
        return True

    @property
    def public_key(self) -> bytes:
        """What passwords are sealed with for this keeper: 32 bytes, for everybody to know."""
        return public_of(self._secret())

    def unseal(self, letter: str, purpose: str) -> bytes:
        """Return what somebody sealed with the public key; NotSealedForUs is raised where it was not so."""
        return unseal(self._secret(), letter, purpose)

    def _file(self, server: Server, person: str) -> Path:
        return self._folder / hashlib.sha256(f"{server.host}:{server.port}/{person}".encode()).hexdigest()

    def _secret(self) -> bytes:
        found = read_private(self._key_file)
        if found is None:
            write_private(self._key_file, Fernet.generate_key(), replace=False)
            found = read_private(self._key_file)
        if not found:
            raise SecretUnreadableError(str(self._key_file))
        return found
