# SPDX-License-Identifier: BSD-3-Clause
"""How fast the gate takes contents in, against ``cat`` into a file of the same bytes through the same pipe.

Both read frames that a feeding process pours into a pipe, and both write into the same folder. ``cat`` copies the
stream; the gate parses it, checks the SHA-256 of every frame's JSON and body, hashes each content, writes it, flushes
it to the disk and answers. Two shapes: contents of one frame each (OME-Zarr shards are a few MB) and one long
content of many frames, whose bytes have to be hashed twice. Runs alternate; medians are compared.

usage: python benchmarks/gate_put.py [MEBIBYTES]
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slidegate_gate.serve import frames

HERE = Path(__file__).resolve().parent
START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from slidegate_gate.__main__ import main; sys.exit(main())"
)
RUNS = 5
AIM = 0.7


def make_home(home: Path) -> None:
    home.mkdir()
    config = {
        "format": 1, "site": "local", "scheduler": {"name": "local", "cores": 1},
        "classes": {"cpu": {"members": 1}}, "keys": {"local": {"workflows": ["*"]}},
    }
    (home / "config.json").write_text(json.dumps(config))


def write_stream(path: Path, contents: list[int]) -> int:
    """Write put requests for random contents of these sizes; return the number of frames."""
    count = 0
    with path.open("wb") as file:
        for size in contents:
            data = os.urandom(size)
            digest = hashlib.sha256(data).hexdigest()
            for offset in range(0, size, frames.MAX_BODY):
                count += 1
                request = {"id": f"{count:x}", "verb": "put", "digest": digest, "size": size, "offset": offset}
                frames.write_frame(file.fileno(), request, data[offset : offset + frames.MAX_BODY])
    return count


def seconds_of_cat(stream: Path, folder: Path) -> float:
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
    home = folder / "home"
    make_home(home)
    argv = [sys.executable, "-IS", "-c", START, str(HERE.parent / "gate"), "serve", "--home", str(home), "--key", "local"]
    gate = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    reader = frames.FrameReader(gate.stdout.fileno(), 60)
    frames.write_frame(gate.stdin.fileno(), {"id": "0", "verb": "hello"})
    reader.read()  # the interpreter has started
    began = time.perf_counter()
    feeder = subprocess.Popen(["cat", stream], stdout=gate.stdin)
    gate.stdin.close()
    answers = [frame.message for frame in frames.read_ahead(reader)]
    seconds = time.perf_counter() - began
    feeder.wait()
    gate.wait()
    good = len(answers) == count and all(answer["ok"] for answer in answers) and answers[-1]["committed"]
    if not good:
        raise SystemExit(f"the gate refused: {[answer for answer in answers if not answer['ok']][:1]}")
    shutil.rmtree(home)
    return seconds


def measure(name: str, contents: list[int], folder: Path) -> None:
    memory = Path("/dev/shm")  # the stream itself is read from memory where that is possible
    with tempfile.NamedTemporaryFile(dir=memory if memory.is_dir() else folder) as file:
        stream = Path(file.name)
        count = write_stream(stream, contents)
        size = stream.stat().st_size
        pairs = [(seconds_of_cat(stream, folder), seconds_of_gate(stream, folder, count)) for _ in range(RUNS)]
    cat = statistics.median(pair[0] for pair in pairs)
    gate = statistics.median(pair[1] for pair in pairs)
    print(f"{name}: {size / 1e6:.0f} MB in {count} frames: cat {size / cat / 1e6:.0f} MB/s, gate {size / gate / 1e6:.0f} MB/s")
    verdict = "met" if cat / gate >= AIM else "missed"
    print(f"FIGURE put against cat, {name} = {cat / gate:.2f} (aim at least {AIM}): {verdict}")


def main() -> None:
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        measure("contents of one frame", [4 << 20] * (mebibytes // 4), Path(folder))
        measure("one long content", [mebibytes << 20], Path(folder))


if __name__ == "__main__":
    main()
