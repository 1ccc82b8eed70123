# SPDX-License-Identifier: BSD-3-Clause
"""Talk nonsense to a gate, a million frames of it, and see that nothing gives.

usage: python benchmarks/fuzz_gate.py [FRAMES] [--seed N] [--jobs N]

The gate is the real one, in this process, with a scheduler that only keeps a list. Conversations are drawn by
structure (see `fuzz_words`); every tenth is traced, and what reaches something new in the gate is kept and
changed further. After each conversation, and at the end of each site, this must hold:

- every request has an answer with a code that is documented, and never ``internal``: the gate did not fail;
- no process was started, no connection opened, no file touched outside the gate's home (an audit hook of the
  interpreter sees each); what the scheduler was asked to start is what `gatectl explain` prints;
- nothing of another key was answered; each blob has the digest that names it; the audit chain is whole;
- of the modules that read what arrives, every branch was taken both ways, by the bytecode.
"""

import argparse
import contextlib
import dis
import inspect
import itertools
import linecache
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "gate" / "tests")]

import slidegate_gate.errors  # noqa: E402
from fuzz_words import Words, digest_of  # noqa: E402
from slidegate_gate.protocol import frames, messages  # noqa: E402
from slidegate_gate.protocol.canonical import canonical  # noqa: E402
from slidegate_gate.serve import checks, loop  # noqa: E402
from support import RELEASE, Site, verify  # noqa: E402

PARSERS = (frames, messages, checks)
SERVE = str(Path(loop.__file__).parent)
EACH_SITE = 1000  # frames, after which a new site begins
TRACED = 10  # one conversation in so many
SLOWEST = 30  # seconds that a conversation may take
SECRET = b"only the other key may read this"
CODES = {
    kind.code
    for kind in vars(slidegate_gate.errors).values()
    if isinstance(kind, type) and issubclass(kind, slidegate_gate.errors.GateError)
} - {"internal", "gate-error"}

# Branches that no frame can take (function, source line, direction, jumped?), and why.
LINE = 'while not line.endswith(b"\\n") and len(line) < MAX_HEADER:'
PUT = 'if len(body) and message.get("verb") != "put":'
UNREACHABLE = {
    (
        "read_ahead",
        "with ThreadPoolExecutor(1) as thread:",
        "forward",
        True,
    ): "an executor swallows no exception",
    ("read", "except ValueError as error:", "forward", True): "reading JSON raises nothing else",
    ("write_frame", PUT, "forward", True): "only clients put",
    ("_header", LINE, "forward", True): "before the first byte the line is empty",
}
# Functions beside the parsers that look at what steps have written, which no frame brings.
BESIDE = ("grid", "bitmap")
Branch = tuple[str, str, int, int, bool]  # file, function, its first line, place in the bytecode, jumped?


class Broken(Exception):  # noqa: N818 - what happened to a promise
    """A promise of the gate does not hold."""


