# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast pocket OMERO gives tiles: over TLS to OMERO's own client, against an echo, and against no server.

usage: python benchmarks/pocket_tiles.py [--full | --tiles N]

The server runs in a process of its own. OMERO's client (omero-py) reads tiles of 1024 x 1024 pixels of 16
bits with RawPixelsStore.getTile and numpy.frombuffer: from a plain OME-TIFF, from one packed by zlib, and
from an OME-Zarr 0.5 packed by blosc-zstd. In the same turns
- an Ice servant in the same server process, over TLS as well, answers as many bytes that lie ready: what the
  same Ice runtime gives at best,
- the same tiles are read in this process without any server by tifffile (https://github.com/cgohlke/tifffile)
  or tensorstore (https://github.com/google/tensorstore).
Figures are ratios of lower quartiles: what else the computer does counts less. Each reader reads every tile
once, in an order of its own, so that no cache helps.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import tifffile

TILE = 1024
Place = tuple[int, int]
Read = Callable[[Place], np.ndarray]
PEOPLE = "groups: {lab: private}\npeople: {ada: {password: tiles, groups: [lab]}}\n"
FILES = {"plain TIFF": "plain.ome.tif", "packed TIFF": "packed.ome.tif", "OME-Zarr": "image.ome.zarr"}


def make_images(folder: Path, side: int) -> None:
    """Write the same noisy plane, like one of a fluorescence slide, in three ways."""
    random_ = np.random.default_rng(1)
    patch = random_.poisson(300, (1024, 1024)).astype(np.uint16)
    plane = np.tile(patch, (side // 1024, side // 1024))
    metadata = {"axes": "YX"}
    tifffile.imwrite(folder / FILES["plain TIFF"], plane, metadata=metadata)
    tifffile.imwrite(
        folder / FILES["packed TIFF"], plane, metadata=metadata, tile=(512, 512), compression="zlib"
    )
    path = folder / FILES["OME-Zarr"]
    codec = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "shuffle"}}
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/0/"},
        "metadata": {
            "shape": list(plane.shape), "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [512, 512]}},
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, codec],
        },
    }  # fmt: skip
    tensorstore.open(spec, create=True).result()[...].write(plane).result()
    scales = {
        "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0]}]}],
    }
    import zarr

    zarr.open_group(path, mode="a", zarr_format=3).attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
    (folder / "people.yml").write_text(PEOPLE)


def serve(folder: Path) -> None:
    """Be the server, and the echo beside it; both ports are told on standard output."""
    import Ice
    import omero.all
    from pocket_omero.ice.certificates import Authority
    from pocket_omero.ice.listener import Listener
    from pocket_omero.server import Server

    ready = bytes(2 * TILE * TILE)

    class Echo(omero.api.RawPixelsStore):  # type: ignore[misc]
        def getTile_async(self, answer: Any, *_: object) -> None:  # noqa: N802
            answer.ice_response(ready)

    class Everything(Ice.ServantLocator):  # type: ignore[misc]
        def locate(self, _current: object) -> object:
            return echo

        def finished(self, *_: object) -> None:
            pass

        def deactivate(self, *_: object) -> None:
            pass

    echo = Echo()
    with Server(folder) as server:
        certificate = Authority(server.home / "certificates").server(server.host, "good")
        beside = Listener(server.host, 0, certificate, Everything())
        print(server.port, beside.port, server.authority, flush=True)
        sys.stdin.read()  # until the benchmark ends
        beside.close()


def by_server(client: Any, image: int) -> Read:
    store = client.sf.createRawPixelsStore()
    store.setPixelsId(image, True)

    def read(place: Place) -> np.ndarray:
        y, x = (TILE * one for one in place)
        return np.frombuffer(store.getTile(0, 0, 0, x, y, TILE, TILE), ">u2").reshape(TILE, TILE)

    return read


def by_echo(client: Any, port: int) -> Read:
    import omero.all

    proxy = client.ic.stringToProxy(f"echo:ssl -h 127.0.0.1 -p {port}").ice_router(None)
    store = omero.api.RawPixelsStorePrx.uncheckedCast(proxy)

    def read(_: Place) -> np.ndarray:
        return np.frombuffer(store.getTile(0, 0, 0, 0, 0, TILE, TILE), ">u2").reshape(TILE, TILE)

    return read


