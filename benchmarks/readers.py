# SPDX-License-Identifier: BSD-3-Clause
"""Plane readers: 1, 10 and 100 jobs that read planes, and what somebody at OMERO.web notices of them.

usage: python benchmarks/readers.py [--full]

Each job reads some planes of one image, all of them at once
- directly: each with a session of its own, by ``RawPixelsStore.getPlane`` and ``numpy.frombuffer``,
- by slidegate: the image is staged once, and jobs read it where it lies at the site, a shared folder.
Meanwhile one person looks at pictures in an unmodified OMERO.web (``render_image``, another contrast each
time), and how long each takes to come is noted: while nobody reads, while the image is staged, and while jobs
read. OMERO and OMERO.web have half of the processors for themselves, whoever reads has the other half.

A pocket OMERO tells nothing about how many readers a real one bears; how the two ways compare, it shows.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import requests
import tifffile
from cluster_site import figure

PEOPLE = "groups: {lab: private}\npeople: {ada: {password: pixels, groups: [lab]}}\n"
PROCESSES = 2
PAUSE_S = 0.02
MOST_S = 30.0  # for each figure of the person's
CORES = sorted(os.sched_getaffinity(0))
SERVERS, READERS = CORES[: -(-len(CORES) // 2)], CORES[len(CORES) // 2 :]


def make_image(folder: Path, planes: int, side: int) -> None:
    """Write noisy planes, as channels of one image."""
    patch = np.random.default_rng(1).poisson(300, (side, side)).astype(np.uint16)
    pixels = np.stack([patch + 10 * number for number in range(planes)]).astype(np.uint16)
    tifffile.imwrite(folder / "planes.ome.tif", pixels, tile=(512, 512), metadata={"axes": "CYX"})
    (folder / "people.yml").write_text(PEOPLE)


# ---- the processes beside this one


def serve(folder: Path) -> None:
    """Be OMERO; its port and its authority are told on standard output."""
    from pocket_omero.server import Server

    with Server(folder) as server:
        print(server.port, server.authority, flush=True)
        sys.stdin.read()  # until the benchmark ends


def be_readers(how: str, jobs: int, where: Sequence[str]) -> None:
    """Be some jobs: get ready, and for each line that comes read all planes; tell how long each took."""
    os.nice(10)  # jobs run elsewhere: what else this computer does is not to be pushed to the servers' half
    with ExitStack() as stack:
        ready = read_staged if how != "direct" else partial(read_directly, stack)
        reads = [ready(*where) for _ in range(jobs)]
        print("ready", flush=True)
        for _ in sys.stdin:
            seconds: list[float] = []

            def work(read: Callable[[], int], seconds: list[float] = seconds) -> None:
                began = time.perf_counter()
                read()
                seconds.append(time.perf_counter() - began)

            threads = [threading.Thread(target=work, args=(read,)) for read in reads]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(json.dumps(seconds), flush=True)
    os._exit(0)  # see slidegate_analysis.images.arrays


def read_directly(stack: ExitStack, port: str, authority: str, image: str, planes: str) -> Callable[[], int]:
    """Log in; return what reads the planes."""
    connection = stack.enter_context(login(port, authority))
    query = "select p.id from Pixels p where p.image.id = :id"
    [[pixels]] = connection.query(query, {"id": int(image)})
    store = connection.client.getSession().createRawPixelsStore()
    store.setPixelsId(pixels, False)

    def read() -> int:
        found = (np.frombuffer(store.getPlane(0, c, 0), ">u2") for c in range(int(planes)))
        return sum(int(plane.max()) for plane in found)

    return read


def read_staged(folder: str, planes: str) -> Callable[[], int]:
    """Return what opens the staged image and reads the planes."""
    from slidegate_analysis.images import open_image

    def read() -> int:
        image = open_image(folder)
        _, height, width = image.shape
        return sum(int(image.read(c, 0, height, 0, width).max()) for c in range(int(planes)))

    return read


def stage(port: str, authority: str, image: str, folder: str) -> None:
    """Stage the image as a worker does."""
    from slidegate.domain.values import ImageRef
    from slidegate.sources.omero.source import OmeroSource

    source = OmeroSource(lambda: login(port, authority))
    source.stage(ImageRef("omero", image), Path(folder))
    source.close()


def login(port: str, authority: str) -> Any:
    """Log in at OMERO."""
    from slidegate.sources.omero.connection import Connection, Server

    return Connection.login(Server("127.0.0.1", int(port), Path(authority)), "ada", "pixels")


@contextmanager
def child(cores: Sequence[int], *words: object) -> "Iterator[subprocess.Popen[str]]":
    """Run this program with other words, on some processors; it ends when its standard input does."""
    argv = [sys.executable, "-W", "ignore", __file__, *map(str, words)]
    with on(cores):
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.communicate()


@contextmanager
def on(cores: Sequence[int]) -> Iterator[None]:
    """Let what is started in the block run on some processors."""
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


class Readers:
    """So many jobs, spread over a few processes, that are ready to read."""

    def __init__(self, stack: ExitStack, how: str, jobs: int, where: Sequence[object]) -> None:
        count = min(jobs, PROCESSES)
        shares = [jobs // count + (number < jobs % count) for number in range(count)]
        began = [child(READERS, "--read", how, share, *where) for share in shares]
        self._processes = [stack.enter_context(one) for one in began]
        for process in self._processes:
            if _line(process) != "ready":
                raise SystemExit("a reader did not start")

    def read(self) -> list[float]:
        """Read once; return how long each job took, in seconds."""
        for process in self._processes:
            if process.stdin:
                print("go", file=process.stdin, flush=True)
        return [seconds for process in self._processes for seconds in json.loads(_line(process))]


def _line(process: "subprocess.Popen[str]") -> str:
    return process.stdout.readline().strip() if process.stdout else ""


# ---- the person at OMERO.web


class Person(threading.Thread):
    """Looks at one picture after the other as long as the block lasts; `waits` are in seconds."""

    def __init__(self, url: str, image: str, cookies: Any) -> None:
        super().__init__()
        self._url, self._image = url, image
        self._session = requests.Session()
        self._session.cookies.update(cookies)
        self._ending = threading.Event()
        self.waits: list[float] = []

    def run(self) -> None:
        """Look, until the block ends."""
        number = 0
        while not self._ending.wait(PAUSE_S):
            number += 1
            path = f"/webgateway/render_image/{self._image}/0/0/?c=1|0:{400 + number % 97}$FFFFFF&m=g"
            began = time.perf_counter()
            answer = self._session.get(self._url + path, timeout=120)
            self.waits.append(time.perf_counter() - began)
            if answer.status_code != 200 or answer.headers["Content-Type"] != "image/jpeg":
                return

    def __enter__(self) -> "Person":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()
        self._session.close()


def log_in_to_web(url: str) -> Any:
    """Log in as a person does; return the cookies."""
    with requests.Session() as session:
        page = session.get(url + "/webclient/login/", timeout=60)
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        fields = {"csrfmiddlewaretoken": token, "server": "1", "username": "ada", "password": "pixels"}
        session.post(url + "/webclient/login/", data=fields, headers={"Referer": url}, timeout=60)
        return session.cookies.copy()


# ---- measuring


class Bench:
    """Everything that runs, and what is measured."""

    def __init__(self, planes: int, side: int, looks: int, person: Callable[[], Person]) -> None:
        self._megabytes, self._looks, self._person = planes * side * side * 2 / 1e6, looks, person

    def wait(self, what: str, do: Callable[[], object]) -> float:
        """Do something as often as the person needs for a few looks; return the 95th percentile."""
        do()  # what is done for the first time takes longer
        with self._person() as person:
            until = time.monotonic() + MOST_S
            while not person.waits or (len(person.waits) < self._looks and time.monotonic() < until):
                do()
                if not person.is_alive():
                    raise SystemExit("OMERO.web did not show the picture")
        waits = [1000 * seconds for seconds in person.waits]
        low, high = (float(np.percentile(waits, share)) for share in (50, 95))
        print(f"  OMERO.web {what}: p50 {low:.0f} ms, p95 {high:.0f} ms ({len(waits)} looks)")
        return high

    def read(self, how: str, jobs: int, where: Sequence[object]) -> tuple[float, float]:
        """Let jobs read; return the median of their seconds, and the person's 95th percentile."""
        with ExitStack() as stack:
            readers = Readers(stack, how, jobs, where)
            rounds: list[list[float]] = []
            high = self.wait(f"while {jobs} read, {how}", lambda: rounds.append(readers.read()))
        seconds = statistics.median(second for one in rounds[1:] for second in one)
        each = self._megabytes / seconds
        together = jobs * self._megabytes / statistics.median(map(max, rounds[1:]))
        print(f"{jobs} jobs, {how}: {seconds:.2f} s each, {each:.1f} MB/s each, {together:.0f} MB/s together")
        return seconds, high


