# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate sample``: data to try things on."""

import re
from pathlib import Path
from typing import Annotated

import typer

from slidegate.domain.errors import BadRequest

sample = typer.Typer(no_args_is_help=True, help="Make data to try things on.")


@sample.callback()
def _group() -> None:
    """Keep ``slide`` a word of its own, so that other samples can join it."""


@sample.command("slide")
def slide(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder, or the name of a .tif file.")],
    size: Annotated[
        str, typer.Option(metavar="HEIGHTxWIDTH", help="Height x width in pixels.")
    ] = "4000x6000",
    channels: Annotated[int, typer.Option(metavar="N", help="1 to 8: nuclei first, then markers.")] = 2,
    density: Annotated[
        str,
        typer.Option(
            metavar="DENSITY", help="sparse, medium, dense, or a number of nuclei per mm² of tissue."
        ),
    ] = "medium",
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same slide.")] = 1,
) -> None:
    """Write a synthetic fluorescence slide as OME-TIFF, with its exact truth beside it."""
    from slidegate_analysis.nuclei.synth import PRESETS, BadSlideError, write_slide

    from slidegate.cli.view import progress_bar, say_error

    match = re.fullmatch(r"([0-9]{1,6})[xX]([0-9]{1,6})", size)
    if match is None:
        raise BadRequest(f"--size is HEIGHTxWIDTH in pixels, for example 4000x6000, not {size!r}.")
    try:
        per_mm2 = PRESETS.get(density) or float(density)
    except ValueError:
        raise BadRequest(f"--density is {', '.join(PRESETS)} or a number, not {density!r}.") from None
    try:
        with progress_bar(f"drawing {out.name}") as progress:
            files = write_slide(
                out,
                height=int(match[1]),
                width=int(match[2]),
                channels=channels,
                density=per_mm2,
                seed=seed,
                progress=progress,
            )
    except BadSlideError as error:
        say_error(f"The slide cannot be drawn: {error.detail or error}.", error.code)
        raise typer.Exit(BadRequest.exit_code) from None
    except OSError as error:
        raise BadRequest(f"The slide cannot be written to {out}: {error.strerror or error}.") from None
    typer.echo(f"{files.image}: {files.nuclei} nuclei; the truth is in {files.labels.parent}")
