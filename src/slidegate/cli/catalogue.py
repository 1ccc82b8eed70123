# SPDX-License-Identifier: BSD-3-Clause
"""What can be run, and where."""

import subprocess
import sys
from typing import Annotated

import typer

from slidegate.domain.errors import UnknownSite, UnknownWorkflow

workflow = typer.Typer(no_args_is_help=True, help="What can be run.")
site = typer.Typer(no_args_is_help=True, help="Where it can be run.")


@workflow.command("list")
def list_workflows() -> None:
    """List the workflows of the site."""
    from slidegate.cli.view import err, table
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings(), lambda words: err.print(f"{words} ...")) as house:
        releases = house.runs.workflows()
    rows = [
        (each.name, each.version, each.manifest.get("title", ""), each.digest[:12])
        for each in sorted(releases, key=lambda each: (each.name, each.version))
    ]
    table("", ["workflow", "version", "what it does", "release"], rows)


@workflow.command("show")
def show_workflow(name: Annotated[str, typer.Argument(metavar="WORKFLOW")]) -> None:
    """Show what a workflow takes and gives: its parameters, in words."""
    from slidegate.cli.view import err, out, table
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings(), lambda words: err.print(f"{words} ...")) as house:
        found = [each for each in house.runs.workflows() if each.name == name]
    if not found:
        raise UnknownWorkflow(
            f"There is no workflow {name!r} here. slidegate workflow list shows what there is."
        )
    release = found[-1]
    out.print(f"[bold]{release.name} {release.version}[/bold]  release {release.digest}", soft_wrap=True)
    out.print(release.manifest.get("description", ""), markup=False)
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
    outputs = [
        (role, about["type"], about.get("path", "")) for role, about in release.manifest["outputs"].items()
    ]
    table("\nresults", ["name", "type", "file"], outputs)


@site.command("check")
def check_site(name: Annotated[str, typer.Argument(metavar="SITE")] = "local") -> None:
    """Check that a site answers and keeps what the gate promises; each fault in words."""
    from slidegate.cli.view import err, out
    from slidegate.settings import Settings
    from slidegate.wiring import LOCAL, open_house

    if name != LOCAL:
        raise UnknownSite(f"There is no site {name!r}; there is {LOCAL!r}, this machine.")
    settings = Settings()
    with open_house(settings, lambda words: err.print(f"{words} ...")) as house:
        hello = house.tools.gate(name).hello()
        names = ", ".join(sorted(f"{each.name} {each.version}" for each in hello.releases)) or "nothing yet"
        out.print(
            f"The gate of {hello.site} answers; what may be started: {names}.", soft_wrap=True, markup=False
        )
    command = settings.local_program("ctl", "selftest")
    sys.exit(subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode)
