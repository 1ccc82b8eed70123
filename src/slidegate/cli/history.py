# SPDX-License-Identifier: BSD-3-Clause
"""Looking back at Runs, and changing one's mind about them."""

import sys
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="RUN", help="The first letters of a run's name, or last.")]


def runs() -> None:
    """List the runs, newest first."""
    from slidegate.cli.view import ago, state_text, table
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        rows = [
            (
                view.run[:8],
                state_text(view.state),
                f"{view.workflow} {view.version}",
                len(view.tasks),
                ago(view.created_at),
                view.out,
            )
            for view in house.runs.list()
        ]
    if not rows:
        typer.echo("There are no runs yet. slidegate run nuclei IMAGES makes one.", err=True)
        return
    table("", ["run", "state", "workflow", "#images", "asked for", "results"], rows)


def show(
    name: Name,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a run: its images, their states, parameters and where the results are."""
    from slidegate.cli.answer import print_answer
    from slidegate.cli.view import print_run
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        view = house.runs.show(house.runs.find(name))
    if json:
        print_answer(view)
    else:
        print_run(view, whole=True)


def cancel(name: Name) -> None:
    """Cancel a run. What is finished stays; the site is told to stop the rest."""
    from slidegate.cli.follow import follow
    from slidegate.cli.view import print_run
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        run = house.runs.find(name)
        if not house.runs.cancel(run) and house.runs.show(run).state != "active":
            typer.echo(f"Run {run[:8]} has ended; there is nothing to cancel.", err=True)
        print_run(follow(house, run))


def retry(name: Name) -> None:
    """Try the images of a run that failed or were cancelled again, and follow it to its end."""
    from slidegate.cli.follow import follow
    from slidegate.cli.view import print_run
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        run = house.runs.find(name)
        if not house.runs.retry(run):
            typer.echo(
                f"No image of run {run[:8]} has failed or was cancelled; none is tried again.", err=True
            )
        view = follow(house, run)
        print_run(view)
    if view.state != "succeeded":
        sys.exit(1)


def log(
    name: Name,
    image: Annotated[
        int | None, typer.Argument(metavar="IMAGE", help="Only the image of that number, from 1.")
    ] = None,
) -> None:
    """Print what the workflow itself wrote while it ran. On a terminal, without what could control it."""
    from slidegate.domain.text import harmless, plain
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        previous = None
        for of, piece in house.runs.log(house.runs.find(name), image):
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
) -> None:
    """Delete a run: its history, and what is kept of it here. Results stay unless you say --results."""
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        for removed in house.runs.delete(house.runs.find(name), results):
            typer.echo(f"removed: {removed}")