class Branches:
    """Which branches of the parsers were taken, by their bytecode; and which lines of the rest."""

    def __init__(self) -> None:
        self.jumps: dict[types.CodeType, dict[int, int]] = {}  # conditional jump -> what follows it
        self.where: dict[Branch, str] = {}
        for code in [code for module in PARSERS for code in codes_of(module)]:
            if code.co_qualname.partition(".")[0] in BESIDE:
                continue
            steps = list(dis.get_instructions(code))
            pairs = [(one, after) for one, after in itertools.pairwise(steps) if is_branch(one)]
            self.jumps[code] = {one.offset: after.offset for one, after in pairs}
            for one, _ in pairs:
                line = one.positions.lineno if one.positions else 0
                text = linecache.getline(code.co_filename, line or 0).strip()
                towards = "forward" if one.argval > one.offset else "backward"
                for jumped in (False, True):
                    if (code.co_name, text, towards, jumped) not in UNREACHABLE:
                        place = (
                            f"{Path(code.co_filename).name}:{line} {text} [{one.opname} {towards}: {jumped}]"
                        )
                        self.where[(*name_of(code), one.offset, jumped)] = place
        self.taken: set[Branch] = set()
        self.seen: set[Any] = set()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Trace this thread and those it starts."""
        threading.settrace(self._call)
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def _call(self, frame: types.FrameType, event: str, argument: object) -> Any:
        if frame.f_code in self.jumps:
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            return self._steps(frame.f_code)
        return self._line if frame.f_code.co_filename.startswith(SERVE) else None

    def _steps(self, code: types.CodeType) -> Any:
        jumps, last = self.jumps[code], -1

        def step(frame: types.FrameType, event: str, argument: object) -> Any:
            nonlocal last
            if event == "opcode":
                if last in jumps:
                    self.taken.add((*name_of(code), last, frame.f_lasti != jumps[last]))
                last = frame.f_lasti
            elif event == "exception":
                last = -1
            return step

        return step

    def _line(self, frame: types.FrameType, event: str, argument: object) -> Any:
        self.seen.add((frame.f_code, frame.f_lineno))
        return self._line


def codes_of(module: types.ModuleType) -> Iterator[types.CodeType]:
    """Yield the code of every function of a module, also of those inside others, but not what runs once."""
    waiting = [(compile(inspect.getsource(module), str(module.__file__), "exec"), True)]
    while waiting:
        code, outermost = waiting.pop()
        inner = [one for one in code.co_consts if isinstance(one, types.CodeType)]
        waiting += [(one, False) for one in inner]
        yield from [one for one in inner if not (outermost and one.co_name.endswith("comp>"))]


def is_branch(step: dis.Instruction) -> bool:
    return step.opname == "FOR_ITER" or ("JUMP" in step.opname and "_IF_" in step.opname)


def name_of(code: types.CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


class Watch:
    """Sees whatever this interpreter is asked to do to the outside while a conversation goes on."""

    STARTS = (
        "subprocess.",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "pty.",
        "socket.",
    )
    STARTS += ("ctypes.", "compile", "os.putenv", "os.kill", "pickle.", "marshal.", "os.symlink", "os.chown")
    TOUCHES = (
        "os.rename",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rmdir",
        "os.truncate",
        "os.chmod",
        "shutil.",
    )
    LOOKS = ("os.listdir", "os.scandir")
    LIBRARY = tuple(str(Path(path).resolve()) for path in sys.path if path)

    def __init__(self) -> None:
        self.home = ""
        self.found: list[str] = []
        sys.addaudithook(self._hook)

    @contextlib.contextmanager
    def over(self, home: str) -> Iterator[None]:
        """Watch while the gate at `home` works."""
        self.home = home
        try:
            yield
        finally:
            self.home = ""

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.home:
            return
        looks = event in self.LOOKS or (
            event == "open" and not arguments[2] & (os.O_RDWR | os.O_WRONLY | os.O_CREAT)
        )
        if looks or event == "open" or event.startswith(self.TOUCHES):
            allowed = (self.home, *self.LIBRARY) if looks else (self.home,)
            paths = [os.fsdecode(one) for one in arguments if isinstance(one, str | bytes) and one != "rb"]
            for path in paths[:1] if event == "open" else paths:
                real = str(Path(path).parent.resolve()) + "/"
                if path.startswith("/") and not real.startswith(allowed):
                    self.found.append(f"{event} {arguments!r:.200}")
        elif event.startswith(self.STARTS):
            self.found.append(f"{event} {arguments!r:.200}")


class Fuzz:
    """One process's share of the frames."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.folder = folder
        self.watch = Watch()
        self.branches = Branches()
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0
        self.kept: list[bytes] = []
        self.outlet = os.open(os.devnull, os.O_WRONLY)
        self.number = 0

    def run(self, count: int, lessons: bool) -> None:
        """Let so many frames be said, to one new site after the other; the first hears the lessons."""
        while self.counts["frames"] < count:
            self.number += 1
            home = self.folder / f"site-{self.number}"
            self.site = Site(str(home), limits={"requests_per_minute": 1 << 40})
            secret = self.site.put(SECRET, "two")
            plan = self.site.plan([1], "two")
            self.site.ask("submit", key="two", plan=plan, round=1)
            self.foreign = [secret, plan, digest_of(b"attempt 1"), self.site.put(b"{}", "two")]
            self.words = Words(self.chance, RELEASE, [*self.foreign, digest_of(b"of nobody")])
            self.words.kept = self.kept
            self.before = set(self.site.scheduler.arrays())
            end = min(count, self.counts["frames"] + EACH_SITE)
            for data in self.words.lessons() if lessons and self.number == 1 else ():
                self._converse(data, traced=True, key="one")
            while self.counts["frames"] < end:
                key = "one" if self.chance.random() < 0.97 else "none"
                traced = self.chance.randrange(TRACED) == 0
                self._converse(self.words.conversation(), traced=traced, key=key)
            self._inspect(home)
            shutil.rmtree(home)

    def _converse(self, data: bytes, *, traced: bool, key: str) -> None:
        news = len(self.branches.seen) + len(self.branches.taken)
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SLOWEST)
        with self.watch.over(self.site.home), contextlib.ExitStack() as stack:
            if traced:
                stack.enter_context(self.branches.watching())
            try:
                self._connection(data, key)
            except Broken:
                raise
            except BaseException as error:
                raise Broken(f"{error!r} after {data!r:.3000}") from error
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.counts["conversations"] += 1
        if self.watch.found:
            raise Broken(f"{self.watch.found} after {data!r:.3000}")
        if traced and len(self.branches.seen) + len(self.branches.taken) > news:
            self.counts["kept"] += 1
            self.kept.append(data)

    def _connection(self, data: bytes, key: str) -> None:
        """Do what ``loop.serve`` does with a channel on which these bytes arrive."""
        gate = loop.Gate(self.site.layout(key), self.site.scheduler, "0.1.0", "/program", "10.0.0.1")
        waits = len(data) < 60000 and self.chance.random() < 0.005  # the channel stays open, and silent
        inlet, outlet = os.pipe() if waits else (os.memfd_create("frames"), -1)
        os.write(outlet if waits else inlet, data)
        if not waits:
            os.lseek(inlet, 0, os.SEEK_SET)
        reader = frames.FrameReader(inlet, 0.02)
        one_by_one = iter(reader.read, None)
        try:
            for frame in frames.read_ahead(reader) if self.chance.random() < 0.05 else one_by_one:
                self.counts["frames"] += 1
                self._judge(key, frame.message, *gate.handle(frame))
        except slidegate_gate.errors.BadFrame as error:
            self.counts["frames"] += 1
            self._judge(key, {}, gate.refuse(error, "", "?", {}), b"")
        finally:
            gate._uploads.close()
            for handle in (inlet, outlet) if waits else (inlet,):
                os.close(handle)

    def _judge(self, key: str, message: dict[str, Any], answer: dict[str, Any], body: bytes) -> None:
        """Raise Broken where an answer is not as the messages promise."""
        said = {key: value for key, value in message.items() if key != "body"}
        code = "ok" if answer["ok"] else answer["error"]["code"]
        self.counts[f"answered {code}"] += 1
        if code not in CODES | {"ok"}:
            reason = Path(self.site.layout(key).errors).read_text()[-3000:]
            raise Broken(f"answered {code} to {said!r:.2000}\n{reason}")
        text = canonical(answer)
        if not re.fullmatch("[0-9a-f]{64}", answer["head"]) or answer["id"] != messages.request_id(message):
            raise Broken(f"answered {text!r:.500} to {said!r:.2000}")
        if SECRET in body or b"attempt-of-two" in text or (body and message.get("verb") != "read"):
            raise Broken(f"another key's contents answered to {said!r:.2000}")
        if "cursor" in answer:
            self.words.cursors = ["", answer["cursor"], "0123456789abcdef.7"]
        frames.write_frame(self.outlet, answer, body)

    def _inspect(self, home: Path) -> None:
        """Raise Broken where the site that was talked to is not as it must be."""
        keys = {path.name for root in ("state", "data") for path in (home / root / "keys").iterdir()}
        if keys - {"one", "two", "none"} or {path.name for path in home.parent.iterdir()} - {home.name}:
            raise Broken(f"there are folders that nobody should have made: {keys}")
        for key in ("one", "two", "none"):
            layout = self.site.layout(key)
            if Path(layout.audit).exists():
                verify(layout.audit)
            for path in Path(layout.blobs).glob("*/*"):
                self.counts["blobs"] += 1
                if digest_of(path.read_bytes()) != path.name or path.is_symlink():
                    raise Broken(f"{path} is not what its name says")
        for path in home.rglob("*"):
            inside = path.relative_to(home).as_posix()
            if (
                ".tmp-" in inside
                or not re.fullmatch("[A-Za-z0-9._+/-]+", inside)
                or path.lstat().st_mode & 0o077
            ):
                raise Broken(f"{inside} was left")
        for array in set(self.site.scheduler.arrays()) - self.before:
            self.counts["crews asked for"] += 1
            argv = self.site.scheduler.record(array)["argv"]
            if not EXPLAINED.fullmatch("\0".join(argv)):
                raise Broken(f"the scheduler was asked to start {argv}")


