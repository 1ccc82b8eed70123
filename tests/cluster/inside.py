# SPDX-License-Identifier: BSD-3-Clause
"""Make the four places, as root of the new namespaces, and hold them until standard input ends.

usage: inside.py hold DIR HIDDEN...    the first process: becomes the office
       inside.py node NAME DIR HIDDEN...   what keeps a node's namespaces

It runs with /usr/bin/python3 and nothing but the standard library.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

NODES = ("login", "c1", "c2")
# commands of ip(8), by where they run; "office" moves the cables' ends away first
NETWORK = """\
link set lo up
link add eth0 type veth peer name office0
link set office0 netns {login}
link add cable1 type veth peer name eth0 netns {c1}
link add cable2 type veth peer name eth0 netns {c2}
link set cable1 netns {login}
link set cable2 netns {login}
addr add 10.99.1.2/24 dev eth0
link set eth0 up
"""
LOGIN = """\
link set lo up
addr add 10.99.1.1/24 dev office0
link set office0 up
link add br0 type bridge
addr add 10.99.2.1/24 dev br0
link set br0 up
link set cable1 master br0
link set cable2 master br0
link set cable1 up
link set cable2 up
"""
COMPUTE = "link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n"


def mount(*words: str) -> None:
    """Call mount(8)."""
    subprocess.run(["mount", *words], check=True)


def tmpfs(path: str, mode: str) -> None:
    """Put an empty folder in memory over `path`."""
    mount("-t", "tmpfs", "-o", f"mode={mode}", "cluster", path)


def ip(commands: str, pid: int = 0) -> None:
    """Run commands of ip(8), here or in the network of a process."""
    enter = ["nsenter", "--target", str(pid), "--net"] if pid else []
    subprocess.run([*enter, "ip", "-batch", "-"], input=commands, text=True, check=True)


def make_office(folder: Path) -> None:
    """Give the office, and all that is made from it, the cluster's /etc."""
    for name in ("passwd", "group", "shadow", "hosts"):
        mount("--bind", str(folder / "etc" / name), f"/etc/{name}")
    for name in ("ssh", "slurm"):
        mount("--bind", str(folder / "etc" / name), f"/etc/{name}")
    mount("--bind", str(folder / "office"), "/home")
    subprocess.run(["hostname", "office"], check=True)


def make_node(name: str, folder: Path, hidden: list[str]) -> None:
    """Turn this process into the keeper of a node, which sees what a node of a cluster sees."""
    subprocess.run(["hostname", name], check=True)
    mount("--bind", str(folder / "home"), "/home")
    mount("--bind", str(folder / "log"), "/var/log")
    cgroup = folder / "cgroup"
    for controller in cgroup.read_text().splitlines() if cgroup.exists() else []:
        mount("--bind", controller, str(Path(controller).parent))
    key = (folder / "munge.key").read_bytes()
    for path in hidden:
        tmpfs(path, "0700")
    for path, mode in (("/run", "0755"), ("/var/spool", "0755"), ("/tmp", "1777")):
        tmpfs(path, mode)
    for path, owner in (
        ("/run/sshd", "root"),
        ("/run/munge", "munge"),
        ("/var/spool/slurmd", "root"),
        ("/var/spool/slurmctld", "slurm"),
        ("/var/spool/mysql", "mysql"),
    ):
        Path(path).mkdir(mode=0o755)
        subprocess.run(["chown", f"{owner}:{owner}", path], check=True)
    Path("/run/munge.key").write_bytes(key)
    subprocess.run(["chown", "munge:munge", "/run/munge.key"], check=True)
    Path("/run/munge.key").chmod(0o400)
    print("ready", flush=True)
    os.closerange(0, 3)
    os.execv("/usr/bin/sleep", [f"keeper of {name}", "infinity"])


def hold(folder: Path, hidden: list[str]) -> None:
    """Make everything, tell the nodes' process ids, and wait."""
    make_office(folder)
    keepers = {}
    for name in NODES:
        argv = ["unshare", "--mount", "--net", "--uts", "--propagation", "private", sys.executable, "-IS"]
        argv += [__file__, "node", name, str(folder), *hidden]
        keepers[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    for name, keeper in keepers.items():
        if keeper.stdout is None or keeper.stdout.readline() != b"ready\n":
            sys.exit(f"{name} could not be made")
    pids = {name: keeper.pid for name, keeper in keepers.items()}
    ip(NETWORK.format(**pids))
    ip(LOGIN, pids["login"])
    ip(COMPUTE.format(address="10.99.2.11"), pids["c1"])
    ip(COMPUTE.format(address="10.99.2.12"), pids["c2"])
    inside = folder / "ssh_config.inside"
    mount("--bind", str(inside), str(folder / "ssh_config"))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans leave no zombies
    print(json.dumps({"office": os.getpid(), **pids}), flush=True)
    while os.read(0, 1):
        pass
    os._exit(0)  # and the whole process namespace with it


if __name__ == "__main__":
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.umask(0o022)
    if sys.argv[1] == "node":
        make_node(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    else:
        hold(Path(sys.argv[2]), sys.argv[3:])
