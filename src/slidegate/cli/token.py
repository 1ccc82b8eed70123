# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate token``: what programs prove people by. And ``slidegate login``: getting one from a server."""

import time
from typing import Annotated

import typer

from slidegate.cli.records import note, open_store
from slidegate.domain.errors import BadRequest

token = typer.Typer(no_args_is_help=True, help="What programs prove by for whom they ask.")
Person = Annotated[
    str | None, typer.Option("--person", metavar="PERSON", help="Whose; without it, your own.")
]
_DAY = 86400


class UnknownToken(BadRequest):
    """There is no token of that number."""

    code = "unknown-token"


@token.command("make")
def make(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, to tell it from others.")],
    of: Person = None,
    days: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="After how many days it ends; without it, never.")
    ] = None,
) -> None:
    """Make a token, and print it: only its digest is kept, so that nobody can print it again."""
    now = time.time()
    with open_store() as store:
        person = of or _me()
        made = store.tokens.make(person, name, now, None if days is None else now + days * _DAY)
        note(store, "token.make", person)
    typer.echo(made)


@token.command("list")
def list_tokens(of: Person = None) -> None:
    """List a person's tokens."""
    from slidegate.cli.view import ago, day, table

    with open_store() as store:
        found = store.tokens.all(of or _me())
    if not found:
        typer.echo("There are no tokens. slidegate token make NAME makes one.", err=True)
        return
    rows = [
        (
            each.id,
            each.name,
            day(each.at),
            "never" if each.ends_at is None else day(each.ends_at),
            "never" if each.used_at is None else ago(each.used_at),
        )
        for each in found
    ]
    table("", ["#token", "name", "made", "ends", "used"], rows)


@token.command("revoke")
def revoke(number: Annotated[int, typer.Argument(metavar="TOKEN")], of: Person = None) -> None:
    """Take a token back, by its number: from now on it proves nothing."""
    with open_store() as store:
        person = of or _me()
        if not store.tokens.revoke(person, number):
            raise UnknownToken(f"{person} has no token {number}. slidegate token list shows those there are.")
        note(store, "token.revoke", person)
    typer.echo(f"revoked: token {number} of {person}", err=True)


def login(
    server: Annotated[str, typer.Option("--server", metavar="URL", help="The server's address.")],
    person: Annotated[
        str | None, typer.Option("--person", metavar="PERSON", help="Your name there; without it, asked for.")
    ] = None,
    fd: Annotated[
        int | None,
        typer.Option(
            "--fd",
            metavar="N",
            help="Read a token, made on the server, from this open file; 0: standard input.",
        ),
    ] = None,
) -> None:
    """Let commands use a server: signs in there, and keeps a token in a file that only you can read.

    Asks for name and password; the password is not kept. For 90 days then: slidegate runs --server URL.
    """
    import socket

    from slidegate.cli.secret import secret
    from slidegate.cli.servers import Servers
    from slidegate.client import Client, sign_in

    if fd is not None:
        made = secret("Token", fd)
    else:
        name = person or typer.prompt("Your name there", err=True)
        made = sign_in(server, name, secret("Password", None), f"slidegate on {socket.gethostname()}"[:100])
    with Client(server, made) as client:
        known = client.session()
        Servers().keep(client.server, known.person, made)
    typer.echo(f"You are {known.person} ({known.role}) at {client.server}.", err=True)


def logout(
    server: Annotated[str, typer.Option("--server", metavar="URL", help="The server's address.")],
) -> None:
    """Forget the token of a server. On the server it ends when you revoke it there, on the page Account."""
    from slidegate.cli.servers import Servers

    gone = Servers().forget(server)
    typer.echo("forgotten" if gone else f"There was no token of {server}.", err=True)


def _me() -> str:
    from slidegate.settings import Settings

    return Settings().person
