# SPDX-License-Identifier: GPL-2.0-or-later
"""Rendering settings as objects, and for many images at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import omero
import pytest
from omero.rtypes import rdouble, rint
from pocket_omero.server import Client, Server

pytestmark = [pytest.mark.omero, pytest.mark.slow]

Ids = Callable[[str], int]
EIGHT = ["int8", "int16", "int32", "uint8", "uint16", "uint32", "float", "double"]


def image_of(server: Server, pixels: int) -> int:
    row = server.house.state.get("Pixels", pixels)
    assert row is not None
    return int(row["image"].id)


def window(client: Client, pixels: int) -> tuple[float, float] | None:
    """The window of the first channel in the caller's settings."""
    found = client.sf.getPixelsService().retrieveRndSettings(pixels)
    if found is None:
        return None
    first = found.copyWaveRendering()[0]
    return first.inputStart.val, first.inputEnd.val


def set_window(client: Client, pixels: int, low: float, high: float) -> None:
    proxy = client.sf.createRenderingEngine()
    proxy.lookupPixels(pixels)
    proxy.resetDefaultSettings(True)
    proxy.setChannelWindow(0, low, high)
    proxy.saveCurrentSettings()
    proxy.close()


def test_settings_are_reset_for_all_images_of_a_dataset(alice: Client, server: Server, ids: Ids) -> None:
    (dataset,) = server.house.state.where("Dataset", "name", "Types")
    set_window(alice, ids("uint8.tif"), 3.0, 4.0)
    done = alice.sf.getRenderingSettingsService().resetDefaultsInSet("Dataset", [dataset.id])
    assert sorted(done) == sorted(image_of(server, ids(f"{name}.tif")) for name in EIGHT)
    assert window(alice, ids("uint8.tif")) == (0.0, 255.0)


def test_settings_are_carried_to_images_that_they_fit(alice: Client, server: Server, ids: Ids) -> None:
    set_window(alice, ids("uint8.tif"), 30.0, 40.0)
    targets = [image_of(server, ids(name)) for name in ("uint16.tif", "large.tif", "five.ome.tif")]
    service = alice.sf.getRenderingSettingsService()
    done = service.applySettingsToSet(ids("uint8.tif"), "Image", targets)
    assert (done[True], done[False]) == (targets[:2], targets[2:])  # the last one has three channels
    assert window(alice, ids("large.tif")) == (30.0, 40.0)
    service.resetMinMaxInSet("Image", targets[:1])
    assert window(alice, ids("uint16.tif")) != (30.0, 40.0)


def test_a_colleague_takes_over_the_owners_settings(
    alice: Client, bob: Client, server: Server, ids: Ids
) -> None:
    set_window(alice, ids("int8.tif"), -5.0, 5.0)
    set_window(bob, ids("int8.tif"), -1.0, 1.0)
    service = bob.sf.getRenderingSettingsService()
    service.resetDefaultsByOwnerInSet("Image", [image_of(server, ids("int8.tif"))])
    assert window(bob, ids("int8.tif")) == (-5.0, 5.0)


def test_settings_of_closed_images_stay_closed(bob: Client, server: Server, ids: Ids) -> None:
    with pytest.raises(omero.ValidationException):
        bob.sf.getRenderingSettingsService().resetDefaultsInSet(
            "Image", [image_of(server, ids("closed.tif"))]
        )


def test_settings_are_saved_as_objects(alice: Client, ids: Ids) -> None:
    set_window(alice, ids("uint32.tif"), 3.0, 4.0)
    service = alice.sf.getPixelsService()
    settings = service.retrieveRndSettings(ids("uint32.tif"))
    settings.setDefaultT(rint(0))
    settings.copyWaveRendering()[0].setInputEnd(rdouble(44.0))
    service.saveRndSettings(settings)
    assert window(alice, ids("uint32.tif")) == (3.0, 44.0)
    assert service.loadRndSettings(settings.id.val).copyWaveRendering()[0].inputEnd.val == 44.0
    assert window(alice, ids("spoilt.tif")) is None


def test_pixels_are_described_with_all_that_belongs_to_them(alice: Client, ids: Ids) -> None:
    pixels = alice.sf.getPixelsService().retrievePixDescription(ids("five.ome.tif"))
    assert (pixels.sizeT.val, pixels.sizeC.val, pixels.sizeZ.val) == (2, 3, 4)
    assert (pixels.pixelsType.value.val, pixels.dimensionOrder.value.val) == ("uint16", "XYZCT")
    assert [channel.logicalChannel.name.val for channel in pixels.copyChannels()] == ["a", "b", "c"]
    assert pixels.physicalSizeX.getValue() == 0.5
    assert alice.sf.getPixelsService().retrievePixDescription(10**9) is None


def test_an_image_is_made_like_another_one(alice: Client, server: Server, ids: Ids) -> None:
    service = alice.sf.getPixelsService()
    old = image_of(server, ids("five.ome.tif"))
    new = service.copyAndResizeImage(old, rint(20), rint(10), None, rint(1), [2, 0], "copy", True).val
    image = server.house.state.get("Image", new)
    assert image is not None
    (pixels,) = server.house.state.many(image, "pixels")
    assert [pixels[f"size{axis}"] for axis in "XYZCT"] == [20, 10, 4, 2, 1]
    assert pixels["physicalSizeX"] == (0.5, "MICROMETER")
    names = [row["logicalChannel"]["name"] for row in server.house.state.many(pixels, "channels")]
    assert names == ["c", "a"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "complex"}, "cannot be made here"),
        ({"x": 0}, "cannot be made"),
        ({"x": 2**30, "y": 2**30}, "cannot be made"),
        ({"channels": []}, "cannot be made"),
    ],
)
def test_images_that_cannot_be_are_refused_and_leave_nothing(
    alice: Client, server: Server, change: dict[str, Any], words: str
) -> None:
    before = server.house.state.count("Image")
    wanted = {"x": 4, "y": 4, "channels": [0], "kind": "uint8", **change}
    service = alice.sf.getPixelsService()
    kind = service.getEnumeration("PixelsType", wanted["kind"])
    with pytest.raises(omero.ServerError, match=words):
        service.createImage(wanted["x"], wanted["y"], 1, 1, wanted["channels"], kind, "x", "")
    assert server.house.state.count("Image") == before
