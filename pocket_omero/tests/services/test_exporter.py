# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway exports images as OME-TIFF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import omero
import pytest
import tifffile
from omero.gateway import BlitzGateway
from pocket_omero.images import inspect
from pocket_omero.server import Client

pytestmark = [pytest.mark.omero, pytest.mark.slow]

Array = Callable[[str], np.ndarray]


def test_an_exported_image_is_the_image_with_its_names_and_sizes(
    alice: Client, array: Array, tmp_path: Path
) -> None:
    conn = BlitzGateway(client_obj=alice)
    (image,) = conn.getObjects("Image", attributes={"name": "five.ome.tif"})
    size, parts = image.exportOmeTiff(bufsize=10_000)
    (tmp_path / "a.ome.tif").write_bytes(b"".join(parts))
    assert (tmp_path / "a.ome.tif").stat().st_size == size
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.ome.tif"), array("five.ome.tif"))
    (info,) = inspect(tmp_path / "a.ome.tif")
    assert [channel.name for channel in info.channels] == ["a", "b", "c"]
    assert info.sizes[2] == (0.5, "MICROMETER")


def test_its_ome_xml_can_be_had_alone(alice: Client) -> None:
    conn = BlitzGateway(client_obj=alice)
    (image,) = conn.getObjects("Image", attributes={"name": "five.ome.tif"})
    exporter = alice.sf.createExporter()
    with pytest.raises(omero.ApiUsageException, match="no image was chosen"):
        exporter.generateXml()
    exporter.addImage(image.getId())
    xml = exporter.read(0, exporter.generateXml())
    assert all(part in xml for part in (b'SizeT="2"', b'SizeC="3"', b'SizeZ="4"', b'Name="five.ome.tif"'))
    exporter.close()


def test_a_large_image_is_not_exported(alice: Client) -> None:
    conn = BlitzGateway(client_obj=alice)
    (image,) = conn.getObjects("Image", attributes={"name": "large.tif"})
    exporter = alice.sf.createExporter()
    exporter.addImage(image.getId())
    with pytest.raises(omero.ApiUsageException, match="too large to be exported"):
        exporter.generateTiff()
    exporter.close()
