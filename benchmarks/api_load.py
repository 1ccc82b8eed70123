# SPDX-License-Identifier: BSD-3-Clause
"""What it costs that the service knows who asks: many people watch and launch, beside a route that only asks.

usage: python benchmarks/api_load.py [--full]

Clients with a live view open ask every few seconds for a list of runs, a run, its images, or launch
something, with a token of their own. Beside it the same clients ask bare FastAPI routes that make the same
queries and return what these give, for nobody in particular. The two take turns in one run, each served by
one process of uvicorn over SQLite. Small: 40 clients for 6 seconds each. Full: 500 clients for 40 seconds.
"""

import argparse
import asyncio
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

AIM = 5.0
RUNS = 300
TASKS = 5
SHARES = (("list", 0.6), ("run", 0.2), ("tasks", 0.15), ("launch", 0.05))


@dataclass
class Seen:
    """How long answers took, in seconds, and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    told: int = 0

    @property
    def p95(self) -> float:
        """The time that 95 of 100 answers did not take."""
        return sorted(self.seconds)[int(len(self.seconds) * 0.95)]


@dataclass
class House:
    """A store with people and runs in it."""

    folder: Path
    tokens: list[str]
    runs: list[str]


def fill(folder: Path, people: int) -> House:
    """Make a store with people of groups of ten, and runs of theirs."""
    from slidegate.domain import events
    from slidegate.domain.run import run_id, task_id
    from slidegate.domain.values import digest_of
    from slidegate.store import Store
    from tests.unit.api.service import RELEASE

    store = Store.open(url(folder))
    now = time.time()
    tokens, runs = [], []
    for number in range(people):
        store.accounts.set(f"person {number}", "researcher", f"group {number // 10}", now)
        tokens.append(store.tokens.make(f"person {number}", "load", now))
    store.offers.note("local", [RELEASE], now)
    for number in range(RUNS):
        digest = digest_of(["load", number])
        run = run_id(digest, 0)
        new = tuple(
            events.NewTask(task_id(run, n), "folder", f"/i/{n}.tif", f"{n}.tif", "f", digest_of([number, n]))
            for n in range(1, TASKS + 1)
        )
        person = f"person {number % people}"
        store.history.request(
            events.RunRequested(
                run,
                digest,
                0,
                person,
                "local",
                "count",
                "1.0",
                RELEASE.digest,
                {"size": 8.0},
                "folder:/out",
                new,
            ),
            now + number,
        )
        runs.append(run)
    store.close()
    return House(folder, tokens, runs)


def url(folder: Path) -> str:
    """The store's URL."""
    return f"sqlite:///{folder / 'slidegate.db'}"


def serve(kind: str, folder: Path) -> None:
    """Serve the service or the bare routes until the process is ended; prints the port."""
    import uvicorn

    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    print(listener.getsockname()[1], flush=True)
    app = service(folder) if kind == "api" else bare(folder)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])


def service(folder: Path) -> Any:
    """The service as it is, but for how often one may ask."""
    from slidegate.api import ApiParts, ApiSettings, create_app
    from slidegate.store import Store

    settings = ApiSettings(change_burst=10**6, stream_seconds=10**6)
    return create_app(ApiParts(Store.open(url(folder)), None, time.time, settings))


def bare(folder: Path) -> Any:
    """Routes that make the same queries and nothing else."""
    from dataclasses import asdict

    from fastapi import FastAPI

    from slidegate.store import Store

    app, store = FastAPI(), Store.open(url(folder))

    @app.get("/v1/runs")
    def runs(mine: bool = False) -> Any:
        return [asdict(row) for row in store.pages.runs_page(group="group 0", limit=50)[0]]

    @app.get("/v1/runs/{run}")
    def run(run: str) -> Any:
        store.pages.run_stamp(run)
        return asdict(store.pages.run_row(run))

    @app.get("/v1/runs/{run}/tasks")
    def tasks(run: str) -> Any:
        return store.pages.tasks_page(run, None, 0, 100)

    @app.post("/v1/launches")
    def launch(asked: dict[str, Any]) -> Any:
        return asdict(store.wishes.ask("launch", "person 0", asked, time.time()))

    return app


