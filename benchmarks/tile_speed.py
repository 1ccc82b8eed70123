# SPDX-License-Identifier: BSD-3-Clause
"""How fast the pages get tiles: over HTTP from the whole service, against reading the same tile in process.

usage: python benchmarks/tile_speed.py [--full | --tiles N]

The service runs as it is run for people (uvicorn in a process of its own, signed in by token, everything
checked for each tile) and sends 512 x 512 tiles of three channels of 16 bits, plain, and packed by zstd as
browsers ask for them. In the same turns the same tiles are read by tensorstore, which the service uses, and
by zarr-python (https://github.com/zarr-developers/zarr-python), both in this process without HTTP. Figures
are ratios of 95th percentiles. Each reads every tile once, in an order of its own, so that no cache helps.
"""

import argparse
import http.client
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from slidegate_analysis.images import open_image, write_image

from slidegate.cache import Cache
from slidegate.domain import events
from slidegate.domain.run import run_id, task_id
from slidegate.domain.states import State
from slidegate.domain.values import Digest, digest_of
from slidegate.sites.trees import describe_folder, tree_digest
from slidegate.store import Store

CHANNELS, TILE = 3, 512
Place = tuple[int, int]
Read = Callable[[Place], object]


def make_image(path: Path, side: int) -> None:
    """Write a noisy image like a fluorescence slide."""
    rng = np.random.default_rng(1)
    patch = rng.poisson(300, (1024, 1024)).astype(np.uint16)
    y, x = np.mgrid[:1024, :1024]
    for cy, cx in rng.integers(20, 1004, (400, 2)):
        patch[(y - cy) ** 2 + (x - cx) ** 2 < 144] += np.uint16(rng.integers(200, 4000))
    plane = np.tile(patch, (side // 1024, side // 1024))

    def read(channel: int, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        return np.roll(plane[y0:y1, x0:x1], 100 * channel, axis=1)

    names = [f"channel {n}" for n in range(CHANNELS)]
    write_image(path, (CHANNELS, side, side), np.uint16, read, channels=names, pixel_size_um=0.325)


def prepare(home: Path, side: int) -> tuple[str, str, Path]:
    """Write the history of a Run whose image is in the cache; returns an address, a token and the image."""
    store = Store.open(f"sqlite:///{home}/slidegate.db")
    cache = Cache(home / "cache", 10**12)
    image = home / "image"
    make_image(image, side)
    tree = tree_digest(describe_folder(image))
    kept = cache.keep_tree(image, tree)
    now = time.time()
    store.accounts.set("ada", "researcher", "", now)
    identity = digest_of("tiles")
    run = run_id(identity, 0)
    task = task_id(run, 1)
    new = events.NewTask(task, "folder", "/slide.tif", "slide.tif", "f", Digest(digest_of("slide")))
    asked = events.RunRequested(
        run=run, identity=identity, generation=0, person="ada", site="local", workflow="nuclei", version="1",
        release=digest_of("release"), parameters={}, out="out", tasks=(new,),
    )  # fmt: skip
    store.history.request(asked, now)
    store.history.append(run, events.StagingBegan(task, State.WAITING), now)
    store.history.append(run, events.Staged(task, State.STAGING, tree), now)
    token = store.tokens.make("ada", "benchmark", now)
    store.close()
    return f"/v1/runs/{run}/tasks/1/tiles/0", token, kept


def serve(home: str) -> None:
    """Be the service, on a free port that is told on standard output."""
    import socket

    import uvicorn

    from slidegate.api import ApiParts, ApiSettings, create_app

    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # who comes too early waits
    print(listening.getsockname()[1], flush=True)
    store = Store.open(f"sqlite:///{home}/slidegate.db")
    settings = ApiSettings(person_burst=10**9, person_per_second=10**9)
    app = create_app(ApiParts(store, Cache(Path(home) / "cache", 10**12), time.time, settings))
    config = uvicorn.Config(app, log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def over_http(port: int, address: str, token: str, encoding: str) -> Read:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": encoding}

    def read(place: Place) -> bytes:
        connection.request("GET", f"{address}/{place[0]}/{place[1]}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {body[:300]!r}")
        return body

    return read


def by_tensorstore(path: Path) -> Read:
    image = open_image(path)

    def read(place: Place) -> bytes:
        y, x = (TILE * one for one in place)
        return image.read_all(y, y + TILE, x, x + TILE).tobytes()

    return read


def by_zarr(path: Path) -> Read:
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.open_array(path / "0", mode="r")

    def read(place: Place) -> bytes:
        y, x = (TILE * one for one in place)
        return np.asarray(array[:, y : y + TILE, x : x + TILE]).tobytes()

    return read


def measure(readers: dict[str, Read], places: list[Place]) -> dict[str, list[float]]:
    """Time each reader on all places, in turns."""
    orders = {name: random.Random(name).sample(places, len(places)) for name in readers}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for turn in range(len(places)):
        for name, read in readers.items():
            start = time.perf_counter()
            read(orders[name][turn])
            seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="400 tiles instead of 120")
    parser.add_argument("--tiles", type=int, default=0)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return 0
    tiles = chosen.tiles or (400 if chosen.full else 120)
    side = 12288 if tiles > 144 else 6144
    with tempfile.TemporaryDirectory(prefix="slidegate-tiles-") as folder:
        home = Path(folder)
        address, token, image = prepare(home, side)
        argv = [sys.executable, __file__, "--serve", folder]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as service:
            try:
                port = int(service.stdout.readline() if service.stdout else 0)
                readers = {
                    "tensorstore": by_tensorstore(image),
                    "zarr-python": by_zarr(image),
                    "HTTP": over_http(port, address, token, "identity"),
                    "HTTP, packed": over_http(port, address, token, "zstd, gzip"),
                }
                first = {name: read((0, 0)) for name, read in readers.items()}
                if not first["HTTP"] == first["tensorstore"] == first["zarr-python"]:
                    raise SystemExit("the tiles differ")
                many = side // TILE
                places = [(row, column) for row in range(many) for column in range(many)]
                seconds = measure(readers, random.Random(0).sample(places, min(tiles, len(places))))
            finally:
                service.terminate()
    p95 = {name: statistics.quantiles(times, n=20)[-1] for name, times in seconds.items()}
    for name, times in seconds.items():
        print(f"{name:14} median {1e3 * statistics.median(times):6.1f} ms, p95 {1e3 * p95[name]:6.1f} ms")
    for peer, name, aim in (
        ("tensorstore", "HTTP", 3.0), ("tensorstore", "HTTP, packed", 4.0), ("zarr-python", "HTTP", 1.0),
    ):  # fmt: skip
        ratio = p95[name] / p95[peer]
        verdict = "met" if ratio <= aim else "missed"
        print(f"FIGURE p95 of a tile by {name}, to {peer} = {ratio:.2f} (aim at most {aim:g}): {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
