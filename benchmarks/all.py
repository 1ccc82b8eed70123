# SPDX-License-Identifier: BSD-3-Clause
"""Run every benchmark and say at the end which aims were met.

usage: python benchmarks/all.py [--small | --proof] [NAME ...]

Each benchmark is a program of its own that prints its figures and, for each aim, a line
``FIGURE name = value (aim ...): met|missed``. It exits 0 whether or not an aim was met: a missed aim is a
fact to report, a crash is a failure.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FIGURE = re.compile(r"FIGURE (?P<name>.+?) = (?P<value>.+?) \((?P<aim>.+?)\): (?P<verdict>met|missed)")

# What each benchmark is called with: in the small form (CI), in full (make bench), as a proof (make proof).
FORMS: dict[str, tuple[list[str], list[str], list[str] | None]] = {
    "same_answer": ([], ["--full"], None),
    "quality": ([], ["--full"], None),
    "detector_speed": ([], ["--full"], None),
    "parallel_efficiency": ([], ["--full"], None),
    "big_slide_memory": ([], ["--full"], None),
    "zarr_writer": ([], ["--full"], None),
    "staging": ([], ["--full"], None),
    "gate_put": ([], [], None),
    "fuzz_gate": (["15000", "--seed", "7"], ["100000"], ["1000000"]),
    "overhead": ([], ["--full"], None),
    "preview_speed": ([], ["--full"], None),
    "gate_ssh": ([], ["--full"], None),
    "status_size": ([], ["--full"], None),
    "tile_speed": ([], ["--full"], None),
    "pocket_listing": ([], ["--full"], None),
    "pocket_sessions": ([], ["--full"], None),
    "pocket_tiles": ([], ["--full"], None),
    "omero_pixels": ([], ["--full"], None),
    "omero_import": ([], ["--full"], None),
    "omero_staging": ([], ["--full"], None),
    "readers": ([], ["--full"], None),
    "slurm_queries": ([], ["--full"], None),
    "ssh_staging": ([], ["--full"], None),
    "history_size": ([], ["--full"], None),
    "api_load": ([], ["--full"], None),
    "crew_or_array": ([], ["--full"], None),
    "nuclei_on_cluster": ([], [], ["--full"]),
    "one_effect_slurm": (["100"], ["200"], ["1000"]),
    "one_effect": (["30"], ["100"], ["1000", "--every-crash-point"]),
    "chaos": (["12", "--database", "sqlite"], ["40", "--slurm"], ["200", "--slurm"]),
}


def run(name: str, arguments: list[str]) -> tuple[int, list[dict[str, str]]]:
    """Run one benchmark, pass its output on, and return its exit status and its figures."""
    print(f"\n=== {name} {' '.join(arguments)}", flush=True)
    figures = []
    with subprocess.Popen(
        [sys.executable, str(HERE / f"{name}.py"), *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if match := FIGURE.search(line):
                figures.append({"benchmark": name, **match.groupdict()})
    return process.returncode, figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="which; all when none is named")
    parser.add_argument("--small", action="store_true", help="the forms that CI runs")
    parser.add_argument("--proof", action="store_true", help="the long forms of the proofs")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.names) - set(FORMS)):
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(FORMS)}")
    crashed = []
    figures = []
    for name, (small, full, proof) in FORMS.items():
        if (chosen.names and name not in chosen.names) or (chosen.proof and proof is None):
            continue
        status, found = run(name, small if chosen.small else proof if chosen.proof else full)
        figures += found
        if status != 0:
            crashed.append(name)
    print("\n=== all figures")
    for figure in figures:
        print("{benchmark:20} {name:55} {value:>14}  {aim:24} {verdict}".format(**figure))
    if crashed:
        print("crashed:", ", ".join(crashed))
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
