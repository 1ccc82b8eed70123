# SPDX-License-Identifier: BSD-3-Clause
"""How fast pixels come out of OMERO, against BlitzGateway.getTiles and a bare loop over getTile.

usage: python benchmarks/omero_pixels.py [--full]

A pocket OMERO, in a process of its own, serves a plane of 8192 x 4096 pixels of 16 bits (in full
16384 x 16384). One shard of 4096 x 4096 pixels after the other is read in turns of changing order
- as slidegate reads it when it stages an image: a few connections at once,
- by OMERO's own BlitzGateway.getTiles, in tiles of 1024 x 1024 pixels,
- by a loop over RawPixelsStore.getTile and numpy.frombuffer on one connection, in the same tiles, which does
  nothing but put them together.
Figures are ratios of medians. All three must agree on every pixel.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

SHARD, TILE = 4096, 1024
PEOPLE = "groups: {lab: private}\npeople: {ada: {password: pixels, groups: [lab]}}\n"
Read = Callable[[int, int], np.ndarray]


def make_image(folder: Path, height: int, width: int) -> None:
    """Write a noisy plane, like one of a fluorescence slide."""
    patch = np.random.default_rng(1).poisson(300, (1024, 1024)).astype(np.uint16)
    plane = np.tile(patch, (height // 1024, width // 1024))
    plane += np.arange(height, dtype=np.uint16)[:, None]
    tifffile.imwrite(folder / "slide.ome.tif", plane, tile=(512, 512), metadata={"axes": "YX"})
    (folder / "people.yml").write_text(PEOPLE)


def serve(folder: Path) -> None:
    """Be the server; its port and its authority are told on standard output."""
    from pocket_omero.server import Server

    with Server(folder) as server:
        print(server.port, server.authority, flush=True)
        sys.stdin.read()  # until the benchmark ends


def by_gateway(pixels: Any) -> Read:
    def read(y: int, x: int) -> np.ndarray:
        places = _places(y, x)
        tiles = pixels.getTiles([(0, 0, 0, (left, top, TILE, TILE)) for top, left in places])
        return _together(zip(places, tiles, strict=True), y, x)

    return read


def by_loop(client: Any, number: int) -> Read:
    store = client.sf.createRawPixelsStore()
    store.setPixelsId(number, True)

    def read(y: int, x: int) -> np.ndarray:
        def tile(top: int, left: int) -> np.ndarray:
            sent = store.getTile(0, 0, 0, left, top, TILE, TILE)
            return np.frombuffer(sent, ">u2").reshape(TILE, TILE)

        return _together(((place, tile(*place)) for place in _places(y, x)), y, x)

    return read


def _places(y: int, x: int) -> list[tuple[int, int]]:
    return [(top, left) for top in range(y, y + SHARD, TILE) for left in range(x, x + SHARD, TILE)]


def _together(tiles: Any, y: int, x: int) -> np.ndarray:
    shard = np.empty((SHARD, SHARD), np.uint16)
    for (top, left), tile in tiles:
        shard[top - y : top - y + TILE, left - x : left - x + TILE] = tile
    return shard


def measure(readers: dict[str, Read], places: list[tuple[int, int]]) -> dict[str, float]:
    """Time each reader on every shard, in turns of changing order; the median in seconds."""
    names = list(readers)
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for turn, place in enumerate(places):
        random.Random(turn).shuffle(names)
        found = {}
        for name in names:
            start = time.perf_counter()
            found[name] = readers[name](*place)
            seconds[name].append(time.perf_counter() - start)
        if not all(np.array_equal(found[names[0]], found[name]) for name in names):
            raise SystemExit("the pixels differ")
    return {name: statistics.median(times) for name, times in seconds.items()}


def compare(told: list[str], height: int, width: int) -> None:
    """Measure everything and print it."""
    from omero.gateway import BlitzGateway

    from slidegate.sources.omero.connection import Connection, Server
    from slidegate.sources.omero.pixels import Plane, reading

    server = Server("127.0.0.1", int(told[0]), Path(told[1]))
    places = [(y, x) for y in range(0, height, SHARD) for x in range(0, width, SHARD)]
    with Connection.login(server, "ada", "pixels") as connection:
        gateway = BlitzGateway(client_obj=connection.client)
        image = next(iter(gateway.getObjects("Image")))
        number = image.getPixelsId()
        plane = Plane(number, image.getDetails().group.id.val, 0, 0, np.dtype(np.uint16))
        with reading(connection.again, plane) as tiles:
            readers = {
                "slidegate": lambda y, x: tiles.read(0, y, y + SHARD, x, x + SHARD),
                "gateway": by_gateway(image.getPrimaryPixels()),
                "bare loop": by_loop(connection.client, number),
            }
            for name in ("slidegate", "bare loop"):
                readers[name](0, 0)  # connections are made, and code is loaded
            took = measure(readers, places)
    print("  ".join(f"{name} {2 * SHARD * SHARD / 1e6 / took[name]:.0f} MB/s" for name in took))
    figure("pixels out of OMERO, to BlitzGateway.getTiles", took["gateway"] / took["slidegate"], 8)
    figure("pixels out of OMERO, to a bare loop over getTile", took["bare loop"] / took["slidegate"], 0.8)


def figure(name: str, value: float, aim: float) -> None:
    print(f"FIGURE {name} = {value:.2f} (aim at least {aim:g}): {'met' if value >= aim else 'missed'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="16 shards instead of 2")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return 0
    height, width = (4 * SHARD, 4 * SHARD) if chosen.full else (2 * SHARD, SHARD)
    with tempfile.TemporaryDirectory(prefix="omero-pixels-") as name:
        make_image(Path(name), height, width)
        argv = [sys.executable, "-W", "ignore", __file__, "--serve", name]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            try:
                compare((server.stdout.readline() if server.stdout else "").split(), height, width)
            finally:
                server.communicate()  # it ends when its standard input does
    return 0


if __name__ == "__main__":
    sys.exit(main())
