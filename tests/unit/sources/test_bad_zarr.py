# SPDX-License-Identifier: BSD-3-Clause
"""OME-Zarr of others: both versions, its planes and series, and everything that can be wrong with it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from slidegate_analysis.images import open_image

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef
from slidegate.sources.folder import FolderSource

PIXELS = np.random.default_rng(5).integers(1, 4096, (2, 130, 90), np.uint16)
SPACE = {"type": "space", "unit": "micrometer"}


def write(path: Path, pixels=PIXELS, axes="cyx", version=3, scale=0.5, **options) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=version)
    array = group.create_array(
        "0", shape=pixels.shape, chunks=(1,) * (pixels.ndim - 2) + (64, 50), dtype=pixels.dtype, **options
    )
    array[...] = pixels
    group.attrs.update(attributes(axes, version, scale))
    return path


def attributes(axes, version, scale=0.5):
    named = [{"name": a} | (SPACE if a in "yx" else {}) for a in axes]
    size = [1.0] * (len(axes) - 2) + ([scale, scale] if isinstance(scale, float) else list(scale))
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": size}]}
    multiscale = {"axes": named, "datasets": [dataset]}
    if version == 2:
        return {"multiscales": [multiscale | {"version": "0.4"}]}
    return {"ome": {"version": "0.5", "multiscales": [multiscale]}}


def metadata_file(path: Path, version: int) -> Path:
    return path / ("zarr.json" if version == 3 else ".zattrs")


def edit(file: Path, change) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def multiscale_of(document):
    inner = document.get("attributes", document)
    return inner.get("ome", inner)["multiscales"][0]


def staged(path: Path | str, into: Path, name: str = "staged"):
    FolderSource().stage(ImageRef("folder", str(path)), into / name)
    return open_image(into / name)


def refused(path: Path | str, into: Path) -> SlidegateError:
    target = into / "place-for-staging"
    target.mkdir()
    with pytest.raises(SlidegateError) as caught:
        FolderSource().stage(ImageRef("folder", str(path)), target / "image")
    assert list(target.iterdir()) == []
    target.rmdir()
    assert str(into) not in str(caught.value)
    assert str(caught.value).endswith(".")
    return caught.value


CODECS = {
    2: ["none", "blosc", "zlib", "zstd", "lz4", "gzip", "bz2"],
    3: ["none", "blosc", "zstd", "gzip", "sharded"],
}


UNREAD = {(2, "lz4")}


def compressor(version: int, name: str) -> dict:
    import numcodecs
    from zarr import codecs

    if name == "none":
        return {"compressors": None}
    if version == 2:
        kind = {"blosc": "Blosc", "zlib": "Zlib", "zstd": "Zstd", "lz4": "LZ4", "gzip": "GZip", "bz2": "BZ2"}[
            name
        ]
        return {"compressors": getattr(numcodecs, kind)()}
    if name == "sharded":
        return {"shards": (1, 128, 100)}
    return {
        "compressors": {"blosc": codecs.BloscCodec, "zstd": codecs.ZstdCodec, "gzip": codecs.GzipCodec}[
            name
        ]()
    }


@pytest.mark.parametrize(("version", "codec"), [(v, c) for v, names in CODECS.items() for c in names])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_the_usual_codecs_are_read_and_the_others_are_refused_in_a_sentence(tmp_path, version, codec):
    path = write(tmp_path / "a.zarr", version=version, **compressor(version, codec))
    if (version, codec) in UNREAD:
        assert refused(path, tmp_path).code == "zarr-bad-metadata"
        return
    image = staged(path, tmp_path)
    for c in range(2):
        np.testing.assert_array_equal(image.read(c, 0, 130, 0, 90), PIXELS[c])
    assert image.pixel_size_um == 0.5


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", [">u2", "<u2", "u1"])
def test_byte_order_does_not_matter(tmp_path, version, dtype):
    if version == 3 and dtype == ">u2":
        path = write(tmp_path / "a.zarr", serializer=zarr.codecs.BytesCodec(endian="big"))
    else:
        path = write(tmp_path / "a.zarr", PIXELS.astype(dtype), version=version)
    expected = PIXELS.astype(dtype).astype(np.dtype(dtype).newbyteorder("="))
    np.testing.assert_array_equal(staged(path, tmp_path).read(1, 0, 130, 0, 90), expected[1])


@pytest.mark.parametrize("version", [2, 3])
def test_an_array_stored_in_fortran_order_is_read_the_right_way_round(tmp_path, version):
    options = {"order": "F"} if version == 2 else {"filters": [zarr.codecs.TransposeCodec(order=(2, 1, 0))]}
    path = write(tmp_path / "a.zarr", version=version, **options)
    np.testing.assert_array_equal(staged(path, tmp_path).read(1, 0, 130, 0, 90), PIXELS[1])


@pytest.mark.parametrize("version", [2, 3])
def test_each_plane_of_five_dimensions_is_the_right_one(tmp_path, version):
    t, c, z = np.meshgrid(np.arange(2), np.arange(3), np.arange(4), indexing="ij")
    pixels = ((100 * t + 10 * c + z)[..., None, None] + np.zeros((2, 3, 4, 70, 60), int)).astype(np.uint16)
    path = write(tmp_path / "a.zarr", pixels, "tczyx", version)
    assert refused(path, tmp_path).code == "image-plane-needed"
    image = staged(f"{path}#z=3,t=1", tmp_path)
    assert [int(image.read(c, 0, 70, 0, 60).min()) for c in range(3)] == [103, 113, 123]
    assert refused(f"{path}#z=4,t=1", tmp_path).code == "image-no-such-plane"


def test_an_image_without_a_channel_axis_has_one_channel(tmp_path):
    path = write(tmp_path / "a.zarr", PIXELS[0], "yx")
    np.testing.assert_array_equal(staged(path, tmp_path).read(0, 0, 130, 0, 90), PIXELS[0])


@pytest.mark.parametrize("version", [2, 3])
def test_missing_chunks_are_background_as_the_specification_says(tmp_path, version):
    path = write(tmp_path / "a.zarr", version=version)
    (path / "0" / ("c/1/0/0" if version == 3 else "1.0.0")).unlink()
    image = staged(path, tmp_path)
    assert image.read(1, 0, 64, 0, 50).max() == 0
    np.testing.assert_array_equal(image.read(1, 64, 130, 0, 90), PIXELS[1, 64:])


@pytest.mark.parametrize("version", [2, 3])
def test_an_image_without_one_stored_chunk_is_refused(tmp_path, version):
    path = write(tmp_path / "a.zarr", version=version)
    for chunk in [
        p
        for p in (path / "0").rglob("*")
        if p.is_file() and p.name not in ("zarr.json", ".zarray", ".zattrs")
    ]:
        chunk.unlink()
    assert refused(path, tmp_path).code == "image-without-pixels"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kept", [0, 5, 200])
def test_a_chunk_cut_short_is_damage_and_not_background(tmp_path, version, kept):
    path = write(tmp_path / "a.zarr", version=version)
    chunk = path / "0" / ("c/1/0/0" if version == 3 else "1.0.0")
    chunk.write_bytes(chunk.read_bytes()[:kept])
    assert refused(path, tmp_path).code == "pixels-damaged"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("where", ["../..", "../secret", "/etc", "0/../../secret", "..\\secret"])
def test_metadata_that_points_outside_the_folder(tmp_path, version, where):
    write(tmp_path / "secret", version=version)
    path = write(tmp_path / "a.zarr", version=version)
    edit(
        metadata_file(path, version),
        lambda document: multiscale_of(document)["datasets"][0].update(path=where),
    )
    assert refused(path, tmp_path).code == "zarr-points-outside"


@pytest.mark.parametrize("version", [2, 3])
def test_links_out_of_the_folder(tmp_path, version):
    write(tmp_path / "secret", version=version)
    path = write(tmp_path / "a.zarr", version=version)
    shutil.rmtree(path / "0")
    (path / "0").symlink_to(tmp_path / "secret" / "0")
    assert refused(path, tmp_path).code == "zarr-points-outside"
    with pytest.raises(SlidegateError) as caught:
        FolderSource().content_digest(ImageRef("folder", str(path)))
    assert caught.value.code == "zarr-points-outside"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "int16", "uint32", "complex64", "bool"])
def test_pixels_of_another_type(tmp_path, version, dtype):
    assert (
        refused(write(tmp_path / "a.zarr", PIXELS.astype(dtype), version=version), tmp_path).code
        == "pixels-unsupported"
    )


def test_pixels_that_are_not_square(tmp_path):
    assert refused(write(tmp_path / "a.zarr", scale=(0.5, 0.6)), tmp_path).code == "pixels-not-square"


@pytest.mark.parametrize("unit", [None, "parsec", 7])
def test_a_pixel_size_without_a_known_unit_is_unknown(tmp_path, unit):
    path = write(tmp_path / "a.zarr")
    edit(
        path / "zarr.json",
        lambda document: [axis.update(unit=unit) for axis in multiscale_of(document)["axes"]],
    )
    assert staged(path, tmp_path).pixel_size_um is None


@pytest.mark.parametrize(("unit", "expected"), [("nanometer", 0.0005), ("millimeter", 500.0)])
def test_a_pixel_size_is_read_in_its_unit(tmp_path, unit, expected):
    path = write(tmp_path / "a.zarr")
    edit(
        path / "zarr.json",
        lambda document: [axis.update(unit=unit) for axis in multiscale_of(document)["axes"][1:]],
    )
    assert staged(path, tmp_path).pixel_size_um == pytest.approx(expected)


def array_file(path: Path, version: int) -> Path:
    return path / "0" / ("zarr.json" if version == 3 else ".zarray")


@pytest.mark.parametrize("version", [2, 3])
def test_absurd_dimensions(tmp_path, version):
    path = write(tmp_path / "a.zarr", version=version)
    edit(array_file(path, version), lambda document: document.update(shape=[2, 2**31, 2**31]))
    assert refused(path, tmp_path).code == "image-size-unreasonable"


@pytest.mark.parametrize("version", [2, 3])
def test_a_side_of_zero(tmp_path, version):
    path = write(tmp_path / "a.zarr", version=version)
    edit(array_file(path, version), lambda document: document.update(shape=[2, 0, 90]))
    assert refused(path, tmp_path).code == "image-size-unreasonable"


@pytest.mark.parametrize("version", [2, 3])
def test_chunks_that_would_not_fit_in_memory(tmp_path, version):
    path = write(tmp_path / "a.zarr", version=version)

    def change(document):
        if version == 2:
            document["chunks"] = [1, 2**30, 2**30]
        else:
            document["chunk_grid"]["configuration"]["chunk_shape"] = [1, 2**30, 2**30]

    edit(array_file(path, version), change)
    assert refused(path, tmp_path).code in ("image-bad-metadata", "zarr-bad-metadata")


def test_a_zarr_without_image_metadata(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    assert refused(tmp_path / "a.zarr", tmp_path).code == "zarr-not-an-image"


def test_an_empty_folder_with_the_name_of_a_zarr(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    assert refused(tmp_path / "a.zarr", tmp_path).code == "zarr-not-an-image"


def test_a_file_with_the_name_of_a_zarr(tmp_path):
    (tmp_path / "a.zarr").write_text("zip")
    assert refused(tmp_path / "a.zarr", tmp_path).code == "not-an-image"


@pytest.mark.parametrize("content", ["", "[]", "nonsense", "[" * 100_000])
@pytest.mark.parametrize("version", [2, 3])
def test_metadata_that_is_not_json(tmp_path, version, content):
    path = write(tmp_path / "a.zarr", version=version)
    metadata_file(path, version).write_text(content)
    assert refused(path, tmp_path).code == "zarr-bad-metadata"


def test_a_plate_is_not_one_image(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.attrs["ome"] = {"version": "0.5", "plate": {}}
    assert refused(tmp_path / "a.zarr", tmp_path).code == "not-an-image"


@pytest.mark.parametrize("version", [2, 3])
def test_the_layout_of_bioformats2raw_holds_images_by_number(tmp_path, version):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    layout = {"bioformats2raw.layout": 3}
    group.attrs.update(layout if version == 2 else {"ome": {"version": "0.5"} | layout})
    write(tmp_path / "a.zarr" / "0", version=version)
    np.testing.assert_array_equal(staged(tmp_path / "a.zarr", tmp_path).read(0, 0, 130, 0, 90), PIXELS[0])
    write(tmp_path / "a.zarr" / "1", PIXELS[::-1].copy(), version=version)
    assert refused(tmp_path / "a.zarr", tmp_path).code == "image-series-needed"
    second = staged(f"{tmp_path}/a.zarr#series=1", tmp_path, "second")
    np.testing.assert_array_equal(second.read(0, 0, 130, 0, 90), PIXELS[1])


def test_a_label_image_is_not_an_image(tmp_path):
    from slidegate_analysis.images import create_labels

    create_labels(tmp_path / "labels.zarr", (50, 50), shard=64, pixel_size_um=None)
    assert refused(tmp_path / "labels.zarr", tmp_path).code == "not-an-image"
    assert FolderSource().find(str(tmp_path)) == []
