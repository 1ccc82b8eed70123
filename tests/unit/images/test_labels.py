# SPDX-License-Identifier: BSD-3-Clause
"""Label images: written by many, in whole shards, with a pyramid that invents nothing."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from slidegate_analysis.images import build_label_pyramid, create_labels, open_image, open_labels, plan_blocks
from slidegate_analysis.images.errors import (
    AlreadyThereError,
    NotAnImageFolderError,
    NotWholeShardsError,
    OutOfBoundsError,
    PixelsMissingError,
    UnreasonableSizeError,
    WrongPixelsError,
)
from slidegate_analysis.images.labels import chunk_for

SHAPE = (1100, 1303)


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 2**32, SHAPE, np.uint32)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fill(path: Path, labels: np.ndarray, shard: int) -> None:
    create_labels(path, labels.shape, shard=shard, pixel_size_um=0.5)
    opened = open_labels(path)
    for block in plan_blocks(labels.shape, shard, 0):
        y0, y1, x0, x1 = block.core
        opened.write(y0, x0, labels[y0:y1, x0:x1])


@pytest.mark.parametrize("shard", [256, 300, 251, 512, 3000])
def test_labels_come_back_whatever_the_shard_and_the_pyramid_takes_every_second_pixel(tmp_path, shard):
    labels = picture()
    fill(tmp_path / "l", labels, shard)
    build_label_pyramid(tmp_path / "l")
    opened = open_labels(tmp_path / "l")
    assert (opened.shape, opened.shard, opened.pixel_size_um) == (SHAPE, shard, 0.5)
    for level, (height, width) in enumerate(opened.level_shapes):
        step = 2**level
        np.testing.assert_array_equal(opened.read(0, height, 0, width, level), labels[::step, ::step])


@pytest.mark.parametrize(
    ("shard", "chunk"), [(2048, 256), (256, 256), (100, 100), (1000, 250), (251, 251), (514, 2), (1, 1)]
)
def test_the_chunk_is_the_largest_divisor_up_to_256(shard, chunk):
    if shard == 514:
        chunk = 2  # 514 = 2 x 257
    assert chunk_for(shard) == chunk


def test_the_label_image_is_valid_ome_zarr_by_an_independent_reader(tmp_path):
    import ome_zarr_models.v05
    import zarr

    labels = picture()
    fill(tmp_path / "l", labels, 256)
    build_label_pyramid(tmp_path / "l")
    group = zarr.open_group(tmp_path / "l", mode="r")
    image = ome_zarr_models.v05.ImageLabel.from_zarr(group)
    assert [axis.name for axis in image.ome_attributes.multiscales[0].axes] == ["y", "x"]
    np.testing.assert_array_equal(group["0"][:], labels)
    np.testing.assert_array_equal(group["1"][:], labels[::2, ::2])


def test_laying_out_twice_changes_nothing_and_keeps_what_was_written(tmp_path):
    labels = picture()
    fill(tmp_path / "l", labels, 256)
    build_label_pyramid(tmp_path / "l")
    before = contents(tmp_path / "l")
    create_labels(tmp_path / "l", SHAPE, shard=256, pixel_size_um=0.5)
    assert contents(tmp_path / "l") == before


@pytest.mark.parametrize("other", [{"shard": 512}, {"shape": (1100, 1304)}, {"pixel_size_um": None}])
def test_laying_out_another_label_image_in_the_same_place_is_refused(tmp_path, other):
    create_labels(tmp_path / "l", SHAPE, shard=256, pixel_size_um=0.5)
    arguments = {"shape": SHAPE, "shard": 256, "pixel_size_um": 0.5} | other
    with pytest.raises(AlreadyThereError):
        create_labels(tmp_path / "l", arguments.pop("shape"), **arguments)


@pytest.mark.parametrize(
    ("y0", "x0", "shape"),
    [(0, 1, (256, 256)), (0, 0, (255, 256)), (256, 0, (256, 300)), (1024, 0, (75, 256))],
)
def test_what_is_not_whole_shards_is_refused(tmp_path, y0, x0, shape):
    create_labels(tmp_path / "l", SHAPE, shard=256, pixel_size_um=None)
    with pytest.raises(NotWholeShardsError):
        open_labels(tmp_path / "l").write(y0, x0, np.zeros(shape, np.uint32))


def test_whole_shards_at_the_edge_of_the_image_are_cut_by_it(tmp_path):
    create_labels(tmp_path / "l", SHAPE, shard=256, pixel_size_um=None)
    labels = open_labels(tmp_path / "l")
    labels.write(1024, 1024, np.full((76, 279), 5, np.uint32))
    assert labels.read(1024, 1100, 1024, 1303).min() == 5
    with pytest.raises(OutOfBoundsError):
        labels.write(1024, 1024, np.zeros((256, 512), np.uint32))


@pytest.mark.parametrize(
    "labels",
    [
        np.full((256, 256), -1),
        np.full((256, 256), 2**32),
        np.zeros((256, 256)),
        np.zeros((1, 256, 256), np.uint32),
    ],
)
def test_what_is_not_a_label_is_refused_and_not_wrapped(tmp_path, labels):
    create_labels(tmp_path / "l", SHAPE, shard=256, pixel_size_um=None)
    with pytest.raises(WrongPixelsError):
        open_labels(tmp_path / "l").write(0, 0, labels)


def test_what_was_never_written_is_not_background(tmp_path):
    create_labels(tmp_path / "l", SHAPE, shard=256, pixel_size_um=None)
    labels = open_labels(tmp_path / "l")
    labels.write(0, 0, np.zeros((256, 256), np.uint32))
    assert labels.read(0, 256, 0, 256).max() == 0
    with pytest.raises(PixelsMissingError):
        labels.read(0, 257, 0, 256)
    with pytest.raises(PixelsMissingError):
        build_label_pyramid(tmp_path / "l")


def _write_part(path: str, part: int) -> None:
    labels = open_labels(path)
    for index, block in enumerate(plan_blocks(SHAPE, 256, 0)):
        if index % 2 == part:
            y0, y1, x0, x1 = block.core
            labels.write(y0, x0, picture()[y0:y1, x0:x1])


@pytest.mark.slow
def test_two_processes_write_to_one_label_image_and_lose_nothing(tmp_path):
    create_labels(tmp_path / "two", SHAPE, shard=256, pixel_size_um=0.5)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_part, args=(str(tmp_path / "two"), part)) for part in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    fill(tmp_path / "one", picture(), 256)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_the_same_labels_give_the_same_bytes_whatever_the_order(tmp_path):
    labels = picture()
    fill(tmp_path / "a", labels, 256)
    create_labels(tmp_path / "b", SHAPE, shard=256, pixel_size_um=0.5)
    for block in reversed(plan_blocks(SHAPE, 256, 0)):
        y0, y1, x0, x1 = block.core
        open_labels(tmp_path / "b").write(y0, x0, labels[y0:y1, x0:x1])
    build_label_pyramid(tmp_path / "a")
    build_label_pyramid(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_nothing_but_the_labels_lies_in_the_folder_afterwards(tmp_path):
    fill(tmp_path / "l", picture(), 512)
    names = {Path(name).name for name in contents(tmp_path / "l")}
    assert names <= {"zarr.json", "0", "1", "2"}


def test_an_image_is_not_taken_for_labels_nor_labels_for_an_image(tmp_path):
    create_labels(tmp_path / "l", SHAPE, shard=256, pixel_size_um=None)
    with pytest.raises(NotAnImageFolderError):
        open_image(tmp_path / "l")


def test_a_label_image_beyond_any_slide_is_refused(tmp_path):
    with pytest.raises(UnreasonableSizeError):
        create_labels(tmp_path / "l", (2**31, 2**31), shard=256, pixel_size_um=None)
    assert list(tmp_path.iterdir()) == []
