# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate omero undo``: taking back what a Run wrote into OMERO."""

from typing import Annotated

import typer


def undo(
    name: Annotated[str, typer.Argument(metavar="RUN", help="The first letters of a run's name, or last.")],
) -> None:
    """Remove from OMERO exactly what a run wrote there, finished or not. What people added stays.

    The run itself stays, too: the same slidegate run again puts its results back.
    """
    from slidegate.domain.errors import RunStillActive
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        run = house.runs.find(name)
        if run in house.store.runs.unfinished():
            raise RunStillActive
        removed = house.omero.undo(run, house.runs.show(run).out)
    if removed:
        typer.echo(f"removed: {removed} things that run {run[:8]} wrote")
    else:
        typer.echo(f"Nothing of run {run[:8]} lies in OMERO.", err=True)