EXPLAINED = re.compile(
    "\0".join(
        [re.escape(sys.executable), "-IS", "/program", "runner", "--home", "/[^\0]+", "--key", "(one|none)"]
    )
    + "\0--submission\0[0-9a-f]{32}\0--class\0cpu\0--round\0[1-9][0-9]{0,3}"
)


def in_parts(write: Callable[[int, Any], int], chance: random.Random) -> Callable[[int, Any], int]:
    """Return a `write` that at times takes less than it is given, as that of the system may."""
    return lambda handle, data: write(
        handle,
        data[: chance.randint(1, 99)] if isinstance(data, memoryview) and chance.random() < 0.01 else data,
    )


def share(count: int, seed: int, lessons: bool) -> tuple[dict[str, int], float, set[Branch], str]:
    """Say so many frames; return what was counted, the slowest conversation, the branches, and what broke."""
    os.umask(0o077)
    os.fsync = lambda handle: None  # nobody pulls the plug here
    os.write = in_parts(os.write, random.Random(seed))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as folder:
        fuzz = Fuzz(Path(folder), seed)
        broken = ""
        try:
            fuzz.run(count, lessons)
        except (Broken, ValueError) as error:
            broken = str(error)
    return dict(fuzz.counts), fuzz.slowest, fuzz.branches.taken, broken


