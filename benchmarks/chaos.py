# SPDX-License-Identifier: BSD-3-Clause
"""Kill everything at random while many people's Runs proceed: none may be lost, none done twice.

usage: python benchmarks/chaos.py [RUNS] [--seed S] [--database sqlite|postgres ...] [--pause LEAST MOST]
                                  [--slurm] [--keep FOLDER]

Runs are asked of the api as programs ask, each of them more than once, with the same key and with another.
Two worker services and the embedded site carry them out. Meanwhile, chosen at random, the api, workers,
gates, members of crews and, where there is one, the database server are killed (SIGKILL) and started again;
workers are told to end, and must within seconds; some Runs are cancelled under way, some fail because their
crews were killed too often and are tried again, as people would. With --slurm, half of the Runs are at a
cluster (tests/cluster), and ssh, the gate there and slurmctld die too.

In the end, for each database: every Run that was asked for is there once and has ended; what succeeded was
published once, and holds what counting in this process gives; what was cancelled was wished so, and nothing
of it was published; the history of each Run has no gap, and its rows are what its history says.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import tifffile  # noqa: E402
from chaotic_api import Api  # noqa: E402
from chaotic_cluster import DEATHS, SITE, Lab  # noqa: E402

from slidegate.domain.errors import SlidegateError  # noqa: E402
from slidegate.domain.events import CancelWanted, fold  # noqa: E402
from slidegate.domain.states import State  # noqa: E402
from slidegate.domain.values import ImageRef, RunId  # noqa: E402
from slidegate.sources.folder import FolderSource  # noqa: E402
from slidegate.store import Store  # noqa: E402
from tests.acceptance.embedded import Place  # noqa: E402
from tests.cluster import Cluster  # noqa: E402
from tests.postgres import Postgres, running, what_is_missing  # noqa: E402

DATABASES = ("sqlite", "postgres")
WORKERS = 2
IMAGES = 8
PEOPLE = ("ada", "grace", "mary")
CANCELLED = 0.1
AGAIN = 0.3
AT_ONCE = 16
ASKED_AT_ONCE = 2
ENDS_SECONDS = 10.0
TRUE_FAILURES = ("step-crashed", "crews-ended")
REVIVED_SECONDS = 60.0


@dataclass
class Launch:
    """A Run that somebody wants."""

    number: int
    person: str
    images: tuple[int, ...]
    key: str
    cancel: bool
    site: str = "local"
    run: RunId | None = None


@dataclass
class Found:
    """What was found in the end."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    retried: int = 0


class Processes:
    """The worker services of one place, each started again when it was killed."""

    def __init__(
        self, place: Place, url: str, chance: random.Random, store: Store, cluster: Cluster | None
    ) -> None:
        self.place = place
        self.chance = chance
        self.killed: Counter[str] = Counter()
        self.slow_ends: list[float] = []
        self._bag: list[str] = []
        self._environment = {
            **os.environ,
            "SLIDEGATE_HOME": str(place.settings.home),
            "SLIDEGATE_WORKFLOWS_DIR": str(place.settings.workflows_dir),
            "SLIDEGATE_CORES": "2",
            "SLIDEGATE_SHELVES": json.dumps({"in": str(place.root / "images")}),
            "SLIDEGATE_RESULTS": str(place.out),
            "SLIDEGATE_DATABASE_URL": url,
        }
        self.api = Api(store, PEOPLE, place.root, self._environment)
        self.lab = None if cluster is None else Lab(cluster, place, self._environment)
        self.workers = [Worker(place.root, self._environment) for _ in range(WORKERS)]

    def next_death(self, has_server: bool) -> str:
        """Return what dies next: each kind comes as often as it stands in a bag, in any order."""
        if not self._bag:
            self._bag = (
                ["worker"] * 3 + ["gate"] * 3 + ["worker's end", "crew", "api"] + ["database"] * has_server
            )
            self._bag += DEATHS if self.lab is not None else ()
            self.chance.shuffle(self._bag)
            self._bag.append("worker")
        may = [kind for kind in self._bag if not kind.startswith("worker") or self._any_ripe() is not None]
        if not may:
            return "nobody"
        self._bag.reverse()
        self._bag.remove(may[-1])
        self._bag.reverse()
        return may[-1]

    def kill_worker(self) -> None:
        """Kill a worker, and start another in its place."""
        number = self._any_ripe()
        if number is not None:
            self.workers[number].process.kill()
            self.workers[number].process.wait()
            self._replace(number, "workers")

    def end_worker(self) -> None:
        """Tell a worker to end, wait until it has, and start another in its place."""
        number = self._any_ripe()
        if number is not None:
            self._end([self.workers[number]])
            self._replace(number, "workers, told to end")

    def _any_ripe(self) -> int | None:
        """Return one of the workers that have had time to do something, None when there is none."""
        ripe = [number for number, worker in enumerate(self.workers) if worker.is_ripe()]
        return self.chance.choice(ripe) if ripe else None

    def _replace(self, number: int, name: str) -> None:
        self.workers[number] = Worker(self.place.root, self._environment)
        self.killed[name] += 1

    def kill_some(self, name: str, *words: str) -> None:
        """Kill one of the gates, or of the crews' holders, that run just now."""
        found = self.place.processes(*words)
        if found:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(found), signal.SIGKILL)
                self.killed[name] += 1

    def _end(self, workers: list["Worker"]) -> None:
        began = time.monotonic()
        for worker in workers:
            worker.process.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.process.wait(60)
        if time.monotonic() - began > ENDS_SECONDS:
            self.slow_ends.append(time.monotonic() - began)

    def close(self) -> None:
        """Let all end."""
        self._end(self.workers)
        self.api.close()


