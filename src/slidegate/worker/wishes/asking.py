# SPDX-License-Identifier: BSD-3-Clause
"""Asking for a Run, and deleting one, for people who use the pages."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slidegate.domain.errors import (
    MixedSources,
    NothingSelected,
    SlidegateError,
    UnknownRun,
    UnknownSite,
)
from slidegate.domain.values import ImageRef, RunId, digest_of
from slidegate.sources.errors import ImageNotFoundError
from slidegate.store.wishes import Wish
from slidegate.worker.wishes.desk import Asked, Desk
from slidegate.worker.wishes.errors import BadWish, ImagesRefused

log = logging.getLogger(__name__)

_MOST_IMAGES = 20_000
_MOST_NAMED = 10
_REQUEST = re.compile("[A-Za-z0-9._:-]{1,64}")
_PLAIN = re.compile("[a-z0-9][a-z0-9_-]{0,39}")


def launch(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Ask for a Run on images of shelves, or of OMERO; then the results go beside them.

    Safe to repeat: the same person, images, Release and parameters are the same Run. Where another one is
    wanted on purpose, one that was made since the wish was asked is that other one.
    """
    names = asked.texts("images", _MOST_IMAGES)
    if not names:
        raise NothingSelected
    workflow = asked.text("workflow")
    if asked.body.get("version"):
        workflow = f"{workflow}@{asked.text('version')}"
    images = [_image(desk, name) for name in names]
    source, out = _from_and_to(desk, asked, images)
    site = gate_of(desk, asked.person, asked.text("site", "local"))
    found = desk.runs.request(
        asked.person,
        workflow,
        [ref.image for ref in images],
        asked.mapping("parameters"),
        out,
        again=asked.body.get("again") is True,
        site=site,
        source=source,
        progress=lambda done, total: asked.note("reading images", done, total),
        since=asked.asked_at,
        request_id=request_of(asked.held.wish),
        regions=asked.body.get("regions") is not False,
    )
    log.info("run asked for", extra={"action": "launch", "run": found.run, "outcome": found.outcome})
    return {"run": found.run, "outcome": found.outcome}


def request_of(wish: Wish) -> str | None:
    """Return what logs call the request that made a wish, if it says so."""
    found = wish.body.get("request")
    return found if isinstance(found, str) and _REQUEST.fullmatch(found) else None


def _image(desk: Desk, name: str) -> ImageRef:
    try:
        return desk.image(name)
    except ImageNotFoundError as error:
        raise ImageNotFoundError("one of those chosen was removed or renamed, or is on no shelf") from error


def _from_and_to(desk: Desk, asked: Asked, images: Sequence[ImageRef]) -> tuple[str, str]:
    """Return what the images' source is called, and where the results go, if the person may have all that.

    Raises
    ------
    MixedSources, BadWish
    ImagesRefused
        The person has not the rights, as OMERO says.
    """
    sources = {image.source for image in images}
    if len(sources) > 1:
        raise MixedSources
    wishes = asked.mapping("publish")
    acting = desk.tools.acting
    if acting is None or sources != {acting.name}:
        if wishes:
            raise BadWish("What is written beside images is chosen for images in OMERO only.")
        results = results_of(desk.results, asked.person, asked.text("workflow"))
        return images[0].source, str(results)
    place = acting.place(wishes)
    asked.note("asking OMERO what you may do")
    refusals = acting.refusals(asked.person, images, writing=True)
    if refusals:
        raise _refused(refusals, len(images))
    return acting.name, place


def _refused(refusals: Mapping[ImageRef, SlidegateError], images: int) -> ImagesRefused:
    """Say of one image why it is refused, and of which others that they are."""
    numbers = [ref.image for ref in refusals]
    shown = ", ".join(numbers[:_MOST_NAMED]) + (", …" if len(numbers) > _MOST_NAMED else "")
    first = next(iter(refusals.values()))
    refused = ImagesRefused(
        f"{len(numbers)} of {images} images cannot be used: {shown}. The first: {first.message} "
        "Leave them out, or ask whoever can give you the rights."
    )
    refused.code = first.code
    return refused


def gate_of(desk: Desk, person: str, site: str) -> str:
    """Return what a person's Runs at a site are filed under; `site` may be that name itself.

    Raises
    ------
    UnknownSite
        It is the name of a way there that is somebody else's.
    SlidegateError
        There is no such site, or the person may not use it.
    """
    found = desk.gate_at(person, site.partition("/")[0])
    if site not in (found, found.partition("/")[0]):
        raise UnknownSite(f"There is no site {site!r} for {person!r}.")
    return found


def results_of(results: Path, person: str, workflow: str) -> Path:
    """Return the folder for results of a person and a workflow, named so that no name leads elsewhere."""
    return results / _folder(person) / _folder(workflow)


def _folder(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:32] or "x"
    return f"{plain}~{digest_of(name)[:12]}"


def delete(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Delete a Run, and its results where that is wanted; deleting what is gone changes nothing."""
    run = RunId(asked.text("run"))
    try:
        removed = desk.runs.delete(run, asked.body.get("results") is True)
    except UnknownRun:  # a worker that was killed had done it
        removed = ()
    return {"removed": list(removed)}
