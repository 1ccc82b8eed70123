# SPDX-License-Identifier: BSD-3-Clause
"""How fast the gate takes contents in, against ``cat`` into a file of the same bytes through the same pipe.

Both read frames that a feeding process pours into a pipe, and both write into the same folder. ``cat`` copies
the stream; the gate parses it, checks the SHA-256 of every frame's JSON, hashes each content, writes
it, records it in the audit chain and answers. Two shapes: contents of one frame each (shards of an OME-Zarr
are a few MB), and one long content of many frames. Runs alternate; the
fastest of each are compared. The speed of SHA-256 alone is told: who checks digests cannot be faster.

usage: python benchmarks/gate_put.py [MEBIBYTES]
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slidegate_gate.protocol import frames

HERE = Path(__file__).resolve().parent
START = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from slidegate_gate.__main__ import main
sys.exit(main())
"""
RUNS = 7
AIM = 0.7


def make_home(home: Path) -> None:
    """Make the least home that a gate runs in."""
    home.mkdir()
    config = {
        "format": 1,
        "site": "local",
        "scheduler": {"name": "local", "cores": 1},
        "classes": {"cpu": {"members": 1}},
        "keys": {"local": {"workflows": ["*"]}},
    }
    (home / "config.json").write_text(json.dumps(config))


def write_stream(path: Path, sizes: list[int]) -> int:
    """Write put requests for random contents of these sizes; return the number of frames."""
    count = 0
    with path.open("wb") as file:
        for size in sizes:
            data = os.urandom(size)
            digest = hashlib.sha256(data).hexdigest()
            for offset in range(0, size, frames.MAX_BODY):
                count += 1
                request = {
                    "id": f"{count:x}",
                    "verb": "put",
                    "digest": digest,
                    "size": size,
                    "offset": offset,
                }
                frames.write_frame(file.fileno(), request, data[offset : offset + frames.MAX_BODY])
    return count


def seconds_of_sha256(size: int) -> float:
    """Return how long it takes to hash so many bytes, in pieces as they come from a pipe."""
    piece = os.urandom(1 << 16)
    digest = hashlib.sha256()
    began = time.perf_counter()
    for _ in range(size >> 16):
        digest.update(piece)
    return time.perf_counter() - began


def seconds_of_cat(stream: Path, folder: Path) -> float:
    """Return how long ``cat`` takes to copy the stream into a new file."""
    out = folder / "cat"
    began = time.perf_counter()
    feeder = subprocess.Popen(["cat", stream], stdout=subprocess.PIPE)
    with out.open("wb") as file:
        subprocess.run(["cat"], stdin=feeder.stdout, stdout=file, check=True)
    seconds = time.perf_counter() - began
    feeder.wait()
    out.unlink()
    return seconds


def seconds_of_gate(stream: Path, folder: Path, count: int) -> float:
    """Return how long a gate that has started takes to commit and answer everything in the stream."""
    home = folder / "home"
    make_home(home)
    argv = [sys.executable, "-IS", "-c", START, str(HERE.parent / "gate"), "serve"]
    argv += ["--home", str(home), "--key", "local"]
    gate = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    reader = frames.FrameReader(gate.stdout.fileno(), 60)
    frames.write_frame(gate.stdin.fileno(), {"id": "0", "verb": "hello"})
    reader.read()
    began = time.perf_counter()
    feeder = subprocess.Popen(["cat", stream], stdout=gate.stdin)
    gate.stdin.close()
    answers = [frame.message for frame in frames.read_ahead(reader)]
    seconds = time.perf_counter() - began
    feeder.wait()
    gate.wait()
    refused = [answer for answer in answers if not answer["ok"]]
    if refused or len(answers) != count or not answers[-1]["committed"]:
        raise SystemExit(f"the gate did not take everything: {refused[:1]}")
    shutil.rmtree(home)
    return seconds


def measure(name: str, sizes: list[int], folder: Path) -> None:
    """Compare both on one stream, and print the ratio."""
    memory = Path("/dev/shm")  # where there is room, the stream comes from memory
    with tempfile.NamedTemporaryFile(dir=memory if memory.is_dir() else folder) as file:
        stream = Path(file.name)
        count = write_stream(stream, sizes)
        size = stream.stat().st_size
        pairs = [
            (seconds_of_cat(stream, folder), seconds_of_gate(stream, folder, count)) for _ in range(RUNS)
        ]
        hashed = min(seconds_of_sha256(size) for _ in range(RUNS))
    cat, gate = (min(seconds) for seconds in zip(*pairs, strict=True))
    speeds = ", ".join(
        f"{who} {size / seconds / 1e6:.0f} MB/s"
        for who, seconds in (("cat", cat), ("gate", gate), ("SHA-256 alone", hashed))
    )
    print(f"{name}, {size / 1e6:.0f} MB in {count} frames: {speeds}")
    verdict = "met" if cat / gate >= AIM else "missed"
    print(f"FIGURE put against cat, {name} = {cat / gate:.2f} (aim at least {AIM}): {verdict}")


def main() -> None:
    """Measure both shapes."""
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        measure("contents of one frame", [4 << 20] * (mebibytes // 4), Path(folder))
        measure("one long content", [mebibytes << 20], Path(folder))


if __name__ == "__main__":
    main()
