# SPDX-License-Identifier: GPL-2.0-or-later
"""A server with images of all kinds, and people who log in with OMERO's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pocket_omero.server import Client, Server

PEOPLE = """
groups: {lab: read-annotate, closed: private, looking: read-only}
people:
  alice: {name: Alice Liddell, password: secret, groups: [lab, closed, looking]}
  bob: {name: Bob Builder, password: secret, groups: [lab, closed, looking]}
datasets:
  Types: {owner: alice, group: lab, images: ["types/*"]}
  Shapes: {owner: alice, group: lab, images: ["shapes/**"]}
  Closed: {owner: alice, group: closed, images: ["closed/*"]}
  Looking: {owner: alice, group: looking, images: ["looking/*"]}
"""
TYPES = {
    "int8": "i1", "int16": "i2", "int32": "i4", "uint8": "u1", "uint16": "u2", "uint32": "u4",
    "float": "f4", "double": "f8",
}  # fmt: skip


def noise(dtype: str, *shape: int) -> np.ndarray:
    """Values over the whole range of a type."""
    kind = np.dtype(dtype)
    random = np.random.default_rng(11)
    if kind.kind == "f":
        return (random.standard_normal(shape) * 1000).astype(kind)
    limits = np.iinfo(kind)
    return random.integers(limits.min, limits.max, shape, kind, endpoint=True)


def fill(folder: Path) -> None:
    """Put images of all kinds into a folder."""
    (folder / "people.yml").write_text(PEOPLE)
    for name in ("types", "shapes", "closed", "looking"):
        (folder / name).mkdir()
    for number, (name, dtype) in enumerate(TYPES.items()):
        layout = {"compression": "zlib", "tile": (16, 16)} if number % 2 else {}
        tifffile.imwrite(folder / "types" / f"{name}.tif", noise(dtype, 37, 53), **layout)
    tifffile.imwrite(
        folder / "shapes" / "five.ome.tif", noise("u2", 2, 3, 4, 61, 83), compression="zlib", tile=(16, 32),
        metadata={"axes": "TCZYX", "PhysicalSizeX": 0.5, "Channel": {"Name": ["a", "b", "c"]}},
    )  # fmt: skip
    with tifffile.TiffWriter(folder / "shapes" / "levels.ome.tif") as writer:
        for number, side in enumerate((900, 450, 225)):
            first = {"subifds": 2, "metadata": {"axes": "CYX"}} if not number else {"subfiletype": 1}
            writer.write(noise("u2", 2, side, side + 20), tile=(128, 128), compression="zlib", **first)
    (folder / "shapes" / "broken.tif").write_bytes(b"II*\0 and then nothing that makes sense")
    tifffile.imwrite(folder / "shapes" / "colours.tif", noise("u1", 70, 90, 3), photometric="rgb")
    tifffile.imwrite(
        folder / "shapes" / "large.tif", noise("u1", 3300, 3301), tile=(512, 512), compression="zlib"
    )
    tifffile.imwrite(folder / "shapes" / "spoilt.tif", noise("u1", 64, 64), tile=(32, 32), compression="zlib")
    for name in ("closed", "looking"):
        tifffile.imwrite(folder / name / f"{name}.tif", noise("u1", 20, 20))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    fill(folder)
    with Server(folder) as running:
        yield running


@pytest.fixture
def alice(server: Server) -> Iterator[Client]:
    with server.client("alice", "secret") as client:
        yield client


@pytest.fixture
def bob(server: Server) -> Iterator[Client]:
    with server.client("bob", "secret") as client:
        yield client


@pytest.fixture(scope="module")
def ids(server: Server) -> Callable[[str], int]:
    """The id of the Pixels of an image, by its name (not its group)."""

    def find(name: str) -> int:
        (image,) = server.house.state.where("Image", "name", name)
        return server.house.state.many(image, "pixels")[0].id

    return find


@pytest.fixture(scope="module")
def array(server: Server) -> Callable[[str], np.ndarray]:
    """The image of a file of the folder, as tifffile reads it."""
    return lambda name: tifffile.imread(next(server.folder.rglob(name)))
