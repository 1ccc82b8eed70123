# SPDX-License-Identifier: GPL-2.0-or-later
"""What clients of pocket OMERO leave behind: many sessions, eight clients at once, clients that are killed.

usage: python benchmarks/pocket_sessions.py [--full]

The server runs in a process of its own. Eight processes log in and out, as different people, over and over;
each session asks who it is, runs a query, writes into a file's store and leaves the store open. The server's
resident memory after all sessions is compared with that after the first tenth of them. Then clients are
killed (SIGKILL) at random moments of the same work. In the end the server is asked what is left: sessions,
connections, servants, rows of sessions in which nothing was written, open files, and a lock that keeps others
from writing.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import omero
import omero.all
from omero.clients import BaseClient
from omero.rtypes import rstring
from pocket_omero.server import Server
from pocket_omero.testing import PEOPLE, fill

CLIENTS = 8
ROLES = [("member", "colleague")[n % 2] for n in range(CLIENTS)]
FLAT = 1.05
LATEST_KILL = (
    0.08  # seconds after a client began: some die while they log in, some at work, some at their end
)


def serve(folder: Path) -> None:
    """Serve, and answer each line on standard input with what there is now."""
    with Server(folder) as server:
        print(server.port, flush=True)
        for _line in sys.stdin:
            house = server.house
            free = house.state.lock.acquire(timeout=1)
            if free:
                house.state.lock.release()
            connections = house.connections.all()
            now = {
                "sessions": len(house.sessions.all()),
                "connections": len(connections),
                "servants": sum(len(c.servants) for c in connections),
                "rows of sessions": house.state.count("Session"),
                "files": len(os.listdir("/proc/self/fd")) - 1,  # noqa: PTH208  (the listing is open itself)
                "locks": int(not free),
                "threads": len(os.listdir("/proc/self/task")),  # noqa: PTH208
                "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            }
            print(json.dumps(now), flush=True)


class Served:
    """A server in another process."""

    def __init__(self, folder: Path) -> None:
        argv = [sys.executable, "-W", "ignore", __file__, "--serve", str(folder)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._line())

    def _line(self) -> str:
        return self.process.stdout.readline() if self.process.stdout else ""

    def now(self) -> dict[str, int]:
        """What there is now."""
        if self.process.stdin:
            self.process.stdin.write("?\n")
            self.process.stdin.flush()
        told: dict[str, int] = json.loads(self._line())
        return told

    def quiet(self, files: int | None = None) -> dict[str, int]:
        """What there is when nobody is connected any more, and no more than so many files are open.

        A client that dies while it connects leaves a socket for a moment. After half a minute, what there is.
        """
        until = time.monotonic() + 30
        while time.monotonic() < until:
            now = self.now()
            if not now["connections"] and (files is None or now["files"] <= files):
                break
            time.sleep(0.05)
        return now


def session(port: int, role: str, file: int) -> bool:
    """Log in, work, log out. Whether all answers were for this person."""
    client = BaseClient(pmap={"omero.host": "127.0.0.1", "omero.port": str(port)})
    try:
        client.createSession(*PEOPLE[role])
        mine = client.sf.getAdminService().getEventContext().userName == PEOPLE[role][0]
        found = client.sf.getQueryService().findByQuery(
            "select e from Experimenter e where e.omeName = :name",
            omero.sys.ParametersI().addString("name", PEOPLE[role][0]),
        )
        store = client.sf.createRawFileStore()
        store.setFileId(file)
        store.write(b"x" * 1000, 0, 1000)
        return bool(mine and found.omeName.val == PEOPLE[role][0])
    finally:
        client.closeSession()


def files(port: int) -> list[int]:
    """Make a file for each client; return their ids."""
    made = []
    for role in ROLES:
        client = BaseClient(pmap={"omero.host": "127.0.0.1", "omero.port": str(port)})
        client.createSession(*PEOPLE[role])
        file = omero.model.OriginalFileI()
        file.name, file.path = rstring("benchmark"), rstring("/")
        made.append(client.sf.getUpdateService().saveAndReturnObject(file).id.val)
        client.closeSession()
    return made


def forked(work: Any) -> int:
    """Run something in a child process, whose exit status says how often it went wrong."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = min(work(), 98)
        finally:
            os._exit(status)
    return child


def many(port: int, numbers: list[int], sessions: int) -> int:
    """Eight clients at once, in all so many sessions. Returns how many of them got wrong answers."""

    def one(place: int) -> int:
        return [session(port, ROLES[place], numbers[place]) for _ in range(sessions // CLIENTS)].count(False)

    children = [forked(lambda place=place: one(place)) for place in range(CLIENTS)]
    return sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def over_and_over(port: int, role: str, file: int) -> int:
    """Sessions without an end."""
    while True:
        session(port, role, file)


def kill(port: int, numbers: list[int], times: int) -> int:
    """Kill clients at random moments. Returns how many were alive to be killed."""
    dice, killed = random.Random(11), 0
    for begun in range(0, times, CLIENTS):
        places = range(min(CLIENTS, times - begun))
        children = [forked(lambda n=n: over_and_over(port, ROLES[n], numbers[n])) for n in places]
        began = time.monotonic()
        for child, moment in zip(children, sorted(dice.uniform(0, LATEST_KILL) for _ in places), strict=True):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            os.kill(child, signal.SIGKILL)
        killed += [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children].count(-9)
    return killed


def figure(name: str, value: str, aim: str, *, met: bool) -> None:
    """Print one figure for the summary of all benchmarks."""
    print(f"FIGURE {name} = {value} (aim {aim}): {'met' if met else 'missed'}", flush=True)


def measure(server: Served, sessions: int, kills: int) -> None:
    """Do it all and print what is left."""
    numbers = files(server.port)
    wrong = many(server.port, numbers, sessions // 10)
    first = server.quiet()
    wrong += many(server.port, numbers, sessions - sessions // 10)
    last = server.quiet()
    ratio = last["memory"] / first["memory"]
    grown = [f"{now['memory'] / 1e6:.1f} MB" for now in (first, last)]
    print(f"memory: {grown[0]} after {sessions // 10} sessions, {grown[1]} after {sessions}")
    figure(
        f"memory after {sessions} sessions against a tenth of them",
        f"{ratio:.3f}",
        f"at most {FLAT}",
        met=ratio <= FLAT,
    )
    figure(f"sessions of {CLIENTS} clients at once with wrong answers", str(wrong), "0", met=wrong == 0)

    killed = kill(server.port, numbers, kills)
    after = server.quiet(last["files"])
    kept = ("sessions", "connections", "servants", "locks")
    left = {name: after[name] for name in kept} | {"files": max(0, after["files"] - last["files"])}
    left["rows of sessions"] = after["rows of sessions"] - last["rows of sessions"]
    print(
        f"{killed} clients killed; left: {left}; threads {last['threads']} before, {after['threads']} after"
    )
    figure(f"what {kills} killed clients left", str(sum(left.values())), "0", met=sum(left.values()) == 0)
    alive = session(server.port, "member", numbers[0])
    figure("clients that are served afterwards", f"{int(alive)} of 1", "1 of 1", met=alive)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--full", action="store_true", help="10,000 sessions, and 1,000 clients that are killed"
    )
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return
    sessions, kills = (10_000, 1_000) if chosen.full else (400, 40)
    with tempfile.TemporaryDirectory(prefix="pocket-sessions-") as name:
        fill(Path(name))
        server = Served(Path(name))
        try:
            measure(server, sessions, kills)
        finally:
            server.process.communicate()  # it ends when its standard input does


if __name__ == "__main__":
    main()
