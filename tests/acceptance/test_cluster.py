# SPDX-License-Identifier: BSD-3-Clause
"""The cluster that other tests stand on is what it claims to be."""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import ACCOUNTS, Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "cluster"
ORDINARY = 61010
CONNECT = "import socket; socket.create_connection(('10.99.1.2', 4080), 2)"


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sgc-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def until(seen: Callable[[], bool], seconds: float = 20) -> bool:
    """Wait until something is seen, and say whether it was."""
    end = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def submit(cluster: Cluster, script: str, *options: str, user: str = "anna") -> str:
    """Submit a job and return its number."""
    argv = ["sbatch", "--parsable", "-o", "job-%j.out", *options]
    return cluster.run("login", argv, user=user, input=f"#!/bin/sh\n{script}\n").stdout.strip()


def state(cluster: Cluster, job: str, user: str = "anna") -> str:
    """Return what Slurm says of a job to an account."""
    argv = ["squeue", "-h", "-t", "all", "-j", job, "-o", "%T"]
    return cluster.run("login", argv, user=user, check=False).stdout.strip()


def said(cluster: Cluster, job: str, user: str = "anna") -> list[str]:
    """Return what a job has written."""
    path = cluster.home(user) / f"job-{job}.out"
    return path.read_text().splitlines() if path.exists() else []


def test_a_job_runs_on_both_nodes_under_the_account_of_its_owner(cluster: Cluster) -> None:
    job = submit(cluster, "srun -l sh -c 'hostname; id -un; pwd'", "-N", "2", "-n", "2")
    assert until(lambda: state(cluster, job) == "COMPLETED")
    lines = [f"{number}: {word}" for number in (0, 1) for word in ("/home/anna", "anna", f"c{number + 1}")]
    assert sorted(said(cluster, job)) == lines


