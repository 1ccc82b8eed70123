# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate person``: who may use which site, as which account, on which days."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from slidegate.domain.errors import BadParameter

if TYPE_CHECKING:
    from slidegate.store import Store

person = typer.Typer(no_args_is_help=True, help="Who may use which site, as which account, and until when.")
Name = Annotated[str, typer.Argument(metavar="PERSON", help="Who asks for runs: see SLIDEGATE_PERSON.")]
Site = Annotated[str, typer.Argument(metavar="SITE", help="A site that slidegate site add has added.")]


@person.command("add")
def add(name: Name) -> None:
    """Add a person. One who is there already stays."""
    with _store() as store:
        new = store.people.add(name, time.time())
    typer.echo(f"{name} {'is added' if new else 'is there already'}.", err=True)


@person.command("link")
def link(
    name: Name,
    site: Site,
    account: Annotated[str, typer.Option(metavar="ACCOUNT", help="The person's account at the site.")],
    key: Annotated[
        str, typer.Option(metavar="KEY", help="The key that opens it; - for what ssh itself has.")
    ],
    since: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="The first day, UTC; without it, today.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="The last day, UTC; without it, until it is removed."),
    ] = None,
) -> None:
    """Let a person use a site as an account of theirs there. The same again changes nothing."""
    from slidegate.settings import Settings
    from slidegate.sites.keys import Keys
    from slidegate.sites.registry import SSH_ITSELF, Registry
    from slidegate.store.people import Link, LinkRefused

    home = Settings().home
    known = Registry(home).get(site)
    if key != SSH_ITSELF:
        Keys(home).get(key)
    if key == known.key and account != known.user:
        raise LinkRefused(
            f"At {site} everybody uses the key {key!r}, as {known.user or 'the account that ssh chooses'}. "
            "Another account needs another key: slidegate key create NAME makes it."
        )
    first = _day(since) if since else _today()
    made = Link(name, site, account, key, first, _day(until) if until else None)
    with _store() as store:
        new = store.people.join(made)
    days = f"{made.days()}, UTC" + ("" if until else "; without an end")
    typer.echo(
        f"{name} {'is' if new else 'was already'} {account} at {site}, by the key {key}, {days}.", err=True
    )
    if made.state(_today()) == "expired":
        typer.echo("That is over already: it holds on no day to come.", err=True)


@person.command("list")
def list_people() -> None:
    """List people, what they are at sites, and whether that holds today."""
    from slidegate.cli.view import table

    with _store() as store:
        names, links = store.people.names(), store.people.links()
    if not names:
        typer.echo("There are no people yet. slidegate person add PERSON adds one.", err=True)
        return
    rows: list[tuple[object, ...]] = []
    for name in names:
        mine = [each for each in links if each.person == name]
        rows += [
            (name, each.site, each.account, each.key, each.days(), each.state(_today())) for each in mine
        ] or [(name, "-", "-", "-", "-", "-")]
    table("", ["person", "site", "account", "key", "days (UTC)", "today"], rows)


@person.command("remove")
def remove(
    name: Name,
    site: Annotated[
        str | None, typer.Option(metavar="SITE", help="Only what links them to this site.")
    ] = None,
) -> None:
    """Remove a person with all links, or only those to one site. Runs and results stay."""
    with _store() as store:
        gone = store.people.remove(name, site)
    for each in gone:
        typer.echo(f"removed: {name} is no longer {each.account} at {each.site} ({each.days()})")
    if site is None:
        typer.echo(f"removed: {name}")
    elif not gone:
        typer.echo(f"Nothing links {name} to {site}.", err=True)


@contextmanager
def _store() -> Iterator["Store"]:
    from slidegate.settings import Settings
    from slidegate.store import Store

    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store.open(settings.database)
    try:
        yield store
    finally:
        store.close()


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or text != str(found):
        raise BadParameter(f"A date is written as 2026-12-31, not {text!r}.")
    return found


def _today() -> date:
    return datetime.now(UTC).date()
