# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate db``: keeping a copy of the history, making a history of a copy, forgetting what is old."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slidegate.domain.errors import BadParameter, SlidegateError, UnknownSite

if TYPE_CHECKING:
    from slidegate.store import Store

db = typer.Typer(no_args_is_help=True, help="The database: back it up, restore it, forget what is old.")
DAY = 86400.0


@db.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written anew; nothing is overwritten.")],
) -> None:
    """Write a copy of the history to a file, as it is at one moment. Nobody has to stop for it."""
    from slidegate.settings import Settings
    from slidegate.store.backup import back_up

    size = back_up(Settings().database, file)
    typer.echo(f"written: {file} ({size / 1e6:.1f} MB)")


@db.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What db backup has written.")],
) -> None:
    """Make the history anew of a copy, where there is none; then sites are asked what happened since.

    Stop the api and all workers first.
    """
    from slidegate.settings import Settings
    from slidegate.store.backup import restore as restore_store

    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    sites = restore_store(settings.database, file, time.time())
    typer.echo(f"restored: {file}")
    _say_sites(dict.fromkeys(sites, None))


@db.command("upgrade")
def upgrade() -> None:
    """Bring the tables up to date with this version of slidegate, as any other command does too."""
    with _store():
        typer.echo("The tables are up to date.")


@db.command("retention")
def retention(
    days: Annotated[int, typer.Option(min=1, metavar="N", help="What ended longer ago than so many days.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be forgotten.")] = False,
) -> None:
    """Forget runs that ended long ago with their history, and old lines of the audit. Results stay."""
    from slidegate.store.retention import count_old, forget_old

    before = time.time() - days * DAY
    with _store() as store:
        old = count_old(store, before) if dry_run else forget_old(store, before)
    verb = "would forget" if dry_run else "forgot"
    typer.echo(f"{verb} {old.runs} runs and {old.notes} lines of the audit")


@db.command("rebuild")
def rebuild(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where results go; without it, rebuilt, among all results."),
    ] = None,
) -> None:
    """Make runs anew of what sites have kept of them, when the database was lost and there is no backup.

    Stop the api and all workers first. Which images they were is not known to sites: results are numbered.
    What was fetched from a site before the loss is not there any more.
    """
    from dataclasses import replace

    from slidegate.settings import Settings
    from slidegate.wiring import open_house
    from slidegate.worker.rebuilding import rebuild as rebuild_site

    settings = Settings()
    folder = (out or settings.results_dir / "rebuilt").absolute()
    with open_house(settings, typer.echo) as house:
        for site in house.gateways.possible():
            tools = replace(house.tools, gates={site: house.gateways.build(site)})
            try:
                made = rebuild_site(tools, site, lambda run: str(folder / run))
            except SlidegateError as error:
                typer.echo(f"{site}: not asked: {error.message} [{error.code}]")
                continue
            finally:
                tools.hang_up()
            typer.echo(f"{site}: {len(made)} {'run comes' if len(made) == 1 else 'runs come'} back")
            for run in made:
                typer.echo(f"  {run}  {house.store.runs.run(run)['person']}")


@db.command("reconcile")
def reconcile(
    skip: Annotated[
        str | None,
        typer.Option(metavar="SITE", help="Do not wait for this site: it will never answer again."),
    ] = None,
    begin: Annotated[
        bool, typer.Option("--begin", help="Ask every site, as after a restore by other means.")
    ] = False,
) -> None:
    """Say which sites are still to be asked, after a restore, before anything new is begun."""
    if skip is not None and begin:
        raise BadParameter("--skip and --begin are not for the same time.")
    with _store() as store:
        if begin:
            store.sites.begin_reconciling(time.time())
        if skip is not None and not store.sites.reconciled(skip):
            raise UnknownSite(f"Nothing waits for a site {skip!r}.")
        left = store.sites.reconciling()
    _say_sites(left)


def _say_sites(sites: Mapping[str, float | None]) -> None:
    if not sites:
        typer.echo("No site has to be asked first: work goes on.")
        return
    typer.echo("Nothing new is begun until these sites have said what happened since:")
    for site, since in sorted(sites.items()):
        when = "" if since is None else f"  (since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC)"
        typer.echo(f"  {site}{when}")


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
