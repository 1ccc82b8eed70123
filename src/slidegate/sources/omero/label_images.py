# SPDX-License-Identifier: BSD-3-Clause
"""A label image as an image of OMERO: its own pixels, 32 bits, each the number of its object."""

import math
from dataclasses import replace
from pathlib import Path

import omero.model
from omero.model.enums import UnitsLength
from omero.rtypes import rstring, unwrap
from slidegate_analysis.images import Labels, open_labels

from .annotations import Mark, key_values, link, place_of
from .connection import Connection, speaking
from .datasets import Dataset, put_beside
from .errors import OmeroError
from .undo import BEGUN, Found, remove

_PIXEL_TYPE = "uint32"


def labels_part(role: str) -> str:
    """Return the part that a label image is."""
    return f"labels:{role}"


def write_label_image(
    connection: Connection,
    there: Found,
    mark: Mark,
    group: int,
    path: Path,
    name: str,
    datasets: list[Dataset],
) -> int:
    """Make an image of a label image, unless there is one that is whole; returns its id.

    It is made with its mark as description, then gets its pixels tile by tile, and by the last call the
    description that says that it is whole, key-values, and its places in datasets. One that was begun is
    made anew.

    Parameters
    ----------
    there
        What lies in OMERO of the result.
    path
        The label image as OME-Zarr.
    datasets
        Those of the image that was analysed.

    Raises
    ------
    OmeroError
        It failed; a repeat is safe.
    """
    for made in there.labels(mark.part):
        if made.mark.part == mark.part:
            return made.id
    remove(connection, Found(made=there.labels(mark.part)))
    labels = open_labels(path)
    height, width = labels.shape
    context = connection.context(group)
    with speaking():
        kind = connection.services("Query").findByString("PixelsType", "value", _PIXEL_TYPE, context)
        made_id = connection.services("Pixels").createImage(
            width, height, 1, 1, [0], kind, name, replace(mark, part=f"{BEGUN}{mark.part}").text, context
        )
    if made_id is None:
        raise OmeroError("no image was made")
    image = int(unwrap(made_id))
    pixels = connection.query("select p.id from Pixels p where p.image.id = :id", {"id": image})[0][0]
    most = _write_pixels(connection, pixels, labels, context)
    with speaking():
        connection.services("Pixels").setChannelGlobalMinMax(pixels, 0, 0.0, float(max(most, 1)), context)
    _say_scale(connection, pixels, labels.pixel_size_um, context)
    done = replace(mark, on=place_of("Image", image))
    pairs = [("Run", mark.run), ("Task", mark.task), ("Label image of", mark.on)]
    with speaking():
        row = connection.services("Query").get("Image", image, context)
        row.description = rstring(done.text)
        saved = [row, link(image, key_values(done, pairs)), *put_beside(image, datasets)]
        connection.services("Update").saveArray(saved, context)
    return image


def _write_pixels(connection: Connection, pixels: int, labels: Labels, context: dict[str, str]) -> int:
    """Write all pixels, by the tiles and in the order that OMERO's pyramids want; returns the largest."""
    height, width = labels.shape
    most = 0
    with speaking():
        store = connection.client.getSession().createRawPixelsStore(context)
        try:
            store.setPixelsId(pixels, True, context)
            across, down = store.getTileSize(context)
            for row in range(math.ceil(height / down)):
                for column in range(math.ceil(width / across)):
                    y, x = row * down, column * across
                    tile = labels.read(y, min(y + down, height), x, min(x + across, width))
                    most = max(most, int(tile.max()))
                    data = tile.astype(">u4").tobytes()
                    store.setTile(data, 0, 0, 0, x, y, tile.shape[1], tile.shape[0], context)
            store.save(context)
        finally:
            store.close(context)
    return most


def _say_scale(connection: Connection, pixels: int, um: float | None, context: dict[str, str]) -> None:
    if um is None:
        return
    with speaking():
        row = connection.services("Query").get("Pixels", pixels, context)
        for side in ("physicalSizeX", "physicalSizeY"):
            setattr(row, side, omero.model.LengthI(um, UnitsLength.MICROMETER))
        connection.services("Update").saveObject(row, context)
