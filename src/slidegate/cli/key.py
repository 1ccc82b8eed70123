# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate key``: the key pairs that open sites. What is private is never shown."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from slidegate.settings import Settings
    from slidegate.sites.keys import KeyPair

key = typer.Typer(
    no_args_is_help=True, help="The SSH keys that open sites. Private ones stay in their files."
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called, here and at the site.")]


@key.command("create")
def create(name: Name) -> None:
    """Make a key, and print what the site gets. A key that is there already stays as it is."""
    from slidegate.settings import Settings
    from slidegate.sites.keys import Keys

    keys = Keys(Settings().home)
    known = {each.name for each in keys.all() if each.revoked is None}
    pair = keys.create(name)
    typer.echo(f"Key {name} {'is there already' if name in known else 'is made'}: {pair.private}", err=True)
    _print_public(pair.public, name)


@key.command("list")
def list_keys() -> None:
    """List the keys, their fingerprints, and what uses them."""
    from slidegate.cli.view import day, table
    from slidegate.settings import Settings
    from slidegate.sites.keys import Keys, fingerprint

    settings = Settings()
    pairs = Keys(settings.home).all()
    if not pairs:
        typer.echo("There are no keys yet. slidegate key create NAME makes one.", err=True)
        return
    rows = []
    for pair in pairs:
        state = "present" if pair.revoked is None else f"revoked on {day(pair.revoked)}"
        users = ", ".join(_users(settings, pair.name)) or "-"
        rows.append((pair.name, state, day(pair.created), pair.fingerprint, users))
        if pair.next_public is not None:
            rows.append(("", "next, see key rotate", "", fingerprint(pair.next_public), ""))
    table("", ["key", "state", "made", "fingerprint", "used by"], rows)


@key.command("rotate")
def rotate(
    name: Name,
    finish: Annotated[
        bool, typer.Option("--finish", help="The site knows the new pair: use it, and remove the old one.")
    ] = False,
) -> None:
    """Make the pair that is to take a key's place. Both exist until --finish."""
    from slidegate.settings import Settings
    from slidegate.sites.keys import Keys

    keys = Keys(Settings().home)
    if not finish:
        pair = keys.rotate(name)
        _print_public(pair.next_public or "", name)
        typer.echo(f"Then, here:  slidegate key rotate {name} --finish", err=True)
        return
    old = keys.get(name)
    keys.finish(name)
    typer.echo(f"Key {name} is the new pair now; the old private key is gone.", err=True)
    typer.echo("Take the old one off the list, at each site that had it:", err=True)
    _print_farewell(old)


@key.command("revoke")
def revoke(name: Name) -> None:
    """Remove a private key for good. The record of it stays; the site has to be told too."""
    from slidegate.settings import Settings
    from slidegate.sites.keys import Keys

    settings = Settings()
    pair = Keys(settings.home).revoke(name)
    typer.echo(f"Key {name} is revoked: its private part is gone from here.", err=True)
    for user in _users(settings, name):
        typer.echo(f"Still set to use it, and without a key until you change that: {user}", err=True)
    typer.echo("A copy of it would still open the site. There, take it off the list:", err=True)
    _print_farewell(pair)


def _print_public(public: str, name: str) -> None:
    """Print the public line, and what to do with it."""
    typer.echo("On the cluster, put this line into a file and let it in:", err=True)
    typer.echo(f"echo '{public}' > {name}.pub")
    typer.echo(f"gatectl authorize {name}.pub --key {name}")
    typer.echo("gatectl is there:  python3 -IS ~/.slidegate-gate/current ctl", err=True)


def _print_farewell(pair: "KeyPair") -> None:
    typer.echo(f"echo '{pair.public}' > {pair.name}.pub")
    typer.echo(f"gatectl deauthorize {pair.name}.pub")


def _users(settings: "Settings", name: str) -> Iterator[str]:
    """Say in words who needs a key: people's links, and sites that open to everybody with it."""
    from slidegate.domain.errors import SlidegateError
    from slidegate.sites.registry import Registry
    from slidegate.store import Store

    registry = Registry(settings.home)
    for site in registry.names():
        with suppress(SlidegateError):  # a site whose file is broken uses nothing
            if registry.get(site).key == name:
                yield f"everybody at {site}"
    store = Store.open(settings.database)
    try:
        for link in store.people.links():
            if link.key == name:
                yield f"{link.person} at {link.site} as {link.account}, {link.days()}"
    finally:
        store.close()
