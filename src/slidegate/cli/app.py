# SPDX-License-Identifier: BSD-3-Clause
"""The words of the command line, and where each is carried out."""

from importlib.metadata import version
from typing import Annotated, Any

import typer

from slidegate.cli import catalogue, history, serve, upkeep
from slidegate.cli.db import db
from slidegate.cli.key import key
from slidegate.cli.omero import omero
from slidegate.cli.person import person
from slidegate.cli.run import run
from slidegate.cli.sample import sample
from slidegate.cli.site import site
from slidegate.cli.token import login, logout, token

# What typer raises for words that it does not understand; it has no public name of its own.
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="slidegate",
    help="Choose images, name a workflow, and find a folder of results for each image.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"slidegate {version('slidegate')}")
        raise typer.Exit


@app.callback()
def _slidegate(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Take what stands before the command."""


app.command("run")(run)
for command in (history.runs, history.show, history.cancel, history.retry, history.log, history.delete):
    app.command()(command)
app.add_typer(catalogue.workflow, name="workflow")
app.add_typer(site, name="site")
app.add_typer(key, name="key")
app.add_typer(person, name="person")
app.add_typer(db, name="db")
app.command()(serve.serve)
app.command()(serve.api)
app.command()(serve.worker)
app.add_typer(token, name="token")
app.command()(login)
app.command()(logout)
app.command()(upkeep.clean)
app.command()(upkeep.doctor)
app.add_typer(sample, name="sample")
app.add_typer(omero, name="omero")


def carry_out() -> int:
    """Do what the command line says; return the exit code. Raises `UsageError` for what is not understood."""
    try:
        return app(prog_name="slidegate", standalone_mode=False) or 0
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            raise
        error.show()
        return int(error.exit_code)


def usage_sentence(error: Any) -> str:
    """What was not understood, and where to read how it is written."""
    command = error.ctx.command_path if error.ctx is not None else "slidegate"
    said = " ".join(error.format_message().rstrip(".?").split())
    stop = "?" if "Did you mean" in said else "."
    return f"{said}{stop} See {command} --help."
