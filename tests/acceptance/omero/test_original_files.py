# SPDX-License-Identifier: BSD-3-Clause
"""An image whose file is fewer bytes than its pixels comes by its file, and nobody can tell by the result."""

import re
import subprocess
import threading
import time

import numpy as np
import pytest
import tifffile

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef
from slidegate.sources.contract import contents

pytestmark = [pytest.mark.omero, pytest.mark.slow]

SHAPE = (2, 1500, 1700)
PEOPLE = """\
groups: {lab: read-annotate}
people:
  alice: {password: secret-a, groups: [lab]}
  bob: {password: secret-b, groups: [lab]}
  root: {password: secret-r}
"""


def cells(seed):
    """Discs on an empty ground, which pack well, in two channels that differ."""
    random = np.random.default_rng(seed)
    pixels = np.zeros(SHAPE, np.uint16)
    y, x = np.mgrid[:40, :40] - 20
    disc = (y**2 + x**2 < 300).astype(np.uint16)
    for c in range(SHAPE[0]):
        for _ in range(60):
            top, left = random.integers(0, SHAPE[1] - 40), random.integers(0, SHAPE[2] - 40)
            pixels[c, top : top + 40, left : left + 40] = disc * random.integers(1000, 4000)
    return pixels


def write_slide(path, pixels, **more):
    tiled = {"tile": (256, 256), "compression": "zlib"} | more
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, subifds=1, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}, **tiled)
        file.write(pixels[:, ::2, ::2], subfiletype=1, **tiled)
        file.write(np.full((60, 80), 77, np.uint8), metadata={"axes": "YX", "Name": "label image"})
        file.write(pixels[:, ::-1], metadata={"axes": "CYX", "Name": "second"}, **tiled)


def write_scan(path, pixels):
    """Write a plane as Aperio scanners do: full size, thumbnail, smaller size, label, photograph."""
    grey = {"photometric": "minisblack", "metadata": None, "compression": "zlib"}
    told = "Aperio Image Library v12.0.15\n"
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, tile=(256, 256), description=f"{told}full|AppMag = 20|MPP = 0.5", **grey)
        file.write(pixels[::16, ::16], description=f"{told}thumbnail", **grey)
        file.write(pixels[::4, ::4], tile=(256, 256), description=f"{told}smaller", **grey)
        file.write(np.full((60, 80), 77, np.uint8), subfiletype=1, description=f"{told}label 80x60", **grey)
        file.write(np.full((60, 99), 78, np.uint8), subfiletype=9, description=f"{told}macro 99x60", **grey)


@pytest.fixture(scope="module")
def pocket_omero(pocket_omero_at, tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    slides = folder / "slides"
    slides.mkdir()
    (folder / "people.yml").write_text(PEOPLE)
    write_slide(slides / "packed.ome.tif", cells(1))
    write_slide(slides / "other.ome.tif", cells(2))
    write_slide(slides / "swapped.ome.tif", cells(1)[::-1])
    write_slide(slides / "plain.ome.tif", cells(3), compression=None)
    packed = {"compression": "zlib", "photometric": "minisblack"}
    tifffile.imwrite(slides / "strips.tif", cells(4)[0], rowsperstrip=32, **packed)
    write_scan(slides / "scan.svs", cells(9)[0])
    stack = np.stack([cells(seed)[0] for seed in (5, 6, 7)])
    tifffile.imwrite(slides / "stack.ome.tif", stack, metadata={"axes": "ZYX"}, **packed)
    return pocket_omero_at(folder)


@pytest.fixture
def source(pocket_omero):
    from slidegate.sources.omero.connection import Connection, Server
    from slidegate.sources.omero.source import OmeroSource

    server = Server(pocket_omero.host, pocket_omero.port, pocket_omero.server.authority)
    source = OmeroSource(lambda: Connection.login(server, *pocket_omero.person()), patience_s=30)
    yield source
    source.close()


@pytest.fixture
def images(pocket_omero):
    rows = pocket_omero.server.house.state.all("Image")
    return {re.sub(r" \[(Image0|Series 1)\]$", "", row["name"]): row for row in rows}


@pytest.fixture
def small_blocks(monkeypatch):
    from slidegate.sources.omero import originals

    monkeypatch.setattr(originals, "BLOCK", 4096)


class Asked:
    """What OMERO has been asked for since this was made."""

    def __init__(self, pocket_omero):
        self._made = pocket_omero.server.house.calls.made
        self._before = dict(self._made)

    def __getitem__(self, name):
        return self._made[name] - self._before.get(name, 0)

    @property
    def tiles(self):
        return self["RawPixelsStore.getTile"]

    @property
    def blocks(self):
        return self["RawFileStore.read"]


@pytest.fixture
def asked(pocket_omero):
    return lambda: Asked(pocket_omero)


def ref_to(images, name, choice=""):
    return ImageRef("omero", f"{images[name].id}{choice}")


def by_pixels(source, ref, folder, faults):
    """Stage as a person who may not have the file."""
    faults.set(fail={"RawFileStore.setFileId": "SecurityViolation"})
    source.stage(ref, folder)
    faults.clear()
    return contents(folder)


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("packed.ome.tif", ""),
        ("packed.ome.tif [second]", ""),
        ("strips.tif", ""),
        ("scan.svs", ""),
        ("stack.ome.tif", "#z=2"),
    ],
)
def test_an_image_is_the_same_bytes_by_its_file_and_by_its_pixels(
    source, images, tmp_path, asked, pocket_omero_faults, name, choice
):
    ref = ref_to(images, name, choice)
    before = source.fingerprint(ref), source.content_digest(ref)
    expected = by_pixels(source, ref, tmp_path / "pixels", pocket_omero_faults)
    since, told = asked(), []
    source.stage(ref, tmp_path / "place" / "file", lambda *at: told.append(at))
    info = source.describe(ref)
    assert (since.blocks, since.tiles) == (1, 3 * info.shape[0])  # a few places are compared
    assert contents(tmp_path / "place" / "file") == expected
    assert (source.fingerprint(ref), source.content_digest(ref)) == before
    assert told == sorted(told)
    assert told[-1] == (info.bytes, info.bytes)
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["file"]


