# SPDX-License-Identifier: BSD-3-Clause
"""The words of the command line, and where each is carried out."""

import typer

from slidegate.cli import catalogue, history, upkeep
from slidegate.cli.run import run
from slidegate.cli.sample import sample

app = typer.Typer(
    name="slidegate",
    help="Choose images, name a workflow, and the results are put beside the images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run)
for command in (history.runs, history.show, history.cancel, history.retry, history.log, history.delete):
    app.command()(command)
app.add_typer(catalogue.workflow, name="workflow")
app.add_typer(catalogue.site, name="site")
app.command()(upkeep.clean)
app.command()(upkeep.doctor)
app.add_typer(sample, name="sample")
