# SPDX-License-Identifier: BSD-3-Clause
"""The servers that a person has signed in at, with a token of each, in a file that nobody else can read."""

import json
import os
from pathlib import Path

from platformdirs import user_config_path

from slidegate.domain.errors import BadRequest


class NotLoggedIn(BadRequest):
    """No token of that server is kept here: slidegate login --server URL gets one."""

    code = "not-logged-in"


class TokensOpen(BadRequest):
    """Others can read the file that tokens are kept in."""

    code = "tokens-open"


class Servers:
    """The file: ``servers.json`` in the folder for settings of this account, mode 0600.

    Parameters
    ----------
    path
        Another file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or user_config_path("slidegate") / "servers.json"

    def keep(self, server: str, person: str, token: str) -> None:
        """Remember a token; an earlier one of that server is forgotten."""
        self._write({**self._read(), server.rstrip("/"): {"person": person, "token": token}})

    def token(self, server: str) -> str:
        """Return the token of a server.

        Raises
        ------
        NotLoggedIn, TokensOpen
        """
        found = self._read().get(server.rstrip("/"))
        if found is None:
            raise NotLoggedIn(
                f"No token of {server} is kept here: slidegate login --server {server} gets one."
            )
        return found["token"]

    def forget(self, server: str) -> bool:
        """Forget the token of a server; returns whether there was one."""
        kept = self._read()
        gone = kept.pop(server.rstrip("/"), None)
        if gone is not None:
            self._write(kept)
        return gone is not None

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise BadRequest(f"{self._path} cannot be read: {error.strerror}.") from error
        with os.fdopen(handle, "rb") as file:
            state = os.fstat(file.fileno())
            if state.st_mode & 0o077 or state.st_uid != os.getuid():
                raise TokensOpen(
                    f"Others can read {self._path}. Run: chmod 600 {self._path}, and revoke its tokens."
                )
            try:
                found = json.loads(file.read())
            except ValueError:
                return {}
        return found if isinstance(found, dict) else {}

    def _write(self, kept: dict[str, dict[str, str]]) -> None:
        from slidegate.sites.notes import write_note

        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_note(self._path, json.dumps(kept, indent=1, sort_keys=True))
