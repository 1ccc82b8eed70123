# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate omero``: what is done with an OMERO."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from slidegate.cli.omero_check import check as check_omero
from slidegate.cli.omero_login import login, logout
from slidegate.cli.omero_undo import undo
from slidegate.cli.omero_web import web

omero = typer.Typer(no_args_is_help=True, help="The OMERO that images come from.")
config = typer.Typer(no_args_is_help=True, help="OMERO's configuration, as it is desired.")
omero.command("check")(check_omero)
omero.command()(login)
omero.command()(logout)
omero.command()(undo)
omero.add_typer(config, name="config")
omero.add_typer(web, name="web")


class _OneForErrors(TyperCommand):
    """A command of which 2 says that something was changed: words that are not understood end with 1."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the words."""
        from slidegate.cli.app import UsageError, usage_sentence
        from slidegate.omero_config.errors import BadDesired

        try:
            return super().make_context(*args, **more)
        except UsageError as error:
            raise BadDesired(usage_sentence(error)) from None


@config.command("apply", cls=_OneForErrors)
def apply_config(
    desired: Annotated[
        str,
        typer.Argument(
            metavar="DESIRED.YML", help="What is desired, in YAML; - reads it from standard input."
        ),
    ],
    check: Annotated[bool, typer.Option("--check", help="Only say what would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what changes, with secrets masked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    config_xml: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="OMERO's config.xml; else etc/grid/config.xml in $OMERODIR."
        ),
    ] = None,
    web_python: Annotated[
        str | None,
        typer.Option(
            metavar="PYTHON",
            help="The Python that OMERO.web is installed in; else the one that slidegate is installed in.",
        ),
    ] = None,
) -> None:
    """Bring OMERO's configuration to what is desired. Once more, it changes nothing.

    Keys that are not in DESIRED.YML stay as they are. All keys are written at once, under OMERO's lock; if
    anything is wrong, nothing is. Exit codes: 0 there was nothing to do; 2 it was changed (with --check: it
    would be); 1 it could not be done.
    """
    import json
    import os

    from slidegate.omero_config import WebDefaults, apply, read_desired, report

    path = _config_xml(config_xml)
    text, folder = _desired(desired)
    wishes = read_desired(text, folder, os.environ)
    changes = apply(path, wishes, WebDefaults(web_python), check=check)
    if as_json:
        typer.echo(json.dumps(report.as_json(changes, path, check=check, diff=diff)))
    elif diff and changes:
        typer.echo(report.difference(changes, path), nl=False)
    else:
        for change in changes:
            typer.echo(report.sentence(change))
    typer.echo(_summary(len(changes), len(wishes), check), err=True)
    raise typer.Exit(2 if changes else 0)


def _summary(changed: int, all_keys: int, check: bool) -> str:
    if not changed:
        return f"Nothing to do: {all_keys} of {all_keys} keys are as desired."
    said = "would change" if check else "changed"
    restart = (
        ""
        if check
        else " OMERO reads its configuration when it starts: omero web restart, omero admin restart."
    )
    return f"{changed} of {all_keys} keys {said}.{restart}"


def _config_xml(named: Path | None) -> Path:
    import os

    from slidegate.omero_config.errors import BadConfig

    if named is not None:
        return named.absolute()
    root = os.environ.get("OMERODIR")
    if not root:
        raise BadConfig("Where OMERO's config.xml is, is not known: set OMERODIR, or name it with --config.")
    return Path(root).absolute() / "etc" / "grid" / "config.xml"


def _desired(named: str) -> tuple[str, Path]:
    """Return what is desired, and the folder that names of files in it begin in."""
    import sys

    from slidegate.omero_config.desired import MAXIMUM_BYTES
    from slidegate.omero_config.errors import BadDesired

    try:
        if named == "-":
            raw, folder = sys.stdin.buffer.read(MAXIMUM_BYTES + 1), Path.cwd()
        else:
            path = Path(named).absolute()
            with path.open("rb") as file:
                raw, folder = file.read(MAXIMUM_BYTES + 1), path.parent
        if len(raw) > MAXIMUM_BYTES:
            raise BadDesired(f"{named} is larger than {MAXIMUM_BYTES} bytes.")
        return raw.decode("utf-8"), folder
    except OSError as error:
        raise BadDesired(f"{named} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadDesired(f"{named} is no text in UTF-8.") from None
