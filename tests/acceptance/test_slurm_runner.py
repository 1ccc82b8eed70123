# SPDX-License-Identifier: BSD-3-Clause
"""Members of crews on a real Slurm: what they are given, and what they say when it is taken away."""

import io
import json
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

GATE = Path(__file__).parents[2] / "gate"
LABELS = {f"labels/u{number:03}": f"pixels of u{number:03}" for number in range(6)}
WHOLE = {**LABELS, "table": " ".join(f"u{number:03}" for number in range(6))}


class Site:
    """The calls of gate/tests/slurm_site.py, which runs on the login node as anna."""

    def __init__(self, cluster: Cluster, process: Any) -> None:
        self.cluster = cluster
        self._process = process
        assert process.stdout.readline() == '"ready"\n'

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object, **named: object) -> Any:
            self._process.stdin.write(json.dumps([name, arguments, named]) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

        return call

    def until_ended(self, array: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until Slurm says that an array has ended; return what is told of it."""
        end = time.monotonic() + seconds
        while (told := self.states(array))["state"] != "ended":
            assert time.monotonic() < end, (told, self.job_log())
            time.sleep(0.2)
        return told

    def until_tried(self, *start: str) -> None:
        """Wait until a step works on a Unit."""
        end = time.monotonic() + 30
        while not self.tried(*start):
            assert time.monotonic() < end, self.job_log()
            time.sleep(0.1)


@contextmanager
def opened(cluster: Cluster) -> Iterator[Site]:
    carried = io.BytesIO()
    with tarfile.open(fileobj=carried, mode="w") as tar:
        for name in ("slidegate_gate", "tests/small_site.py", "tests/slurm_site.py"):
            tar.add(GATE / name, name, filter=lambda one: None if "__pycache__" in one.name else one)
    folder = cluster.run("login", ["mktemp", "-d", "/home/anna/site-XXXXXX"], user="anna").stdout.strip()
    unpack = ["tar", "-x", "--no-same-owner", "-C", folder]
    cluster.run("login", unpack, user="anna", input=carried.getvalue(), text=False)
    argv = ["/usr/bin/python3", "-B", f"{folder}/tests/slurm_site.py", f"{folder}/site"]
    with cluster.popen(
        "login", argv, user="anna", stdin=-1, stdout=-1, env={"PYTHONPATH": folder}
    ) as process:
        try:
            yield Site(cluster, process)
        finally:
            cluster.run("login", ["scancel", "--me"], user="anna", check=False)
            process.kill()
            cluster.wait_until_idle()


@pytest.fixture
def site(cluster: Cluster) -> Iterator[Site]:
    with opened(cluster) as one:
        yield one


def finish(site: Site, attempt: str) -> None:
    """Let the next crew finish; the bytes are those of an undisturbed run."""
    assert site.until_ended(site.crew(2)) == {"state": "ended"}
    assert site.result(attempt)["state"] == "succeeded", site.result(attempt)
    assert site.outputs(attempt) == WHOLE


def test_a_crew_over_two_nodes_gives_the_bytes_of_one_member_in_a_clean_environment(site: Site) -> None:
    (attempt,) = site.begin({"units": 6, "seconds": 0.2, "environment": True})
    array = site.crew(4, cpus=2)
    assert site.until_ended(array) == {"state": "ended"}
    assert site.outputs(attempt) == WHOLE, site.job_log()
    environment = site.environment()
    scratch = environment.pop("cwd")
    assert environment.pop("HOME") == environment.pop("TMPDIR") == scratch
    assert environment.pop("PATH") == "/usr/bin:/bin"
    kinds = {name for name in environment if not name.endswith("_NUM_THREADS")}
    assert kinds <= {"LANG", "LC_CTYPE", "PWD", "SHLVL", "_"}, environment
    loose = ["find", "/home/anna", "-path", "*/site/*", "-perm", "/077", "-not", "-type", "l"]
    assert site.cluster.run("login", loose, user="anna").stdout == ""
    nodes = [
        site.cluster.log(f"slurmd.{node}").read_text().count("Launching batch job") for node in ("c1", "c2")
    ]
    assert all(nodes), nodes


def test_a_member_whose_time_is_over_ends_its_step_says_so_and_leaves_the_rest_to_others(site: Site) -> None:
    (attempt,) = site.begin({"units": 6, "slow": {"detect.u003": 1}})
    array = site.crew(1)
    site.until_tried(attempt, "detect", "u003")
    ask = ["scontrol", "update", f"jobid={array}_0", "endtime=now"]  # Slurm looks every half a minute
    site.cluster.run("login", ask)
    assert site.until_ended(array) == {"state": "ended", "causes": {"time-limit": 1}}
    assert "told to leave: its time is over" in site.log(attempt)
    assert site.result(attempt) is None
    finish(site, attempt)


def test_a_member_whose_job_is_cancelled_by_somebody_else_says_so_too(site: Site) -> None:
    (attempt,) = site.begin({"units": 6, "slow": {"detect.u003": 1}})
    array = site.crew(2)
    site.until_tried(attempt, "detect", "u003")
    site.cluster.run("login", ["scancel", array], user="anna")
    told = site.until_ended(array)
    assert told["causes"]["cancelled"] >= 1
    assert "told to leave" in site.log(attempt)
    assert "signal 15" not in site.log(attempt)
    assert site.result(attempt) is None
    finish(site, attempt)


def test_a_step_that_needs_more_memory_than_its_class_has_fails_once_and_is_told_so() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sgc-") as folder,
        Cluster.start(folder, memory_limits=True) as cluster,
    ):
        Path(folder).chmod(0o755)
        with opened(cluster) as site:
            hungry, modest = site.begin({"units": 2, "eat": {"detect.u001": 9}}, {"units": 6})
            array = site.crew(1)
            told = site.until_ended(array)
            error = site.result(hungry)["error"]
            assert (error["code"], error["transient"]) == ("out-of-memory", False), error
            assert "memory_mb 300" in error["message"]
            assert len(site.tried(hungry, "detect", "u001")) == 1
            assert site.outputs(modest) == WHOLE  # the member went on
            assert told == {"state": "ended", "causes": {"out-of-memory": 1}}
