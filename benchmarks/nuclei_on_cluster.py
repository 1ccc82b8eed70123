# SPDX-License-Identifier: BSD-3-Clause
"""Count the files that differ between nuclei found here, and at a cluster of which a node dies on the way.

usage: python benchmarks/nuclei_on_cluster.py [--full] [--home FOLDER]

The named peer is the embedded site on this computer. The cluster (tests/cluster) has a login node and two
compute nodes; the gate and the workflow are installed there from a kit, as an administrator does it, and
reached by ssh. As soon as both nodes are in the middle of blocks, one of them is switched off. Small: a
synthetic slide of 4096 x 4096 pixels; in full, 20000 x 27000 in two channels.
"""

import argparse
import filecmp
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.cluster import Cluster  # noqa: E402

SLIDEGATE = Path(sys.executable).with_name("slidegate")
GATE = "/home/anna/.slidegate-gate"
KEY = "bench"
MEMBERS = 4
# what tells when and where something was computed, and how long it took; of the summary the rest is compared
OF_THE_RUN = {"ro-crate-metadata.json", ".slidegate.json", "run.log", "report.html", "summary.json"}
COSTS = {"steps", "peak_memory_bytes", "runtime", "workflow", "versions"}


class Lab:
    """slidegate on this computer, and a gate in anna's account at a cluster."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.environment = {**os.environ, "SLIDEGATE_HOME": str(folder / "home")}

    def here(self, *words: object) -> str:
        """Type a slidegate command; return what it prints."""
        argv = [str(SLIDEGATE), *map(str, words)]
        return subprocess.run(
            argv, env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def gatectl(self, *words: str, program: str = f"{GATE}/current") -> None:
        """Let anna use the gate's hand tool."""
        self.cluster.run("login", ["python3", "-IS", program, "ctl", *words], user="anna", timeout=900)

    def install(self) -> None:
        """Bring the gate and the workflow into anna's account, and name the site here."""
        kit = self.folder / "kit"
        self.here("site", "kit", kit, "--workflow", "nuclei")
        self.here("key", "create", KEY)
        shutil.copy(self.folder / "home" / "keys" / KEY / "id.pub", kit / "key.pub")
        home = self.cluster.home("anna")
        shutil.move(kit, home / "kit")
        owner = home.stat()
        for path in [home / "kit", *(home / "kit").rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid)
        self.gatectl("install", "--site", "lab", "--scheduler", "slurm", program="kit/slidegate_gate")
        path = home / ".slidegate-gate" / "config.json"
        config = json.loads(path.read_text())
        config["classes"]["cpu"].update(members=MEMBERS, memory_mb=1500, minutes=55)
        config["scheduler"].update(poll_seconds=1, settle_seconds=1)
        path.write_text(json.dumps(config | {"lease_seconds": 3}))
        self.gatectl("workflow", "install", "kit/workflows/nuclei")
        self.gatectl("key", "add", KEY, "--workflow", "nuclei")
        self.gatectl("authorize", "kit/key.pub", "--key", KEY)
        where = ["--ssh", "login", "--ssh-config", self.cluster.ssh_config, "--user", "anna", "--key", KEY]
        self.here("site", "add", "lab", *where, "--host-key", self.cluster.host_key)

    def nodes_at_work(self) -> dict[str, int]:
        """Return the nodes that hold blocks which are not done, and how many."""
        found: dict[str, int] = {}
        work = self.cluster.home("anna") / ".slidegate-gate" / "data" / "keys" / KEY / "work"
        held = [path for path in work.glob("*/*/leases/detect.*") if not _done(path)]
        members = {str(path.readlink()).split(".")[1] for path in held}
        said = self.cluster.run("login", ["squeue", "-h", "-r", "-t", "R", "-o", "%K %N"], check=False).stdout
        for element, node in (line.split() for line in said.splitlines()):
            if element in members:
                found[node] = found.get(node, 0) + 1
        return found

    def lose_a_node(self, run: "subprocess.Popen[str]") -> str:
        """Switch a node off as soon as both are in the middle of blocks; return which."""
        while set(self.nodes_at_work()) != {"c1", "c2"}:
            if run.poll() is not None:
                raise SystemExit("the Run ended before both nodes were at work")
            time.sleep(0.05)
        self.cluster.kill_node("c2")
        self.cluster.down("c2")
        return "c2"

    def run_here(self, image: Path, home: Path | None, *more: object) -> dict[str, Any]:
        """Find the nuclei at the embedded site, perhaps at that of a home which has the workflow already."""
        at = Lab(self.cluster, self.folder)
        at.environment["SLIDEGATE_HOME"] = str(home or self.folder / "home")
        return _answer(at.here("run", "nuclei", image, "--json", "--out", self.folder / "here", *more))

    def run_there(self, image: Path, *more: object) -> dict[str, Any]:
        """Find the nuclei at the cluster, which loses a node meanwhile."""
        words = ["run", "nuclei", image, "--json", "--out", self.folder / "there", "--site", "lab", *more]
        argv = [str(SLIDEGATE), *map(str, words)]
        with subprocess.Popen(argv, env=self.environment, stdout=subprocess.PIPE, text=True) as run:
            lost = self.lose_a_node(run)
            print(f"{lost} was switched off in the middle", flush=True)
            said = run.communicate()[0]
        return _answer(said)


