# SPDX-License-Identifier: BSD-3-Clause
"""A gate in an account of the cluster, behind the sshd that Debian ships, and what a thief of its key has."""

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slidegate_gate.protocol import frames
from slidegate_gate.protocol.canonical import canonical

from tests.cluster import Cluster

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
HOME = "/home/{}/.slidegate-gate"
STEPS = """
import json, os, sys
for line in sys.stdin:
    ask = json.loads(line)
    answer = {{"ok": True}}
    if ask["step"] == "plan":
        answer["units"] = ["all_of_it"]
    else:
        out = ask["out"]
{body}
    print(json.dumps(answer), flush=True)
"""


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Gatehouse:
    """A gate that is installed in `account`, as its administrator would, and its key ``omero``."""

    def __init__(self, cluster: Cluster, account: str, folder: Path, *install: str) -> None:
        self.cluster, self.account, self.folder = cluster, account, folder
        self.home = HOME.format(account)
        self.outside = cluster.home(account) / ".slidegate-gate"
        kit = cluster.home(account) / "kit"
        shutil.copytree(
            ROOT / "gate/slidegate_gate", kit / "slidegate_gate", ignore=lambda *_: ["__pycache__"]
        )
        shutil.copytree(ROOT / "tests/data/workflows/count_bytes", kit / "count_bytes")
        cluster.run("login", ["chown", "-R", f"{account}:{account}", f"/home/{account}/kit"])
        words = ["install", "--home", self.home, "--site", "lab", *(install or ("--cores", "2"))]
        start = [PYTHON, "-m", "slidegate_gate", "ctl", *words]
        cluster.run("login", start, user=account, env={"PYTHONPATH": f"/home/{account}/kit"})
        self.configure(limits={"requests_per_minute": 100000}, lease_seconds=1, idle_seconds=2)
        self.add_key("omero")

    def ctl(self, *words: str, check: bool = True) -> str:
        """Do what the administrator does; return what is printed."""
        argv = [PYTHON, "-IS", f"{self.home}/current", "ctl", *words]
        done = self.cluster.run("login", argv, user=self.account, check=check)
        return done.stdout + done.stderr

    def configure(self, **settings: Any) -> None:
        """Change config.json as its administrator may."""
        path = self.outside / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))

    def limit(self, key: str, **limits: int) -> None:
        """Give a key limits of its own."""
        keys = json.loads((self.outside / "config.json").read_text())["keys"]
        self.configure(keys={**keys, key: {**keys[key], "limits": limits}})

    def add_key(self, name: str, *options: str, workflow: str = "*") -> Path:
        """Make a key pair, let it in, and return where the private key lies."""
        private = self.key(name)
        private.parent.mkdir(parents=True, exist_ok=True)
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(private)]
        subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
        public = self.cluster.home(self.account) / f"{name}.pub"
        public.write_text(private.with_suffix(".pub").read_text())
        self.ctl("key", "add", name, "--workflow", workflow)
        self.ctl("authorize", f"/home/{self.account}/{name}.pub", "--key", name, *options)
        return private

    def key(self, name: str = "omero") -> Path:
        return self.folder / f"{self.account}-{name}"

    # --- what the holder of the key can do

    def options(self, key: str = "omero") -> list[str]:
        """Return the options that lead an ssh, scp, sftp or rsync to this gate's account."""
        plain = ["-F", str(self.cluster.ssh_config), "-i", str(self.key(key)), "-o", "IdentitiesOnly=yes"]
        return [*plain, "-o", f"User={self.account}", "-o", "ConnectTimeout=20", "-o", "LogLevel=INFO"]

    def ssh(
        self, *words: str, key: str = "omero", data: bytes = b"", seconds: float = 15, **environment: str
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run ssh with these options and words, the host among them; 124 where it did not end."""
        argv = ["ssh", *self.options(key), *words]
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **environment}
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables
        ) as process:
            try:
                out, err = process.communicate(data, seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                return subprocess.CompletedProcess(argv, 124, out, err)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    @contextmanager
    def channel(self, *options: str, key: str = "omero", **environment: str) -> Iterator["Channel"]:
        """Open a channel to the gate, as slidegate does."""
        argv = ["ssh", *self.options(key), *options, "login", "slidegate"]
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **environment}
        opened = Channel(argv, variables)
        try:
            yield opened
        finally:
            opened.close()

    # --- work

    def release(self, body: str, name: str = "probe", promised: str = "out.txt") -> str:
        """Install a workflow, as an administrator might who was fooled; return its digest.

        `body` are the lines of its one step, which finds `ask`, `out` and may change `answer`.
        """
        lines = "\n".join("        " + line for line in body.strip("\n").splitlines())
        steps = STEPS.format(body=lines).encode()
        digest = digest_of(steps + name.encode())
        manifest = {"inputs": {"image": {"type": "image"}}, "workers": {"max": 1}}
        manifest["steps"] = [{"do": "plan", "class": "cpu"}, {"do": "work", "class": "cpu", "units": "plan"}]
        manifest["outputs"] = {"out": {"type": "file", "path": promised}}
        manifest["command"] = ["python", "./steps.py"]
        schema = {"type": "object", "additionalProperties": False, "properties": {}}
        release = {"format": 1, "name": name, "version": "1.0.0", "digest": digest, "runtime": "00" * 32}
        release.update(python=PYTHON, manifest=manifest, schema=schema)
        folder = self.outside / "releases" / digest
        folder.mkdir(parents=True)
        (folder / "steps.py").write_bytes(steps)
        (folder / "release.json").write_bytes(canonical(release))
        self.cluster.run("login", ["chown", "-R", f"{self.account}:{self.account}", f"{self.home}/releases"])
        return digest


class Channel:
    """One connection: frames as they are, without the mercy of a client's library."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, bufsize=0
        )
        assert self.process.stdin and self.process.stdout
        self.outlet = self.process.stdin.fileno()
        self.reader = frames.FrameReader(self.process.stdout.fileno(), 20)
        self.body = b""

    def send(self, verb: str, body: bytes = b"", **fields: Any) -> None:
        frames.write_frame(self.outlet, {"id": "1", "verb": verb, **fields}, body)

    def answer(self) -> dict[str, Any]:
        """Return the next answer; an empty one where the channel has ended."""
        frame = self.reader.read()
        if frame is None:
            return {}
        self.body = bytes(frame.body)
        return frame.message

    def ask(self, verb: str, body: bytes = b"", **fields: Any) -> dict[str, Any]:
        self.send(verb, body, **fields)
        return self.answer()

    def code(self, verb: str, body: bytes = b"", **fields: Any) -> str:
        """Return "ok", or the code of the refusal."""
        answer = self.ask(verb, body, **fields)
        return "ok" if answer["ok"] else str(answer["error"]["code"])

    def put(self, data: bytes) -> str:
        answer = self.ask("put", data, digest=digest_of(data), size=len(data), offset=0)
        assert answer.get("committed"), answer
        return digest_of(data)

    def put_tree(self, contents: dict[str, bytes]) -> str:
        entries = [[name, len(data), self.put(data)] for name, data in sorted(contents.items())]
        return self.put(canonical({"tree": 1, "entries": entries}))

    def plan(
        self, release: str, image: str = "", parameters: Any = None, note: Any = None
    ) -> tuple[str, str]:
        """Send a plan of one new Attempt; return the digests of the plan and of the Attempt."""
        image = image or self.put_tree({"pixels": b"pixels"})
        attempt = secrets.token_hex(32)
        entry = {
            "attempt": attempt,
            "inputs": {"image": image},
            "parameters": parameters or {},
            "note": note or {},
        }
        plan = {"plan": 1, "release": release, "note": {}, "attempts": [entry]}
        return self.put_tree({"plan.json": canonical(plan)}), attempt

    def work(self, release: str, seconds: float = 30, **about: Any) -> dict[str, Any]:
        """Do one Attempt and return how it ended."""
        plan, attempt = self.plan(release, **about)
        answer = self.ask("submit", plan=plan, round=1)
        assert answer["ok"], answer
        end = time.monotonic() + seconds
        while True:
            views = {view["attempt"]: view for view in self.ask("status", cursor="")["attempts"]}
            if views[attempt]["state"] not in ("queued", "running"):
                return views[attempt]
            assert time.monotonic() < end, (views[attempt], self.log_of(attempt))
            time.sleep(0.1)

    def read(self, digest: str) -> bytes:
        answer = self.ask("read", digest=digest, offset=0, length=1 << 20)
        assert answer["ok"], answer
        return self.body

    def log_of(self, attempt: str) -> str:
        self.ask("read", attempt=attempt, log=True, offset=0, length=100000)
        return self.body.decode("utf-8", "replace")

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Watch:
    """Every program that sshd's children, and theirs, start: strace tells, which sshd cannot."""

    LINE = re.compile(r'execve\("(?:[^"\\]|\\.)*", \[(.*)\], .*( = 0|<unfinished \.\.\.>)$')

    def __init__(self, cluster: Cluster, trace: Path) -> None:
        self.trace = trace
        daemon = cluster.run("login", ["cat", "/run/sshd.pid"]).stdout.strip()
        self.pid = self._outside(int(daemon), cluster)
        argv = [
            "strace",
            "-f",
            "-qq",
            "-e",
            "trace=execve",
            "-e",
            "signal=none",
            "-s",
            "300000",
            "-o",
            str(trace),
        ]
        self.process = subprocess.Popen([*argv, "-p", str(self.pid)])
        end = time.monotonic() + 20
        while "TracerPid:\t0\n" in Path(f"/proc/{self.pid}/status").read_text():
            assert time.monotonic() < end, "strace does not attach to sshd"
            time.sleep(0.02)
        self.place = 0

    @staticmethod
    def _outside(inner: int, cluster: Cluster) -> int:
        space = Path(f"/proc/{cluster._pids['login']}/ns/pid").readlink()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                status = (path / "status").read_text()
                if (path / "ns/pid").readlink() == space and re.search(rf"^NSpid:.*\t{inner}$", status, re.M):
                    return int(path.name)
            except OSError:
                continue
        raise AssertionError("sshd is not found")

    def started(self) -> list[list[str]]:
        """Return the argument lists of the programs that were started since the last question."""
        end = time.monotonic() + 10
        while (data := self.trace.read_bytes()[self.place :]) and not data.endswith(b"\n"):
            assert time.monotonic() < end, data[-500:]  # strace is in the middle of a line
            time.sleep(0.02)
        self.place += len(data)
        text = data.decode("utf-8", "replace")
        found = []
        for line in text.splitlines():
            told = self.LINE.search(line)
            if told:
                words = re.findall(r'"((?:[^"\\]|\\.)*)"', told[1])
                found.append([word.encode().decode("unicode_escape") for word in words])
            else:
                assert " = -1 " in line or "resumed" in line, line
        return found

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
