# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate run``: ask for a Run, or take up the one that was asked for before, and follow it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from slidegate.cli.place import OnServer
from slidegate.domain.errors import BadParameter

OUTCOMES = {
    "created": "New run {run}.",
    "resumed": "Run {run} was begun before; it goes on.",
    "retried": "Run {run} had failed or was cancelled; what is missing is tried again.",
    "published-again": "Run {run} was finished before; its results are put into {out}.",
    "finished": "Run {run} was finished before; nothing had to be done. (--again makes a new one.)",
}

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where the results go: a folder per image. Without it slidegate-results; those of a server "
        "stay there, and those of images in OMERO go beside them (omero).",
    ),
]
NoRegions = Annotated[
    bool, typer.Option("--no-regions", help="As if nobody had drawn regions on the images.")
]


def run(
    workflow: Annotated[
        str, typer.Argument(metavar="WORKFLOW", help="Its name, such as nuclei, or name@version.")
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES",
            help="TIFF, OME-TIFF or OME-Zarr images, or folders of them; on a server SHELF:PATH; in OMERO "
            "omero:image/12, omero:dataset/3 or omero:project/4.",
        ),
    ],
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|N",
            help="The channel to look at, by its name or its number from 0: --param channel=...",
        ),
    ] = None,
    pixel_size: Annotated[
        str | None,
        typer.Option(
            metavar="UM",
            help="The size of a pixel in µm, if the image does not state it: --param pixel_size_um=...",
        ),
    ] = None,
    out: Out = None,
    site: Annotated[
        str, typer.Option(metavar="NAME", help="Where it is computed: see slidegate site list.")
    ] = "local",
    again: Annotated[bool, typer.Option("--again", help="Make a new run even if there is one.")] = False,
    no_regions: NoRegions = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")] = False,
    server: OnServer = None,
) -> None:
    """Run a workflow on images. The same command again resumes it, or shows what it found."""
    from slidegate.cli.answer import print_answer
    from slidegate.cli.follow import follow
    from slidegate.cli.place import opened
    from slidegate.cli.view import err, print_run, progress_bar

    parameters = _parameters(param or [], channel, pixel_size)
    with opened(server, lambda words: err.print(f"{words} ...")) as place:
        with progress_bar("reading images", quick=True) as progress:
            asked = place.request(
                workflow, images, parameters, out, again, site, progress, regions=not no_regions
            )
        view = place.show(asked.run)
        words = OUTCOMES[asked.outcome].format(run=asked.run[:8], out=view.out)
        err.print(words, soft_wrap=True, markup=False)
        view = place.fetch(follow(place, asked.run), out)
        if json:
            print_answer(view, place.summary, asked.outcome)
        else:
            print_run(view)
    if view.state != "succeeded":
        sys.exit(1)


def _parameters(pairs: list[str], channel: str | None, pixel_size: str | None) -> dict[str, object]:
    """Join the three ways to give a parameter; each may be given once."""
    given: list[tuple[str, object]] = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise BadParameter(f"--param is NAME=VALUE, not {pair!r}.")
        given.append((name, value))
    if channel is not None:
        given.append(("channel", channel))
    if pixel_size is not None:
        given.append(("pixel_size_um", pixel_size))
    names = [name for name, _ in given]
    for name in names:
        if names.count(name) > 1:
            raise BadParameter(f"Parameter {name!r} is given {names.count(name)} times; give it once.")
    return dict(given)
