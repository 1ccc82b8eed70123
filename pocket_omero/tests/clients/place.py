# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the tests of clients run: at a pocket OMERO started for them, or at a real OMERO.

At a real server set OMERO_HOST, OMERO_PORT (4064), and for each person NAME:PASSWORD in OMERO_MEMBER and
OMERO_COLLEAGUE (both in one read-annotate group, their default group) and OMERO_ADMIN. Tests of what only a
pocket OMERO has, such as its folder of images, are left out there, and tests of people who are not named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from omero.gateway import BlitzGateway

ROLES = ("member", "colleague", "admin")


@dataclass(frozen=True)
class Person:
    name: str
    password: str


@dataclass(frozen=True)
class Place:
    """A server, and who may log in there."""

    host: str
    port: int
    people: dict[str, Person]
    folder: Path | None = None  # what a pocket OMERO serves
    data: Path | None = None  # what is its own
    server: Any = field(default=None, compare=False)

    @property
    def pocket(self) -> bool:
        return self.folder is not None

    def person(self, role: str) -> Person:
        if role not in self.people:
            pytest.skip(f"needs OMERO_{role.upper()}=NAME:PASSWORD")
        return self.people[role]

    def gateway(self, role: str = "member", **more: Any) -> BlitzGateway:
        """Log in; `disconnect` is the caller's."""
        person = self.person(role)
        conn = BlitzGateway(person.name, person.password, host=self.host, port=self.port, secure=True, **more)
        assert conn.connect(), conn.getLastError()
        return conn

    @contextmanager
    def connected(self, role: str = "member", **more: Any) -> Iterator[BlitzGateway]:
        conn = self.gateway(role, **more)
        try:
            yield conn
        finally:
            conn.close()


def real_place() -> Place | None:
    """The server that the environment names."""
    host = os.environ.get("OMERO_HOST")
    if not host:
        return None
    named = {role: os.environ.get(f"OMERO_{role.upper()}", "") for role in ROLES}
    people = {role: Person(*value.split(":", 1)) for role, value in named.items() if ":" in value}
    return Place(host, int(os.environ.get("OMERO_PORT", "4064")), people)
