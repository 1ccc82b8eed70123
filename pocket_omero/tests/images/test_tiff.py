# SPDX-License-Identifier: GPL-2.0-or-later
"""TIFF of all kinds reads as tifffile reads it, by regions, and never loads what nobody asked for."""

from __future__ import annotations

import resource
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from pocket_omero.images import PIXEL_TYPES, ImageError, OutsideError, Plane, inspect
from pocket_omero.images.tiff import TiffReader

SHAPE = (2, 3, 4, 61, 83)  # t, c, z, y, x: nothing divides a tile


def noise(kind: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Values over the whole range of a type."""
    dtype = np.dtype(PIXEL_TYPES.get(kind, kind))
    random = np.random.default_rng(5)
    if dtype.kind == "f":
        return (random.standard_normal(shape) * 1e6).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def whole(reader: TiffReader) -> np.ndarray:
    """All planes of a reader, (t, c, z, y, x), native byte order."""
    t, c, z, y, x = reader.info.shape
    out = np.zeros(reader.info.shape, reader.info.dtype)
    for place in np.ndindex(t, c, z):
        out[place] = reader.read(0, Plane(*place), 0, 0, y, x)
    return out


def check(path: Path, expected: np.ndarray, series: int = 0) -> TiffReader:
    """The whole image, and its far corner, are what was written."""
    reader = TiffReader(path, series)
    assert reader.info.shape == expected.shape
    np.testing.assert_array_equal(whole(reader), expected)
    _, c, _, y, x = expected.shape
    corner = reader.read(0, Plane(0, c - 1, 0), y // 3, x // 5, y - y // 3, x - x // 5)
    np.testing.assert_array_equal(corner, expected[0, -1, 0, y // 3 :, x // 5 :])
    return reader


@pytest.mark.parametrize("kind", PIXEL_TYPES)
@pytest.mark.parametrize("layout", ["plain", "strips", "tiles", "big endian"])
def test_every_pixel_type_reads_as_it_was_written(tmp_path: Path, kind: str, layout: str) -> None:
    options: dict[str, Any] = {
        "plain": {},
        "strips": {"compression": "zlib", "rowsperstrip": 7},
        "tiles": {"compression": "zlib", "tile": (16, 32)},
        "big endian": {"byteorder": ">", "tile": (16, 32)},
    }[layout]
    data = noise(kind)
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata={"axes": "TCZYX"}, **options)
    assert check(tmp_path / "a.ome.tif", data).info.dtype == np.dtype(PIXEL_TYPES[kind])


@pytest.mark.parametrize("axes", ["ZCTYX", "CTZYX", "TZCYX"])
def test_planes_in_any_order_come_to_their_place(tmp_path: Path, axes: str) -> None:
    data = noise("uint8")
    order = ["TCZYX".index(axis) for axis in axes]
    tifffile.imwrite(
        tmp_path / "a.ome.tif", data.transpose(order), metadata={"axes": axes}, compression="lzw"
    )
    check(tmp_path / "a.ome.tif", data)


@pytest.mark.parametrize("how", ["contiguous", "separate", "predicted", "jpeg"])
def test_colours_are_three_channels(tmp_path: Path, how: str) -> None:
    data = noise("uint8", (61, 83, 3))
    path = tmp_path / "a.tif"
    if how == "separate":
        options: dict[str, Any] = {"planarconfig": "separate", "compression": "zlib", "rowsperstrip": 9}
        tifffile.imwrite(path, data.transpose(2, 0, 1), photometric="rgb", **options)
    else:
        options = {
            "contiguous": {},
            "predicted": {"compression": "zlib", "predictor": True, "tile": (16, 16)},
            "jpeg": {"compression": "jpeg", "tile": (16, 16)},
        }[how]
        tifffile.imwrite(path, data, photometric="rgb", **options)
    expected = tifffile.imread(path)
    expected = expected if how == "separate" else expected.transpose(2, 0, 1)
    reader = check(path, expected[None, :, None])
    assert reader.info.rgb
    assert [channel.color for channel in reader.info.channels] == [
        (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)
    ]  # fmt: skip


def test_imagej_says_sizes_and_windows(tmp_path: Path) -> None:
    data = noise("uint16")
    metadata = {"axes": "TZCYX", "unit": "um", "spacing": 2.5, "finterval": 3.0, "Ranges": (1, 2, 3, 4, 5, 6)}
    tifffile.imwrite(
        tmp_path / "a.tif", data.transpose(0, 2, 1, 3, 4), imagej=True, metadata=metadata, resolution=(2, 2)
    )
    info = check(tmp_path / "a.tif", data).info
    assert info.sizes == ((2.5, "MICROMETER"), (0.5, "MICROMETER"), (0.5, "MICROMETER"))
    assert info.increment == (3.0, "SECOND")
    assert info.channels[1].window == (3.0, 4.0)


def test_ome_xml_says_names_colours_wavelengths_sizes_and_dates(tmp_path: Path) -> None:
    channels = {
        "Name": ["DNA", "Tubulin"], "Color": [0x0000FFFF, -16776961], "EmissionWavelength": [460, 520],
        "EmissionWavelengthUnit": ["nm", "nm"], "ExcitationWavelength": [405, 488],
        "ExcitationWavelengthUnit": ["nm", "nm"],
    }  # fmt: skip
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        noise("uint8", (2, 20, 30)),
        metadata={
            "axes": "CYX", "Name": "nuclei", "Description": "in words",
            "AcquisitionDate": "2024-03-01T10:00:00",
            "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25, "Channel": channels,
        },
    )  # fmt: skip
    (info,) = inspect(tmp_path / "a.ome.tif")
    assert (info.name, info.description) == ("nuclei", "in words")
    assert info.acquired == 1709287200000
    assert info.sizes == (None, (0.25, "MICROMETER"), (250.0, "NANOMETER"))
    assert [channel.name for channel in info.channels] == ["DNA", "Tubulin"]
    assert [channel.color for channel in info.channels] == [(0, 0, 255, 255), (255, 0, 0, 255)]
    assert [channel.emission for channel in info.channels] == [(460.0, "NANOMETER"), (520.0, "NANOMETER")]
    assert info.channels[1].excitation == (488.0, "NANOMETER")


def test_several_images_in_one_file_are_several_images(tmp_path: Path) -> None:
    first, second = noise("uint16", (3, 40, 50)), noise("uint8", (70, 60))
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(first, metadata={"axes": "CYX", "Name": "one"})
        writer.write(second, metadata={"axes": "YX", "Name": "two"})
    assert [info.name for info in inspect(tmp_path / "a.ome.tif")] == ["one", "two"]
    check(tmp_path / "a.ome.tif", first[None, :, None], series=0)
    check(tmp_path / "a.ome.tif", second[None, None, None], series=1)


def test_levels_of_the_file_are_levels_of_the_image(tmp_path: Path) -> None:
    levels = [noise("uint16", (2, side, side + 7)) for side in (160, 80, 40)]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(levels[0], subifds=2, tile=(32, 32), compression="zlib", metadata={"axes": "CYX"})
        for level in levels[1:]:
            writer.write(level, subfiletype=1, tile=(32, 32), compression="zlib")
    reader = TiffReader(tmp_path / "a.ome.tif", 0)
    assert reader.info.levels == ((160, 167), (80, 87), (40, 47))
    for number, level in enumerate(levels):
        part = reader.read(number, Plane(0, 1, 0), 3, 5, level.shape[1] - 3, level.shape[2] - 5)
        np.testing.assert_array_equal(part, level[1, 3:, 5:])


def test_a_slide_of_aperio_has_levels_a_size_and_named_companions(tmp_path: Path) -> None:
    path, said = tmp_path / "slide.svs", "Aperio Image Library v11.2.1\n600x400 {} |AppMag = 20|MPP = 0.499"
    with tifffile.TiffWriter(path) as writer:
        for height, width, kind in [(400, 600, 0), (40, 60, None), (100, 150, 0), (30, 30, 1), (50, 90, 9)]:
            tiles = {"tile": (32, 32)} if kind == 0 else {"rowsperstrip": 10}
            writer.write(
                noise("uint8", (height, width, 3)), photometric="rgb", subfiletype=kind or 0, metadata=None,
                description=said.format("label" if kind == 1 else "macro" if kind == 9 else "(32x32)"),
                compression="zlib", **tiles,
            )  # fmt: skip
    slide, *others = inspect(path)
    assert slide.levels == ((400, 600), (100, 150))
    assert slide.sizes[2] == (0.499, "MICROMETER")
    assert [info.name for info in others] == ["Thumbnail", "label image", "macro image"]
    check(path, noise("uint8", (400, 600, 3)).transpose(2, 0, 1)[None, :, None])


def test_an_image_over_several_files_is_one_image(tmp_path: Path) -> None:
    data = noise("uint8", (2, 30, 40))
    plane = (
        '<TiffData FirstC="{0}" PlaneCount="1"><UUID FileName="c{0}.ome.tif">urn:uuid:{1}</UUID></TiffData>'
    )
    uuids = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(2)]
    planes = "".join(plane.format(number, uuid) for number, uuid in enumerate(uuids))
    for number, uuid in enumerate(uuids):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{uuid}">'
            '<Image ID="Image:0" Name="both"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8"'
            ' SizeX="40" SizeY="30" SizeC="2" SizeZ="1" SizeT="1">'
            '<Channel ID="Channel:0:0"/><Channel ID="Channel:0:1"/>'
            f"{planes}</Pixels></Image></OME>"
        )
        tifffile.imwrite(tmp_path / f"c{number}.ome.tif", data[number], description=xml, metadata=None)
    reader = check(tmp_path / "c0.ome.tif", data[None, :, None])
    assert [Path(name).name for name in reader.info.files] == ["c0.ome.tif", "c1.ome.tif"]


def test_one_bit_and_half_floats_lose_nothing(tmp_path: Path) -> None:
    bits = noise("uint8", (40, 50)) > 100
    tifffile.imwrite(tmp_path / "bits.tif", bits)
    assert check(tmp_path / "bits.tif", bits[None, None, None].astype("u1")).info.dtype == np.uint8
    half = noise("uint8", (40, 50)).astype("f2")
    tifffile.imwrite(tmp_path / "half.tif", half)
    assert check(tmp_path / "half.tif", half[None, None, None].astype("f4")).info.dtype == np.float32


@pytest.mark.parametrize("dtype", ["c8", "c16", "u8", "i8"])
def test_types_that_no_client_can_read_are_refused_in_words(tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), dtype))
    with pytest.raises(ImageError, match="cannot be served: OMERO's clients know no such type"):
        inspect(tmp_path / "a.tif")


def test_unnamed_planes_are_time_points(tmp_path: Path) -> None:
    data = noise("uint8", (5, 30, 40))
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", metadata=None)
    check(tmp_path / "a.tif", data[:, None, None])


def test_a_part_outside_is_refused_in_words(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), "u1"))
    reader = TiffReader(tmp_path / "a.tif", 0)
    for level, plane, box in [
        (0, Plane(0, 0, 0), (0, 0, 9, 9)),
        (0, Plane(0, 0, 0), (-1, 0, 2, 2)),
        (0, Plane(0, 0, 0), (0, 0, 0, 2)),
        (0, Plane(0, 1, 0), (0, 0, 2, 2)),
        (0, Plane(0, 0, -1), (0, 0, 2, 2)),
        (1, Plane(0, 0, 0), (0, 0, 2, 2)),
    ]:
        with pytest.raises(OutsideError, match=r"lies outside|there is no resolution level"):
            reader.read(level, plane, *box)
    with pytest.raises(ImageError, match="no number 1"):
        TiffReader(tmp_path / "a.tif", 1)


@pytest.mark.parametrize("layout", [{}, {"compression": "zlib", "tile": (16, 16)}])
def test_a_file_that_is_cut_while_it_is_open_gives_words(tmp_path: Path, layout: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise("uint16", (600, 800)), **layout)
    reader = TiffReader(path, 0)
    with path.open("r+b") as file:
        file.truncate(20_000)
    with pytest.raises(ImageError, match="ends too early"):
        reader.read(0, Plane(0, 0, 0), 500, 700, 100, 100)


@pytest.mark.slow
@given(st.data())
def test_whatever_bytes_a_file_holds_it_is_refused_in_words_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("broken") / "a.ome.tif"
    tifffile.imwrite(path, np.arange(1600, dtype="u2").reshape(40, 40), compression="zlib", tile=(16, 16))
    whole_file = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        whole_file[data.draw(st.integers(0, len(whole_file) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole_file[: data.draw(st.integers(0, len(whole_file)))])
    try:
        for info in inspect(path):
            TiffReader(path, info.series).read(0, Plane(0, 0, 0), 0, 0, 1, 1)
    except ImageError as refused:
        assert str(refused)


def test_pixels_of_an_unknown_kind_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.arange(1600, dtype="u2").reshape(40, 40), compression="zlib", tile=(16, 16))
    broken = bytearray(path.read_bytes())
    broken[42] = 190  # BitsPerSample
    path.write_bytes(broken)
    with pytest.raises(ImageError):
        for info in inspect(path):
            TiffReader(path, info.series)


def test_many_threads_read_one_image(tmp_path: Path) -> None:
    data = noise("uint16", (4, 200, 200))
    tifffile.imwrite(
        tmp_path / "a.ome.tif", data, metadata={"axes": "CYX"}, compression="zlib", tile=(32, 32)
    )
    reader = TiffReader(tmp_path / "a.ome.tif", 0)
    wrong = []

    def read(channel: int) -> None:
        for y in range(0, 150, 11):
            part = reader.read(0, Plane(0, channel, 0), y, 17, 50, 150)
            if not np.array_equal(part, data[channel, y : y + 50, 17:167]):
                wrong.append((channel, y))

    threads = [threading.Thread(target=read, args=(number % 4,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_tile_of_a_slide_takes_no_memory_for_the_slide(tmp_path: Path) -> None:
    """20,000 x 27,000 pixels of 16 bits: a sparse file of 1 GB, in which one tile is read."""
    path = tmp_path / "slide.ome.tif"
    tifffile.memmap(path, shape=(27_000, 20_000), dtype="u2", bigtiff=True, metadata={"axes": "YX"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tile = TiffReader(path, 0).read(0, Plane(0, 0, 0), 26_000, 19_000, 1000, 1000)
    assert tile.shape == (1000, 1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