class Worker:
    """One worker service; what it says goes into a file of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        argv = [str(Path(sys.executable).parent / "slidegate"), "worker"]
        self._said = folder / "said" / secrets.token_hex(8)
        self._said.parent.mkdir(exist_ok=True)
        self._started_at = time.monotonic()
        self._began_at: float | None = None
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(argv, env=environment, stdout=said, stderr=said)

    def is_ripe(self) -> bool:
        """Say whether it has begun, and has worked for as long as it took to begin.

        One that is killed earlier, always, never does anything, and so loses nothing either.
        """
        now = time.monotonic()
        if self._began_at is None and b"worker_begins" in self._said.read_bytes():
            self._began_at = now
        return self._began_at is not None and now - self._began_at > self._began_at - self._started_at


class People:
    """Those who want Runs, look after them, and try again."""

    def __init__(
        self, store: Store, runs: int, chance: random.Random, sites: Sequence[str], processes: Processes
    ) -> None:
        self._sites = sites
        self._api = processes.api
        self._killed = processes.killed
        self._store = store
        self._chance = chance
        self.cancelled: set[RunId] = set()
        self.retried = 0
        self.launches = [self._launch(number) for number in range(runs)]

    def _launch(self, number: int) -> Launch:
        images = tuple(sorted(self._chance.sample(range(IMAGES), self._chance.choice((1, 1, 2)))))
        key = secrets.token_hex(8)
        cancel, site = self._chance.random() < CANCELLED, self._chance.choice(self._sites)
        return Launch(number, self._chance.choice(PEOPLE), images, key, cancel, site)

    def look(self) -> bool:
        """Ask for what is due, cancel, try again; return whether anybody still waits for something."""
        unfinished = set(self._store.runs.unfinished())
        open_ones = [one for one in self.launches if one.run is None or one.run in unfinished]
        unasked = [one for one in open_ones if one.run is None]
        if not self._killed["workers"]:  # at least one is to die while there is something to do
            unasked = [one for one in unasked if one is not self.launches[-1]]
        for launch in unasked[:ASKED_AT_ONCE]:
            self._ask(launch)
        for launch in open_ones[:AT_ONCE]:
            if launch.run is None:
                continue
            if launch.cancel and launch.run not in self.cancelled and self._chance.random() < AGAIN:
                self._store.asking.cancel(launch.run, time.time())
                self.cancelled.add(launch.run)
        return bool(open_ones) or self._try_again()

    def _ask(self, launch: Launch) -> None:
        """Ask for a Run, perhaps twice with one key, and perhaps with another."""
        keys = [launch.key] * (1 + (self._chance.random() < AGAIN))
        keys += ["another " + launch.key] * (self._chance.random() < AGAIN)
        body = {
            "workflow": "count_bytes",
            "site": launch.site,
            "images": [f"in:image{number}.tif" for number in launch.images],
            "parameters": {"byte": launch.number % 256},
        }
        for key in keys:
            wish = self._api.launch(launch.person, key, body)
            if wish is None:
                return
            if wish["state"] == "refused":
                raise SystemExit(f"a launch was refused: {wish['problem']}")
            if wish["answer"] is not None:
                launch.run = RunId(wish["answer"]["run"])

    def _try_again(self) -> bool:
        """Try again what failed because its crews were killed; return whether something did."""
        failed = False
        for launch in self.launches:
            assert launch.run is not None
            tasks = self._store.runs.tasks(launch.run)
            if any(task["state"] == State.FAILED and task["error_code"] in TRUE_FAILURES for task in tasks):
                self.retried += self._store.asking.retry(launch.run, time.time())
                failed = True
        return failed


def strike(processes: Processes, database: Postgres | None) -> None:
    """Let something die."""
    match processes.next_death(database is not None):
        case "worker":
            processes.kill_worker()
        case "worker's end":
            processes.end_worker()
        case "api":
            processes.api.kill()
            processes.killed["apis"] += 1
        case "gate":
            processes.kill_some("gates", "serve")
        case "crew":
            processes.kill_some("members of crews", "runner")
        case "database" if database is not None:
            database.kill()
            time.sleep(processes.chance.uniform(0.0, 0.5))
            _begin_again(database)
            processes.killed["database servers"] += 1
        case what if processes.lab is not None and what in DEATHS:
            processes.killed[what] += processes.lab.kill(what, processes.chance)


def _begin_again(database: Postgres) -> None:
    """Start a server that was killed; it refuses while a process of the former one lives."""
    deadline = time.monotonic() + REVIVED_SECONDS
    while True:
        try:
            database.start()
            return
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def expected(place: Place) -> list[tuple[int, list[int]]]:
    """Return, for each image, the bytes of its files as they are staged, and how often each byte occurs."""
    found = []
    for number in range(IMAGES):
        folder = place.root / "expected" / str(number)
        folder.parent.mkdir(exist_ok=True)
        FolderSource().stage(ImageRef("folder", str(place.root / "images" / f"image{number}.tif")), folder)
        data = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        found.append((len(data), np.bincount(np.frombuffer(data, np.uint8), minlength=256).tolist()))
    return found


def judge(store: Store, people: People, place: Place) -> Found:
    """Look at everything, undisturbed."""
    found = Found(retried=people.retried)
    truth = expected(place)
    wanted = {launch.run for launch in people.launches}
    found.doubled += [row["id"] for row in store.runs.all() if row["id"] not in wanted]
    if len(wanted) != len(people.launches):
        found.lost.append("two launches are one run")
    where: Counter[str] = Counter()
    for launch in people.launches:
        run = RunId(str(launch.run))
        history = store.history.of(run)
        tasks = store.runs.tasks(run)
        if store.runs.view(run) != fold(run, history) or len(history) != store.runs.run(run)["seq"]:
            found.broken.append(run)
        if len(tasks) != len(launch.images):
            found.lost.append(run)
        wished = {event.task for event in history if isinstance(event, CancelWanted)}
        published = Counter(event.task for event in history if event.kind == "published")
        for task in tasks:
            found.states[task["state"]] += 1
            if task["state"] == State.SUCCEEDED:
                if published[task["id"]] != 1:
                    found.doubled.append(task["id"])
                where[task["published"]] += 1
                summary = json.loads((Path(task["published"]) / "summary.json").read_text())
                size, counts = truth[int(Path(task["image"]).stem.removeprefix("image"))]
                if (summary["bytes"], summary["found"]) != (size, counts[launch.number % 256]):
                    found.untrue.append(f"{task['id']}: {summary}")
            elif task["state"] != State.CANCELLED or task["id"] not in wished or published[task["id"]]:
                found.untrue.append(f"{task['id']}: {task['state']} {task['error_code']}")
    found.doubled += [place for place, times in where.items() if times > 1]
    # what a killed worker left half done begins with a dot, and is removed when it is a day old
    there = {str(path.parent) for path in place.out.rglob("summary.json") if path.parent.name[0] != "."}
    found.doubled += sorted(there - set(where))
    return found


@contextmanager
def database_of(kind: str, place: Place) -> Iterator[tuple[str, Postgres | None]]:
    """Yield the URL of a new database, and its server where it has one."""
    if kind == "sqlite":
        yield place.settings.database, None
        return
    with running() as server:
        yield server.create(), server


@contextmanager
def _cluster_if(wanted: bool, folder: Path) -> Iterator[Cluster | None]:
    if not wanted:
        yield None
        return
    with Cluster.start(folder / "c", cpus=4, MinJobAge=10) as cluster:
        yield cluster


def suffer(asked: argparse.Namespace, kind: str) -> bool:
    """Do it on one database; return whether all was well. What workers said is copied to `asked.keep`."""
    chance = random.Random(asked.seed)
    runs, sites = asked.runs, ("local", SITE) if asked.slurm else ("local",)
    folder = Path(tempfile.mkdtemp(prefix="sgchaos-"))
    try:
        place = Place(folder)
        place.prepare()
        for number in range(IMAGES):
            pixels = np.random.default_rng(number).integers(0, 4000, (48, 48), dtype=np.uint16)
            (folder / "images").mkdir(exist_ok=True)
            tifffile.imwrite(folder / "images" / f"image{number}.tif", pixels)
        with database_of(kind, place) as (url, server), _cluster_if(asked.slurm, folder) as cluster:
            store = Store.open(url)
            processes = Processes(place, url, chance, store, cluster)
            people = People(store, runs, chance, sites, processes)
            began = time.monotonic()
            try:
                _until_all_has_ended(people, processes, server, asked.pause, began + 180 + 10 * runs)
                took = time.monotonic() - began
            finally:
                processes.close()
            found = judge(store, people, place)
            store.close()
        return report(kind + (", slurm" if asked.slurm else ""), runs, took, processes, found)
    finally:
        if asked.keep is not None:
            shutil.copytree(folder / "said", asked.keep / f"{kind}-{asked.seed}", dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _until_all_has_ended(
    people: People, processes: Processes, server: Postgres | None, pause: Sequence[float], deadline: float
) -> None:
    """Look after all Runs and let things die in between, in this thread: a server ends with its parent's."""
    next_death = time.monotonic() + processes.chance.uniform(*pause)
    while True:
        if time.monotonic() > deadline:
            raise SystemExit("not all Runs have ended in time")
        with suppress(SlidegateError):  # the database is down just now
            if not people.look():
                return
        for worker in processes.workers:
            worker.is_ripe()  # it notes when it was seen to have begun
        if time.monotonic() > next_death:
            strike(processes, server)
            next_death = time.monotonic() + processes.chance.uniform(*pause)
        time.sleep(0.2)


