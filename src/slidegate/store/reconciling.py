# SPDX-License-Identifier: BSD-3-Clause
"""What a store that was restored from a backup must do first: hear from every site what it has done since."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from slidegate.store import tables

START = "0" * 64
FIRST: dict[str, Any] = {
    "head": START,
    "head_seq": 0,
    "cursor": "",
    "poll_at": 0.0,
    "lease_token": 0,
    "tries": 0,
}
"""What is known of a site of which nothing was heard."""
_S = tables.site
_R = tables.reconcile
_APART = 1000


def begin(connection: Connection, now: float) -> list[str]:
    """Note that all sites are to be read completely; see :meth:`KnownSites.begin_reconciling`."""
    run = tables.run.c
    active = select(run.site).where(run.ended_at.is_(None)).distinct()
    known = set(connection.execute(select(_S.c.name)).scalars())
    sites = sorted(known | set(connection.execute(active).scalars()))
    connection.execute(delete(tables.heard))
    connection.execute(delete(_R))
    for site in sites:
        if site not in known:
            connection.execute(insert(_S).values(name=site, **FIRST))
        connection.execute(insert(_R).values(site=site, since=now))
    free = {"owner": None, "lease_until": None}
    start = {"cursor": "", "heard_at": None, "poll_at": 0.0, "tries": 0, "trouble": None}
    connection.execute(update(_S).values(**start))
    # who held something before the loss, and files that are named by leases, may still be somewhere: their
    # numbers are not given out again
    for table in (_S, tables.task, tables.wish, tables.delivery):
        connection.execute(update(table).values(lease_token=table.c.lease_token + _APART, **free))
    return sites
