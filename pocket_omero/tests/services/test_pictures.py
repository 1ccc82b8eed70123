# SPDX-License-Identifier: GPL-2.0-or-later
"""Thumbnails and rendered pictures, and the settings that people keep for them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import omero
import pytest
from omero.gateway import BlitzGateway
from omero.rtypes import rint
from PIL import Image
from pocket_omero.server import Client, Server

pytestmark = [pytest.mark.omero, pytest.mark.slow]

Ids = Callable[[str], int]
Array = Callable[[str], np.ndarray]


@contextmanager
def engine(client: Client, pixels: int) -> Iterator[Any]:
    """A RenderingEngine, prepared as the gateway does it."""
    proxy = client.sf.createRenderingEngine()
    try:
        proxy.lookupPixels(pixels)
        if not proxy.lookupRenderingDef(pixels):
            proxy.resetDefaultSettings(True)
            proxy.lookupRenderingDef(pixels)
        proxy.load()
        yield proxy
    finally:
        proxy.close()


def plane(z: int = 0, t: int = 0, region: tuple[int, int, int, int] | None = None) -> Any:
    """A plane of x and y; the region is x, y, width, height."""
    return omero.romio.PlaneDef(0, 0, 0, z, t, region and omero.romio.RegionDef(*region), -1)


def picture(proxy: Any, which: Any) -> np.ndarray:
    """What is rendered, without the losses of JPEG: (y, x, 3)."""
    buffer = proxy.render(which)
    bands = [np.frombuffer(band, "u1").reshape(buffer.sizeX2, buffer.sizeX1) for band in buffer.bands]
    return np.stack(bands, axis=-1)


def test_colours_are_shown_as_they_are_in_the_file(alice: Client, ids: Ids, array: Array) -> None:
    with engine(alice, ids("colours.tif")) as proxy:
        np.testing.assert_array_equal(picture(proxy, plane()), array("colours.tif"))
        jpeg = Image.open(io.BytesIO(proxy.renderCompressed(plane())))
        assert (jpeg.format, jpeg.size) == ("JPEG", (90, 70))


def test_windows_colours_and_channels_make_the_picture(alice: Client, ids: Ids, array: Array) -> None:
    whole = array("five.ome.tif")
    with engine(alice, ids("five.ome.tif")) as proxy:
        for channel in range(3):
            proxy.setActive(channel, channel == 1)
        proxy.setRGBA(1, 255, 128, 0, 255)
        proxy.setChannelWindow(1, 1000.0, 50_000.0)
        share = np.clip((whole[1, 1, 2].astype(float) - 1000) / 49_000, 0, 1)[..., None]
        expected = share * np.array([255, 128, 0])
        shown = picture(proxy, plane(2, 1))
        assert np.abs(shown - expected).max() <= 1
        np.testing.assert_array_equal(picture(proxy, plane(2, 1, (5, 9, 40, 30))), shown[9:39, 5:45])
        np.testing.assert_array_equal(picture(proxy, plane(2, 1, (80, 60, 40, 30))), shown[60:, 80:])
        proxy.addCodomainMapToChannel(omero.romio.ReverseIntensityMapContext(), 1)
        assert np.abs(picture(proxy, plane(2, 1)) - (np.array([255, 128, 0]) - expected)).max() <= 1
        assert isinstance(proxy.getCodomainMapContext(1)[0], omero.model.ReverseIntensityContext)
        packed = np.array(proxy.renderAsPackedInt(plane(2, 1)), np.int32).view(np.uint32)
        assert (packed >> 24 == 255).all()
        assert ((packed >> 16 & 255) == picture(proxy, plane(2, 1))[..., 0].ravel()).all()


def test_the_grey_model_shows_the_first_channel_in_grey(alice: Client, ids: Ids) -> None:
    with engine(alice, ids("five.ome.tif")) as proxy:
        models = {model.value.val: model for model in proxy.getAvailableModels()}
        proxy.setModel(models["greyscale"])
        assert proxy.getModel().value.val == "greyscale"
        shown = picture(proxy, plane())
        assert (shown[..., 0] == shown[..., 1]).all()
        assert (shown[..., 0] == shown[..., 2]).all()


@pytest.mark.parametrize("how", ["MAXIMUMINTENSITY", "MEANINTENSITY", "SUMINTENSITY"])
def test_a_stack_is_projected(alice: Client, ids: Ids, array: Array, how: str) -> None:
    stack = array("five.ome.tif")[1, 0].astype(float)
    function = {"MAXIMUMINTENSITY": np.max, "MEANINTENSITY": np.mean, "SUMINTENSITY": np.sum}[how]
    expected = np.clip(np.minimum(function(stack, axis=0), 65_535) / 65_535, 0, 1) * 255
    with engine(alice, ids("five.ome.tif")) as proxy:
        for channel in range(3):
            proxy.setActive(channel, channel == 0)
        proxy.setRGBA(0, 255, 255, 255, 255)
        proxy.setChannelWindow(0, 0.0, 65_535.0)
        kind = getattr(omero.constants.projection.ProjectionType, how)
        packed = np.array(proxy.renderProjectedAsPackedInt(kind, 1, 1, 0, 3), np.int32).view(np.uint32)
        assert np.abs((packed & 255).reshape(61, 83) - expected).max() <= 1
        assert proxy.renderProjectedCompressed(kind, 1, 1, 0, 3).startswith(b"\xff\xd8")


def test_a_large_image_is_shown_by_regions_of_levels(alice: Client, ids: Ids) -> None:
    with engine(alice, ids("large.tif")) as proxy:
        with pytest.raises(omero.ApiUsageException, match="ask for regions"):
            proxy.renderCompressed(plane())
        proxy.setResolutionLevel(0)
        height, width = (
            proxy.getResolutionDescriptions()[-1].sizeY,
            proxy.getResolutionDescriptions()[-1].sizeX,
        )
        assert picture(proxy, plane()).shape == (height, width, 3)
        assert picture(proxy, plane(region=(256, 256, 256, 256))).shape == (height - 256, width - 256, 3)


def test_settings_are_kept_per_person_and_survive_a_restart(server: Server, ids: Ids) -> None:
    pixels = ids("levels.ome.tif")
    with server.client("alice", "secret") as client, engine(client, pixels) as proxy:
        proxy.setRGBA(1, 9, 8, 7, 255)
        proxy.setChannelWindow(1, 5.0, 50.0)
        proxy.setActive(0, False)
        proxy.saveCurrentSettings()
        first = proxy.getRenderingDefId()
    with server.client("bob", "secret") as client:
        proxy = client.sf.createRenderingEngine()
        proxy.lookupPixels(pixels)
        assert proxy.lookupRenderingDef(pixels)  # those of the owner
        assert proxy.getRGBA(1) == [9, 8, 7, 255]
        proxy.setRGBA(1, 1, 2, 3, 255)
        proxy.saveCurrentSettings()
        assert proxy.getRenderingDefId() != first
        proxy.close()
    server.restart()
    for person, color in (("alice", [9, 8, 7, 255]), ("bob", [1, 2, 3, 255])):
        with server.client(person, "secret") as client, engine(client, pixels) as proxy:
            assert proxy.getRGBA(1) == color
            assert (proxy.getChannelWindowStart(1), proxy.getChannelWindowEnd(1)) == (5.0, 50.0)
            assert not proxy.isActive(0)
            loaded = client.sf.getPixelsService().retrieveRndSettings(pixels)
            assert [part.red.val for part in loaded.copyWaveRendering()][1] == color[0]


def test_where_one_only_looks_settings_are_used_and_not_kept(server: Server, ids: Ids) -> None:
    pixels = ids("looking.tif")
    (group,) = server.house.state.where("ExperimenterGroup", "name", "looking")
    with server.client("bob", "secret") as client:
        client.sf.setSecurityContext(omero.model.ExperimenterGroupI(group.id, False))
        with engine(client, pixels) as proxy:
            assert proxy.renderCompressed(plane()).startswith(b"\xff\xd8")
            with pytest.raises(omero.SecurityViolation):
                proxy.saveCurrentSettings()
    assert not server.house.state.many(server.house.state.get("Pixels", pixels), "settings")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda proxy: proxy.setChannelWindow(0, 5.0, 5.0), "is empty"),
        (lambda proxy: proxy.setRGBA(0, 256, 0, 0, 0), "from 0 to 255"),
        (lambda proxy: proxy.setActive(3, True), "channel=3 lies outside"),
        (lambda proxy: proxy.setDefaultZ(4), "z=4 lies outside"),
        (lambda proxy: proxy.renderCompressed(plane(9)), "z=9 lies outside"),
        (lambda proxy: proxy.renderCompressed(plane(region=(90, 0, 5, 5))), "lies outside"),
        (lambda proxy: proxy.setCompressionLevel(2.0), "from 0 to 1"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(
    alice: Client, ids: Ids, call: Callable[[Any], None], words: str
) -> None:
    with engine(alice, ids("five.ome.tif")) as proxy:
        with pytest.raises(omero.ApiUsageException, match=words):
            call(proxy)
        assert proxy.renderCompressed(plane()).startswith(b"\xff\xd8")


def test_thumbnails_keep_the_shape_and_come_for_many_images_at_once(alice: Client, ids: Ids) -> None:
    wanted = {ids("large.tif"): (96, 96), ids("colours.tif"): (96, 75), ids("five.ome.tif"): (96, 71)}
    proxy = alice.sf.createThumbnailStore()
    found = proxy.getThumbnailByLongestSideSet(rint(96), [*wanted, 10**9])
    assert {key: Image.open(io.BytesIO(found[key])).size for key in wanted} == wanted
    assert found[10**9] == b""
    proxy.setPixelsId(ids("colours.tif"))
    assert Image.open(io.BytesIO(proxy.getThumbnail(rint(30), rint(40)))).size == (30, 40)
    assert Image.open(io.BytesIO(proxy.getThumbnailByLongestSide(None))).size == (48, 37)
    with pytest.raises(omero.ApiUsageException, match="1 to 4096"):
        proxy.getThumbnailByLongestSide(rint(100_000))
    proxy.close()


def test_a_thumbnail_follows_the_settings_and_comes_from_the_cache(
    alice: Client, ids: Ids, server: Server
) -> None:
    pixels = ids("uint16.tif")
    proxy = alice.sf.createThumbnailStore()
    if not proxy.setPixelsId(pixels):
        proxy.resetDefaults()
        proxy.setPixelsId(pixels)
    before = proxy.getThumbnailByLongestSide(rint(53))
    kept = sorted((server.home / "thumbnails").rglob("*.jpg"))
    assert proxy.getThumbnailByLongestSide(rint(53)) == before
    assert sorted((server.home / "thumbnails").rglob("*.jpg")) == kept
    with engine(alice, pixels) as rendering:
        rendering.setModel(next(m for m in rendering.getAvailableModels() if m.value.val == "rgb"))
        rendering.setRGBA(0, 0, 0, 0, 255)
        rendering.saveCurrentSettings()
    proxy.setPixelsId(pixels)
    assert not np.asarray(Image.open(io.BytesIO(proxy.getThumbnailByLongestSide(rint(53))))).any()
    proxy.close()


def test_the_gateway_lists_the_settings_of_all_people(server: Server, ids: Ids) -> None:
    pixels = ids("int16.tif")
    for person in ("alice", "bob"):
        with server.client(person, "secret") as client, engine(client, pixels) as proxy:
            proxy.setRGBA(0, 10, 20, 30, 255)
            proxy.saveCurrentSettings()
    with server.client("alice", "secret") as client:
        conn = BlitzGateway(client_obj=client)
        (image,) = conn.getObjects("Image", attributes={"name": "int16.tif"})
        listed = image.getAllRenderingDefs()
    assert sorted(one["owner"]["firstName"] for one in listed) == ["Alice", "Bob"]
    assert listed[0]["c"][0]["color"] == "0A141E"
