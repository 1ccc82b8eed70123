# SPDX-License-Identifier: BSD-3-Clause
"""Every way in which an image can be unfit: one clear sentence, a stable code, nothing half-written."""

import os
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from slidegate_analysis.images import open_image

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef
from slidegate.sources.folder import FolderSource

PIXELS = np.random.default_rng(5).integers(0, 4096, (2, 300, 200), np.uint16)
OME_SIZE = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}


def refused(path: Path | str, into: Path) -> SlidegateError:
    """Check that staging an image is refused and leaves nothing, and return the refusal."""
    target = into / "place-for-staging"
    target.mkdir()
    with pytest.raises(SlidegateError) as caught:
        FolderSource().stage(ImageRef("folder", str(path)), target / "image")
    assert list(target.iterdir()) == []
    target.rmdir()
    message = str(caught.value)
    assert message.endswith(".")
    assert len(message) < 400
    assert "\n" not in message
    assert str(into) not in message
    assert not caught.value.transient
    return caught.value


def staged(path: Path | str, into: Path, name: str = "staged"):
    FolderSource().stage(ImageRef("folder", str(path)), into / name)
    return open_image(into / name)


def describe(path: Path | str):
    return FolderSource().describe(ImageRef("folder", str(path)))


def ome_tiff(path: Path, pixels: np.ndarray = PIXELS, axes: str = "CYX", **metadata) -> Path:
    tifffile.imwrite(
        path, pixels, tile=(64, 64), compression="zlib", metadata={"axes": axes} | OME_SIZE | metadata
    )
    return path


