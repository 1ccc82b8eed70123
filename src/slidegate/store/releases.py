# SPDX-License-Identifier: BSD-3-Clause
"""Workflows as they were when Runs were asked for: what a result means can be told when the site is gone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from slidegate.domain.values import Digest
from slidegate.store import tables
from slidegate.store.database import Database


@dataclass(frozen=True, slots=True)
class KnownRelease:
    """A Release: its digest, name, version, manifest, parameter schema and Runtime."""

    digest: Digest
    name: str
    version: str
    manifest: Mapping[str, Any]
    schema: Mapping[str, Any]
    runtime: str


class KnownReleases:
    """Remembers Releases; they never change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, release: KnownRelease) -> None:
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

    def get(self, digest: Digest) -> KnownRelease | None:
        """Return a Release, None when it was never seen."""
        query = select(tables.release).where(tables.release.c.digest == digest)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else KnownRelease(**row)
