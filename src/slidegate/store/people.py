# SPDX-License-Identifier: BSD-3-Clause
"""People, and what each of them is at a site: an account there, and the key that opens it, for some days.

Days are those of UTC, and the first and the last one count. Of one person at one site at most one link is
valid on any day; at one site a key opens one account.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from slidegate.domain.errors import BadRequest
from slidegate.domain.states import FINISHED
from slidegate.store import tables
from slidegate.store.database import Database

_P = tables.person
_L = tables.person_link
_SITE = re.compile("[a-z0-9][a-z0-9_-]{0,39}")
_SOON = timedelta(days=30)
_ACCOUNT = re.compile("[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}")


class UnknownPerson(BadRequest):
    """There is no person of that name."""

    code = "unknown-person"


class LinkRefused(BadRequest):
    """The person cannot be linked to the site so."""

    code = "link-refused"


class LinkNotValid(BadRequest):
    """The person may not use the site today."""

    code = "link-not-valid"


def gate_id(site: str, key: str) -> str:
    """Return what a gate is called that a site is reached by with a key; Runs are filed under it."""
    return f"{site}/{key}"


@dataclass(frozen=True, slots=True)
class Link:
    """What a person is at a site: an account, and the name of the key that opens it.

    Attributes
    ----------
    valid_from, valid_until
        The first and the last day, UTC; None for no last day.
    """

    person: str
    site: str
    account: str
    key: str
    valid_from: date
    valid_until: date | None = None

    def state(self, day: date) -> str:
        """Say what the link is on a day: valid, not yet valid, or expired."""
        if day < self.valid_from:
            return "not yet valid"
        return "valid" if self.valid_until is None or day <= self.valid_until else "expired"

    def days(self) -> str:
        """The days, in words."""
        return f"from {self.valid_from}" + (f" until {self.valid_until}" if self.valid_until else "")

    def ends_soon(self, day: date) -> str | None:
        """Say that it ends within a month, and how it is prolonged; None when it does not."""
        if self.valid_until is None or self.state(day) != "valid" or self.valid_until - day > _SOON:
            return None
        return (
            f"{self.person} is {self.account} at {self.site} until {self.valid_until} only; to go on: "
            f"slidegate person link {self.person} {self.site} --account {self.account} --key {self.key} "
            f"--from {self.valid_until + timedelta(days=1)}"
        )

    def _overlaps(self, other: "Link") -> bool:
        mine, theirs = self.valid_until or date.max, other.valid_until or date.max
        return self.valid_from <= theirs and other.valid_from <= mine


class People:
    """Remembers people and their links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, at: float) -> bool:
        """Remember a person; returns whether the person is new.

        Raises
        ------
        BadRequest
            Nobody can be called so.
        """
        check_name(name)
        with self._database.write() as connection:
            return remember(connection, name, at)

    def names(self) -> list[str]:
        """Return all people."""
        with self._database.read() as connection:
            return sorted(connection.execute(select(_P.c.name)).scalars(), key=by_name)

    def join(self, link: Link) -> bool:
        """Remember a link; returns whether it is new.

        Raises
        ------
        UnknownPerson
            The person was not added.
        LinkRefused
            There cannot be such a site or account, it ends before it begins, another one of this person at
            this site holds on some of its days, or its key opens another account there.
        """
        if link.site == "local" or not _SITE.fullmatch(link.site):
            raise LinkRefused(f"{link.site!r} is no site that people have accounts at.")
        if not _ACCOUNT.fullmatch(link.account):
            raise LinkRefused(f"{link.account!r} cannot be an account.")
        if link.valid_until is not None and link.valid_until < link.valid_from:
            raise LinkRefused(f"The link would end on {link.valid_until}, before it begins.")
        with self._database.write() as connection:
            # all of them are locked: what is checked below is about other people's links too
            everybody = connection.execute(select(_P.c.name).order_by(_P.c.name).with_for_update())
            if link.person not in list(everybody.scalars()):
                raise UnknownPerson(
                    f"There is no person {link.person!r}. slidegate person add {link.person} adds one."
                )
            known = _links(connection)
            if link in known:
                return False
            _check(link, known)
            connection.execute(
                insert(_L).values({name: getattr(link, name) for name in Link.__dataclass_fields__})
            )
        return True

    def links(self) -> list[Link]:
        """Return all links, also those that are not valid any more."""
        with self._database.read() as connection:
            return _links(connection)

    def ending(self, at: float) -> list[tuple[Link, str]]:
        """Return the links that end within a month of a moment and that no other one follows, in words."""
        day, known = datetime.fromtimestamp(at, UTC).date(), self.links()
        later = {(link.person, link.site) for link in known if link.state(day) == "not yet valid"}
        ends = [(link, link.ends_soon(day)) for link in known if (link.person, link.site) not in later]
        return [(link, words) for link, words in ends if words]

    def link(self, person: str, site: str, at: float) -> Link | None:
        """Return what a person is at a site at a moment, in seconds since 1970; None without any link there.

        Raises
        ------
        LinkNotValid
            The person has links there, and none of them is valid then: nothing else may take their place.
        """
        day = datetime.fromtimestamp(at, UTC).date()
        mine = [link for link in self.links() if (link.person, link.site) == (person, site)]
        for link in mine:
            if link.state(day) == "valid":
                return link
        if not mine:
            return None
        past = [link for link in mine if link.state(day) == "expired"]
        nearest = past[-1] if past else mine[0]
        words = f"expired on {nearest.valid_until}" if past else f"holds only from {nearest.valid_from}"
        raise LinkNotValid(
            f"What links {person!r} to the site {site!r} {words}. Whoever looks after slidegate can make "
            f"another: slidegate person link {person} {site} --account {nearest.account} --key {nearest.key}"
        )

    def account(self, site: str, key: str) -> str | None:
        """Return the account that a key opens at a site, None when no link says so.

        Links that have expired count: what was begun under them is still to be fetched.
        """
        found = [link.account for link in self.links() if (link.site, link.key) == (site, key)]
        return found[0] if found else None

    def remove(self, person: str, site: str | None = None) -> list[Link]:
        """Forget a person's links to a site; without one, all of them, and the person too.

        Returns
        -------
        The links that are gone.

        Raises
        ------
        UnknownPerson
            There is none of that name.
        LinkRefused
            Runs of the person there have not ended: nothing else could fetch them.
        """
        with self._database.write() as connection:
            if connection.execute(select(_P.c.name).where(_P.c.name == person)).first() is None:
                raise UnknownPerson(f"There is no person {person!r}.")
            links = [link for link in _links(connection) if link.person == person]
            gone = [link for link in links if site in (None, link.site)]
            for link in gone:
                _check_unused(connection, link)
            which = [_L.c.person == person] + ([] if site is None else [_L.c.site == site])
            connection.execute(delete(_L).where(*which))
            if site is None:
                _forget(connection, person)
                connection.execute(delete(_P).where(_P.c.name == person))
        return gone