def test_a_file_that_is_not_fewer_bytes_or_of_no_known_kind_is_left_where_it_is(
    source, images, tmp_path, asked, pocket_omero
):
    since = asked()
    source.stage(ref_to(images, "plain.ome.tif"), tmp_path / "plain")
    with pocket_omero.gateway() as conn:  # pixels that were sent have no file
        made = conn.createImageFromNumpySeq(iter([cells(8)[0]]), "made").getId()
    source.stage(ImageRef("omero", str(made)), tmp_path / "made")
    assert since["RawFileStore.setFileId"] == 0
    assert since.tiles > 4


@pytest.mark.parametrize(
    "fail",
    [
        {"RawFileStore.setFileId": "SecurityViolation"},
        {"RawFileStore.read": "SecurityViolation"},
        {"RawFileStore.read": "ResourceError"},
        {"ServiceFactory.createRawFileStore": "InternalException"},
    ],
)
def test_where_omero_does_not_give_the_file_the_pixels_are_read(
    source, images, tmp_path, asked, pocket_omero_faults, fail
):
    ref = ref_to(images, "packed.ome.tif")
    source.stage(ref, tmp_path / "file")
    pocket_omero_faults.set(fail=fail)
    since = asked()
    source.stage(ref, tmp_path / "pixels")
    assert since["ServiceFactory.createRawFileStore"] == 1  # it is not asked again until the patience ends
    assert since.tiles == 2 * 4
    assert contents(tmp_path / "pixels") == contents(tmp_path / "file")


def test_where_the_policy_forbids_files_none_is_asked_for(source, images, tmp_path, asked, pocket_omero):
    config = pocket_omero.server.house.config
    before = config["omero.policy.binary_access"]
    config["omero.policy.binary_access"] = "-read,-write,+image"
    try:
        since = asked()
        source.stage(ref_to(images, "packed.ome.tif"), tmp_path / "pixels")
    finally:
        config["omero.policy.binary_access"] = before
    assert (since["ServiceFactory.createRawFileStore"], since.tiles) == (0, 2 * 4)


@pytest.fixture
def changed(pocket_omero):
    """Change a row for the time of a test."""
    state = pocket_omero.server.house.state
    before = []

    def change(row, **values):
        with state.change():
            before.append((row, {name: row[name] for name in values}))
            state.set(row, **values)

    yield change
    for row, values in before:
        with state.change():
            state.set(row, **values)


def file_of(pocket_omero, name):
    [row] = [row for row in pocket_omero.server.house.state.all("OriginalFile") if row["name"] == name]
    return row


@pytest.mark.parametrize("wrong", [{"hash": "0" * 40}, {"size": 5000}, {"hash": None}, {"hash": "abcd"}])
def test_a_file_that_is_not_what_omero_has_noted_is_not_used(
    source, images, tmp_path, asked, pocket_omero, changed, wrong
):
    ref = ref_to(images, "packed.ome.tif")
    source.stage(ref, tmp_path / "file")
    changed(file_of(pocket_omero, "packed.ome.tif"), **wrong)
    since = asked()
    source.stage(ref, tmp_path / "place" / "pixels")
    assert since.tiles == 2 * 4
    assert contents(tmp_path / "place" / "pixels") == contents(tmp_path / "file")
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["pixels"]


