# SPDX-License-Identifier: BSD-3-Clause
"""A gate as an administrator installs it at a real cluster, and clients that reach it by ssh."""

import contextlib
import ctypes
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from slidegate.domain.values import AttemptKey, Digest, canonical_json, digest_of  # noqa: E402
from slidegate.sites import Gate  # noqa: E402
from slidegate.sites.ssh import Patience, SshGate, SshHost  # noqa: E402
from slidegate.sites.trees import tree_digest, tree_text  # noqa: E402
from tests.cluster import Cluster  # noqa: E402
from tests.small_workflow import manifest, three_steps  # noqa: E402

ACCOUNT = "anna"
KEY = "bench"
HOME = f"/home/{ACCOUNT}/.slidegate-gate"
PYTHON = "/usr/bin/python3"
RELEASE = "0e" * 32
CLONE_NEWNET = 0x40000000
MANY = 10**9
LIMITS = dict.fromkeys(
    ("requests_per_minute", "attempts_alive", "attempts_per_day", "jobs_alive", "jobs_per_day", "channels"),
    MANY,
)

# A workflow that does nothing, in as many Units as it is asked for.
STEPS = """
import json, sys

for line in sys.stdin:
    ask = json.loads(line)
    answer = {"ok": True}
    if ask["step"] == "plan":
        answer["units"] = ["u%d" % number for number in range(ask["parameters"]["units"])]
    if ask["step"] == "finish":
        with open(ask["out"] + "/done.json", "w") as file:
            json.dump({"units": len(ask["results"]["nothing"])}, file)
    print(json.dumps(answer), flush=True)
"""
MANIFEST = manifest(
    "nothing",
    "steps.py",
    three_steps("nothing", "fresh"),
    {"done": {"type": "table", "path": "done.json"}},
    title="Nothing",
    description="Does nothing, in many Units.",
)
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"units": {"type": "integer", "default": 1}},
}
RELEASE_JSON = {
    "format": 1,
    "name": "nothing",
    "version": "1.0.0",
    "digest": RELEASE,
    "runtime": "1e" * 32,
    "python": PYTHON,
    "manifest": MANIFEST,
    "schema": SCHEMA,
}


