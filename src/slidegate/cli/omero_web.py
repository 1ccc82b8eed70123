# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate omero web``: which OMERO.webs are believed when they say who has logged in there."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from slidegate.cli.records import note, open_store
from slidegate.domain.errors import BadParameter

web = typer.Typer(
    no_args_is_help=True, help="The OMERO.webs whose people sign in here without another password."
)
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="What it calls itself: its setting omero.web.slidegate.name.")
]
_MOST_BYTES = 10_000


@web.command("add")
def add(
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Its public key: Ed25519, in PEM. The private one stays there."),
    ],
) -> None:
    """Believe an OMERO.web when it says who has logged in there. The same again changes nothing."""
    from slidegate.api.statements import NAME, public_key

    if not NAME.fullmatch(name):
        raise BadParameter(f"An OMERO.web is named by small letters, digits, - and _, not {name!r}.")
    key = public_key(_read(file))
    with open_store() as store:
        new = store.omero_webs.add(name, key, time.time())
        if new:
            note(store, "omero-web.add", name)
    typer.echo(f"{name} {'is believed from now on' if new else 'was believed already'}.", err=True)


@web.command("list")
def list_webs() -> None:
    """List the OMERO.webs that are believed, since when (UTC), and the line that is in their public key."""
    from slidegate.cli.view import table

    with open_store() as store:
        found = store.omero_webs.all()
    if not found:
        typer.echo("No OMERO.web is believed yet. slidegate omero web add NAME FILE adds one.", err=True)
        return
    rows = [(one.name, datetime.fromtimestamp(one.at, UTC).date(), one.key.splitlines()[1]) for one in found]
    table("", ["OMERO.web", "since", "public key"], rows)


@web.command("remove")
def remove(name: Name) -> None:
    """Believe an OMERO.web no more. Whoever it vouched for is signed out, and tokens made then are gone."""
    with open_store() as store:
        ended = store.omero_webs.remove(name)
        note(store, "omero-web.remove", name)
    typer.echo(f"removed: {name}; ended: {ended} sessions and tokens", err=True)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadParameter(f"{file} cannot be read: {reason}.") from error
