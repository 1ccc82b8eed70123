# SPDX-License-Identifier: BSD-3-Clause
"""What staging an image reads and how fast it is: each byte once, and nothing at all the second time.

usage: python benchmarks/staging.py [--full | --size PIXELS]

Bytes are those of the kernel's counter ``rchar`` of this process (/proc/self/io: all that read calls
returned, from the disk or its cache). A plane of compressed strips is unpacked to a scratch file and read
back from there; both count. The second staging is what decides whether a known image must be sent again: its
fingerprint, compared with the one that was remembered. The limit for the speed is writing the same pixels as
OME-Zarr from memory, measured just before.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import zarr
from zarr_writer import ours, slide

from slidegate.domain.values import ImageRef
from slidegate.sources.folder import FolderSource

UNPACKED = "TIFF, LZW strips"


def bytes_read() -> int:
    """Return how many bytes this process has read since it began, without those that asking takes."""
    text = Path("/proc/self/io").read_text()
    bytes_read.asked += len(text)  # type: ignore[attr-defined]
    return int(text.split()[1]) - bytes_read.asked + len(text)  # type: ignore[attr-defined]


bytes_read.asked = 0  # type: ignore[attr-defined]


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def write_zarr(path: Path, pixels: np.ndarray) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array("0", shape=pixels.shape, chunks=(1, 1024, 1024), dtype=pixels.dtype)
    array[:] = pixels
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    scale = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]


def write_images(folder: Path, pixels: np.ndarray) -> dict[str, Path]:
    """Write the same pixels in each format; return what to call them."""
    tiled = {"tile": (512, 512), "metadata": {"axes": "CYX"}}
    paths = {
        "OME-TIFF, zstd tiles": folder / "a.ome.tif",
        "OME-TIFF, plain tiles": folder / "b.ome.tif",
        "TIFF, plain strips": folder / "c.tif",
        UNPACKED: folder / "d.tif",
        "OME-Zarr 0.4": folder / "e.zarr",
    }
    a, b, c, d, e = paths.values()
    tifffile.imwrite(a, pixels, compression="zstd", predictor=True, **tiled)
    tifffile.imwrite(b, pixels, **tiled)
    tifffile.imwrite(c, pixels, photometric="minisblack")
    tifffile.imwrite(d, pixels, photometric="minisblack", compression="lzw", predictor=True, rowsperstrip=64)
    write_zarr(e, pixels)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="12000 x 14000 pixels in two channels")
    parser.add_argument("--size", type=int, default=5000, help="side in pixels, one channel")
    chosen = parser.parse_args()
    pixels = slide(12_000, 14_000, 2) if chosen.full else slide(chosen.size, chosen.size, 1)
    source = FolderSource()
    most = 0.0
    again = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{pixels.nbytes / 1e6:.0f} MB of pixels")
        for index, (kind, path) in enumerate(write_images(folder, pixels).items()):
            ref = ImageRef("folder", str(path))
            started = time.perf_counter()
            ours(pixels, folder / f"limit{index}")
            limit = pixels.nbytes / 1e6 / (time.perf_counter() - started)
            remembered = source.fingerprint(ref)
            before = bytes_read()
            started = time.perf_counter()
            source.stage(ref, folder / f"staged{index}")
            rate = pixels.nbytes / 1e6 / (time.perf_counter() - started)
            middle = bytes_read()
            unchanged = source.fingerprint(ref) == remembered
            after = bytes_read()
            unpacked = pixels.nbytes if kind == UNPACKED else 0
            share = (middle - before) / (size_of(path) + unpacked)
            first = f"first staging reads {share:.3f} of what it needs"
            second = f"second {after - middle} bytes, {'known' if unchanged else 'NOT KNOWN'}"
            print(f"{kind:24} {rate:6.0f} MB/s ({rate / limit:.2f} of the limit), {first}, {second}")
            most = max(most, share)
            again = max(again, after - middle if unchanged else 1)
    print(f"FIGURE bytes read by a second staging = {again} (aim 0): {'met' if again == 0 else 'missed'}")
    verdict = "met" if most <= 1.05 else "missed"
    print(f"FIGURE bytes read by a first staging, of those needed = {most:.3f} (aim <= 1.05): {verdict}")


if __name__ == "__main__":
    main()