def report(kind: str, runs: int, took: float, processes: Processes, found: Found) -> bool:
    """Print what happened and what was found; return whether all was well."""
    kills = sum(processes.killed.values())
    print(f"\n{kind}: {runs} runs in {took:.0f} s, {kills} deaths: {dict(processes.killed)}")
    print(f"    images ended: {dict(found.states)}; tried again by hand: {found.retried}")
    for name in ("lost", "doubled", "untrue", "broken"):
        if getattr(found, name):
            print(f"    {name}: {getattr(found, name)[:5]}")
    if processes.slow_ends:
        print(f"    ends that took long: {processes.slow_ends}")
    whole = runs - len(set(found.lost))
    _figure(f"runs kept under chaos ({kind})", f"{whole}/{runs}", "all", whole == runs)
    _figure(f"runs done twice under chaos ({kind})", str(len(found.doubled)), "0", not found.doubled)
    wrong = len(found.untrue) + len(found.broken)
    _figure(f"untrue states or broken histories ({kind})", str(wrong), "0", wrong == 0)
    _figure(f"deaths survived ({kind})", str(kills), "at least 1 each 4 runs", kills >= runs / 4)
    return not (found.lost or found.doubled or wrong)


def _figure(name: str, value: str, aim: str, met: bool) -> None:
    print(f"FIGURE {name} = {value} (aim {aim}): {'met' if met else 'missed'}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--database", nargs="+", choices=("sqlite", "postgres"), default=["sqlite", "postgres"]
    )
    parser.add_argument("--pause", type=float, nargs=2, default=(0.5, 4.0), help="seconds between deaths")
    parser.add_argument("--slurm", action="store_true", help="half of the Runs at a cluster")
    parser.add_argument("--keep", type=Path, help="a folder for what the workers said")
    asked = parser.parse_args()
    for kind in asked.database:
        if kind == "postgres" and (missing := what_is_missing()):
            print(f"left out: needs {missing}")
            continue
        suffer(asked, kind)
    return 0


if __name__ == "__main__":
    sys.exit(main())