@asynccontextmanager
async def serving(kind: str, folder: Path) -> AsyncIterator[str]:
    """Run a process that serves; yields its address."""
    argv = [sys.executable, __file__, "--serve", kind, str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = (process.stdout.readline() if process.stdout else "").strip()
            base = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient() as client:
                for _ in range(600):
                    try:
                        await client.get(f"{base}/v1/openapi.json")
                        break
                    except httpx.TransportError:
                        await asyncio.sleep(0.1)
            yield base
        finally:
            process.terminate()


async def one_client(
    base: str, house: House, number: int, span: tuple[float, float], live: bool, seen: Seen, all_here: Any
) -> None:
    """Ask again and again, as a page does, with a live view open beside; begin when all are here."""
    seconds, pause = span
    chance = random.Random(number)
    headers = {"Authorization": f"Bearer {house.tokens[number]}"}
    mine = [run for n, run in enumerate(house.runs) if n % len(house.tokens) == number]
    run = mine[0] if mine else None
    limits = httpx.Limits(max_connections=2)
    async with httpx.AsyncClient(
        base_url=base, headers=headers, timeout=60, limits=limits, verify=False
    ) as client:
        greeted = asyncio.Event()
        view = asyncio.create_task(watch(client, seen, greeted)) if live else None
        if live:
            await greeted.wait()
        await all_here.wait()
        until = time.monotonic() + seconds
        await asyncio.sleep(chance.random() * pause)  # they do not all begin at once
        while time.monotonic() < until:
            kind = chance.choices([name for name, _ in SHARES], [share for _, share in SHARES])[0]
            began = time.perf_counter()
            try:
                status = await ask(client, kind, run, f"{number}-{began}")
            except httpx.HTTPError as error:
                seen.errors.append(type(error).__name__)
            else:
                seen.seconds.append(time.perf_counter() - began)
                if status >= 400:
                    seen.errors.append(f"{kind} {status}")
            await asyncio.sleep(pause * (0.5 + chance.random()))
        if view is not None:
            view.cancel()
            await asyncio.gather(view, return_exceptions=True)


async def ask(client: httpx.AsyncClient, kind: str, run: str | None, key: str) -> int:
    """Ask once; return the status."""
    if kind == "launch":
        body = {"workflow": "count", "images": [f"a:{key}.tif"]}
        return (await client.post("/v1/launches", json=body, headers={"Idempotency-Key": key})).status_code
    paths: dict[str, Callable[[], str]] = {
        "list": lambda: "/v1/runs",
        "run": lambda: f"/v1/runs/{run}",
        "tasks": lambda: f"/v1/runs/{run}/tasks",
    }
    return (await client.get(paths[kind if run else "list"]())).status_code


async def watch(client: httpx.AsyncClient, seen: Seen, greeted: asyncio.Event) -> None:
    """Keep a live view open."""
    async with client.stream("GET", "/v1/events", timeout=None) as answer:
        if answer.status_code != 200:
            seen.errors.append(f"events {answer.status_code}")
            greeted.set()
        async for line in answer.aiter_lines():
            seen.told += line.startswith("event: ")
            greeted.set()


async def load(base: str, house: House, clients: int, seconds: float, pause: float, live: bool) -> Seen:
    """Have many clients ask for a while."""
    seen = Seen()
    all_here = asyncio.Barrier(clients)
    span = (seconds, pause)
    await asyncio.gather(
        *(one_client(base, house, number, span, live, seen, all_here) for number in range(clients))
    )
    return seen


async def measure(clients: int, seconds: float, pause: float) -> tuple[Seen, Seen]:
    """Return what was seen of the service and of the bare routes, which take turns."""
    found = {"api": Seen(), "bare": Seen()}
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        house = fill(Path(folder), clients)
        async with serving("api", Path(folder)) as api, serving("bare", Path(folder)) as routes:
            for turn in range(3):  # the first only warms both up
                for kind, base in (("bare", routes), ("api", api)):
                    seen = await load(base, house, clients, seconds / 2, pause, kind == "api")
                    if turn == 0:
                        continue
                    found[kind].seconds += seen.seconds
                    found[kind].errors += seen.errors
                    found[kind].told += seen.told
                    words = f"p95 {seen.p95 * 1000:7.1f} ms of {len(seen.seconds)} answers"
                    print(
                        f"{kind:5} {words}, {len(seen.errors)} errors {sorted(set(seen.errors))}", flush=True
                    )
    return found["api"], found["bare"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--serve", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve[0], Path(asked.serve[1]))
        return
    clients, seconds, pause = (500, 40.0, 10.0) if asked.full else (40, 6.0, 1.5)
    api, routes = asyncio.run(measure(clients, seconds, pause))
    ratio = api.p95 / routes.p95
    errors = len(api.errors)
    print(f"p95 {api.p95 * 1000:.1f} ms against {routes.p95 * 1000:.1f} ms; {api.told} events told")
    print(f"FIGURE errors of {clients} clients = {errors} (aim 0): {'met' if errors == 0 else 'missed'}")
    verdict = "met" if ratio <= AIM else "missed"
    print(f"FIGURE p95 against a bare route = {ratio:.2f} (aim at most {AIM:g}): {verdict}")


if __name__ == "__main__":
    main()
