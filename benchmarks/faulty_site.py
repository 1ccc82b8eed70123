# SPDX-License-Identifier: BSD-3-Clause
"""A real gate in a temporary folder, in which any program can be made to die between two system calls.

Every program of the site (gate, holder of a crew, member, step) is started through a small wrapper. Where a
fault is armed for its kind, the wrapper lets strace kill it (SIGKILL) on entering the n-th system call of a
set: that call and all later ones never happen. A fault strikes one process, once.
"""

import contextlib
import io
import json
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from slidegate_gate.gatectl.main import main as gatectl
from slidegate_gate.protocol import frames
from slidegate_gate.protocol.canonical import canonical, digest_of

STRACE = "/usr/bin/strace"
NEVER = 65535  # the highest call that strace can be told
PYTHON = sys._base_executable  # type: ignore[attr-defined]
KEY = "bench"
RELEASE = "0e" * 32

# Calls that only look, or touch nothing but the process itself. Killed on entering one of them, a process
# leaves what it would have left if killed on entering the next of the others.
HARMLESS = re.compile(
    r"(read|readv|pread64|lseek|close|p?poll|p?select6?|[a-z0-9]*stat[a-z0-9]*|access|faccessat2?|readlink"
    r"|getdents(64)?|mmap|munmap|mprotect|mremap|madvise|brk|rt_sig[a-z]+|sigaltstack|futex|sched_[a-z]+"
    r"|clock_[a-z]+|get[a-z0-9]+|arch_prctl|set_robust_list|rseq|prlimit64|ioctl|fcntl|dup[23]?|pipe2?|umask"
    r"|sysinfo|uname|set_tid_address|epoll_[a-z0-9]+|restart_syscall|mincore|fadvise64)\("
    r"|open(at)?\(.*O_RDONLY(?!.*O_CREAT)"
)

WRAPPER = """#!/bin/bash
case " $* " in
  *" runner "*) kind=member ;;
  *local_holder.py*) kind=holder ;;
  *" serve "*|*naive_gate*) kind=gate ;;
  *steps.py*|*naive_job*) kind=step ;;
  *) kind=other ;;
esac
mine={faults}/$kind.$$
if mv {faults}/$kind "$mine" 2>/dev/null; then
  read -r call number follow < "$mine"
  exec {strace} $follow -D -q -o "$mine.trace" -e "inject=$call:signal=SIGKILL:when=$number" \\
    /bin/bash -c 'exec -a "$0" "$@"' "$0" {python} "$@"
fi
exec -a "$0" {python} "$@"
"""

# Each try of the last step writes a number of its own, so that two effects of one Attempt would differ.
STEPS = """
import json, os, sys, uuid

for line in sys.stdin:
    ask = json.loads(line)
    answer = {"ok": True}
    with open(os.path.join(ask["inputs"]["image"], "pixels")) as file:
        pixels = file.read()
    if ask["step"] == "plan":
        answer["units"] = ["first", "second"][:ask["parameters"]["units"]]
    if ask["step"] == "detect":
        path = os.path.join(ask["shared"], "labels", ask["unit"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = path + ".%d.__lock" % os.getpid()
        with open(part, "w") as file:
            file.write(pixels * ask["parameters"]["factor"])
        os.rename(part, path)
    if ask["step"] == "finish":
        count = len(ask["results"]["detect"])
        record = {"value": ask["parameters"]["factor"] * count, "try": uuid.uuid4().hex}
        with open(os.path.join(ask["out"], "effect.json"), "w") as file:
            json.dump(record, file)
        with open("LEDGER", "a") as file:
            file.write(ask["attempt"]["key"] + "\\n")
    print(json.dumps(answer), flush=True)
"""

MANIFEST = {
    "slidegate": 1,
    "name": "effects",
    "version": "1.0.0",
    "title": "Effects",
    "description": "Has an effect that can be counted.",
    "runtime": {"lock": "runtime.lock"},
    "command": ["python", "./steps.py"],
    "each": ["image"],
    "inputs": {"image": {"type": "image"}},
    "parameters": "parameters.schema.json",
    "steps": [
        {"do": "plan", "class": "cpu"},
        {"do": "detect", "units": "plan", "class": "cpu", "redo": "same-bytes"},
        {"do": "finish", "class": "cpu", "redo": "fresh"},
    ],
    "workers": {"max": 2},
    "outputs": {
        "labels": {"type": "labels", "path": "labels"},
        "effect": {"type": "table", "path": "effect.json"},
    },
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"units": {"type": "integer", "default": 2}, "factor": {"type": "integer", "default": 1}},
}