def by_name(name: str) -> tuple[str, str]:
    """Return what names are sorted by: as people do, and the same in every database."""
    return name.casefold(), name


def check_name(name: str) -> None:
    """Raise unless a person or a group can be called so.

    Raises
    ------
    BadRequest
    """
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise BadRequest(
            f"A person or group cannot be called {name!r}: take up to 100 letters that can be read."
        )


def remember(connection: Connection, name: str, at: float) -> bool:
    """Remember a person; returns whether the person is new."""
    if connection.execute(select(_P.c.name).where(_P.c.name == name)).first() is not None:
        return False
    try:
        with connection.begin_nested():
            connection.execute(insert(_P).values(name=name, at=at))
    except IntegrityError:  # somebody else did meanwhile
        return False
    return True


def _forget(connection: Connection, person: str) -> None:
    """Remove all that lets a person sign in, and all that is told to them."""
    w = tables.webhook
    mine = select(w.c.id).where(w.c.person == person)
    connection.execute(delete(tables.delivery).where(tables.delivery.c.webhook.in_(mine)))
    runs = tables.run
    connection.execute(update(runs).where(runs.c.person == person).values(group=""))
    theirs = (tables.session, tables.token, tables.login_link, tables.omero_grant, tables.omero_person)
    for table in (w, *theirs, tables.account):
        connection.execute(delete(table).where(table.c.person == person))


def _links(connection: Connection) -> list[Link]:
    query = select(_L).order_by(_L.c.person, _L.c.site, _L.c.valid_from)
    return [_link(row) for row in connection.execute(query).mappings()]


def _link(row: Mapping[Any, Any]) -> Link:
    return Link(**{name: row[name] for name in Link.__dataclass_fields__})


def _check(link: Link, known: list[Link]) -> None:
    for other in known:
        if (other.person, other.site) == (link.person, link.site) and other._overlaps(link):
            raise LinkRefused(
                f"{link.person!r} is {other.account!r} at {link.site!r} {other.days()} already, by the key "
                f"{other.key!r}. Choose other days, or remove that: "
                f"slidegate person remove {link.person} --site {link.site}"
            )
        if (other.site, other.key) == (link.site, link.key) and other.account != link.account:
            raise LinkRefused(
                f"At {link.site!r} the key {link.key!r} opens the account {other.account!r}. Another account "
                "needs another key: slidegate key create NAME makes it."
            )


def _check_unused(connection: Connection, link: Link) -> None:
    run, task = tables.run.c, tables.task.c
    query = (
        select(run.id)
        .join(tables.task, task.run == run.id)
        .where(run.person == link.person, run.site == gate_id(link.site, link.key))
        .where(task.state.not_in(list(FINISHED)))
        .distinct()
    )
    active = [name[:8] for name in connection.execute(query).scalars()]
    if active:
        raise LinkRefused(
            f"Runs of {link.person!r} at {link.site!r} have not ended ({', '.join(active)}). Wait for "
            "them, or cancel them: slidegate cancel RUN"
        )
