# SPDX-License-Identifier: BSD-3-Clause
"""A real PostgreSQL, for tests: its own data, a socket in a private folder, no network, no daemon.

PostgreSQL refuses to run as root; then it runs as an account that owns nothing else here.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_START_SECONDS = 60.0
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # what is committed survives that the server is killed, not that the computer loses power
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "logging_collector": "off",
    "unix_socket_permissions": "0700",
}


def what_is_missing() -> str:
    """Say what keeps PostgreSQL from running here; "" when nothing does."""
    return "" if _PROGRAMS else "postgresql: run sudo scripts/system-packages"


class Postgres:
    """A server with its data in a folder.

    Attributes
    ----------
    programs
        Where its programs are: ``pg_dump`` and so on.
    """

    programs = _PROGRAMS[-1] if _PROGRAMS else Path("/nowhere")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self._as: list[str] = ["setpriv", "--pdeathsig", "INT"]
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        if os.geteuid() == 0:
            account = _account()
            self._as += ["--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"]
            os.chown(folder, account.pw_uid, account.pw_gid)
        # names are sorted as people sort them, not by their bytes: as a facility's server would
        self._run("initdb", "--pgdata", str(folder / "data"), "--username", "slidegate", "--no-sync",
                  "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8",
                  "--locale-provider", "icu", "--icu-locale", "en")  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it answers, also after it was killed."""
        settings = {**_SETTINGS, "unix_socket_directories": str(self.folder)}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as, str(self.programs / "postgres"), "-D", str(self.folder / "data"), *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self._address("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:]) from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it, without waiting for who is connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_START_SECONDS)
            self._process = None

    def kill(self) -> None:
        """Kill it with all its processes."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_START_SECONDS)
            self._process = None

    def create(self, like: str = "template1") -> str:
        """Make a database, empty or a copy of another; return its URL."""
        name = f"t{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}" STRATEGY = file_copy'.encode())
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://slidegate@/{name}?host={self.folder}"

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        name = url.split("@/", 1)[1].split("?", 1)[0]
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def _address(self, name: str) -> str:
        return f"host={self.folder} user=slidegate dbname={name}"

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [*self._as, str(self.programs / program), *words],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=self.folder,
        )  # fmt: skip


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("there is no account that PostgreSQL could run as")


@contextmanager
def running() -> Iterator[Postgres]:
    """A server of its own in a new folder, both gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="sgpg-"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for the whole run. Mark its tests `postgres`."""
    missing = what_is_missing()
    if missing and os.environ.get("CI"):
        pytest.fail(f"this test needs {missing}")
    if missing:
        pytest.skip(f"needs {missing}")
    with running() as server:
        yield server
