# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `pocket-omero`."""

from __future__ import annotations

import gc
import importlib.util
import logging
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pocket_omero.errors import PocketError

if TYPE_CHECKING:
    from pocket_omero.server import Server

__all__ = ["main"]

app = typer.Typer(
    help="A small server that OMERO clients take for OMERO. For demos and tests, never for data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Folder = Annotated[
    Path, typer.Argument(help="With images and, if wanted, people.yml", exists=True, file_okay=False)
]
Host = Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all")]
Port = Annotated[int, typer.Option(help="0: one that is free")]
Home = Annotated[
    Path | None, typer.Option(help="Where the server keeps what is its own [FOLDER/.pocket-omero]")
]
Log = Annotated[Path | None, typer.Option(help="Where the log goes [log in the server's home]")]


@app.command()
def serve(
    folder: Folder,
    host: Host = "127.0.0.1",
    port: Port = 4064,
    home: Home = None,
    log: Log = None,
) -> None:
    """Serve a folder of images to OMERO clients, until Ctrl-C."""
    _run(folder, host, port, home, log)


@app.command()
def web(
    folder: Folder,
    host: Host = "127.0.0.1",
    port: Port = 4064,
    web_port: Annotated[int, typer.Option(help="Where OMERO.web listens; 0: a free port")] = 4080,
    apps: Annotated[
        list[str] | None,
        typer.Option("--app", help="Which web apps; repeat it [well-known ones that are installed]"),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--setting", help="Of OMERO.web: NAME=VALUE; repeat it")
    ] = None,
    home: Home = None,
    log: Log = None,
) -> None:
    """The same, with an OMERO.web beside it (pip install 'pocket-omero[web]')."""
    pairs = [text.partition("=") for text in settings or []]
    if wrong := [name for name, sign, _ in pairs if not sign]:
        raise typer.BadParameter(f"no NAME=VALUE: {', '.join(wrong)}")
    from pocket_omero.web import APPS

    known = [name for name in APPS if importlib.util.find_spec(name)]
    chosen = {name: value for name, _, value in pairs}
    beside = {"port": web_port, "apps": known if apps is None else apps, "settings": chosen}
    _run(folder, host, port, home, log, beside)


@app.command()
def operations() -> None:
    """List OMERO's services and their operations, and which of them are supported."""
    import omero.all

    from pocket_omero import services
    from pocket_omero.ice.dispatch import STATEFUL, STATELESS, stateful, stateless

    services.make_known()
    for name in dir(omero.api):
        stateful(name) or stateless(f"omero.api.{name}")
    for kind in sorted({*STATELESS.values(), *STATEFUL.values()}, key=lambda kind: kind.interface):
        for name, there in sorted(kind.supported().items()):
            typer.echo(f"{kind.interface}.{name}\t{'supported' if there else 'refused'}")


def _run(
    folder: Path,
    host: str,
    port: int,
    home: Path | None,
    log: Path | None,
    beside: dict[str, Any] | None = None,
) -> None:
    from pocket_omero.server import HOME, Server

    home = home or folder / HOME
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(filename=log or home / "log", level=logging.INFO, format=form)
    with ExitStack() as until_done:
        server = until_done.enter_context(Server(folder, home=home, host=host, port=port))
        gc.collect()
        gc.freeze()  # what was loaded stays: the collector need not walk through it again and again
        _introduce(server)
        if beside is not None:
            from pocket_omero.web import running_web

            page = until_done.enter_context(running_web(server, home / "web", host=host, **beside))
            typer.echo(f"\nOMERO.web: {page.url}")
        done = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: done.set())
        typer.echo("\nCtrl-C ends it.")
        done.wait()


def _introduce(server: Server) -> None:
    """Say where it is, who may log in, and how."""
    from pocket_omero.people import levels, roster

    state, made_up = server.house.state, server.loaded.passwords
    typer.echo(
        f"pocket OMERO serves {server.folder} ({server.loaded.images} images) at {server.host}:{server.port}"
    )
    typer.echo("For demos and tests, never for data.\n")
    names = []
    for person in state.all("Experimenter"):
        if person.id == levels.GUEST or not server.house.passwords.has(person.id):
            continue
        groups = [m["parent"] for m in roster.memberships(state, person)]
        own = ", ".join(g["name"] for g in groups if g.id != levels.USER_GROUP)
        name = person["omeName"]
        names.append(name)
        password = f"password {made_up[name]}" if name in made_up else "password as in people.yml"
        typer.echo(f"  {name:<16} {password:<28} {own}")
    for path, words in server.loaded.refused:
        typer.echo(f"  not served: {path}: {words}")
    if names:
        typer.echo(f"\nomero login -s {server.host} -p {server.port} -u {names[-1]}")
    typer.echo(f"Clients that check certificates trust {server.authority}")


def main() -> None:
    """Run the command line."""
    try:
        app()
    except (PocketError, OSError) as error:
        typer.echo(f"pocket-omero: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
