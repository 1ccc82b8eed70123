# SPDX-License-Identifier: BSD-3-Clause
"""The adapter for Slurm keeps on a real Slurm what every adapter promises."""

import io
import re
import tarfile
from pathlib import Path

import pytest

from tests.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

GATE = Path(__file__).parents[2] / "gate"
SUITES = [GATE / "tests" / name for name in ("scheduler_contract.py", "slurm_contract.py")]
PROMISES = sorted({name for suite in SUITES for name in re.findall(r"def (test_\w+)", suite.read_text())})


@pytest.fixture(scope="module")
def suite(cluster: Cluster) -> str:
    """A folder at the login node with the gate's package and the suite; a run as an account needs no more."""
    carried = io.BytesIO()
    with tarfile.open(fileobj=carried, mode="w") as tar:
        tar.add(GATE / "slidegate_gate", "slidegate_gate", filter=without_caches)
        for path in SUITES:
            tar.add(path, path.name)
    cluster.run("login", ["mkdir", "adapter"], user="anna")
    unpack = ["tar", "-x", "--no-same-owner", "-C", "adapter"]
    cluster.run("login", unpack, user="anna", input=carried.getvalue(), text=False)
    return "/home/anna/adapter"


def without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name == "__pycache__" else member


def test_there_are_promises() -> None:
    assert len(PROMISES) > 8


@pytest.mark.parametrize("promise", PROMISES)
def test_the_adapter_keeps_its_promise(cluster: Cluster, suite: str, promise: str) -> None:
    argv = ["/usr/bin/python3", "-B", "-m", "unittest", f"slurm_contract.SlurmArrays.{promise}"]
    done = cluster.run("login", argv, user="anna", env={"PYTHONPATH": suite}, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr
