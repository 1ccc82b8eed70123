# SPDX-License-Identifier: BSD-3-Clause
"""Images in OMERO keep the contract of sources, over the wire."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from slidegate.domain.values import ImageRef
from slidegate.sources.contract import ArrangedSource, Corners, ImageSourceContract

pytestmark = [pytest.mark.omero, pytest.mark.slow]


class TestOmeroSource(ImageSourceContract):
    @pytest.fixture(autouse=True)
    def _at(self, pocket_omero):
        self.omero = pocket_omero
        self.source = None
        yield
        if self.source is not None:
            self.source.close()

    def arrange(self, folder: Path) -> ArrangedSource:
        from omero.rtypes import rstring

        from slidegate.sources.omero.connection import Connection, Server
        from slidegate.sources.omero.source import OmeroSource

        omero = self.omero
        server = Server(omero.host, omero.port, omero.server.authority)
        pixels = np.random.default_rng(3).integers(0, 4096, (2, 340, 270), np.uint16)
        with omero.gateway() as conn:
            dataset = _dataset(conn)
            first = conn.createImageFromNumpySeq(iter(pixels), "a slide", sizeC=2, dataset=dataset)
            conn.createImageFromNumpySeq(iter(pixels // 2), "another", sizeC=2, dataset=dataset)
            number, where = first.getId(), f"dataset/{dataset.getId()}"
            _measure(conn, first.getPrimaryPixels().getId(), rstring)

        def change() -> None:
            with omero.client() as client:
                ids = client.sf.getQueryService().findByQuery(
                    f"select p from Pixels p where p.image.id = {number}", None
                )
                store = client.sf.createRawPixelsStore()
                store.setPixelsId(ids.id.val, False)
                store.setTile(bytes([0x0F, 0xFF]), 0, 0, 0, 5, 5, 1, 1)
                store.save()
                store.close()

        def draw(polygons: Sequence[tuple[str, Corners]]) -> None:
            with omero.gateway() as conn:
                for name, corners in polygons:
                    _draw(conn, number, name, corners)

        self.source = OmeroSource(lambda: Connection.login(server, *omero.person()))
        absent = ImageRef("omero", "987654321")
        return ArrangedSource(self.source, where, pixels, ("DAPI", "GFP"), 0.5, change, absent, draw)


def _dataset(conn):
    import omero.gateway
    from omero.rtypes import rstring

    made = omero.model.DatasetI()
    made.name = rstring("slides")
    made = conn.getUpdateService().saveAndReturnObject(made)
    return conn.getObject("Dataset", made.id.val)


def _draw(conn, image, name, corners):
    import omero.model
    from omero.rtypes import rstring

    shape = omero.model.PolygonI()
    shape.points = rstring(" ".join(f"{x},{y}" for y, x in corners))
    shape.textValue = rstring(name)
    roi = omero.model.RoiI()
    roi.image = omero.model.ImageI(image, False)
    roi.addShape(shape)
    conn.getUpdateService().saveObject(roi)


def _measure(conn, pixels, rstring):
    import omero.model
    from omero.model.enums import UnitsLength

    found = conn.getQueryService().findByQuery(
        "select p from Pixels p left outer join fetch p.channels c left outer join fetch c.logicalChannel "
        f"where p.id = {pixels}",
        None,
    )
    for channel, label in zip(found.copyChannels(), ("DAPI", "GFP"), strict=True):
        channel.logicalChannel.name = rstring(label)
    found.setPhysicalSizeX(omero.model.LengthI(500.0, UnitsLength.NANOMETER))
    found.setPhysicalSizeY(omero.model.LengthI(0.5, UnitsLength.MICROMETER))
    conn.getUpdateService().saveObject(found)
