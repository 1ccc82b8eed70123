# SPDX-License-Identifier: GPL-2.0-or-later
"""Exporter: an image as OME-TIFF, or its OME-XML."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import omero.all
import tifffile

from pocket_omero.errors import WrongUse
from pocket_omero.ice.dispatch import Stateful
from pocket_omero.images import Plane, Reader, is_large, rows
from pocket_omero.images.base import Array
from pocket_omero.images.ome_xml import symbol
from pocket_omero.services.pixels import readable

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["Exporter"]

_MOST = 4 << 30  # bytes of pixels
_ANSWER = 240_000_000  # bytes; clients take messages of 250,000 kB at most


class Exporter(Stateful, omero.api.Exporter, name="Exporter"):
    """Writes one image at full size, with names, sizes and colours; no annotations, no ROIs."""

    image: Row | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._file = tempfile.NamedTemporaryFile(dir=self.house.folder)  # noqa: SIM115 - until it is closed

    def do_addImage(self, id: int, current: Any) -> None:
        if self.image is not None:
            raise WrongUse("only one image can be exported at once")
        self.image = readable(self, "Image", id, current)

    def do_generateXml(self, current: Any) -> int:
        """Answers the number of bytes, which `read` gives."""
        reader, metadata = self._chosen()
        t, c, z, y, x = reader.info.shape
        xml = tifffile.OmeXml()
        xml.addimage(reader.info.dtype, reader.info.shape, (t * c * z, 1, 1, y, x, 1), **metadata)
        return self._keep(lambda: self._file.write(xml.tostring().encode()))

    def do_generateTiff(self, current: Any) -> int:
        """Answers the number of bytes, which `read` gives."""
        reader, metadata = self._chosen()
        info = reader.info
        size = info.dtype.itemsize
        for side in info.shape:
            size *= side
        if is_large(*info.shape[3:]) or size > _MOST:
            raise WrongUse("this image is too large to be exported; its original files can be downloaded")

        def write() -> None:
            with tifffile.TiffWriter(self._file, ome=True, bigtiff=size > 2 << 30) as writer:
                writer.write(
                    _planes(reader), shape=info.shape, dtype=info.dtype, photometric="minisblack",
                    compression="zlib", metadata=metadata,
                )  # fmt: skip

        return self._keep(write)

    def do_read(self, position: int, length: int, current: Any) -> bytes:
        """At most `length` bytes; none behind the end."""
        if position < 0 or not 0 <= length <= _ANSWER:
            raise WrongUse(f"{length} bytes from {position} on cannot be read at once")
        self._file.seek(position)
        return self._file.read(length)

    def dispose(self) -> None:
        """Let go of what was written."""
        self._file.close()

    def _keep(self, write: Any) -> int:
        self._file.seek(0)
        self._file.truncate()
        write()
        return self._file.seek(0, 2)

    def _chosen(self) -> tuple[Reader, dict[str, Any]]:
        if self.image is None:
            raise WrongUse("no image was chosen: call addImage first")
        state = self.house.state
        (pixels, *_) = state.many(self.image, "pixels")
        metadata: dict[str, Any] = {"axes": "TCZYX", "Name": self.image["name"]}
        if self.image["description"]:
            metadata["Description"] = self.image["description"]
        for axis in "XYZ":
            size = pixels[f"physicalSize{axis}"]
            if size is not None and symbol(size[1]):
                metadata[f"PhysicalSize{axis}"] = size[0]
                metadata[f"PhysicalSize{axis}Unit"] = symbol(size[1])
        names = [
            row["logicalChannel"]["name"] for row in state.many(pixels, "channels") if row["logicalChannel"]
        ]
        if len(names) == pixels["sizeC"] and all(names):
            metadata["Channel"] = {"Name": names}
        return self.house.images.open(pixels.id, rows.info_of(pixels), levels=False), metadata


def _planes(reader: Reader) -> Iterator[Array]:
    t, c, z, y, x = reader.info.shape
    for place in (Plane(i, j, k) for i in range(t) for j in range(c) for k in range(z)):
        yield reader.read(0, place, 0, 0, y, x).astype(reader.info.dtype)
