# SPDX-License-Identifier: BSD-3-Clause
"""How fast contents go to a site over a real ssh, and what a cut connection costs.

usage: python benchmarks/ssh_staging.py [--full]

The same bytes go to the same folder by ``ssh host 'cat > file'``, by ``ssh host 'tee FILE | sha256sum'``
(which is what somebody does who wants to know that all has arrived), and by slidegate, which has each content
hashed at both ends, committed under its digest, and can go on where it was cut off. Two shapes: shards of 4
MiB, as an OME-Zarr has, and one long file. Runs alternate; the fastest of each are compared.

Then the connection is cut after so many bytes, again and again, each time at another byte: all bytes arrive,
and none is sent twice but those of the pieces that were under way.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cluster_site import HOME, KEY, ClusterSite, cluster_site, figure, seconds_of

from slidegate.sites import Gate, PipeLink
from slidegate.sites.errors import LinkDown
from slidegate.sites.gate import PIECE
from slidegate.sites.transfer import put_tree
from slidegate.sites.trees import describe_folder, tree_digest, tree_text

SHARD = 4 << 20
# Becomes ssh for whoever calls it, until so many bytes went through: then it kills ssh and itself.
CUTTER = """
import os, subprocess, sys
left = int(sys.argv[1])
ssh = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE)
while left and (data := os.read(0, min(left, 1 << 16))):
    ssh.stdin.write(data)
    ssh.stdin.flush()
    left -= len(data)
if not left:
    ssh.kill()
    os._exit(1)
ssh.stdin.close()
sys.exit(ssh.wait())
"""


def make_files(folder: Path, sizes: Sequence[int]) -> Path:
    """Write files of random bytes."""
    folder.mkdir()
    for number, size in enumerate(sizes):
        with (folder / f"part{number:05}").open("wb") as file:
            for _ in range(0, size, SHARD):
                file.write(os.urandom(min(SHARD, size)))
    return folder


def remove_all(site: ClusterSite) -> None:
    """Let the site have nothing of what was sent."""
    site.as_owner("sh", "-c", f"rm -rf {HOME}/data/keys/{KEY} {HOME}/state/keys/{KEY}/bytes staged; sync")


def by_shell(site: ClusterSite, folder: Path, command: str) -> float:
    """Return how long it takes to pour all files into a command there."""
    remove_all(site)

    def pour() -> None:
        with subprocess.Popen(["cat", *sorted(folder.iterdir())], stdout=subprocess.PIPE) as files:
            subprocess.run(site.shell(command), stdin=files.stdout, stdout=subprocess.DEVNULL, check=True)

    return seconds_of(pour)


def by_gate(site: ClusterSite, folder: Path) -> float:
    """Return how long slidegate takes, from opening the connection to the last answer."""
    remove_all(site)
    entries = describe_folder(folder)
    gate = site.gate()
    seconds = seconds_of(lambda: put_tree(gate, folder, entries))
    gate.close()
    return seconds


def speed(site: ClusterSite, name: str, sizes: Sequence[int], rounds: int) -> None:
    """Compare the three ways."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:  # what is sent comes from memory
        folder = make_files(Path(scratch, "files"), sizes)
        ways = {"cat": "cat > staged", "tee": "tee staged | sha256sum"}
        seconds: dict[str, list[float]] = {"cat": [], "tee": [], "gate": []}
        for _ in range(rounds):
            for way, command in ways.items():
                seconds[way].append(by_shell(site, folder, command))
            seconds["gate"].append(by_gate(site, folder))
    best = {way: min(taken) for way, taken in seconds.items()}
    megabytes = sum(sizes) / 1e6
    told = ", ".join(f"{way} {megabytes / taken:.0f} MB/s" for way, taken in best.items())
    print(f"{name}, {megabytes:.0f} MB: {told}")
    figure(f"put over ssh against cat, {name}", best["cat"] / best["gate"], 0.7, at_most=False)
    figure(f"put over ssh against tee | sha256sum, {name}", best["tee"] / best["gate"], 1.0, at_most=False)


def cuts(site: ClusterSite, count: int, seed: int) -> None:
    """Cut the connection after each of some numbers of bytes, and go on each time."""
    chance = random.Random(seed)
    sizes = [PIECE * 3 + 5, PIECE, 1, SHARD]
    total = sum(sizes)
    edges = [1, 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE]  # the frames' own bytes lie around these
    places = (edges + [chance.randrange(1, total) for _ in range(count)])[:count]
    sound, again = 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_files(Path(scratch, "files"), sizes)
        entries = describe_folder(folder)
        for place in places:
            remove_all(site)
            argv = [sys.executable, "-IS", "-c", CUTTER, str(place), *site.host().argv()]
            cut = Gate(lambda argv=argv: PipeLink(argv, 60, site.host().environment()))
            whole = site.gate()
            sent = 0
            try:
                put_tree(cut, folder, entries)
            except LinkDown:
                sent = place
            rest = put_tree(whole, folder, entries)
            missing = whole.missing(tree_digest(entries), len(tree_text(entries)), entries)
            whole.close()
            twice = max(0, sent + rest - total)
            again = max(again, twice)
            sound += bool(sent) and not missing and twice <= 2 * PIECE
    print(f"cut at {len(places)} places in {total} bytes; sent again at the most {again} bytes")
    met = "met" if sound == len(places) else "missed"
    print(f"FIGURE uploads that went on after a cut = {sound}/{len(places)} (aim all): {met}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="512 MB, and a hundred cuts")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    mebibytes, rounds, places = (512, 5, 100) if asked.full else (32, 2, 4)
    with cluster_site(members=1) as site:
        speed(site, "shards of 4 MiB", [SHARD] * (mebibytes // 4), rounds)
        speed(site, "one long file", [mebibytes << 20], rounds)
        cuts(site, places, asked.seed)


if __name__ == "__main__":
    main()
