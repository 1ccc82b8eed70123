# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate person``: who may sign in, and who may use which site, as which account, on which days."""

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from slidegate.cli.records import note, open_store
from slidegate.domain.errors import BadParameter

if TYPE_CHECKING:
    from slidegate.store.accounts import Account
    from slidegate.store.omero import OmeroPerson

person = typer.Typer(
    no_args_is_help=True, help="Who may sign in, and who may use which site as which account."
)
Name = Annotated[str, typer.Argument(metavar="PERSON", help="Who asks for runs: see SLIDEGATE_PERSON.")]
Site = Annotated[str, typer.Argument(metavar="SITE", help="A site that slidegate site add has added.")]


@person.command("add")
def add(
    name: Name,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="What the person may do in the pages: viewer, researcher, lead or administrator.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Whose runs the person sees beside their own; - for nobody's."),
    ] = None,
) -> None:
    """Add a person; with a role or a group, one who may sign in. Said again, it changes role and group."""
    from slidegate.store.people import UnknownPerson

    now = time.time()
    with open_store() as store:
        new = store.people.add(name, now)
        said = f"{name} {'is added' if new else 'is there already'}."
        if role is not None or group is not None:
            try:
                known = store.accounts.get(name)
                before, among = known.role, known.group
            except UnknownPerson:
                before, among = "researcher", ""
            among = among if group is None else group.removeprefix("-")
            store.accounts.set(name, role or before, among, now)
            note(store, "person.role", name)
            account = store.accounts.get(name)
            said += f" Role: {account.role}. Group: {account.group or 'none'}."
            if not account.has_password:
                said += f" slidegate person password {name} gives a password."
    typer.echo(said, err=True)


@person.command("password")
def password(
    name: Name,
    fd: Annotated[
        int | None,
        typer.Option("--fd", metavar="N", help="Read it from this open file, 0 for standard input."),
    ] = None,
) -> None:
    """Give a person a password to sign in with. Asks for it; whoever was signed in so is signed out."""
    from slidegate.api.signin import LocalAccounts
    from slidegate.cli.secret import secret

    with open_store() as store:
        store.accounts.get(name)
        given = secret(f"New password of {name}", fd, twice=True)
        store.accounts.set_password(name, LocalAccounts(store).hash(given))
        note(store, "person.password", name)
    typer.echo(f"{name} has a new password.", err=True)


@person.command("off")
def off(name: Name) -> None:
    """Let a person not sign in any more, and sign them out everywhere. Runs go on."""
    with open_store() as store:
        store.accounts.deactivate(name, False)
        note(store, "person.off", name)
    typer.echo(f"{name} cannot sign in any more.", err=True)


@person.command("on")
def on(name: Name) -> None:
    """Let a person sign in again."""
    with open_store() as store:
        store.accounts.deactivate(name, True)
        note(store, "person.on", name)
    typer.echo(f"{name} can sign in again.", err=True)


@person.command("omero")
def omero(
    name: Name,
    number: Annotated[
        int,
        typer.Argument(
            metavar="NUMBER", min=2, help="Their number in OMERO: OMERO.web shows it to administrators."
        ),
    ],
) -> None:
    """Say who a person is in OMERO: whoever signs in from there as that one is this person from now on."""
    with open_store() as store:
        former = store.omero_people.join(name, number)
        note(store, "person.omero", name)
        role = store.accounts.get(name).role
    instead = "" if former is None else f", and not {former} any more"
    typer.echo(f"Number {number} in OMERO is {name}{instead}.", err=True)
    if role == "administrator":
        typer.echo(f"{name} is an administrator, and signs in by a password.", err=True)


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
    with open_store() as store:
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

    with open_store() as store:
        names, links = store.people.names(), store.people.links()
        accounts, in_omero = store.accounts.all(), store.omero_people.all()
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
    if accounts:
        signing_in = [_signs_in(each, in_omero.get(each.person)) for each in accounts]
        table("\nwho may sign in", ["person", "role", "group", "signs in"], signing_in)


@person.command("remove")
def remove(
    name: Name,
    site: Annotated[
        str | None, typer.Option(metavar="SITE", help="Only what links them to this site.")
    ] = None,
) -> None:
    """Remove a person with all links, or only those to one site. Runs and results stay."""
    with open_store() as store:
        gone = store.people.remove(name, site)
    for each in gone:
        typer.echo(f"removed: {name} is no longer {each.account} at {each.site} ({each.days()})")
    if site is None:
        typer.echo(f"removed: {name}")
    elif not gone:
        typer.echo(f"Nothing links {name} to {site}.", err=True)


def _signs_in(account: "Account", there: "OmeroPerson | None") -> tuple[str, str, str, str]:
    ways = ["by password"] if account.has_password else []
    if there is not None and account.role != "administrator":
        ways.append(f"by OMERO, as {there.name}")
    how = ", ".join(ways) or "has no password"
    return account.person, account.role, account.group or "-", how if account.active else "off"


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