@pytest.mark.parametrize("other", ["other.ome.tif", "swapped.ome.tif", "strips.tif"])
def test_a_file_whose_pixels_are_not_those_that_omero_shows_is_not_used(
    source, images, tmp_path, pocket_omero, pocket_omero_faults, changed, other
):
    ref = ref_to(images, "packed.ome.tif")
    expected = by_pixels(source, ref, tmp_path / "pixels", pocket_omero_faults)
    state = pocket_omero.server.house.state
    mine = file_of(pocket_omero, "packed.ome.tif")
    [entry] = [row for row in state.all("FilesetEntry") if row["originalFile"] is mine]
    changed(entry, originalFile=file_of(pocket_omero, other))
    source.stage(ref, tmp_path / "staged")
    assert contents(tmp_path / "staged") == expected


def test_the_file_lies_where_nobody_else_can_read_it_and_goes_when_the_work_ends_early(
    source, images, tmp_path, small_blocks
):
    place = tmp_path / "place"
    seen = []

    def look(done, total):
        [path] = place.rglob("original")
        seen.append((path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source.stage(ref_to(images, "packed.ome.tif"), place / "staged", look)
    assert set(seen) == {(0o700, 0o600)}
    assert list(place.iterdir()) == []


def test_nothing_but_pixels_is_taken_from_the_file(source, images, tmp_path):
    source.stage(ref_to(images, "packed.ome.tif"), tmp_path / "staged")
    for content in contents(tmp_path / "staged").values():
        assert not any(word in content for word in (b"label image", b"tifffile", b"packed", b"second"))


@pytest.mark.parametrize("after", [0, 7])
def test_a_connection_that_is_lost_on_the_way_is_made_again(
    source, images, tmp_path, asked, small_blocks, pocket_omero_faults, after
):
    ref = ref_to(images, "packed.ome.tif")
    pocket_omero_faults.set(drop_after=after, drop_on="RawFileStore.read")
    since = asked()
    source.stage(ref, tmp_path / "staged")
    assert pocket_omero_faults.drop_after is None
    assert since.tiles == 3 * 2


def test_a_file_comes_whole_though_omero_is_restarted_in_between(
    source, images, tmp_path, asked, small_blocks, pocket_omero, pocket_omero_faults
):
    since = asked()
    pocket_omero_faults.set(delay={"RawFileStore.read": 1.0})
    staging = threading.Thread(
        target=source.stage, args=(ref_to(images, "packed.ome.tif"), tmp_path / "staged")
    )
    staging.start()
    until = time.monotonic() + 30
    while since.blocks < 1 and time.monotonic() < until:
        time.sleep(0.01)
    pocket_omero.server.restart()
    pocket_omero_faults.clear()
    staging.join(60)
    assert (tmp_path / "staged" / "zarr.json").is_file()
    made = pocket_omero.server.house.calls.made  # counted anew
    assert made["RawFileStore.read"] > 0
    assert made["RawPixelsStore.getTile"] == 3 * 2


def test_what_is_here_of_a_file_is_not_asked_for_again(source, images, tmp_path, asked, small_blocks):
    ref = ref_to(images, "packed.ome.tif")
    parts = tmp_path / "parts"

    def stop(done, total):
        if (parts / "original").stat().st_size >= 5 * 4096:
            raise KeyboardInterrupt

    since = asked()
    source.stage(ref, tmp_path / "at once")
    blocks = since.blocks
    with pytest.raises(KeyboardInterrupt):
        source.stage(ref, tmp_path / "staged", stop, parts=parts)
    since = asked()
    source.stage(ref, tmp_path / "staged", parts=parts)
    assert since.blocks <= blocks - 4
    assert contents(tmp_path / "staged") == contents(tmp_path / "at once")
    assert list(parts.iterdir()) == []


def test_parts_of_a_file_that_were_harmed_meanwhile_are_noticed(source, images, tmp_path, asked):
    ref = ref_to(images, "packed.ome.tif")
    source.stage(ref, tmp_path / "at once")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "original").write_bytes(b"x" * 4096)
    since = asked()
    source.stage(ref, tmp_path / "staged", parts=tmp_path / "parts")
    assert since.tiles == 2 * 4
    assert contents(tmp_path / "staged") == contents(tmp_path / "at once")


@pytest.mark.root
def test_a_disk_that_is_too_small_for_the_file_is_called_full_and_is_empty_again(source, images, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "slidegate-test", str(disk)], check=True)
    try:
        with pytest.raises(SlidegateError) as caught:
            source.stage(ref_to(images, "packed.ome.tif"), disk / "staged")
        assert (caught.value.code, list(disk.iterdir())) == ("disk-full", [])
    finally:
        subprocess.run(["umount", str(disk)], check=True)
