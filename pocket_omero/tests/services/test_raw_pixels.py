# SPDX-License-Identifier: GPL-2.0-or-later
"""RawPixelsStore, as OMERO's own client sees it: every byte is where it should be."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import omero
import pytest
from omero.gateway import BlitzGateway
from pocket_omero.server import Client, Server

pytestmark = pytest.mark.omero

Ids = Callable[[str], int]
Array = Callable[[str], np.ndarray]
TYPES = ["int8", "int16", "int32", "uint8", "uint16", "uint32", "float", "double"]


@contextmanager
def store(client: Client, pixels: int, group: int | None = None) -> Iterator[Any]:
    """A RawPixelsStore of one image."""
    context = {} if group is None else {"omero.group": str(group)}
    proxy = client.sf.createRawPixelsStore(context)
    try:
        proxy.setPixelsId(pixels, True, context)
        yield proxy
    finally:
        proxy.close()


def big_endian(data: bytes, dtype: np.dtype[Any], *shape: int) -> np.ndarray:
    return np.frombuffer(data, dtype.newbyteorder(">")).reshape(shape)


@pytest.mark.parametrize("name", TYPES)
def test_every_pixel_type_comes_through_the_gateway_as_tifffile_reads_it(
    alice: Client, array: Array, name: str
) -> None:
    expected = array(f"{name}.tif")
    conn = BlitzGateway(client_obj=alice)
    (image,) = conn.getObjects("Image", attributes={"name": f"{name}.tif"})
    pixels = image.getPrimaryPixels()
    plane = pixels.getPlane(0, 0, 0)
    assert plane.dtype == expected.dtype
    np.testing.assert_array_equal(plane, expected)
    np.testing.assert_array_equal(pixels.getTile(0, 0, 0, (9, 20, 44, 17)), expected[20:, 9:])


@pytest.mark.parametrize("name", TYPES)
def test_every_pixel_type_that_is_made_comes_back_the_same(alice: Client, name: str) -> None:
    dtype = np.dtype({"float": "f4", "double": "f8"}.get(name, name))
    random = np.random.default_rng(4)
    values = random.integers(0, 2**64, (2 * 3 * 2 * 31, 17), np.uint64).astype(dtype).reshape(2, 3, 2, 31, 17)
    service = alice.sf.getPixelsService()
    kind = service.getEnumeration("PixelsType", name)
    image = service.createImage(17, 31, 2, 2, [0, 488, 561], kind, f"made of {name}", "")
    pixels = newest_pixels(alice, image.val)
    with store(alice, pixels) as writing:
        for t, c, z in np.ndindex(2, 3, 2):
            writing.setPlane(values[t, c, z].astype(dtype.newbyteorder(">")).tobytes(), z, c, t)
        saved = writing.save()
        assert saved.sha1.val == hashlib.sha1(values.astype(dtype.newbyteorder(">")).tobytes()).hexdigest()
    with store(alice, pixels) as reading:
        for t, c, z in np.ndindex(2, 3, 2):
            plane = big_endian(reading.getPlane(z, c, t), dtype, 31, 17)
            np.testing.assert_array_equal(plane, values[t, c, z])


def newest_pixels(client: Client, image: int) -> int:
    """The id of the Pixels of an image, asked as clients ask."""
    query = client.sf.getQueryService()
    parameters = omero.sys.ParametersI().addId(image)
    return int(query.findByQuery("select p from Pixels p where p.image.id = :id", parameters).id.val)


def test_tiles_at_odd_borders_are_parts_of_the_plane(alice: Client, ids: Ids, array: Array) -> None:
    expected = array("five.ome.tif")
    with store(alice, ids("five.ome.tif")) as proxy:
        for x, y, w, h in [(0, 0, 83, 61), (31, 15, 2, 2), (82, 60, 1, 1), (64, 0, 19, 61), (1, 48, 82, 13)]:
            tile = big_endian(proxy.getTile(3, 2, 1, x, y, w, h), expected.dtype, h, w)
            np.testing.assert_array_equal(tile, expected[1, 2, 3, y : y + h, x : x + w])


def test_all_ways_of_reading_agree(alice: Client, ids: Ids, array: Array) -> None:
    whole = array("five.ome.tif")
    flat = whole.astype(">u2").tobytes()
    with store(alice, ids("five.ome.tif")) as proxy:

        def same(data: bytes, expected: np.ndarray) -> None:
            assert data == expected.astype(">u2").tobytes()

        same(proxy.getStack(2, 1), whole[1, 2])
        same(proxy.getTimepoint(1), whole[1])
        same(proxy.getRow(60, 3, 2, 1), whole[1, 2, 3, 60])
        same(proxy.getCol(82, 3, 2, 1), whole[1, 2, 3, :, 82])
        same(proxy.getPlaneRegion(3, 2, 1, 100, 50), whole[1, 2, 3].ravel()[50:150])
        cube = proxy.getHypercube([3, 5, 1, 0, 0], [20, 10, 3, 2, 2], [2, 3, 2, 1, 1])
        same(cube, whole[:, :2, 1:4:2, 5:15:3, 3:23:2])
        assert proxy.getRegion(301, 12_345) == flat[12_345:12_646]
        assert proxy.calculateMessageDigest() == hashlib.sha1(flat).digest()
        sizes = [proxy.getRowSize(), proxy.getPlaneSize(), proxy.getStackSize(), proxy.getTimepointSize()]
        assert sizes == [166, 10_126, 40_504, 121_512]
        assert proxy.getTotalSize() == len(flat)
        offset = proxy.getRowOffset(7, 1, 2, 1)
        assert flat[offset : offset + 166] == whole[1, 2, 1, 7].astype(">u2").tobytes()
        assert (proxy.getByteWidth(), proxy.isSigned(), proxy.isFloat()) == (2, False, False)


def test_levels_count_from_the_smallest_and_are_described_from_the_largest(
    alice: Client, ids: Ids, server: Server
) -> None:
    import tifffile

    path = server.folder / "shapes" / "levels.ome.tif"
    levels = [tifffile.imread(path, series=0, level=number) for number in range(3)]
    with store(alice, ids("levels.ome.tif")) as proxy:
        assert (proxy.getResolutionLevels(), proxy.getResolutionLevel()) == (3, 2)
        described = [(one.sizeX, one.sizeY) for one in proxy.getResolutionDescriptions()]
        assert described == [(920, 900), (470, 450), (245, 225)]
        for number, level in zip((2, 1, 0), levels, strict=True):
            proxy.setResolutionLevel(number)
            height, width = level.shape[1:]
            tile = big_endian(
                proxy.getTile(0, 1, 0, 100, 120, width - 100, height - 120),
                level.dtype,
                height - 120,
                width - 100,
            )
            np.testing.assert_array_equal(tile, level[1, 120:, 100:])
        with pytest.raises(omero.ApiUsageException, match="no resolution level 3"):
            proxy.setResolutionLevel(3)


def test_a_large_image_without_levels_gets_them(alice: Client, ids: Ids, array: Array) -> None:
    expected = array("large.tif")
    with store(alice, ids("large.tif")) as proxy:
        assert proxy.requiresPixelsPyramid()
        assert proxy.getResolutionLevels() == 4
        assert proxy.getTileSize() == [512, 512]
        proxy.setResolutionLevel(2)
        tile = np.frombuffer(proxy.getTile(0, 0, 0, 1600, 1600, 51, 50), "u1").reshape(50, 51)
        four = expected[3200:3300, 3200:3301].astype(int)
        four = np.pad(four, [(0, 0), (0, 1)], mode="edge").reshape(50, 2, 51, 2).sum(axis=(1, 3))
        np.testing.assert_array_equal(tile, (four + 2) // 4)
        assert proxy.findMinMax([0]) == {}


def test_histogram_and_extremes_are_those_of_the_plane(alice: Client, ids: Ids, array: Array) -> None:
    whole = array("five.ome.tif")
    with store(alice, ids("five.ome.tif")) as proxy:
        middle = whole[1, 1, 2]
        assert proxy.findMinMax([1]) == {1: [float(middle.min()), float(middle.max())]}
        plane = omero.romio.PlaneDef(0, 0, 0, 2, 1, None, -1)
        counts = proxy.getHistogram([0, 1], 16, False, plane)
        low, high = whole[1, 1, 2].min(), whole[1, 1, 2].max()
        np.testing.assert_array_equal(counts[1], np.histogram(middle, 16, (low, high))[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda proxy: proxy.getTile(9, 0, 0, 0, 0, 1, 1), "z=9 lies outside the image, which has 4"),
        (lambda proxy: proxy.getTile(0, 0, 0, 80, 0, 10, 10), "lies outside 83 x 61 pixels"),
        (lambda proxy: proxy.getTile(0, 0, 0, 0, 0, -1, 1), "lies outside"),
        (lambda proxy: proxy.getPlane(0, 3, 0), "c=3 lies outside"),
        (lambda proxy: proxy.getRegion(10**9, 0), "lie outside"),
        (lambda proxy: proxy.getPlaneRegion(0, 0, 0, 5064, 0), "lie outside a plane"),
        (lambda proxy: proxy.getHypercube([0] * 5, [1] * 5, [0] * 5), "five values"),
        (lambda proxy: proxy.setPlane(b"", 0, 0, 0), "its pixels are only read"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    alice: Client, ids: Ids, call: Callable[[Any], None], words: str
) -> None:
    with store(alice, ids("five.ome.tif")) as proxy:
        with pytest.raises(omero.ApiUsageException, match=words):
            call(proxy)
        assert proxy.getPlaneSize() == 10_126  # it still answers


def test_a_file_that_was_broken_later_gives_words_and_no_dead_server(
    alice: Client, ids: Ids, server: Server
) -> None:
    with store(alice, ids("spoilt.tif")) as proxy:
        assert len(proxy.getPlane(0, 0, 0)) == 64 * 64
    path = server.folder / "shapes" / "spoilt.tif"
    path.write_bytes(path.read_bytes()[:300])
    with (
        pytest.raises(omero.ResourceError, match=r"cannot be read|ends too early|no image"),
        store(alice, ids("spoilt.tif")) as proxy,
    ):
        proxy.getPlane(0, 0, 0)
    path.unlink()
    with pytest.raises(omero.ResourceError, match="is gone"), store(alice, ids("spoilt.tif")):
        pass
    assert [name for name, _ in server.loaded.refused] == ["shapes/broken.tif"]
    with store(alice, ids("five.ome.tif")) as proxy:
        assert len(proxy.getPlane(0, 0, 0)) == 10_126


def test_pixels_of_a_private_group_are_there_for_their_owner_only(
    alice: Client, bob: Client, ids: Ids, server: Server
) -> None:
    (group,) = server.house.state.where("ExperimenterGroup", "name", "closed")
    with store(alice, ids("closed.tif"), group.id) as proxy:
        assert len(proxy.getPlane(0, 0, 0)) == 400
    with (
        pytest.raises(omero.ValidationException, match="Cannot read"),
        store(bob, ids("closed.tif"), group.id),
    ):
        pass


def test_a_colleague_may_read_but_not_write_what_somebody_made(alice: Client, bob: Client) -> None:
    service = alice.sf.getPixelsService()
    kind = service.getEnumeration("PixelsType", "uint8")
    pixels = newest_pixels(alice, service.createImage(4, 4, 1, 1, [0], kind, "mine", "").val)
    with store(bob, pixels) as proxy:
        assert proxy.getPlane(0, 0, 0) == bytes(16)
        with pytest.raises(omero.SecurityViolation):
            proxy.setPlane(bytes(range(16)), 0, 0, 0)
        assert proxy.getPlane(0, 0, 0) == bytes(16)


def test_tiles_rows_and_stacks_are_written_where_they_belong(alice: Client) -> None:
    service = alice.sf.getPixelsService()
    kind = service.getEnumeration("PixelsType", "int16")
    pixels = newest_pixels(alice, service.createImage(13, 11, 2, 1, [0], kind, "parts", "").val)
    expected = np.zeros((2, 11, 13), ">i2")
    with store(alice, pixels) as proxy:
        expected[0, 3:8, 5:12] = np.arange(35).reshape(5, 7)
        proxy.setTile(expected[0, 3:8, 5:12].tobytes(), 0, 0, 0, 5, 3, 7, 5)
        expected[1, 10] = -7
        proxy.setRow(expected[1, 10].tobytes(), 10, 1, 0, 0)
        assert proxy.getStack(0, 0) == expected.tobytes()
        expected += 1
        proxy.setStack(expected.tobytes(), 0, 0, 0)
        assert proxy.getTimepoint(0) == expected.tobytes()
        for wrong in (bytes(3), bytes(1000)):
            with pytest.raises(omero.ApiUsageException, match="bytes are needed"):
                proxy.setPlane(wrong, 0, 0, 0)
        assert proxy.getStack(0, 0) == expected.tobytes()


def test_levels_of_a_large_image_follow_what_is_written_into_it(alice: Client) -> None:
    service = alice.sf.getPixelsService()
    kind = service.getEnumeration("PixelsType", "uint8")
    pixels = newest_pixels(alice, service.createImage(3300, 3300, 1, 1, [0], kind, "large", "").val)
    with store(alice, pixels) as proxy:
        for value in (100, 200):
            proxy.setResolutionLevel(proxy.getResolutionLevels() - 1)
            proxy.setTile(bytes([value]) * 3300 * 8, 0, 0, 0, 0, 0, 3300, 8)
            proxy.save()
            proxy.setResolutionLevel(0)
            assert proxy.getTile(0, 0, 0, 5, 0, 1, 1) == bytes([value])


WRITER = """
import sys
from pathlib import Path
from pocket_omero.server import Server
import numpy as np
server = Server(Path(sys.argv[1])).start()
client = server.client("alice", "secret")
service = client.sf.getPixelsService()
kind = service.getEnumeration("PixelsType", "uint16")
image = service.createImage(300, 200, 1, 1, [0], kind, "survivor", "").val
store = client.sf.createRawPixelsStore()
pixels = server.house.state.many(server.house.state.get("Image", image), "pixels")[0].id
store.setPixelsId(pixels, False)
store.setPlane(np.arange(60000, dtype=">u2").tobytes(), 0, 0, 0)
print(image, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_plane_that_was_answered_survives_a_server_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "people.yml").write_text(
        "groups: {lab: private}\npeople: {alice: {password: secret, groups: [lab]}}\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        image = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    with (
        Server(tmp_path) as again,
        again.client("alice", "secret") as client,
        store(client, newest_pixels(client, image)) as proxy,
    ):
        assert proxy.getPlane(0, 0, 0) == np.arange(60000, dtype=">u2").tobytes()


