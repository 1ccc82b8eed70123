# SPDX-License-Identifier: BSD-3-Clause
"""Workflows as they were when Runs were asked for: what a result means can be told when the site is gone."""

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from slidegate.domain.values import Digest, Release
from slidegate.store import tables
from slidegate.store.database import Database


class KnownReleases:
    """Remembers Releases; they never change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, release: Release) -> None:
        """Remember a Release; a repeat changes nothing."""
        if self.get(release.digest) is not None:
            return
        with self._database.write() as connection:
            remember(connection, release)

    def get(self, digest: Digest) -> Release | None:
        """Return a Release, None when it was never seen."""
        query = select(tables.release).where(tables.release.c.digest == digest)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Release(**row)


def remember(connection: Connection, release: Release) -> None:
    """Remember a Release inside a transaction; a repeat changes nothing."""
    table = tables.release
    if connection.execute(select(table.c.digest).where(table.c.digest == release.digest)).first() is not None:
        return
    values = {name: getattr(release, name) for name in Release.__dataclass_fields__}
    values |= {"manifest": dict(release.manifest), "schema": dict(release.schema)}
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(**values))
    except IntegrityError:  # somebody else did meanwhile
        return
