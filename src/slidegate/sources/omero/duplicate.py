# SPDX-License-Identifier: BSD-3-Clause
"""A duplicate of an image, on which every object is drawn: made once for a result, found again, removed.

OMERO copies an image, with what is below it, by one request that happens or does not happen. A note on the
image's first channel, written before, goes along: so the copy says whose it is from its first moment on. The
note on the original goes when the copy has been found.
"""

from collections.abc import Callable
from dataclasses import replace

import omero.cmd
import omero.model
from omero.rtypes import rstring, unwrap

from slidegate.sources.errors import SourceError

from .annotations import Mark, key_values, link, place_of
from .connection import Connection, speaking
from .datasets import Dataset, put_beside
from .undo import COPY, Found, carried_out, delete, of_one_file, remove

NS_NOTE = "slidegate/duplicate"
_IGNORED = ["IAnnotationLink", "Roi"]  # what people have put on the image stays there alone
_SIDE = 16  # pixels of what is looked at
_NAME = 200  # characters


def duplicate(
    connection: Connection,
    look: Callable[[], Found],
    mark: Mark,
    group: int,
    datasets: list[Dataset],
) -> int | None:
    """Return the id of the image's duplicate, which is made if there is none.

    Images that came in one file are duplicated together: OMERO makes no copy of one of them alone. Others'
    annotations and ROIs are not copied.

    Parameters
    ----------
    look
        Asks OMERO what lies there of the result.
    mark
        The result's, on the image.
    datasets
        Those that the image is in.

    Returns
    -------
    None where this OMERO makes no copy of it that shows its pixels; then nothing stays.

    Raises
    ------
    OmeroError
        It failed; a repeat is safe.
    """
    there = look()
    if not there.copies:
        made = _copy(connection, there, replace(mark, part=COPY), mark.number, group)
        there = look()
        if made and not any(copy.id in made for copy in there.copies):
            # somebody else took the note away meanwhile, and has a duplicate
            delete(connection, "Image", {group: made})
    with_note: dict[int, list[int]] = {}
    for note, where in there.notes:
        with_note.setdefault(where, []).append(note)
    delete(connection, "CommentAnnotation", with_note)
    if not there.copies:
        return None
    copy = there.copies[0]
    if any(piece.mark.part == COPY for piece in there.on(copy.id)):
        return copy.id
    if not _shows(connection, copy.id):
        remove(connection, Found(made=there.copies))
        return None
    _name(connection, mark, copy.id, group, datasets)
    return copy.id


def _copy(connection: Connection, there: Found, mark: Mark, image: int, group: int) -> list[int]:
    """Hang the note on the image's first channel, if it is not there yet; return the images that are made."""
    if not there.notes:
        channels = connection.query(
            "select c.id from Channel c where c.pixels.image.id = :image order by c.id", {"image": image}
        )
        if not channels:
            return []
        note = omero.model.CommentAnnotationI()
        note.ns, note.description = rstring(NS_NOTE), rstring(mark.text)
        note.textValue = rstring(f"duplicated by slidegate for run {mark.run}")
        with speaking():
            connection.services("Update").saveObject(
                link(channels[0][0], note, "Channel"), connection.context(group)
            )
    request = omero.cmd.Duplicate(
        targetObjects={"Image": of_one_file(connection, image)},
        typesToDuplicate=["ChannelAnnotationLink"],
        typesToIgnore=_IGNORED,
    )
    answer = carried_out(connection, request, group)
    if not isinstance(answer, omero.cmd.DuplicateResponse):
        return []
    return sorted(answer.duplicates.get("ome.model.core.Image", []))


def _shows(connection: Connection, image: int) -> bool:
    """Return whether some pixels of an image can be read: not every OMERO copies them."""
    rows = connection.query(
        "select p.id, p.sizeX, p.sizeY from Pixels p where p.image.id = :image", {"image": image}
    )
    try:
        with speaking():
            store = connection.client.getSession().createRawPixelsStore(connection.context(-1))
            try:
                number, width, height = rows[0]
                store.setPixelsId(number, False, connection.context(-1))
                store.getTile(0, 0, 0, 0, 0, min(_SIDE, width), min(_SIDE, height), connection.context(-1))
            finally:
                store.close(connection.context(-1))
    except SourceError as error:
        if error.transient or error.code == "omero-session-gone":
            raise
        return False
    return True


def _name(connection: Connection, mark: Mark, copy: int, group: int, datasets: list[Dataset]) -> None:
    """Say of the duplicate what it is, and put it where the image is, by one call."""
    context = connection.context(group)
    here = replace(mark, part=COPY, on=place_of("Image", copy))
    pairs = [("Run", mark.run), ("Task", mark.task), ("Duplicate of", mark.on)]
    with speaking():
        row = connection.services("Query").get("Image", copy, context)
        row.name = rstring(f"{unwrap(row.name)[:_NAME]} [all objects, run {mark.run}]")
        saved = [row, link(copy, key_values(here, pairs)), *put_beside(copy, datasets)]
        connection.services("Update").saveArray(saved, context)
