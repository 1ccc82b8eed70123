# SPDX-License-Identifier: BSD-3-Clause
"""Whose a session in OMERO is: the one thing that the api asks an OMERO itself."""

from collections.abc import Callable
from pathlib import Path

from slidegate.domain.errors import OmeroNotInstalled
from slidegate.store.omero import OmeroPerson


def asking(host: str, port: int, ca: Path | None) -> Callable[[str], OmeroPerson]:
    """Return what says whose the session in OMERO is that has a key.

    The session is joined and left, and lives on; its key is not kept. What is returned may be asked from many
    threads at once; it raises OmeroNotInstalled, and OmeroError as connections to an OMERO do.
    """

    def whose(key: str) -> OmeroPerson:
        try:
            from slidegate.sources.omero.connection import Connection, Server, speaking
        except ImportError as error:
            raise OmeroNotInstalled from error
        with Connection.join(Server(host, port, ca), key) as connection, speaking():
            context = connection.services("Admin").getEventContext()
            return OmeroPerson(int(context.userId), str(context.userName))

    return whose
