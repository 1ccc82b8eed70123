# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate omero login`` and ``logout``: a session in OMERO that commands use, until it is ended."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer


def login(
    host: Annotated[str, typer.Argument(metavar="HOST", help="The name of OMERO's computer.")],
    port: Annotated[int, typer.Option(metavar="N", help="The port of encrypted connections.")] = 4064,
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The certificates (PEM) that may sign OMERO's; without it, those that this computer trusts.",
        ),
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="PERSON", help="Your name in OMERO; without it, asked for.")
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0.1, max=720, help="After how long without use it shall end.")
    ] = 12,
    fd: Annotated[
        int | None,
        typer.Option("--fd", metavar="N", help="Read the password from this open file; 0: standard input."),
    ] = None,
) -> None:
    """Let commands read images in OMERO, and write results beside them, with your rights there.

    The password is not kept: a session is begun, and its key kept in a file that only you can read.
    """
    from slidegate.cli.secret import secret
    from slidegate.wiring.omero import Login, Logins, check_installed

    check_installed()
    from slidegate.sources.omero.acting import grant
    from slidegate.sources.omero.connection import Server

    file = None if ca is None else ca.absolute()
    name = person or typer.prompt("Your name in OMERO", err=True)
    given = grant(Server(host, port, file), name, secret("Password", fd), hours)
    _end_earlier()
    Logins().keep(Login(host, port, None if file is None else str(file), given.person, given.key))
    typer.echo(
        f"You are {given.person} at {host}, until nothing is asked for {span(given.idle_s)}. "
        "slidegate omero logout ends it.",
        err=True,
    )


def logout() -> None:
    """End the session that commands use in OMERO, and forget it."""
    from slidegate.wiring.omero import NotLoggedInAtOmero, Omero

    try:
        host = Omero().log_out()
    except NotLoggedInAtOmero:
        typer.echo("You had not logged in at an OMERO.", err=True)
        return
    typer.echo(f"ended: the session at {host}", err=True)


def _end_earlier() -> None:
    """Leave no earlier session open; one that cannot be ended now ends by itself."""
    from slidegate.domain.errors import SlidegateError
    from slidegate.wiring.omero import Omero

    with suppress(SlidegateError):
        Omero().log_out()


def span(seconds: float) -> str:
    """Return a time in words."""
    hours = seconds / 3600
    return f"{hours:g} hours" if hours >= 2 else f"{seconds / 60:.0f} minutes"