@pytest.mark.parametrize("node", ["c1", "c2"])
def test_compute_nodes_have_no_route_to_the_office(cluster: Cluster, node: str) -> None:
    listen = (
        "import socket; s = socket.create_server(('10.99.1.2', 4080)); print('up', flush=True); s.accept()"
    )
    with cluster.popen("office", ["/usr/bin/python3", "-c", listen], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        refused = cluster.run(node, ["/usr/bin/python3", "-c", CONNECT], user="anna", check=False)
        assert "Network is unreachable" in refused.stderr
        cluster.run("login", ["/usr/bin/python3", "-c", CONNECT], user="anna")  # there is one for login
        server.wait(10)


@pytest.mark.parametrize("node", ["login", "c1", "c2"])
def test_nodes_see_neither_the_checkout_nor_the_folders_of_this_computers_people(
    cluster: Cluster, node: str
) -> None:
    for path in (ROOT, "/root", "/tmp"):
        # empty, or not even there: a checkout below /tmp
        assert cluster.run(node, ["ls", "-A", str(path)], check=False).stdout == ""
    assert set(cluster.run(node, ["ls", "/home"]).stdout.split()) == {"anna", "bert"}
    assert cluster.run(node, ["hostname"]).stdout.strip() == node
    assert (ROOT / "pyproject.toml").exists()
    assert cluster.run("office", ["ls", str(ROOT / "pyproject.toml")]).returncode == 0


def test_accounts_see_no_jobs_and_no_private_files_of_each_other(cluster: Cluster) -> None:
    job = submit(cluster, "umask 077; echo mine > private; sleep 60")
    assert until(lambda: state(cluster, job) == "RUNNING")
    assert state(cluster, job, user="bert") == ""
    assert cluster.run("login", ["scancel", job], user="bert", check=False).returncode != 0
    cluster.run("login", ["cat", "/home/anna/private"], user="anna")
    assert "denied" in cluster.run("c1", ["cat", "/home/anna/private"], user="bert", check=False).stderr
    cluster.run("login", ["scancel", job], user="anna")
    assert until(lambda: state(cluster, job) == "CANCELLED")


def test_ssh_arrives_from_the_office_at_the_accounts_own_shell_whoever_calls(cluster: Cluster) -> None:
    key = cluster.folder / "test-key"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(make, check=True)
    plant = "umask 077; mkdir -p .ssh; cat >> .ssh/authorized_keys"
    cluster.run("login", ["sh", "-c", plant], user="anna", input=key.with_suffix(".pub").read_text())
    client = ["ssh", "-F", str(cluster.ssh_config), "-i", str(key), "anna@login"]
    ask = 'echo "${SSH_CONNECTION%% *}" "$(id -u)" "$0"'
    outside = subprocess.run([*client, ask], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert outside.stdout.split() == ["10.99.1.2", str(ACCOUNTS["anna"]), "bash"], outside.stderr
    assert cluster.run("office", [*client, ask]).stdout == outside.stdout
    cluster.run("login", ["chmod", "o+w", "/home/anna/.ssh"], user="anna")  # StrictModes, as Debian has it
    assert cluster.run("office", [*client, ask], check=False).returncode == 255
    cluster.run("login", ["rm", "-r", "/home/anna/.ssh"], user="anna")
    assert cluster.known_hosts.read_text().splitlines()[0] == f"10.99.1.1 {cluster.host_key}"


def test_a_job_on_a_node_that_is_cut_off_and_called_dead_goes_on_running(cluster: Cluster) -> None:
    job = submit(cluster, "while sleep 0.1; do echo alive; done", "--no-requeue", "-w", "c2")
    assert until(lambda: len(said(cluster, job)) > 1)
    cluster.cut("c2")
    cluster.down("c2")
    assert state(cluster, job) == "NODE_FAIL"
    lines = len(said(cluster, job))
    assert until(lambda: len(said(cluster, job)) > lines, 5)
    cluster.restore("c2")
    assert cluster.node_state("c2") == "idle"


def test_a_node_that_is_switched_off_runs_nothing_and_comes_back(cluster: Cluster) -> None:
    job = submit(cluster, "while sleep 0.1; do echo alive; done", "--no-requeue", "-w", "c2")
    assert until(lambda: len(said(cluster, job)) > 1)
    cluster.kill_node("c2")
    lines = len(said(cluster, job))
    time.sleep(0.5)
    assert len(said(cluster, job)) == lines
    cluster.down("c2")
    cluster.restore("c2")
    assert said(cluster, submit(cluster, "hostname", "-w", "c2", "-W")) == ["c2"]


def test_jobs_outlive_the_controller_and_a_cut_cable(cluster: Cluster) -> None:
    job = submit(cluster, "echo began; while [ ! -e go ]; do sleep 0.1; done; echo ended", "-w", "c1")
    assert until(lambda: said(cluster, job) == ["began"])
    cluster.stop_controller(saving=True)
    assert cluster.run("login", ["pidof", "slurmctld"], check=False).returncode != 0
    cluster.start_controller()
    assert state(cluster, job) == "RUNNING"
    cluster.cut("c1")
    reach = "import socket; socket.create_connection(('10.99.2.11', 6818), 1)"
    assert cluster.run("login", ["/usr/bin/python3", "-c", reach], check=False).returncode != 0
    cluster.restore("c1")
    cluster.run("login", ["touch", "go"], user="anna")
    assert until(lambda: said(cluster, job) == ["began", "ended"])
    assert until(lambda: state(cluster, job) == "COMPLETED", 40)


def test_whoever_kills_the_program_that_entered_kills_what_runs_inside(cluster: Cluster) -> None:
    with cluster.popen("c1", ["sleep", "4711"]) as sleeper:
        looks = ["pgrep", "-f", "^sleep 4711"]
        assert until(lambda: cluster.run("c1", looks, check=False).returncode == 0)
        sleeper.terminate()
    assert until(lambda: cluster.run("c1", looks, check=False).returncode != 0, 5)


def test_with_accounting_the_ends_of_jobs_can_be_asked_for_by_their_owner(folder: Path) -> None:
    with Cluster.start(folder, accounting=True) as cluster:
        job = submit(cluster, "exit 3", "-A", "lab")
        ask = ["sacct", "-X", "-P", "-n", "-j", job, "-o", "State,ExitCode"]
        assert until(lambda: cluster.run("login", ask, user="anna").stdout == "FAILED|3:0\n")
        assert cluster.run("login", ask, user="bert").stdout == ""


@pytest.mark.root
def test_with_memory_limits_a_job_above_its_memory_ends_out_of_memory(folder: Path) -> None:
    with Cluster.start(folder, memory_limits=True) as cluster:
        job = submit(cluster, "exec /usr/bin/python3 -c 'len(bytearray(400 << 20))'", "--mem", "100")
        assert until(lambda: state(cluster, job) == "OUT_OF_MEMORY")
    groups = (folder / "cgroup").read_text().splitlines()
    assert groups
    assert not any(Path(group).exists() for group in groups)


@pytest.mark.root
def test_an_ordinary_user_can_have_one_too(folder: Path) -> None:
    shutil.copytree(ROOT / "tests/cluster", folder / "tests/cluster")
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / "passwd").write_text(
        Path("/etc/passwd").read_text() + f"ordinary:x:{ORDINARY}:{ORDINARY}::/:/bin/sh\n"
    )
    for name in ("subuid", "subgid"):
        (folder / name).write_text("ordinary:300000:65536\n")
    subprocess.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", str(folder)], check=True)
    script = """
    for file in passwd subuid subgid; do mount --bind "$1/$file" /etc/$file || exit; done; cd /
    exec setpriv --reuid "$2" --regid "$2" --clear-groups --reset-env /bin/sh -c '
    set -e; cluster="/usr/bin/python3 $0/scripts/cluster"; $cluster up "$0/c" >&2
    $cluster exec "$0/c" login --user anna -- sbatch -W --parsable --wrap "hostname; id -un" >&2
    $cluster exec "$0/c" c2 -- cat /home/anna/slurm-1.out
    $cluster down "$0/c"' "$1"
    """
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(folder)]
    done = subprocess.run([*argv, str(ORDINARY)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "c1\nanna\n"), done.stderr


def test_everything_ends_when_the_process_that_started_it_is_killed(folder: Path) -> None:
    program = "import sys, time; sys.path.insert(0, sys.argv[1]); from tests.cluster import Cluster\n"
    program += "with Cluster.start(sys.argv[2]):\n    print('up', flush=True); time.sleep(600)"
    argv = [sys.executable, "-c", program, str(ROOT), str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        first = json.loads((folder / "pids.json").read_text())["outer"]["office"]
        space = str(Path(f"/proc/{first}/ns/pid").readlink())
        assert len(processes_in(space)) > 10
        process.kill()
    assert until(lambda: not processes_in(space), 5), processes_in(space)


def processes_in(space: str) -> list[str]:
    """Return what runs in a process namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str((entry / "ns/pid").readlink()) == space:
                found.append((entry / "comm").read_text().strip())
    return found


def test_the_command_starts_one_that_stays_and_ends_it(folder: Path) -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)

    started = call("up", str(folder), "MinJobAge=7")
    assert started.returncode == 0, started.stderr
    config = call("exec", str(folder), "login", "--user", "anna", "--", "scontrol", "show", "config")
    assert "MinJobAge               = 7 sec" in config.stdout
    assert call("exec", str(folder), "c1", "--", "sh", "-c", "exit 7").returncode == 7
    assert call("down", str(folder)).returncode == 0
    again = call("exec", str(folder), "login", "--", "true")
    assert (again.returncode, "scripts/cluster up" in again.stderr) == (1, True)
