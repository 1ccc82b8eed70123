# SPDX-License-Identifier: BSD-3-Clause
"""``clean`` and ``doctor``: keeping the installation well."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove what interrupted commands left behind, and what the embedded site keeps for nobody."""
    import subprocess

    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    settings = Settings()
    with open_house(settings) as house:
        left = house.runs.clean(dry_run)
    verb = "would remove" if dry_run else "removed"
    for one in left:
        typer.echo(f"{verb} {one.path} ({one.bytes / 1e6:.1f} MB)")
    sys.stdout.flush()
    if not settings.local_site.exists():
        return
    command = settings.local_program("ctl", "clean")
    status = subprocess.run(command + ["--dry-run"] * dry_run, check=False, stdin=subprocess.DEVNULL)
    sys.exit(status.returncode)


def doctor(
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what whoever helps you needs into this ZIP file: no name of a person, an image or a "
            "computer is in it, and no secret.",
        ),
    ] = None,
) -> None:
    """Say in words what is wrong with the installation, and what to do about it."""
    from rich.markup import escape

    from slidegate.cli.checkup import findings
    from slidegate.cli.view import out
    from slidegate.settings import Settings

    if bundle is not None:
        from slidegate.cli.bundle import write_bundle

        write_bundle(bundle, Settings())
        typer.echo(f"written: {bundle}", err=True)
        return
    faults = 0
    for finding in findings(Settings()):
        sign = "[green]ok[/green]   " if finding.remedy is None else "[red]fault[/red]"
        out.print(f"{sign} {escape(finding.what)}", soft_wrap=True)
        if finding.remedy is not None:
            faults += 1
            out.print(f"      {finding.remedy}", soft_wrap=True, markup=False)
    sys.exit(1 if faults else 0)
