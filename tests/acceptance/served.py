# SPDX-License-Identifier: BSD-3-Clause
"""The pages of a home, served by real processes, as ``slidegate serve`` does it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from slidegate.client import Client

ROOT = Path(__file__).parents[2]
SLIDEGATE = Path(sys.executable).with_name("slidegate")


@dataclass
class Served:
    """A home, a folder of images, and the command that serves both."""

    folder: Path
    process: subprocess.Popen[str] | None = None

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def url(self) -> str:
        return self.link.partition("/login")[0]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SLIDEGATE_HOME": str(self.home),
            "SLIDEGATE_WORKFLOWS_DIR": str(ROOT / "tests" / "data" / "workflows"),
            "SLIDEGATE_PERSON": "ada",
            "SLIDEGATE_CORES": "2",
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "COLUMNS": "200",
        }

    def draw(self, count: int, side: int = 64) -> list[str]:
        """Put so many images on the shelf; return their names there."""
        self.images.mkdir(exist_ok=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 4000, (side, side), dtype=np.uint16)
            tifffile.imwrite(self.images / f"image{number}.tif", pixels)
        return [f"images:image{number}.tif" for number in range(count)]

    def start(self) -> None:
        """Serve, and wait for the link."""
        self.process = subprocess.Popen(
            [str(SLIDEGATE), "serve", str(self.images)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.link = self.process.stdout.readline().strip()
        assert "/login?link=" in self.link, self.process.communicate()

    def stop(self, how: int = signal.SIGINT) -> tuple[int, str]:
        """End it as Ctrl-C does; return the exit code and what it said."""
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def call(self, *words: object, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Type another command."""
        return subprocess.run(
            [str(SLIDEGATE), *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            input=given,
            timeout=120,
            check=False,
        )

    def client(self) -> Client:
        """Return a client that is ada."""
        return Client(self.url, self.token())

    def token(self) -> str:
        """Return a new token of ada's."""
        return self.call("token", "make", "test").stdout.strip()

    def children(self, part: str = "") -> list[int]:
        """Return the processes below it: the api, the worker, or both."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes().decode().split("\0")
                mine = f"SLIDEGATE_HOME={self.home}".encode() in (folder / "environ").read_bytes()
            except OSError:
                continue
            if mine and "slidegate.cli.served" in line and (not part or part in line):
                found.append(int(folder.name))
        return found

    def kill(self, part: str) -> None:
        """Kill -9 the api or the worker, and wait for the next one."""
        before = self.children(part)
        for child in before:
            os.kill(child, signal.SIGKILL)
        until(lambda: bool(set(self.children(part)) - set(before)))


def until(reached: object, seconds: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens at just now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def note_of(home: Path) -> dict[str, object]:
    """Return what the command has noted of itself."""
    return json.loads((home / "serve.json").read_text())