class Fault(NamedTuple):
    """A process of `kind`, or `in_child` a child of it, dies on entering `call` for the `number`-th time."""

    kind: str
    call: str
    number: int
    in_child: bool = False


# The holder carries on in a child, whose calls strace counts anew; these it makes and its parent does not.
HOLDER_CALLS = [("flock", 1), ("flock", 2), ("?clone3", 1), ("?vfork", 1), ("wait4", 1), ("exit_group", 1)]


class Lost(Exception):  # noqa: N818 - what happened to an answer
    """The channel ended before the answer came."""


class FaultySite:
    """An installed gate with one Release, in a new folder below `parent`."""

    def __init__(self, parent: Path, *, members: int, lease_seconds: float) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=parent))
        self.home = self.folder / "home"
        self.faults = self.folder / "faults"
        self.ledger = self.folder / "computed"
        self.python = self.folder / "python"
        self.struck: Counter[str] = Counter()
        self.faults_of: dict[str, list[tuple[Fault, str]]] = {}
        self.faults.mkdir()
        text = WRAPPER.format(faults=self.faults, strace=STRACE, python=PYTHON)
        self.python.write_text(text)
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)
        with contextlib.redirect_stdout(io.StringIO()):
            gatectl(["install", "--home", str(self.home), "--scheduler", "local", "--cores", "4"])
            gatectl(["key", "add", KEY, "--workflow", "*", "--home", str(self.home)])
        config = json.loads((self.home / "config.json").read_text())
        config["classes"] = {"cpu": {"members": members, "memory_mb": 1000, "minutes": 10}}
        config["limits"] = {"requests_per_minute": 1000000}
        config["lease_seconds"] = lease_seconds
        (self.home / "config.json").write_text(json.dumps(config))
        self._install()

    def _install(self) -> None:
        folder = self.home / "releases" / RELEASE
        folder.mkdir(parents=True)
        (folder / "steps.py").write_text(STEPS.replace("LEDGER", str(self.ledger)))
        release = {
            "format": 1,
            "name": "effects",
            "version": "1.0.0",
            "digest": RELEASE,
            "runtime": "1e" * 32,
            "python": str(self.python),
            "manifest": MANIFEST,
            "schema": SCHEMA,
        }
        (folder / "release.json").write_text(json.dumps(release))

    def arm(self, fault: "Fault") -> None:
        """Let the next process of this kind meet a fault."""
        made = self.faults / f".{uuid.uuid4().hex}"
        made.write_text(f"{fault.call} {fault.number} {'-f' if fault.in_child else ''}\n")
        made.rename(self.faults / fault.kind)

    def calibrate(self, markers: dict[str, str]) -> None:
        """Learn from the traces at which calls each kind of process can die."""
        for kind, marker in markers.items():
            self.faults_of[kind] = faults_of(kind, self.traces(kind)[0], marker)
        self.forget_traces()

    def arm_by_chance(self, shares: dict[str, float], chance: random.Random) -> None:
        """Arm faults at random calls."""
        for kind, faults in self.faults_of.items():
            if chance.random() < shares[kind]:
                self.arm(chance.choice(faults)[0])

    def disarm(self) -> None:
        """Take back the faults that nobody has met."""
        for kind in ("gate", "holder", "member", "step"):
            (self.faults / kind).unlink(missing_ok=True)

    def count_struck(self) -> None:
        """Count the processes that were killed, and forget their traces."""
        for trace in self.faults.glob("*.trace"):
            text = trace.read_text(errors="replace")
            if "+++ " in text[-100:]:
                self.struck[trace.name.partition(".")[0]] += "+++ killed by SIGKILL" in text
                trace.unlink()
                trace.with_suffix("").unlink()

    def traces(self, kind: str) -> list[Path]:
        """Return what strace wrote about the processes of this kind, oldest first."""
        return sorted(self.faults.glob(f"{kind}.*.trace"), key=lambda path: path.stat().st_mtime)

    def forget_traces(self) -> None:
        """Remove what strace has written so far."""
        for path in self.faults.glob("*.*"):
            path.unlink()

    def arrays(self) -> int:
        """Return how many crews were ever started."""
        folder = self.home / "state" / "scheduler" / "arrays"
        return len(list(folder.glob("sg-*"))) if folder.exists() else 0

    def computed(self) -> int:
        """Return how often the last step was computed, whether it counted or not."""
        return len(self.ledger.read_text().split()) if self.ledger.exists() else 0

    def tries(self, submission: str, attempt: str) -> set[int]:
        """Return how often the Units of an Attempt were tried that has not been released."""
        leases = self.home / "data" / "keys" / KEY / "work" / submission / attempt / "leases"
        return {int(path.name.rpartition(".")[2]) + 1 for path in leases.glob("[!.]*")}

    def channel(self) -> "Channel":
        """Start a gate and return the channel to it."""
        program = str(self.home / "current")
        return Channel([str(self.python), "-IS", program, "serve", "--home", str(self.home), "--key", KEY])

    def close(self) -> None:
        """Remove the site."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Channel:
    """One gate process at the other end of two pipes, without any mercy of a client's library."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={"PATH": "/usr/bin:/bin"},
        )
        assert self.process.stdin
        assert self.process.stdout
        self.to_gate = self.process.stdin.fileno()
        self.reader = frames.FrameReader(self.process.stdout.fileno(), 30.0)

    def send(self, verb: str, body: bytes = b"", **fields: object) -> None:
        """Send a request; Lost where the gate is gone."""
        try:
            frames.write_frame(self.to_gate, {"id": uuid.uuid4().hex, "verb": verb, **fields}, body)
        except OSError as error:
            raise Lost from error

    def receive(self) -> dict:
        """Return the next answer, its body as "body"; Lost where none comes."""
        try:
            frame = self.reader.read()
        except (frames.BadFrame, OSError) as error:
            raise Lost from error
        if frame is None:
            raise Lost
        return {**frame.message, "body": bytes(frame.body)}

    def ask(self, verb: str, body: bytes = b"", **fields: object) -> dict:
        """Send a request and return the answer."""
        self.send(verb, body, **fields)
        return self.receive()

    def close(self, *, at_once: bool = False) -> None:
        """End the channel; `at_once`: tear it down without waiting for the gate to finish."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        if at_once:
            self.process.kill()
        self.process.wait()


class Plan:
    """Some Attempts with what has to be sent for them."""

    def __init__(self, units: list[int], note: str, packing: str = "") -> None:
        """`packing` makes another plan of the same Attempts."""
        self.contents: dict[str, bytes] = {}
        self.expected: dict[str, int] = {}
        image = self._tree({"pixels": b"x" * 100})
        attempts = []
        for number, count in enumerate(units):
            key = digest_of(f"{note} {number}".encode())
            factor = 1 + number
            parameters = {"units": count, "factor": factor}
            attempts.append(
                {"attempt": key, "inputs": {"image": image}, "parameters": parameters, "note": {}}
            )
            self.expected[key] = factor * count
        plan = {"plan": 1, "release": RELEASE, "note": {"of": note + packing}, "attempts": attempts}
        self.digest = self._tree({"plan.json": canonical(plan)})

    def _tree(self, named: dict[str, bytes]) -> str:
        entries = [[name, len(data), self._add(data)] for name, data in sorted(named.items())]
        return self._add(canonical({"tree": 1, "entries": entries}))

    def _add(self, data: bytes) -> str:
        digest = digest_of(data)
        self.contents[digest] = data
        return digest


def faults_of(kind: str, trace: Path, marker: str) -> list[tuple[Fault, str]]:
    """Return (fault, the call as strace shows it) for each call of a trace, from the one with `marker` on."""
    seen: Counter[str] = Counter()
    begun = False
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        call, bracket, _ = line.partition("(")
        if bracket and call.isidentifier():
            seen[call] += 1
            begun = begun or marker in line
            if begun:
                found.append((Fault(kind, call, seen[call]), line))
    if kind == "holder":
        found += [(Fault(kind, call, number, in_child=True), call) for call, number in HOLDER_CALLS]
    return found
