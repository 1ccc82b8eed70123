# SPDX-License-Identifier: BSD-3-Clause
"""A real sshd on this computer, for the account that runs the tests."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slidegate.sites.ssh import SshHost

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def make_key(path: Path) -> str:
    """Make a pair of keys; returns the public one."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return path.with_suffix(".pub").read_text().strip()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Sshd:
    """One sshd with one key that may do one thing."""

    folder: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.known_hosts = self.folder / "known_hosts"
        self.identity = self.folder / "id"
        self.public = make_key(self.identity)
        self.log = self.folder / "log"
        self.new_host_key()
        self.pin()

    @classmethod
    @contextmanager
    def running(cls, folder: Path, argv: Sequence[str]) -> Iterator["Sshd"]:
        """Yield one that is started, whose key may start this, and stop it afterwards."""
        made = cls(folder)
        made.allow(argv)
        made.start()
        try:
            yield made
        finally:
            made.stop()

    def new_host_key(self) -> None:
        """Give the host another key."""
        for path in self.folder.glob("host*"):
            path.unlink()
        self.host_key = make_key(self.folder / "host")

    def pin(self) -> None:
        """Note the host's key where the client looks."""
        self.known_hosts.write_text(f"here {self.host_key}\n")

    def allow(self, argv: Sequence[str], options: str = "restrict") -> None:
        """Let the key start this and nothing else; with no `argv`, what is asked for."""
        command = shlex.join(argv).replace('"', '\\"')
        line = f'{options},command="{command}" ' if argv else f"{options} "
        (self.folder / "authorized_keys").write_text(f"{line}{self.public}\n")

    def start(self, *settings: str) -> None:
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "PermitRootLogin yes",
            *settings,
        ]
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where the real one wants to be locked in
        argv = [str(SSHD), "-D", "-f", str(self.folder / "config"), "-E", str(self.log)]
        self.process = subprocess.Popen(argv, start_new_session=True)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.kill_connections()

    def kill_connections(self) -> int:
        """Kill -9 the processes of all connections; returns how many."""
        killed = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                session = int(stat.read_text().rpartition(")")[2].split()[3])
                line = (stat.parent / "cmdline").read_bytes()
            except (OSError, ValueError):
                continue
            number = int(stat.parent.name)
            if number == self.process.pid or not line.startswith(b"sshd: "):
                continue
            if session == self.process.pid or (session == number and self._is_mine(number)):
                os.kill(number, signal.SIGKILL)
                killed += 1
        return killed

    def _is_mine(self, process: int) -> bool:
        """Say whether a process is a child of this sshd: a connection begins a session of its own."""
        stat = Path(f"/proc/{process}/stat")
        try:
            return int(stat.read_text().rpartition(")")[2].split()[1]) == self.process.pid
        except OSError:
            return False

    def accepted(self) -> int:
        """Return how often the key was accepted."""
        return self.log.read_text().count("Accepted publickey") if self.log.exists() else 0

    def host(self, **changes: object) -> SshHost:
        """Return how to get there."""
        values: dict = {
            "site": "here",
            "host": "127.0.0.1",
            "known_hosts": self.known_hosts,
            "port": self.port,
            "config": Path(os.devnull),
            "identity": self.identity,
        }
        return SshHost(**(values | changes))
