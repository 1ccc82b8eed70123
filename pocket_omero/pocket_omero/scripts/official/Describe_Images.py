#!/usr/bin/env python
# SPDX-License-Identifier: GPL-2.0-or-later
"""Say how large images are and how bright, and keep it beside each image as key-value pairs."""

from typing import Any

import omero
import omero.scripts as scripts
from omero.gateway import BlitzGateway, MapAnnotationWrapper
from omero.rtypes import rlong, robject, rstring


def describe(image: Any, add: bool) -> list[list[str]]:
    """Key-value pairs for one image; with `add` they are kept with it."""
    pixels = image.getPrimaryPixels()
    plane = pixels.getPlane(0, 0, 0)
    pairs = [
        ["Width", str(image.getSizeX())],
        ["Height", str(image.getSizeY())],
        ["Mean of the first plane", f"{float(plane.mean()):.2f}"],
    ]
    if add:
        found = MapAnnotationWrapper(image._conn)
        found.setNs(omero.constants.metadata.NSCLIENTMAPANNOTATION)
        found.setValue(pairs)
        found.save()
        image.linkAnnotation(found)
    return pairs


def main() -> None:
    """Say what is asked for, and do it."""
    client = scripts.client(
        "Describe_Images",
        "Says how large images are and how bright.",
        scripts.String("Data_Type", optional=False, grouping="1", values=[rstring("Image")], default="Image"),
        scripts.List("IDs", optional=False, grouping="2", description="Images").ofType(rlong(0)),
        scripts.Bool("Add_Key_Values", grouping="3", default=True, description="Keep it with each image"),
        scripts.Int("At_Most", grouping="4", default=10, min=1, max=100, description="So many images"),
        authors=["pocket OMERO"],
        version="1.0",
    )
    try:
        asked = client.getInputs(unwrap=True)
        conn = BlitzGateway(client_obj=client)
        images = list(conn.getObjects("Image", asked["IDs"][: asked["At_Most"]]))
        for image in images:
            print(image.getName(), describe(image, asked["Add_Key_Values"]))
        client.setOutput("Message", rstring(f"Described {len(images)} of {len(asked['IDs'])} images"))
        if len(images) == 1:
            client.setOutput("Image", robject(images[0]._obj))
    finally:
        client.closeSession()


if __name__ == "__main__":
    main()