def compare(server: Sequence[str], url: str, folder: Path, planes: int, side: int, full: bool) -> None:
    """Measure everything and print it."""
    image, staged = "1", folder / "staged"
    cookies = log_in_to_web(url)
    bench = Bench(planes, side, 40 if full else 3, lambda: Person(url, image, cookies))
    quiet = bench.wait("while nobody reads", lambda: time.sleep(0.1))
    count = iter(range(10_000))
    took: list[float] = []

    def stage_again() -> None:
        began = time.perf_counter()
        with child(READERS, "--stage", *server, image, folder / f"staged{next(count)}"):
            pass
        took.append(time.perf_counter() - began)

    staging = bench.wait("while slidegate stages", stage_again)
    (folder / "staged0").rename(staged)
    print(f"staged once in {min(took):.1f} s, with all that a process takes to begin")
    for jobs in (1, 10, 100) if full else (1, 3):
        direct, slowed = bench.read("direct", jobs, (*server, image, planes))
        ours, free = bench.read("slidegate", jobs, (staged, planes))
        words = f"{jobs} jobs that read planes" if jobs > 1 else "one job that reads planes"
        figure(f"{words}: seconds of a job, direct against slidegate", direct / ours, 2, at_most=False)
        if jobs > 1:
            worst = max(free, staging) / quiet
            figure(f"{words}: p95 at OMERO.web, direct against slidegate", slowed / free, 2, at_most=False)
            figure(f"{words}: p95 at OMERO.web by slidegate, to nobody reading", worst, 2, at_most=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="up to 100 jobs, planes of 2048 x 2048 pixels")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--read", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--stage", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
    elif chosen.read:
        be_readers(chosen.read[0], int(chosen.read[1]), chosen.read[2:])
    elif chosen.stage:
        stage(*chosen.stage)
    else:
        from pocket_omero.web import Web

        planes, side = 2, 2048 if chosen.full else 512
        with tempfile.TemporaryDirectory(prefix="readers-") as name, ExitStack() as stack:
            folder = Path(name)
            (folder / "served").mkdir()
            make_image(folder / "served", planes, side)
            server = _line(stack.enter_context(child(SERVERS, "--serve", folder / "served"))).split()
            with on(SERVERS):
                web = Web.start(_Address("127.0.0.1", int(server[0])), folder / "web")
            stack.callback(web.stop)
            compare(server, web.url, folder, planes, side, chosen.full)
    return 0


class _Address:
    """Where the server is."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port


if __name__ == "__main__":
    sys.exit(main())