def edit_bytes(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def with_description(path: Path, description: str, pixels: np.ndarray = PIXELS[0]) -> Path:
    tifffile.imwrite(path, pixels, description=description.encode(), metadata=None, photometric="minisblack")
    return path


def test_a_missing_file(tmp_path):
    assert refused(tmp_path / "none.tif", tmp_path).code == "image-not-found"


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert refused(tmp_path / "notes.txt", tmp_path).code == "not-an-image"


@pytest.mark.parametrize(
    "content", [b"hello", b"II", b"PK\x03\x04" + b"\0" * 100, b"\x89PNG\r\n\x1a\n" + b"\0" * 50]
)
def test_something_else_with_the_name_of_a_tiff(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    assert refused(tmp_path / "a.tif", tmp_path).code in ("not-an-image", "image-damaged")


def test_an_empty_file(tmp_path):
    (tmp_path / "a.tif").touch()
    assert refused(tmp_path / "a.tif", tmp_path).code == "image-empty-file"


def test_a_folder_with_the_name_of_a_tiff(tmp_path):
    (tmp_path / "a.tif").mkdir()
    assert refused(tmp_path / "a.tif", tmp_path).code == "not-an-image"


def test_a_pipe_with_the_name_of_a_tiff_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    assert refused(tmp_path / "a.tif", tmp_path).code == "not-an-image"


@pytest.mark.root
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_unreadable_file():
    """In a child of another account, because root reads everything."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        path = ome_tiff(folder / "a.ome.tif")
        path.chmod(0)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setuid(65534)
                code = 0 if refused(path, folder).code == "image-unreadable" else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("options", [{"tile": (64, 64)}, {"rowsperstrip": 32, "compression": "zlib"}, {}])
@pytest.mark.parametrize("kept", [0.99, 0.5, 0.1])
def test_a_truncated_tiff_is_refused_by_describing_it_already(tmp_path, options, kept):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, photometric="minisblack", **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(SlidegateError) as caught:
        describe(path)
    assert caught.value.code in ("image-truncated", "image-damaged", "not-an-image")
    refused(path, tmp_path)


@pytest.mark.parametrize("options", [{}, {"tile": (64, 64)}, {"compression": "zlib"}])
def test_a_tiff_that_shrinks_while_it_is_read(tmp_path, options):
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 65535, (2, 300, 200), np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack", **options)
    shrunk = []

    def shrink(done, total):
        if not shrunk:
            os.truncate(path, 1000)
            shrunk.append(True)

    with pytest.raises(SlidegateError) as caught:
        FolderSource().stage(ImageRef("folder", str(path)), tmp_path / "out" / "image", shrink)
    assert caught.value.code == "image-truncated"
    assert list((tmp_path / "out").iterdir()) == []


def test_an_image_that_is_replaced_while_it_is_read(tmp_path):
    path = ome_tiff(tmp_path / "a.ome.tif")
    with pytest.raises(SlidegateError) as caught:
        FolderSource().stage(
            ImageRef("folder", str(path)), tmp_path / "out" / "image", lambda *_: os.utime(path, (1, 1))
        )
    assert (caught.value.code, caught.value.transient) == ("image-changed", True)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_tile(tmp_path):
    path = ome_tiff(tmp_path / "a.ome.tif")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[1].dataoffsets[3]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 40)
    assert refused(path, tmp_path).code == "image-damaged"


def ifd(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def handmade(path: Path, width: int, height: int, following: int = 0, bits: int = 16, count: int = 8) -> Path:
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 200),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, count),
    ]
    path.write_bytes(
        (b"II*\0" + struct.pack("<I", 8) + ifd(entries, following)).ljust(200, b"\0") + b"\1" * 64
    )
    return path


def test_the_handmade_tiff_of_these_tests_is_a_good_one_otherwise(tmp_path):
    assert (
        staged(handmade(tmp_path / "a.tif", 2, 2), tmp_path).read(0, 0, 2, 0, 2).tolist() == [[257] * 2] * 2
    )


@pytest.mark.parametrize("size", [(2**31, 2**31), (2**32 - 1, 2**32 - 1), (2**31, 1), (1, 2**31)])
def test_a_header_of_absurd_dimensions(tmp_path, size):
    error = refused(handmade(tmp_path / "a.tif", *size), tmp_path)
    assert error.code in ("image-size-unreasonable", "image-truncated", "image-damaged")


def test_dimensions_beyond_what_the_file_holds(tmp_path):
    path = handmade(tmp_path / "a.tif", 60_000, 60_000)
    with pytest.raises(SlidegateError) as caught:
        describe(path)
    assert caught.value.code == refused(path, tmp_path).code == "image-truncated"


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_a_size(tmp_path, size):
    code = refused(handmade(tmp_path / "a.tif", *size), tmp_path).code
    assert code in ("image-size-unreasonable", "image-damaged", "not-an-image")


def test_directories_that_point_in_a_circle(tmp_path):
    path = handmade(tmp_path / "a.tif", 2, 2, following=8)
    with pytest.raises(SlidegateError) as caught:
        describe(path)
    assert caught.value.code in ("image-damaged", "image-bad-metadata", "image-size-unreasonable")


def test_two_directories_that_point_at_each_other(tmp_path):
    path = handmade(tmp_path / "a.tif", 2, 2, following=400)
    content = path.read_bytes().ljust(400, b"\0")
    entries = content[8 : 8 + 2 + 9 * 12]
    path.write_bytes(content + entries + struct.pack("<I", 8))
    assert refused(path, tmp_path).code in ("image-damaged", "image-bad-metadata", "image-size-unreasonable")


@pytest.mark.parametrize("shape", [(300, 200, 3), (300, 200, 4)])
def test_a_colour_image(tmp_path, shape):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), photometric="rgb", tile=(64, 64))
    error = refused(tmp_path / "a.tif", tmp_path)
    assert error.code == "image-brightfield"
    assert "fluorescence" in str(error)


def test_a_colour_ome_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((300, 200, 3), np.uint8), photometric="rgb")
    assert refused(tmp_path / "a.ome.tif", tmp_path).code == "image-brightfield"


def test_a_jpeg_compressed_slide_with_its_thumbnail(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        colour = np.zeros((512, 512, 3), np.uint8)
        writer.write(colour, photometric="rgb", compression="jpeg", tile=(256, 256), metadata=None)
        writer.write(colour[::4, ::4], photometric="rgb", metadata=None)
    assert refused(tmp_path / "a.tif", tmp_path).code == "image-brightfield"


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int16", "int8", "uint32", "complex64", "bool", "float16"]
)
def test_pixels_of_another_type(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((20, 30), dtype), photometric="minisblack")
    error = refused(tmp_path / "a.tif", tmp_path)
    assert error.code == "pixels-unsupported"
    assert "unsigned 8-bit and 16-bit" in str(error)


def test_pixels_that_are_not_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 30), np.nan, np.float32), photometric="minisblack")
    assert refused(tmp_path / "a.tif", tmp_path).code == "pixels-unsupported"


def test_inverted_intensities(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], photometric="miniswhite")
    assert refused(tmp_path / "a.tif", tmp_path).code == "pixels-unsupported"


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_a_stack_or_series_is_refused_until_a_plane_is_named(tmp_path, axes):
    pixels = np.arange(3, dtype=np.uint16)[:, None, None] + np.zeros((3, 40, 50), np.uint16)
    path = ome_tiff(tmp_path / "a.ome.tif", pixels, axes)
    error = refused(path, tmp_path)
    assert error.code == "image-plane-needed"
    assert "#z=3,t=0" in str(error)
    key = axes[0].lower()
    assert staged(f"{path}#{key}=2", tmp_path).read(0, 0, 40, 0, 50).max() == 2
    assert describe(f"{path}#{key}=2").name == f"a.ome.tif#{key}=2"
    assert refused(f"{path}#{key}=3", tmp_path).code == "image-no-such-plane"


@pytest.mark.parametrize("kind", ["ome", "imagej", "shaped"])
def test_each_plane_of_a_stack_of_channels_over_time_is_the_right_one(tmp_path, kind):
    t, z, c = np.meshgrid(np.arange(2), np.arange(3), np.arange(4), indexing="ij")
    pixels = (100 * t + 10 * z + c)[..., None, None] + np.zeros((2, 3, 4, 20, 30), int)
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    tifffile.imwrite(
        path,
        pixels.astype(np.uint16),
        imagej=kind == "imagej",
        photometric="minisblack",
        metadata={"axes": "TZCYX"},
    )
    for time in range(2):
        for depth in range(3):
            image = staged(f"{path}#z={depth},t={time}", tmp_path, f"s{time}{depth}")
            assert [int(image.read(c, 0, 20, 0, 30).max()) for c in range(4)] == [
                100 * time + 10 * depth + c for c in range(4)
            ]
            assert image.read(0, 0, 20, 0, 30).min() == 100 * time + 10 * depth


def test_an_imagej_stack_that_lists_only_its_first_page_is_read_to_the_end(tmp_path):
    pixels = np.arange(3, dtype=np.uint16)[:, None, None] + np.zeros((3, 40, 50), np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif", imagej=True) as writer:
        writer.write(pixels, truncate=True, metadata={"axes": "CYX"})
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert len(tiff.pages) == 1
    image = staged(tmp_path / "a.tif", tmp_path)
    assert [int(image.read(c, 0, 40, 0, 50).max()) for c in range(3)] == [0, 1, 2]
    os.truncate(tmp_path / "a.tif", (tmp_path / "a.tif").stat().st_size - 500)
    assert refused(tmp_path / "a.tif", tmp_path).code == "image-truncated"


def test_an_imagej_stack_that_does_not_say_of_what_is_a_stack(tmp_path):
    description = "ImageJ=1.53t\nimages=3\n"
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for plane in range(3):
            pixels = np.full((40, 50), plane, np.uint8)
            writer.write(pixels, description=description.encode() if not plane else None, metadata=None)
    assert refused(tmp_path / "a.tif", tmp_path).code == "image-plane-needed"
    assert staged(f"{tmp_path}/a.tif#z=2", tmp_path).read(0, 0, 40, 0, 50).min() == 2


def test_a_metamorph_stack_whose_planes_no_page_lists(tmp_path):
    planes = [(33629, 5, 2, (1, 1, 1, 1), True)]
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], metadata=None, photometric="minisblack", extratags=planes)
    assert refused(tmp_path / "a.tif", tmp_path).code == "not-an-image"


def test_more_channels_than_are_taken(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((65, 16, 16), np.uint8), photometric="minisblack")
    error = refused(tmp_path / "a.tif", tmp_path)
    assert error.code == "image-size-unreasonable"
    assert "65 channels" in str(error)


def test_one_pixel_is_an_image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((1, 1), 9, np.uint8), photometric="minisblack")
    assert staged(tmp_path / "a.tif", tmp_path).read(0, 0, 1, 0, 1) == 9


def test_saturated_pixels_stay_as_they_are(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((50, 60), 65535, np.uint16), photometric="minisblack")
    assert staged(tmp_path / "a.tif", tmp_path).read(0, 0, 50, 0, 60).min() == 65535


def test_no_pixel_size_is_none_and_not_one(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], photometric="minisblack")
    assert describe(tmp_path / "a.tif").pixel_size_um is None
    assert staged(tmp_path / "a.tif", tmp_path).pixel_size_um is None


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [("CENTIMETER", 20_000, 0.5), ("INCH", 50_800, 0.5), ("INCH", 72, None), ("NONE", 2, None)],
)
def test_resolution_tags_count_where_they_can_be_a_microscopes(tmp_path, unit, per_unit, expected):
    options = {"resolution": (per_unit, per_unit), "resolutionunit": unit}
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], photometric="minisblack", **options)
    assert describe(tmp_path / "a.tif").pixel_size_um == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", None), ("-1", None), ("NaN", None), ("inf", None), ("half", None), ("250", 0.25)],
)
def test_ome_pixel_sizes_are_read_in_their_unit_and_nonsense_is_unknown(tmp_path, text, expected):
    xml = ome_xml(
        size=f'PhysicalSizeX="{text}" PhysicalSizeXUnit="nm" PhysicalSizeY="{text}" PhysicalSizeYUnit="nm"'
    )
    assert describe(with_description(tmp_path / "a.ome.tif", xml)).pixel_size_um == expected


def test_pixels_that_are_not_square(tmp_path):
    error = refused(ome_tiff(tmp_path / "a.ome.tif", PhysicalSizeX=0.5, PhysicalSizeY=0.7), tmp_path)
    assert error.code == "pixels-not-square"
    assert "0.7 by 0.5" in str(error)


def test_pixels_that_are_square_within_a_percent(tmp_path):
    path = ome_tiff(tmp_path / "a.ome.tif", PhysicalSizeX=0.5, PhysicalSizeY=0.5001)
    assert describe(path).pixel_size_um == 0.5


def ome_xml(
    size: str = "", planes: str = '<TiffData IFD="0" PlaneCount="1"/>', sizes: str = "", root: str = ""
) -> str:
    sizes = sizes or 'SizeX="200" SizeY="300" SizeZ="1" SizeC="1" SizeT="1"'
    return (
        f'<?xml version="1.0"?>{root}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" {sizes} {size}>'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )


def test_the_handmade_ome_xml_of_these_tests_is_good_otherwise(tmp_path):
    path = with_description(tmp_path / "a.ome.tif", ome_xml())
    np.testing.assert_array_equal(staged(path, tmp_path).read(0, 0, 300, 0, 200), PIXELS[0])


def test_ome_xml_with_an_external_entity_is_refused_and_nothing_is_fetched(tmp_path):
    (tmp_path / "secret").write_text("TOP SECRET")
    root = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    path = with_description(
        tmp_path / "a.ome.tif", ome_xml(root=root).replace('ID="Image:0"', 'ID="Image:0" Name="&e;"')
    )
    error = refused(path, tmp_path)
    assert error.code == "image-unsafe-metadata"
    assert "SECRET" not in str(error)


def test_ome_xml_that_grows_without_end_is_refused(tmp_path):
    entities = '<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {x} "{f"&{y};" * 50}">' for x, y in zip("bcdefg", "abcdef", strict=True)
    )
    path = with_description(
        tmp_path / "a.ome.tif", ome_xml(root=f"<!DOCTYPE x [{entities}]>", size='Name="&g;"')
    )
    assert refused(path, tmp_path).code == "image-unsafe-metadata"


@pytest.mark.parametrize(
    "xml",
    [
        "<?xml version='1.0'?><OME",
        "<?xml version='1.0'?><OME></OME>",
        "<?xml version='1.0'?><OME><Image/></OME>",
        ome_xml(planes=""),
        ome_xml(planes='<TiffData IFD="7" PlaneCount="1"/>'),
        ome_xml(planes='<TiffData IFD="-1" PlaneCount="1"/>'),
        ome_xml(planes='<TiffData IFD="99999999999999999999"/>'),
        ome_xml(planes='<TiffData IFD="0" PlaneCount="1000000000"/>'),
        ome_xml(planes='<TiffData FirstZ="5" IFD="0" PlaneCount="1"/>'),
        ome_xml(sizes='SizeX="201" SizeY="300" SizeZ="1" SizeC="1" SizeT="1"'),
        ome_xml(sizes='SizeX="two" SizeY="300" SizeZ="1" SizeC="1" SizeT="1"'),
        ome_xml(sizes='SizeX="200" SizeY="300" SizeZ="0" SizeC="1" SizeT="1"'),
        ome_xml(sizes='SizeX="200" SizeY="300" SizeZ="2000000000" SizeC="2000000000" SizeT="2000000000"'),
        ome_xml(sizes='SizeX="²" SizeY="300" SizeZ="1" SizeC="1" SizeT="1"'),
        ome_xml().replace("XYZCT", "XYZZZ"),
        ome_xml().replace('SamplesPerPixel="1"', 'SamplesPerPixel="3"'),
    ],
)
def test_ome_xml_that_makes_no_sense(tmp_path, xml):
    assert refused(with_description(tmp_path / "a.ome.tif", xml), tmp_path).code == "image-bad-metadata"


@pytest.mark.parametrize("name", ["other.ome.tif", "../../../etc/passwd", "/etc/passwd"])
def test_an_ome_tiff_that_sends_the_reader_to_other_files(tmp_path, name):
    ome_tiff(tmp_path / "other.ome.tif")
    planes = (
        '<TiffData IFD="0" PlaneCount="1"><UUID FileName="a.ome.tif">urn:uuid:1</UUID></TiffData>'
        f'<TiffData FirstC="1" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:2</UUID></TiffData>'
    )
    xml = ome_xml(planes=planes, sizes='SizeX="200" SizeY="300" SizeZ="1" SizeC="2" SizeT="1"')
    assert refused(with_description(tmp_path / "a.ome.tif", xml), tmp_path).code == "image-in-several-files"


def test_an_ome_tiff_whose_pixels_are_all_elsewhere(tmp_path):
    elsewhere = '<BinaryOnly MetadataFile="m.xml" UUID="urn:uuid:2"/>'
    path = with_description(
        tmp_path / "a.ome.tif", f'<?xml version="1.0"?><OME UUID="urn:uuid:1">{elsewhere}</OME>'
    )
    assert refused(path, tmp_path).code == "image-in-several-files"


def test_a_renamed_ome_tiff_is_still_itself(tmp_path):
    planes = '<TiffData IFD="0" PlaneCount="1"><UUID FileName="old-name.ome.tif">urn:uuid:1</UUID></TiffData>'
    path = with_description(tmp_path / "new.ome.tif", ome_xml(planes=planes))
    assert describe(path).shape == (1, 300, 200)


def test_a_file_of_several_images_is_refused_until_one_is_named(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(PIXELS[0], metadata={"axes": "YX"})
        writer.write(PIXELS[1], metadata={"axes": "YX"})
    assert refused(path, tmp_path).code == "image-series-needed"
    np.testing.assert_array_equal(staged(f"{path}#series=1", tmp_path).read(0, 0, 300, 0, 200), PIXELS[1])
    assert refused(f"{path}#series=2", tmp_path).code == "image-no-such-plane"


def test_label_and_macro_pictures_of_a_slide_are_left_out(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(np.zeros((50, 60), np.uint16), metadata={"axes": "YX", "Name": "label image"})
        writer.write(PIXELS[0], metadata={"axes": "YX", "Name": "Region 1"})
        writer.write(np.zeros((50, 60), np.uint16), metadata={"axes": "YX", "Name": "macro"})
    assert describe(path).shape == (1, 300, 200)


def test_pyramid_levels_in_a_tiff_are_not_taken_for_channels(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for step in (1, 2, 4):
            writer.write(
                PIXELS[0, ::step, ::step], photometric="minisblack", metadata=None, subfiletype=int(step > 1)
            )
    assert describe(tmp_path / "a.tif").shape == (1, 300, 200)


def test_channels_of_different_sizes(tmp_path):
    planes = '<TiffData IFD="0" PlaneCount="2"/>'
    xml = ome_xml(planes=planes, sizes='SizeX="200" SizeY="300" SizeZ="1" SizeC="2" SizeT="1"')
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(PIXELS[0], description=xml.encode(), metadata=None, photometric="minisblack")
        writer.write(PIXELS[1, :100], metadata=None, photometric="minisblack")
    assert refused(tmp_path / "a.ome.tif", tmp_path).code == "image-bad-metadata"


def test_tiles_as_large_as_a_building(tmp_path):
    path = ome_tiff(tmp_path / "a.ome.tif", PIXELS[:1])
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags["TileWidth"].overwrite(2**30 + 2**4, dtype=4)
    assert refused(path, tmp_path).code in ("image-bad-metadata", "image-damaged")


def test_channel_names_are_kept_without_control_characters(tmp_path):
    path = ome_tiff(tmp_path / "a.ome.tif", Channel={"Name": ["DA\tPI", "x" * 500]})
    assert describe(path).channels == ("DA PI", "x" * 64)


@pytest.mark.root
def test_a_full_disk_while_staging(tmp_path, small_disk):
    path = ome_tiff(
        tmp_path / "a.ome.tif", np.random.default_rng(0).integers(0, 65535, (1, 2000, 2000), np.uint16)
    )
    with pytest.raises(SlidegateError) as caught:
        FolderSource().stage(ImageRef("folder", str(path)), small_disk / "image")
    assert (caught.value.code, caught.value.transient, str(caught.value)) == (
        "disk-full",
        True,
        "The disk is full.",
    )
    assert list(small_disk.iterdir()) == []


@pytest.mark.root
def test_a_full_disk_while_unpacking_strips(tmp_path, small_disk):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((2000, 2000), np.uint16), compression="zlib", photometric="minisblack")
    with pytest.raises(SlidegateError) as caught:
        FolderSource().stage(ImageRef("folder", str(path)), small_disk / "image")
    assert (caught.value.code, list(small_disk.iterdir())) == ("disk-full", [])


def test_a_place_for_staging_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    path = ome_tiff(tmp_path / "a.ome.tif")
    with pytest.raises(SlidegateError) as caught:
        FolderSource().stage(ImageRef("folder", str(path)), tmp_path / "file" / "image")
    assert (caught.value.code, caught.value.transient) == ("target-not-writable", True)
