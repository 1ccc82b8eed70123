# SPDX-License-Identifier: BSD-3-Clause
"""What each site offers, as it was last heard of: forms can be drawn while no site answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from slidegate.domain.values import Release
from slidegate.store import tables
from slidegate.store.database import Database
from slidegate.store.releases import remember

_O = tables.offer
_R = tables.release


@dataclass(frozen=True, slots=True)
class Offer:
    """A Release that a site has, and when the site last said so; ``site`` is what its gate is called."""

    site: str
    release: Release
    heard_at: float


class Offers:
    """Remembers what sites offer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, site: str, releases: Sequence[Release], now: float) -> None:
        """Remember all that a site offers now, in place of what it offered before. Safe to repeat."""
        found = {release.digest: release for release in releases}
        with self._database.write() as connection:
            connection.execute(delete(_O).where(_O.c.site == site))
            for digest, release in sorted(found.items()):
                remember(connection, release)
                connection.execute(insert(_O).values(site=site, release=digest, heard_at=now))

    def forget(self, site: str) -> None:
        """Forget what a site offers, as one that was removed."""
        with self._database.write() as connection:
            connection.execute(delete(_O).where(_O.c.site == site))

    def all(self) -> list[Offer]:
        """Return all offers, by name and version of the workflow and by site."""
        query = select(_O.c.site, _O.c.heard_at, _R).join(_R, _R.c.digest == _O.c.release)
        with self._database.read() as connection:
            rows = list(connection.execute(query.order_by(_R.c.name, _R.c.version, _O.c.site)).mappings())
        names = Release.__dataclass_fields__
        return [Offer(row["site"], Release(**{n: row[n] for n in names}), row["heard_at"]) for row in rows]
