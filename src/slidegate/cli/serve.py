# SPDX-License-Identifier: BSD-3-Clause
"""``serve``, ``api`` and ``worker``: the pages, for one person on this computer or for many."""

import fcntl
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slidegate.cli.records import open_store
from slidegate.domain.errors import BadRequest
from slidegate.domain.shelf_names import OMERO

if TYPE_CHECKING:
    from slidegate.settings import Settings

_LINK_SECONDS = 300
_NOTE = "serve.json"


def serve(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDERS", help="Folders of images that the pages offer; without any, this one."
        ),
    ] = None,
    port: Annotated[int, typer.Option(metavar="N", help="The port; without it, one that is free.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the pages in your browser.")] = False,
) -> None:
    """Serve the pages to yourself, on this computer; Ctrl-C ends it, and nothing is lost.

    Prints a link that works once, within five minutes. The same command again prints another.
    """
    from slidegate.cli.serving import Serving
    from slidegate.settings import Settings
    from slidegate.wiring.api import listening
    from slidegate.wiring.log import serve_log

    settings = Settings()
    shelves = _shelves(settings, folders or [])
    with _only_one(settings) as note:
        if note is None:
            _share(settings, asked=bool(folders or port), open_browser=open_browser)
            return
        listener = listening("127.0.0.1", port, settings)
        _set_up(settings)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        note.write_text(json.dumps({"process": os.getpid(), "url": url}))
        link = _link(settings, url)
        named = {name: str(folder) for name, folder in shelves.items()}
        environment = {**os.environ, "SLIDEGATE_SHELVES": json.dumps(named)}
        serving = Serving(listener, environment, serve_log(settings), _say)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, lambda *_: serving.stop())
        for name, folder in shelves.items():
            _say(f"images: {name} is {folder}")
        _show(link, open_browser)
        _say("Ctrl-C ends it; what was asked for goes on when it is started again.")
        status = serving.run()
    sys.exit(status)


def api(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="The port.")] = 8765,
) -> None:
    """Serve the pages and the api to many people, behind a proxy that speaks TLS; a worker does the work.

    People sign in: slidegate person password NAME gives one a password.
    """
    from slidegate.settings import Settings
    from slidegate.wiring.api import listening, serve_api

    settings = Settings()
    serve_api(settings, listening(host, port, settings), embedded=False)


def worker() -> None:
    """Do what people ask for in the pages: read images, hand work to sites, fetch results.

    As many may run as are wanted, also on several computers that share the database and the folders.
    """
    from slidegate.settings import Settings
    from slidegate.wiring.service import serve_worker

    serve_worker(Settings())


def _say(words: str) -> None:
    typer.echo(words, err=True)


def _set_up(settings: "Settings") -> None:
    """Set up the embedded site while somebody can be told why it takes a while."""
    from slidegate.wiring.gateways import EmbeddedSite

    with open_store() as store:
        EmbeddedSite(settings, store, lambda words: _say(f"{words} ...")).set_up()


def _shelves(settings: "Settings", folders: list[Path]) -> dict[str, Path]:
    """Return the folders that are offered, by name; those of the command before those of the settings."""
    if not folders:
        return dict(settings.shelves) or {"here": Path.cwd()}
    found: dict[str, Path] = {}
    for folder in folders:
        whole = folder.absolute()
        if not whole.is_dir():
            raise BadRequest(f"{folder} is not a folder.")
        plain = re.sub("[^a-z0-9_-]+", "-", whole.name.lower()).strip("-_")[:30] or "images"
        name, number = plain, 1
        while name in found or name == OMERO:
            number += 1
            name = f"{plain}-{number}"
        found[name] = whole
    return found


@contextmanager
def _only_one(settings: "Settings") -> Iterator[Path | None]:
    """Yield the file that says where the pages of this home are; None where another command serves them."""
    from slidegate.wiring.log import make_home

    make_home(settings)
    note = settings.home / _NOTE
    with (settings.home / ".serve.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        try:
            yield note
        finally:
            note.unlink(missing_ok=True)


def _share(settings: "Settings", asked: bool, open_browser: bool) -> None:
    """Give another link to pages that are served already."""
    note: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        note = json.loads((settings.home / _NOTE).read_bytes())
    if not note:
        raise BadRequest("The pages of this home are just being started or ended; try again.")
    if asked:
        raise BadRequest(
            f"The pages of this home are served already, at {note['url']} (process {note['process']}). "
            "End that first, or set SLIDEGATE_HOME to another folder."
        )
    _say(f"The pages are served already (process {note['process']}).")
    _show(_link(settings, note["url"]), open_browser)


def _link(settings: "Settings", url: str) -> str:
    """Let the person of this computer be one who may do everything, and return a link that works once."""
    now = time.time()
    with open_store() as store:
        store.accounts.set(settings.person, "administrator", "", now)
        return f"{url}/login?link={store.login_links.make(settings.person, now, _LINK_SECONDS)}"


def _show(link: str, open_browser: bool) -> None:
    typer.echo(link)  # on standard output alone, for a program that reads it
    sys.stdout.flush()
    if open_browser:
        import webbrowser

        webbrowser.open(link)
