# SPDX-License-Identifier: GPL-2.0-or-later
"""Many clients, clients that are killed, and many sessions leave the server as it was.

POCKET_OMERO_SESSIONS and POCKET_OMERO_KILLS run the long form of the proofs (10000 and 1000).
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from omero.clients import BaseClient
from pocket_omero.testing import PEOPLE, Omero, fill

pytestmark = pytest.mark.slow

SESSIONS = int(os.environ.get("POCKET_OMERO_SESSIONS", "200"))
KILLS = int(os.environ.get("POCKET_OMERO_KILLS", "40"))

SERVE = """
import sys
from pathlib import Path
from pocket_omero.server import Server
with Server(Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    for line in sys.stdin:
        house = server.house
        counts = len(house.sessions.all()), len(house.connections.all()), house.state.count("Session")
        print(*counts, flush=True)
"""
# Import once, then let as many as wanted log in and die, four at a time.
DIE = """
import os, sys
import omero.all, omero.clients
port, kills, *person = sys.argv[1:]

def die():
    client = omero.clients.BaseClient(pmap={"omero.host": "127.0.0.1", "omero.port": port})
    client.createSession(*person)
    client.sf.createRawPixelsStore()
    os.kill(os.getpid(), 9)

for begun in range(0, int(kills), 4):
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            die()
        children.append(child)
    if any(os.waitpid(child, 0)[1] != 9 for child in children):
        sys.exit("a client did not come so far")
"""


class Elsewhere(Omero):
    """A server in a process of its own."""

    def __init__(self, folder):
        fill(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        super().__init__("127.0.0.1", int(self.process.stdout.readline()), PEOPLE)

    def counts(self):
        """How many sessions, connections and rows of sessions there are."""
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return tuple(map(int, self.process.stdout.readline().split()))

    def memory(self):
        """MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def threads(self):
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    server = Elsewhere(tmp_path_factory.mktemp("many"))
    yield server
    with server.process:
        server.process.stdin.close()


def all_gone(server):
    until = time.monotonic() + 10
    while server.counts()[:2] != (0, 0):
        assert time.monotonic() < until, server.counts()
        time.sleep(0.02)


def test_memory_stays_flat_however_many_sessions_there_were(elsewhere):
    def log_in_and_out(times):
        for _ in range(times):
            client = BaseClient(pmap={"omero.host": elsewhere.host, "omero.port": str(elsewhere.port)})
            client.createSession(*PEOPLE["member"])
            client.sf.getQueryService().findAll("Experimenter", None)
            client.closeSession()

    log_in_and_out(SESSIONS // 4)
    before = elsewhere.memory()
    log_in_and_out(SESSIONS)
    all_gone(elsewhere)
    grown = elsewhere.memory() - before
    print(f"{SESSIONS} sessions: {before:.1f} MB before, {grown:+.2f} MB")
    assert elsewhere.counts() == (0, 0, 0)
    assert grown < 3 + SESSIONS / 1000  # under one KB for each, and the allocator's moods


def test_eight_clients_at_once_get_what_each_asked_for(elsewhere):
    wrong = []

    def one(role, times):
        with elsewhere.client(role) as client:
            admin, name = client.sf.getAdminService(), PEOPLE[role][0]
            wrong.extend(role for _ in range(times) if admin.getEventContext().userName != name)

    threads = [threading.Thread(target=one, args=(role, 50)) for role in ("member", "colleague") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    all_gone(elsewhere)


def test_clients_that_are_killed_leave_no_session_connection_or_thread(elsewhere):
    with elsewhere.client():
        threads = elsewhere.threads()
    command = [sys.executable, "-c", DIE, str(elsewhere.port), str(KILLS), *PEOPLE["member"]]
    subprocess.run(command, check=True)
    all_gone(elsewhere)
    assert elsewhere.counts() == (0, 0, 0)
    assert elsewhere.threads() <= threads + 4
    with elsewhere.client() as client:
        assert client.sf.getAdminService().getEventContext().userName == PEOPLE["member"][0]
