# SPDX-License-Identifier: BSD-3-Clause
"""Workflows as they were when Runs were asked for: what a result means can be told when the site is gone."""

from sqlalchemy import insert, select
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
        values = {
            "digest": release.digest,
            "name": release.name,
            "version": release.version,
            "manifest": dict(release.manifest),
            "schema": dict(release.schema),
            "runtime": release.runtime,
        }
        try:
            with self._database.write() as connection:
                connection.execute(insert(tables.release).values(**values))
        except IntegrityError:
            return

    def get(self, digest: Digest) -> Release | None:
        """Return a Release, None when it was never seen."""
        query = select(tables.release).where(tables.release.c.digest == digest)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Release(**row)