class ClusterSite:
    """The gate of one account, with one Release that does nothing, and keys to reach it."""

    def __init__(self, cluster: Cluster, folder: Path, members: int, scheduler: dict[str, Any]) -> None:
        self.cluster = cluster
        self.folder = folder
        self.key = self._make_key("gate-key")
        self.shell_key = self._make_key("shell-key")  # of the account's owner, who has a shell
        self._install(members, scheduler)
        shell = self.shell_key.with_suffix(".pub").read_text()
        self.as_owner("sh", "-c", "cat >> .ssh/authorized_keys", input=shell)
        (folder / "pinned").write_text(f"lab {cluster.host_key}\n")
        self.ssh_config = _enter_office(cluster)

    def _make_key(self, name: str) -> Path:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        return path

    def _install(self, members: int, scheduler: dict[str, Any]) -> None:
        package = {
            str(path.relative_to(ROOT / "gate")): path.read_bytes()
            for path in (ROOT / "gate" / "slidegate_gate").rglob("*.py")
        }
        self._unpack(package)
        self.as_owner(PYTHON, "slidegate_gate", "ctl", "install", "--site", "lab", "--scheduler", "slurm")
        release = f".slidegate-gate/releases/{RELEASE}"
        self._unpack(
            {f"{release}/release.json": canonical_json(RELEASE_JSON), f"{release}/steps.py": STEPS.encode()}
        )
        self.ctl("key", "add", KEY, "--workflow", "*")
        config = json.loads(self.as_owner("cat", f"{HOME}/config.json").stdout)
        config["scheduler"].update(scheduler)
        config["classes"]["cpu"].update(members=members, memory_mb=1, minutes=30)
        config["limits"] = LIMITS
        self.as_owner("sh", "-c", f"cat > {HOME}/config.json", input=json.dumps(config))
        self.as_owner(
            "sh", "-c", "umask 077; cat > gate-key.pub", input=self.key.with_suffix(".pub").read_text()
        )
        self.ctl("authorize", "gate-key.pub", "--key", KEY, "--from", "10.99.1.2")

    def _unpack(self, contents: dict[str, bytes]) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, data in contents.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        self.as_owner("tar", "-x", "--no-same-owner", input=packed.getvalue(), text=False)

    def as_owner(self, *argv: str, node: str = "login", **options: Any) -> "subprocess.CompletedProcess[Any]":
        """Run a program as the account's owner."""
        return self.cluster.run(node, argv, user=ACCOUNT, timeout=600, **options)

    def ctl(self, *words: str) -> "subprocess.CompletedProcess[Any]":
        """Call gatectl."""
        return self.as_owner(PYTHON, "-IS", f"{HOME}/current", "ctl", *words)

    def host(self) -> SshHost:
        """Return how slidegate reaches the gate."""
        known = self.folder / "pinned"
        return SshHost("lab", "login", known, user=ACCOUNT, config=self.ssh_config, identity=self.key)

    def gate(self, computer: str = "here") -> Gate:
        """Return a gate that is reached by ssh, as from some computer: each may have a few channels."""
        channels = self.folder / f"channels-{computer}"
        return Gate(SshGate(self.host(), channels, KEY, Patience()))

    def shell(self, command: str) -> list[str]:
        """Return the argument list that runs a command there with a plain ssh."""
        options = ["-o", "IdentitiesOnly=yes", "-i", str(self.shell_key), "-F", str(self.ssh_config)]
        return ["ssh", *options, f"{ACCOUNT}@login", command]

    def call(self, argv: Sequence[str]) -> None:
        """Run a program here."""
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)

    def plan(self, gate: Gate, units: Sequence[int], note: str) -> tuple[Digest, list[AttemptKey]]:
        """Bring a plan to the site that has an Attempt of so many Units for each number."""
        image = [("pixels", 1, digest_of_bytes(b"x"))]
        attempts = []
        for number, count in enumerate(units):
            key = digest_of([note, number])
            entry = {"attempt": key, "inputs": {"image": tree_digest(image)}, "note": {}}
            attempts.append({**entry, "parameters": {"units": count}})
        text = canonical_json({"plan": 1, "release": RELEASE, "note": {}, "attempts": attempts})
        entries = [("plan.json", len(text), digest_of_bytes(text))]
        gate.put_contents([b"x", tree_text(image), text, tree_text(entries)])
        return tree_digest(entries), [AttemptKey(entry["attempt"]) for entry in attempts]

    def wait(self, gate: Gate, attempts: Sequence[AttemptKey], seconds: float) -> float:
        """Wait until all have succeeded; return when it was seen."""
        left = set(attempts)
        end = time.monotonic() + seconds
        cursor = ""
        while left:
            if time.monotonic() > end:
                raise SystemExit(f"{len(left)} Attempts have not ended after {seconds:.0f} s")
            news = gate.status(cursor)
            cursor = news.cursor
            for view in news.attempts:
                if view["state"] in ("failed", "cancelled"):
                    raise SystemExit(f"an Attempt ended otherwise: {view}")
                if view["state"] == "succeeded":
                    left.discard(view["attempt"])
            time.sleep(0.05)
        return time.monotonic()

    def empty_queue(self) -> None:
        """Call off all jobs."""
        self.as_owner("scancel", "--user", ACCOUNT)


def digest_of_bytes(data: bytes) -> Digest:
    """Return the SHA-256 of some bytes."""
    return Digest(hashlib.sha256(data).hexdigest())


def _enter_office(cluster: Cluster) -> Path:
    """Move this process to the office's network, so that nothing stands between it and the login node.

    Returns the ssh configuration to use. Without root there is a helper in between, for the first
    milliseconds of each connection.
    """
    if os.geteuid() != 0:
        return cluster.ssh_config
    space = os.open(f"/proc/{cluster.pid('office')}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(space, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(space)
    return cluster.ssh_config_inside


@contextlib.contextmanager
def cluster_site(
    *, members: int = 8, scheduler: dict[str, Any] | None = None, in_memory: bool = False, **settings: Any
) -> Iterator[ClusterSite]:
    """Start a cluster with a gate in it; its homes are on this computer's disk, or in memory."""
    folder = Path(tempfile.mkdtemp(prefix="sgc-", dir="/dev/shm" if in_memory else None))
    try:
        with Cluster.start(folder, **settings) as cluster:
            yield ClusterSite(cluster, folder, members, scheduler or {})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def figure(name: str, value: float, aim: float, *, at_most: bool, unit: str = "") -> None:
    """Print one figure for the summary of all benchmarks."""
    met = value <= aim if at_most else value >= aim
    words = f"at {'most' if at_most else 'least'} {aim:g}{unit}"
    print(f"FIGURE {name} = {value:.2f}{unit} (aim {words}): {'met' if met else 'missed'}", flush=True)


def seconds_of(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