@pytest.mark.parametrize("made", [False, True])
def test_other_pixels_can_show_the_same(alice: Client, ids: Ids, server: Server, made: bool) -> None:
    images, state = server.house.images, server.house.state
    old = ids("uint16.tif")
    if made:
        service = alice.sf.getPixelsService()
        kind = service.getEnumeration("PixelsType", "uint16")
        old = newest_pixels(alice, service.createImage(53, 37, 1, 1, [0], kind, "source", "").val)
        with store(alice, old) as proxy:
            proxy.setPlane(bytes(range(106)) * 37, 0, 0, 0)
    row = state.get("Pixels", old)
    assert row is not None
    with state.change():
        new = state.new("Pixels", **{k: v for k, v in row.values.items() if not k.startswith("#")})
        images.copy(old, new.id)
    server.restart()
    with (
        server.client("alice", "secret") as client,
        store(client, old) as one,
        store(client, new.id) as other,
    ):
        assert one.getPlane(0, 0, 0) == other.getPlane(0, 0, 0)
        assert one.calculateMessageDigest() == other.calculateMessageDigest()


def test_tiles_that_many_ask_for_at_once_do_not_mix(server: Server, ids: Ids, array: Array) -> None:
    whole = array("five.ome.tif").astype(">u2")
    pixels = ids("five.ome.tif")

    def read(number: int) -> bool:
        with server.client("alice", "secret") as client, store(client, pixels) as proxy:
            planes = [((number + i) % 2, (number + i) % 3, i % 4) for i in range(60)]
            calls = [
                proxy.begin_getTile(z, c, t, number, i % 40, 40, 21) for i, (t, c, z) in enumerate(planes)
            ]
            tiles = [proxy.end_getTile(call) for call in calls]
        return all(
            tile == whole[t, c, z, i % 40 : i % 40 + 21, number : number + 40].tobytes()
            for i, ((t, c, z), tile) in enumerate(zip(planes, tiles, strict=True))
        )

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [True] * 8