def _done(lease: Path) -> bool:
    unit = lease.name.rpartition(".")[0]
    return (lease.parent.parent / "done" / unit).exists()


def _answer(said: str) -> dict[str, Any]:
    answer = json.loads(said)
    if answer["state"] != "succeeded":
        raise SystemExit(f"the Run ended otherwise: {said}")
    return dict(answer["images"][0])


def files_below(folder: Path) -> set[str]:
    """Return the names of all files that tell what was found."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if Path(name).name not in OF_THE_RUN}


def differing(one: Path, other: Path) -> tuple[int, list[str]]:
    """Return how many files there are, and the names of those that differ or are missing."""
    names = files_below(one) | files_below(other)
    _, wrong, missing = filecmp.cmpfiles(one, other, sorted(names), shallow=False)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (one, other)]
    found = [{name: value for name, value in each.items() if name not in COSTS} for each in summaries]
    return 1 + len(names), wrong + missing + ["summary.json"] * (found[0] != found[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="a whole slide")
    parser.add_argument("--home", type=Path, help="a SLIDEGATE_HOME whose embedded site has the workflow")
    asked = parser.parse_args()
    full = asked.full
    size, block = ("20000x27000", 2048) if full else ("4096x4096", 1024)
    folder = Path(tempfile.mkdtemp(prefix="sgn-"))
    try:
        with Cluster.start(folder / "c", cpus=MEMBERS // 2, MinJobAge=300) as cluster:
            lab = Lab(cluster, folder)
            begun = time.monotonic()
            lab.here("sample", "slide", "--size", size, "--seed", "20", folder / "slide")
            lab.install()
            print(f"installed after {time.monotonic() - begun:.0f} s", flush=True)
            image = folder / "slide" / "slide.ome.tif"
            blocks = ("--param", f"block_px={block}")
            begun = time.monotonic()
            here = lab.run_here(image, asked.home, *blocks)
            between = time.monotonic()
            there = lab.run_there(image, *blocks)
            print(f"here {between - begun:.0f} s, there {time.monotonic() - between:.0f} s", flush=True)
        count, wrong = differing(Path(here["results"]), Path(there["results"]))
        print(f"{size} pixels, {here['summary']['nuclei']} nuclei, {count} files")
        for name in wrong[:10]:
            print("differs:", name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    met = "met" if not wrong and count else "missed"
    name = "files that differ, here and at a cluster that loses a node"
    print(f"FIGURE {name} = {len(wrong)}/{count} (aim 0): {met}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