def figure(name: str, value: str, aim: str, *, met: bool) -> None:
    """Print one figure for the summary of all benchmarks."""
    print(f"FIGURE {name} = {value} (aim {aim}): {'met' if met else 'missed'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frames", type=int, nargs="?", default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    began = time.monotonic()
    with ProcessPoolExecutor(asked.jobs) as pool:
        each = -(-asked.frames // asked.jobs)
        seeds = range(asked.seed, asked.seed + asked.jobs)
        first = [seed == asked.seed for seed in seeds]
        shares = list(pool.map(share, [each] * asked.jobs, seeds, first))
    counts: Counter[str] = Counter()
    for counted, _, _, _ in shares:
        counts.update(counted)
    for name, count in sorted(counts.items()):
        print(f"{name:40}{count:>10}")
    broken = [words for _, _, _, words in shares if words]
    for words in broken:
        print("BROKEN:", words)
    where = Branches().where
    taken = set[Branch]().union(*(found for _, _, found, _ in shares)) & set(where)
    for branch in sorted(set(where) - taken):
        print("never taken:", where[branch])
    slowest = max(one[1] for one in shares)
    print(f"{time.monotonic() - began:.0f} s; the slowest conversation took {slowest:.2f} s")
    figure(
        "fuzzed frames answered as promised", f"{counts['frames']}", f"{asked.frames}, all", met=not broken
    )
    figure("branches of the parsers taken", f"{len(taken)}/{len(where)}", "all", met=len(taken) == len(where))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
