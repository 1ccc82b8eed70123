# SPDX-License-Identifier: BSD-3-Clause
"""What can be run at a site."""

from typing import Annotated

import typer

from slidegate.cli.place import OnServer
from slidegate.domain.errors import UnknownWorkflow

workflow = typer.Typer(no_args_is_help=True, help="What can be run.")
Site = Annotated[str, typer.Option(metavar="NAME", help="The site: see slidegate site list.")]


@workflow.command("list")
def list_workflows(site: Site = "local", server: OnServer = None) -> None:
    """List the workflows of a site."""
    from slidegate.cli.place import opened
    from slidegate.cli.view import err, table

    with opened(server, lambda words: err.print(f"{words} ...")) as place:
        rows = [(each.name, each.version, each.title, each.release[:12]) for each in place.workflows(site)]
    table("", ["workflow", "version", "what it does", "release"], rows)


@workflow.command("show")
def show_workflow(
    name: Annotated[str, typer.Argument(metavar="WORKFLOW")], site: Site = "local", server: OnServer = None
) -> None:
    """Show what a workflow takes and gives: its parameters, in words."""
    from slidegate.cli.place import opened
    from slidegate.cli.view import err, out, table

    with opened(server, lambda words: err.print(f"{words} ...")) as place:
        found = [each for each in place.workflows(site) if each.name == name]
    if not found:
        raise UnknownWorkflow(
            f"There is no workflow {name!r} at {site}. slidegate workflow list shows what there is."
        )
    release = found[-1]
    out.print(f"[bold]{release.name} {release.version}[/bold]  release {release.release}", soft_wrap=True)
    out.print(release.description, markup=False)
    rows = []
    for parameter, rules in release.schema["properties"].items():
        low, high = rules.get("minimum"), rules.get("maximum")
        limits = "" if low is None else f"{low} to {high} {rules.get('x-unit', '')}".strip()
        rows.append(
            (
                parameter,
                rules.get("default", "-"),
                limits,
                f"{rules['title']}. {rules.get('description', '')}",
            )
        )
    table("\nparameters", ["name", "default", "range", "meaning"], rows)
    outputs = [(role, about["type"], about.get("path", "")) for role, about in release.outputs.items()]
    table("\nresults", ["name", "type", "file"], outputs)