def by_tifffile(path: Path) -> Read:
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.open_array(tifffile.TiffFile(path).series[0].aszarr(), mode="r")

    def read(place: Place) -> np.ndarray:
        y, x = (TILE * one for one in place)
        return np.asarray(array[y : y + TILE, x : x + TILE])

    return read


def by_memory_map(path: Path) -> Read:
    array = tifffile.memmap(path, mode="r")

    def read(place: Place) -> np.ndarray:
        y, x = (TILE * one for one in place)
        return np.array(array[y : y + TILE, x : x + TILE])

    return read


def by_tensorstore(path: Path) -> Read:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/0/"}}
    array = tensorstore.open(spec, read=True, open=True).result()

    def read(place: Place) -> np.ndarray:
        y, x = (TILE * one for one in place)
        return np.asarray(array[y : y + TILE, x : x + TILE].read().result())

    return read


def measure(readers: dict[str, Read], places: list[Place]) -> dict[str, float]:
    """Time each reader on all places, in turns of changing order; the lower quartile in seconds."""
    names = list(readers)
    orders = {name: random.Random(name).sample(places, len(places)) for name in readers}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for turn in range(len(places)):
        random.Random(turn).shuffle(names)
        for name in names:
            start = time.perf_counter()
            readers[name](orders[name][turn])
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.quantiles(times, n=4)[0] for name, times in seconds.items()}


def figure(name: str, value: float, aim: float, *, at_least: bool) -> None:
    met = value >= aim if at_least else value <= aim
    words = f"aim at {'least' if at_least else 'most'} {aim:g}"
    print(f"FIGURE {name} = {value:.2f} ({words}): {'met' if met else 'missed'}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="400 tiles instead of 36")
    parser.add_argument("--tiles", type=int, default=0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return 0
    side = TILE * 20 if chosen.full or chosen.tiles > 36 else TILE * 6
    many = side // TILE
    places = [(row, column) for row in range(many) for column in range(many)]
    if chosen.tiles:
        places = random.Random(0).sample(places, min(chosen.tiles, len(places)))
    with tempfile.TemporaryDirectory(prefix="pocket-tiles-") as name:
        folder = Path(name)
        make_images(folder, side)
        argv = [sys.executable, "-W", "ignore", __file__, "--serve", name]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            try:
                compare(folder, (server.stdout.readline() if server.stdout else "").split(), places)
            finally:
                server.communicate()  # it ends when its standard input does
    return 0


def compare(folder: Path, told: list[str], places: list[Place]) -> None:
    """Measure everything and print it."""
    import omero.clients

    port, echo, authority = int(told[0]), int(told[1]), told[2]
    peers: dict[str, tuple[str, Read]] = {
        "plain TIFF": ("tifffile", by_memory_map(folder / FILES["plain TIFF"])),
        "packed TIFF": ("tifffile", by_tifffile(folder / FILES["packed TIFF"])),
        "OME-Zarr": ("tensorstore", by_tensorstore(folder / FILES["OME-Zarr"])),
    }
    wanted = {"omero.host": "127.0.0.1", "omero.port": str(port), "IceSSL.CAs": authority}
    client = omero.clients.BaseClient(pmap={**wanted, "IceSSL.VerifyPeer": "2"})
    try:
        client.createSession("ada", "tiles")
        query = client.sf.getQueryService()
        for kind, file in FILES.items():
            found = query.findAllByQuery(f"select p from Pixels p where p.image.name = '{file}'", None)
            library, direct = peers[kind]
            readers = {"pocket": by_server(client, found[0].id.val), "echo": by_echo(client, echo)}
            readers["direct"] = direct
            if not np.array_equal(readers["pocket"](places[0]), direct(places[0])):
                raise SystemExit("the tiles differ")
            took = measure(readers, places)
            rate = {name: 2 * TILE * TILE / 1e6 / seconds for name, seconds in took.items()}
            print(f"{kind:12}" + "".join(f"  {name} {rate[name]:6.0f} MB/s" for name in rate))
            if kind == "plain TIFF":
                share = rate["pocket"] / rate["echo"]
                figure("tiles by TLS, to an echo of as many bytes", share, 0.7, at_least=True)
            spent = took["pocket"] / (took["echo"] + took["direct"])
            figure(f"time of a tile, {kind}, to {library} and echo together", spent, 1.5, at_least=False)
    finally:
        client.closeSession()


if __name__ == "__main__":
    sys.exit(main())
