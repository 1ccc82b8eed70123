# SPDX-License-Identifier: BSD-3-Clause
"""Runs the nuclei workflow the way a crew does: plan, blocks in any order on several processes, finish."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

STEP_PROCESS = (sys.executable, "-m", "slidegate_analysis.nuclei")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class StepProcess:
    """One persistent step process; Units go in by `ask`."""

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", **ONE_THREAD}
        self.home = home
        self._log = (home / f"log-{os.urandom(4).hex()}").open("w+")
        self._process = subprocess.Popen(
            STEP_PROCESS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**variables, **(environment or {})},
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a Unit and wait for its answer."""
        return self.ask_raw(json.dumps(request))

    def ask_raw(self, line: str) -> dict[str, Any]:
        """Send any line and wait for the answer."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ProcessDiedError(self.log())
        return json.loads(answer)

    def kill(self) -> None:
        """Kill it, whatever it is doing."""
        self._process.kill()

    def processor_seconds(self) -> float:
        """Give the processor time that it has used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        """Give what it wrote to standard error so far."""
        self._log.seek(0)
        return self._log.read()

    def close(self) -> int:
        """End its input and wait: its exit status."""
        self._process.stdin.close()
        status = self._process.wait(timeout=60)
        self._process.stdout.close()
        self._log.close()
        return status


class ProcessDiedError(Exception):
    """A step process ended instead of answering; its log is the only argument."""


class StepError(Exception):
    """A Unit failed; the answer is the only argument."""


def run_workflow(
    image: Path,
    parameters: dict[str, Any],
    folder: Path,
    processes: Sequence[StepProcess],
    shuffle: int = 0,
    regions: Path | None = None,
) -> Path:
    """Run all steps on several step processes; return the last folder (labels are in ``shared``).

    `shuffle` reorders the blocks; blocks go to whichever process is free. One that dies is replaced, and its
    block done again.
    """
    shared = folder / "shared"
    shared.mkdir(parents=True)
    inputs = {"image": str(image)} | ({} if regions is None else {"regions": str(regions)})
    base = {"inputs": inputs, "parameters": parameters, "shared": str(shared), "attempt": {}}

    def do(
        process: StepProcess, step: str, unit: str, results: dict[str, list[str]], number: int = 0
    ) -> dict[str, Any]:
        out = folder / "tries" / f"{step}.{unit}.{number}"
        out.mkdir(parents=True)
        request = {**base, "step": step, "unit": unit, "out": str(out), "results": results}
        answer = process.ask(request)
        if not answer["ok"]:
            raise StepError(answer)
        return answer

    units = do(processes[0], "plan", "all", {})["units"]
    results = {"plan": [str(folder / "tries" / "plan.all.0")]}
    free: SimpleQueue[StepProcess] = SimpleQueue()
    for process in processes:
        free.put(process)

    def detect(unit: str) -> str:
        process = free.get()
        try:
            do(process, "detect", unit, results)
        except ProcessDiedError:
            process = StepProcess(process.home)
            do(process, "detect", unit, results, number=1)
            return f"detect.{unit}.1"
        finally:
            free.put(process)
        return f"detect.{unit}.0"

    order = sorted(units, key=lambda unit: hash_of(unit, shuffle)) if shuffle else units
    with ThreadPoolExecutor(len(processes)) as pool:
        tries = sorted(pool.map(detect, order))
    results["detect"] = [str(folder / "tries" / one) for one in tries]
    do(processes[0], "finish", "all", results)
    return folder / "tries" / "finish.all.0"


def hash_of(unit: str, shuffle: int) -> int:
    """Give a number that puts units into another order for every `shuffle`."""
    value = shuffle
    for letter in unit:
        value = (value * 1_000_003 + ord(letter) * 7919) % 2_147_483_647
    return value * 48_271 % 2_147_483_647
