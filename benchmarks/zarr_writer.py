# SPDX-License-Identifier: BSD-3-Clause
"""How fast an image is written with its pyramid: against ome-zarr-py, and against the compressor alone.

usage: python benchmarks/zarr_writer.py [--full | --size PIXELS] [--rounds N]

All write the same pixels, in memory, to the same disk, with the same shards, chunks and codec, in turns;
the figures are ratios of the medians. ome-zarr-py (https://github.com/ome/ome-zarr-py) is run as it comes,
and once more with its ``local_mean``, which computes what ours does. The limit is blosc alone, compressing
the same chunks of the same levels with the same number of threads, and writing nothing.
"""

import argparse
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numcodecs import blosc
from slidegate_analysis.images import open_image, write_image
from slidegate_analysis.images.arrays import threads

SHARD, CHUNK = 4096, 256


def slide(height: int, width: int, channels: int) -> np.ndarray:
    """Return a noisy fluorescence-like image: blurred nuclei on an uneven background, Poisson noise."""
    random = np.random.default_rng(0)
    side = 1024
    y, x = np.mgrid[:side, :side]
    tile = 300 + 60 * np.sin(x / 150) * np.cos(y / 190)
    for cy, cx, height_, radius in random.uniform((0, 0, 200, 5), (side, side, 1500, 12), (300, 4)):
        y0, y1, x0, x1 = int(cy) - 40, int(cy) + 40, int(cx) - 40, int(cx) + 40
        window = (slice(max(y0, 0), y1), slice(max(x0, 0), x1))
        tile[window] += height_ * np.exp(-((y[window] - cy) ** 2 + (x[window] - cx) ** 2) / (2 * radius**2))
    tiles = [random.poisson(tile).astype(np.uint16) for _ in range(4)]
    pixels = np.empty((channels, height, width), np.uint16)
    for c in range(channels):
        for row in range(0, height, side):
            for column in range(0, width, side):
                part = pixels[c, row : row + side, column : column + side]
                part[...] = tiles[random.integers(4)][: part.shape[0], : part.shape[1]]
    return pixels


def ours(pixels: np.ndarray, path: Path) -> None:
    channels = [f"channel {c}" for c in range(len(pixels))]
    write_image(
        path,
        pixels.shape,
        pixels.dtype,
        lambda c, y0, y1, x0, x1: pixels[c, y0:y1, x0:x1],
        channels=channels,
        pixel_size_um=0.325,
    )


def ome_zarr_py(method: str) -> Callable[[np.ndarray, Path], None]:
    def write(pixels: np.ndarray, path: Path) -> None:
        import zarr
        from ome_zarr.scale import Methods
        from ome_zarr.writer import write_image as peer
        from zarr.codecs import BloscCodec

        codec = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", typesize=2)
        shards = (1, SHARD, SHARD)
        options = {"chunks": (1, CHUNK, CHUNK), "shards": shards, "compressors": codec}
        levels = 0
        while max(pixels.shape[1:]) >> levels > 512:
            levels += 1
        peer(
            pixels,
            zarr.open_group(path, mode="w", zarr_format=3),
            axes=["c", "y", "x"],
            method=Methods(method),
            scale_factors=[2**level for level in range(1, levels + 1)],
            storage_options=options,
        )

    return write


def codec_alone(levels: list[np.ndarray]) -> None:
    """Compress every chunk of every level; keep nothing."""
    blosc.use_threads = False

    def compress(place: tuple[np.ndarray, int, int, int]) -> int:
        level, c, y, x = place
        chunk = np.zeros((CHUNK, CHUNK), level.dtype)
        part = level[c, y : y + CHUNK, x : x + CHUNK]
        chunk[: part.shape[0], : part.shape[1]] = part
        return len(blosc.compress(chunk, b"zstd", 1, blosc.SHUFFLE))

    places = [
        (level, c, y, x)
        for level in levels
        for c in range(level.shape[0])
        for y in range(0, level.shape[1], CHUNK)
        for x in range(0, level.shape[2], CHUNK)
    ]
    with ThreadPoolExecutor(threads()) as pool:
        sum(pool.map(compress, places, chunksize=16))


def all_levels(path: Path) -> list[np.ndarray]:
    image = open_image(path)
    return [
        np.stack([image.read(c, 0, y, 0, x, level) for c in range(image.shape[0])])
        for level, (y, x) in enumerate(image.level_shapes)
    ]


def timed(action: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds on the clock and of the processors."""
    started = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def measure(pixels: np.ndarray, folder: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    ours(pixels, folder / "levels")
    levels = all_levels(folder / "levels")
    contestants: dict[str, Callable[[np.ndarray, Path], None]] = {
        "slidegate": ours,
        "ome-zarr-py": ome_zarr_py("resize"),
        "ome-zarr-py local_mean": ome_zarr_py("local_mean"),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in [*contestants, "blosc alone"]}
    for _ in range(rounds):
        for name, write in contestants.items():
            seconds[name].append(timed(lambda write=write: write(pixels, folder / "image")))
            shutil.rmtree(folder / "image")
        seconds["blosc alone"].append(timed(lambda: codec_alone(levels)))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="8000 x 9000 pixels in two channels, five rounds")
    parser.add_argument("--size", type=int, help="side in pixels, one channel")
    parser.add_argument("--rounds", type=int)
    chosen = parser.parse_args()
    shape = (8000, 9000, 2) if chosen.full else (chosen.size or 4096, chosen.size or 4096, 1)
    rounds = chosen.rounds or (5 if chosen.full else 3)
    warnings.simplefilter("ignore")  # the peer's own deprecations
    pixels = slide(*shape)
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(pixels, Path(folder), rounds)
    print(f"{pixels.nbytes / 1e6:.0f} MB of pixels, {rounds} rounds in turns, {threads()} threads")
    middle = {name: statistics.median(wall for wall, _ in times) for name, times in seconds.items()}
    busy = {name: statistics.median(cpu for _, cpu in times) for name, times in seconds.items()}
    megabytes = pixels.nbytes / 1e6
    for name, times in seconds.items():
        rates = [megabytes / wall for wall, _ in times]
        spread = (
            f"{min(rates):7.0f} {statistics.median(rates):7.0f} {max(rates):7.0f} MB/s (min, median, max)"
        )
        print(f"{name:24} {spread} {megabytes / busy[name]:7.0f} MB per second of a processor")
    per_processor = busy["ome-zarr-py"] / busy["slidegate"]
    print(f"times the work of ome-zarr-py per second of a processor: {per_processor:.1f}")
    mean = middle["ome-zarr-py local_mean"] / middle["slidegate"]
    print(f"times as fast as ome-zarr-py with local_mean: {mean:.1f}")
    faster = middle["ome-zarr-py"] / middle["slidegate"]
    share = middle["blosc alone"] / middle["slidegate"]
    print(
        f"FIGURE times as fast as ome-zarr-py = {faster:.1f} (aim >= 8): {'met' if faster >= 8 else 'missed'}"
    )
    print(
        f"FIGURE share of the codec's speed = {share:.2f} (aim >= 0.5): {'met' if share >= 0.5 else 'missed'}"
    )


if __name__ == "__main__":
    main()
