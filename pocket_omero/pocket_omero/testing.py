# SPDX-License-Identifier: GPL-2.0-or-later
"""An OMERO for tests: a pocket OMERO started for them, or a real one that the environment names.

For a real one set `OMERO_HOST`, `OMERO_PORT` (4064), and for each role a person as NAME:PASSWORD:
`OMERO_MEMBER` and `OMERO_COLLEAGUE`, both in one read-annotate group that is their default group, and
`OMERO_ADMIN`. Tests of what only a pocket OMERO has, such as faults, are left out there, and tests of roles
that nobody plays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import Ice
from omero.clients import BaseClient

if TYPE_CHECKING:
    from pocket_omero.server import Server

__all__ = ["PEOPLE", "ROLES", "Omero", "fill", "real"]

ROLES = ("member", "colleague", "admin")
PEOPLE = {
    "member": ("alice", "secret-a"),
    "colleague": ("bob", "secret-b"),
    "admin": ("root", "secret-r"),
}
_FOLDER = """\
groups: {lab: read-annotate}
people:
  alice: {password: secret-a, groups: [lab], leads: [lab]}
  bob: {password: secret-b, groups: [lab]}
  root: {password: secret-r}
"""


def fill(folder: Path) -> None:
    """Write a people.yml in which every role of `PEOPLE` is played."""
    (folder / "people.yml").write_text(_FOLDER)


class Omero:
    """An OMERO and who may log in there.

    Parameters
    ----------
    host, port
        Where it is.
    people
        Name and password by role.
    server
        The pocket OMERO; None at a real one.
    """

    def __init__(
        self, host: str, port: int, people: Mapping[str, tuple[str, str]], server: Server | None = None
    ) -> None:
        self.host, self.port, self.people = host, port, dict(people)
        self._server = server

    @property
    def is_real(self) -> bool:
        """Whether it is no pocket OMERO."""
        return self._server is None

    @property
    def server(self) -> Server:
        """The pocket OMERO, with `faults`, `restart` and so on. At a real OMERO the test is left out."""
        if self._server is None:
            import pytest

            pytest.skip("a real OMERO does not do this on demand")
        return self._server

    def person(self, role: str = "member") -> tuple[str, str]:
        """Name and password. The test is left out where nobody plays the role."""
        if role not in self.people:
            import pytest

            pytest.skip(f"needs a person: OMERO_{role.upper()}=NAME:PASSWORD")
        return self.people[role]

    @contextmanager
    def client(self, role: str = "member", **properties: str) -> Iterator[Any]:
        """An omero.client that is logged in, until the end of the with block.

        Parameters
        ----------
        properties
            More of the client's properties, with `__` for a dot (`IceSSL__VerifyPeer="2"`).
        """
        more = {key.replace("__", "."): value for key, value in properties.items()}
        client = BaseClient(pmap={"omero.host": self.host, "omero.port": str(self.port), **more})
        try:
            client.createSession(*self.person(role))
            yield client
        finally:
            with suppress(Ice.Exception):  # it minds when there is no session or no connection any more
                client.closeSession()

    @contextmanager
    def gateway(self, role: str = "member") -> Iterator[Any]:
        """A BlitzGateway that is logged in, until the end of the with block."""
        from omero.gateway import BlitzGateway

        name, password = self.person(role)
        gateway = BlitzGateway(name, password, host=self.host, port=self.port, secure=True)
        try:
            if not gateway.connect():
                raise ConnectionError(str(gateway.getLastError()))
            yield gateway
        finally:
            gateway.close()


def real() -> Omero | None:
    """The OMERO that the environment names; None: it names none."""
    host = os.environ.get("OMERO_HOST")
    if not host:
        return None
    said = {role: os.environ.get(f"OMERO_{role.upper()}", "").partition(":") for role in ROLES}
    people = {role: (name, password) for role, (name, colon, password) in said.items() if colon}
    return Omero(host, int(os.environ.get("OMERO_PORT", "4064")), people)
