# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast pocket OMERO gives raw tiles, against an echo of as many bytes by the same Ice runtime.

usage: python benchmarks/pocket_omero_tiles.py [--full]

Both servers are processes of their own, speak TLS and have the same settings; the echo gives one block of
bytes that lies in memory. Tiles are 1024 x 1024 pixels of 16 bits (2 MiB), in random places of a TIFF in
tiles that is not compressed. Calls to the two take turns, in rounds; the figure is the median of the ratios.
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

import numpy as np
import omero
import omero.all
import tifffile
from omero.clients import BaseClient
from pocket_omero.testing import PEOPLE, fill

AIM = 0.7
TILE = 1024
BYTES = TILE * TILE * 2

SERVE = """
import sys
from pathlib import Path
from pocket_omero.server import Server
with Server(Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""
ECHO = """
import sys
from pathlib import Path
import Ice
from pocket_omero.ice.certificates import Authority
from pocket_omero.ice.listener import Listener

answer = bytes(range(256)) * (int(sys.argv[2]) // 256)

class Echo(Ice.Blobject):
    def ice_invoke(self, given, current):
        return True, answer

class Locator(Ice.ServantLocator):
    def locate(self, current):
        return Echo()
    def finished(self, current, servant, cookie):
        pass
    def deactivate(self, category):
        pass

certificate = Authority(Path(sys.argv[1]) / "echo").server("127.0.0.1")
listener = Listener("127.0.0.1", 0, certificate, Locator())
print(listener.port, flush=True)
sys.stdin.read()
listener.close()
"""


def started(code: str, *arguments: object) -> tuple[subprocess.Popen[str], int]:
    """Start a server: its process and its port. It ends when its standard input does."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, int(process.stdout.readline())  # type: ignore[union-attr]


def seconds(call: Callable[[], object], times: int) -> float:
    """How long some calls took."""
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - begin


def slide(folder: Path) -> None:
    """Write a slide with structure and noise, of 4096 x 4096 pixels."""
    noise = np.random.default_rng(5).integers(0, 400, (4096, 4096), dtype="u2")
    noise[::7] += 2000
    tifffile.imwrite(folder / "slide.tif", noise, tile=(512, 512))


def measure(folder: Path, rounds: int, calls: int) -> list[tuple[float, float]]:
    """Return MB/s of tiles and of the echo, for each round."""
    server, port = started(SERVE, folder)
    echo, echo_port = started(ECHO, folder, BYTES)
    client = BaseClient(pmap={"omero.host": "127.0.0.1", "omero.port": str(port)})
    dice = random.Random(3)
    try:
        client.createSession(*PEOPLE["member"])
        query = client.sf.getQueryService()
        pixels = query.findByQuery("select p from Pixels p", omero.sys.ParametersI())
        store = client.sf.createRawPixelsStore()
        store.setPixelsId(pixels.id.val, True)
        plain = client.ic.stringToProxy(f"echo:ssl -h 127.0.0.1 -p {echo_port}").ice_router(None)

        def tile() -> None:
            x, y = dice.randrange(4096 - TILE), dice.randrange(4096 - TILE)
            if len(store.getTile(0, 0, 0, x, y, TILE, TILE)) != BYTES:
                raise SystemExit("a tile is too short")

        def block() -> None:
            _ok, answer = plain.ice_invoke("get", omero.Ice.OperationMode.Normal, bytes(64))
            if len(answer) != BYTES:
                raise SystemExit("the echo is too short")

        seconds(tile, 20), seconds(block, 20)  # warm
        size = calls * BYTES / 1e6
        return [(size / seconds(tile, calls), size / seconds(block, calls)) for _ in range(rounds)]
    finally:
        client.closeSession()
        for process in (server, echo):
            process.communicate("")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    rounds, calls = (15, 60) if parser.parse_args().full else (5, 20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder)
        slide(folder)
        speeds = measure(folder, rounds, calls)
    tiles, echoes = (statistics.median(values) for values in zip(*speeds, strict=True))
    ratio = statistics.median(tile / echo for tile, echo in speeds)
    print(f"tiles {tiles:.0f} MB/s, echo {echoes:.0f} MB/s, {rounds} rounds of {calls} calls of 2 MiB each")
    verdict = "met" if ratio >= AIM else "missed"
    print(f"FIGURE raw tiles against an echo = {ratio:.2f} (aim: at least {AIM}): {verdict}")


if __name__ == "__main__":
    main()
