# SPDX-License-Identifier: BSD-3-Clause
"""The folder adapters keep the contracts of sources and sinks, for each format."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from slidegate.domain.values import ImageRef
from slidegate.sources.base import Published
from slidegate.sources.contract import (
    ArrangedSink,
    ArrangedSource,
    ImageSourceContract,
    ResultSinkContract,
    contents,
    draw_beside,
)
from slidegate.sources.folder import FolderSink, FolderSource
from slidegate.sources.folder_sink import MARKER

pytestmark = pytest.mark.slow


def picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 4096, (2, 640, 530), np.uint16)


class FolderContract(ImageSourceContract):
    """The contract over files that a subclass writes."""

    first: str

    def write(self, path: Path, pixels: np.ndarray) -> None:
        raise NotImplementedError

    def arrange(self, folder: Path) -> ArrangedSource:
        where = folder / "images"
        where.mkdir()
        pixels = picture()
        self.write(where / self.first, pixels)
        self.write(where / f"z{self.first}", pixels // 2)

        def change() -> None:
            import shutil

            changed = pixels.copy()
            changed[0, 5, 5] += 1
            if (where / self.first).is_dir():
                shutil.rmtree(where / self.first)
            self.write(where / self.first, changed)

        absent = ImageRef("folder", str(where / "absent.tif"))
        draw = draw_beside(where / self.first)
        return ArrangedSource(FolderSource(), str(where), pixels, ("DAPI", "GFP"), 0.5, change, absent, draw)


OME = {
    "axes": "CYX",
    "PhysicalSizeX": 0.5,
    "PhysicalSizeXUnit": "µm",
    "PhysicalSizeY": 0.5,
    "PhysicalSizeYUnit": "µm",
    "Channel": {"Name": ["DAPI", "GFP"]},
}


class TestTiledOmeTiff(FolderContract):
    first = "a.ome.tif"

    def write(self, path: Path, pixels: np.ndarray) -> None:
        tifffile.imwrite(path, pixels, tile=(128, 256), compression="zlib", metadata=OME)


class TestStrippedOmeTiff(FolderContract):
    first = "b.ome.tiff"

    def write(self, path: Path, pixels: np.ndarray) -> None:
        tifffile.imwrite(path, pixels, rowsperstrip=37, compression="lzw", predictor=True, metadata=OME)


class TestUncompressedBigEndianOmeTiff(FolderContract):
    first = "c.ome.tif"

    def write(self, path: Path, pixels: np.ndarray) -> None:
        tifffile.imwrite(path, pixels, byteorder=">", bigtiff=True, metadata=OME)


class ZarrContract(FolderContract):
    """The contract over OME-Zarr as ome-zarr-py would lay it out, written by zarr-python."""

    first = "a.zarr"
    version: int

    def write(self, path: Path, pixels: np.ndarray) -> None:
        import zarr

        group = zarr.open_group(path, mode="w", zarr_format=self.version)
        array = group.create_array("s0", shape=pixels.shape, chunks=(1, 200, 150), dtype=pixels.dtype)
        array[:] = pixels
        group.create_array("s1", shape=(2, 320, 265), chunks=(1, 200, 150), dtype=pixels.dtype)
        space = {"type": "space", "unit": "micrometer"}
        levels = [("s0", 0.5), ("s1", 1.0)]
        multiscale = {
            "axes": [{"name": "c", "type": "channel"}, {"name": "y"} | space, {"name": "x"} | space],
            "datasets": [
                {"path": name, "coordinateTransformations": [{"type": "scale", "scale": [1.0, size, size]}]}
                for name, size in levels
            ],
        }
        omero = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
        if self.version == 2:
            group.attrs.update({"multiscales": [multiscale | {"version": "0.4"}], "omero": omero})
        else:
            group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale], "omero": omero}


class TestOmeZarr04(ZarrContract):
    version = 2


class TestOmeZarr05(ZarrContract):
    version = 3


class TestFolderSink(ResultSinkContract):
    def arrange(self, folder: Path) -> ArrangedSink:
        out = folder / "out"

        def files(published: Published) -> dict[str, bytes]:
            return {
                name: content for name, content in contents(Path(published.where)).items() if name != MARKER
            }

        def put(published: Published, name: str, content: bytes) -> None:
            (Path(published.where) / name).write_bytes(content)

        return ArrangedSink(FolderSink(out), lambda: contents(out) if out.exists() else {}, files, put, put)
