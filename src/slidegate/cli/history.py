# SPDX-License-Identifier: BSD-3-Clause
"""Looking back at Runs, and changing one's mind about them."""

import sys
from typing import Annotated

import typer

from slidegate.cli.place import OnServer

Name = Annotated[str, typer.Argument(metavar="RUN", help="The first letters of a run's name, or last.")]


def runs(server: OnServer = None) -> None:
    """List the runs, newest first."""
    from slidegate.cli.place import opened
    from slidegate.cli.view import ago, state_text, table

    with opened(server) as place:
        rows = [
            (
                each.run[:8],
                state_text(each.state),
                each.workflow,
                each.images,
                ago(each.created_at),
                each.results,
            )
            for each in place.lines()
        ]
    if not rows:
        typer.echo("There are no runs yet. slidegate run nuclei IMAGES makes one.", err=True)
        return
    table("", ["run", "state", "workflow", "#images", "asked for", "results"], rows)


def show(
    name: Name,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    server: OnServer = None,
) -> None:
    """Show a run: its images, their states, parameters and where the results are."""
    from slidegate.cli.answer import print_answer
    from slidegate.cli.place import opened
    from slidegate.cli.view import print_run

    with opened(server) as place:
        view = place.show(place.find(name))
        if json:
            print_answer(view, place.summary)
        else:
            print_run(view, whole=True)


def cancel(name: Name, server: OnServer = None) -> None:
    """Cancel a run. What is finished stays; the site is told to stop the rest."""
    from slidegate.cli.follow import follow
    from slidegate.cli.place import opened
    from slidegate.cli.view import print_run

    with opened(server) as place:
        run = place.find(name)
        if not place.cancel(run):
            typer.echo(f"Run {run[:8]} has ended; there is nothing to cancel.", err=True)
        print_run(follow(place, run))


def retry(name: Name, server: OnServer = None) -> None:
    """Try the images of a run that failed or were cancelled again, and follow it to its end."""
    from slidegate.cli.follow import follow
    from slidegate.cli.place import opened
    from slidegate.cli.view import print_run

    with opened(server) as place:
        run = place.find(name)
        if not place.retry(run):
            typer.echo(
                f"No image of run {run[:8]} has failed or was cancelled; none is tried again.", err=True
            )
        view = follow(place, run)
        print_run(view)
    if view.state != "succeeded":
        sys.exit(1)


def log(
    name: Name,
    image: Annotated[
        int | None, typer.Argument(metavar="IMAGE", help="Only the image of that number, from 1.")
    ] = None,
    server: OnServer = None,
) -> None:
    """Print what the workflow itself wrote while it ran. On a terminal, without what could control it."""
    from slidegate.cli.place import opened
    from slidegate.domain.text import harmless, plain

    with opened(server) as place:
        previous = None
        for of, piece in place.log(place.find(name), image):
            if of != previous:
                typer.echo(f"=== {plain(of)}", err=True)
            previous = of
            sys.stdout.buffer.write(harmless(piece) if sys.stdout.isatty() else piece)
    if previous is None:
        typer.echo(
            "There is no log: the workflow has not been started on this, or its log is gone.", err=True
        )
    sys.stdout.flush()


def delete(
    name: Name,
    results: Annotated[
        bool, typer.Option("--results", help="Remove the published results too, where nobody changed them.")
    ] = False,
    server: OnServer = None,
) -> None:
    """Delete a run: its history, and what is kept of it here. Results stay unless you say --results."""
    from slidegate.cli.place import opened

    with opened(server) as place:
        for removed in place.delete(place.find(name), results):
            typer.echo(f"removed: {removed}")
