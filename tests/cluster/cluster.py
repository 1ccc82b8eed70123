# SPDX-License-Identifier: BSD-3-Clause
"""The cluster, as the process outside has it in its hand."""

import contextlib
import getpass
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster import conf

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"
NODES = ("office", "login", "c1", "c2")
ACCOUNTS = dict(conf.PEOPLE)
SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED = ("slurmctld", "slurmd", "sbatch", "munged", "sshd", "ssh", "ip", "nsenter", "unshare", "setpriv")
KILL_ALL = """
import os, signal
here, me = os.readlink("/proc/self/ns/net"), os.getpid()
keeper = int(os.environ["KEEPER"])
for _ in range(50):
    found = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (me, keeper):
            try:
                if os.readlink("/proc/%s/ns/net" % name) == here and os.path.exists("/proc/%s/exe" % name):
                    os.kill(int(name), signal.SIGKILL)
                    found += 1
            except OSError:
                pass
    if not found:
        break
"""


class ClusterError(Exception):
    """The cluster, or something in it, did not start."""


def what_is_missing() -> str:
    """Say what this computer lacks for a cluster, or nothing."""
    missing = [name for name in NEEDED if shutil.which(name, path=SBIN) is None]
    if missing:
        return f"{', '.join(missing)} not found: run sudo scripts/system-packages"
    if os.geteuid() != 0:
        if shutil.which("newuidmap") is None:
            return "newuidmap not found: run sudo scripts/system-packages"
        names = (getpass.getuser(), str(os.getuid()))
        entries = Path("/etc/subuid").read_text().splitlines() if Path("/etc/subuid").exists() else []
        if not any(line.split(":")[0] in names for line in entries):
            return "you have no line in /etc/subuid: see man 5 subuid, or be root"
    return ""


class Cluster:
    """A running cluster; `Cluster.start` makes one, `Cluster.find` attaches to one that was kept."""

    slurm_conf = Path("/etc/slurm/slurm.conf")

    def __init__(self, folder: Path, pids: Mapping[str, int], inner: Mapping[str, int]) -> None:
        self.folder = folder
        self._pids = dict(pids)
        self._inner = dict(inner)
        self.ssh_config = folder / "ssh_config"
        self.ssh_config_inside = folder / "ssh_config.inside"  # without the helper, for who is in the office
        self.known_hosts = folder / "known_hosts"
        self.host_key = " ".join((folder / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    # --- starting and ending

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        folder: Path | str,
        *,
        accounting: bool = False,
        memory_limits: bool = False,
        cpus: int = 4,
        memory_mb: int = 4000,
        **slurm_conf: object,
    ) -> Iterator["Cluster"]:
        """Start a cluster that ends with this block, or with this process."""
        holder, cluster = cls._start(
            Path(folder),
            accounting=accounting,
            memory_limits=memory_limits,
            cpus=cpus,
            memory_mb=memory_mb,
            overrides=slurm_conf,
            stdin=subprocess.PIPE,
        )
        try:
            cluster._start_daemons(accounting=accounting)
            yield cluster
        finally:
            cluster._empty_homes()
            _end(holder)
            cluster._remove_cgroups()

    @classmethod
    def keep(cls, folder: Path | str, **options: Any) -> "Cluster":
        """Start a cluster that stays until `Cluster.find(folder).end()`."""
        fifo = Path(folder).absolute() / "hold"
        fifo.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(fifo, 0o600)
        stdin = os.open(fifo, os.O_RDWR)  # never at its end
        try:
            accounting = bool(options.pop("accounting", False))
            sizes = {"cpus": options.pop("cpus", 4), "memory_mb": options.pop("memory_mb", 4000)}
            limits = bool(options.pop("memory_limits", False))
            _, cluster = cls._start(
                fifo.parent,
                accounting=accounting,
                memory_limits=limits,
                overrides=options,
                stdin=stdin,
                **sizes,
            )
        finally:
            os.close(stdin)
        try:
            cluster._start_daemons(accounting=accounting)
        except BaseException:
            cluster.end()
            raise
        return cluster

    @classmethod
    def find(cls, folder: Path | str) -> "Cluster":
        """Attach to a cluster that runs in `folder`."""
        folder = Path(folder).absolute()
        try:
            kept = json.loads((folder / "pids.json").read_text())
            keeper = Path(f"/proc/{kept['outer']['c1']}/cmdline").read_bytes()
        except FileNotFoundError:
            raise ClusterError(f"no cluster runs in {folder}: start one with scripts/cluster up") from None
        if not keeper.startswith(b"keeper of c1"):
            raise ClusterError(f"the cluster in {folder} has ended: scripts/cluster up starts another")
        return cls(folder, kept["outer"], kept["inner"])

    def end(self) -> None:
        """End a cluster that was kept."""
        self._empty_homes()
        os.kill(self._pids["office"], signal.SIGKILL)
        _wait(lambda: not Path(f"/proc/{self._pids['c1']}").exists(), 10, "the cluster did not end")
        self._remove_cgroups()
        (self.folder / "pids.json").unlink()
        (self.folder / "hold").unlink(missing_ok=True)

    @classmethod
    def _start(
        cls,
        folder: Path,
        *,
        accounting: bool,
        memory_limits: bool,
        cpus: int,
        memory_mb: int,
        overrides: Mapping[str, object],
        stdin: int,
    ) -> tuple["subprocess.Popen[str]", "Cluster"]:
        if missing := what_is_missing():
            raise ClusterError(missing)
        folder = folder.absolute()
        layers: list[Mapping[str, object]] = []
        if accounting:
            layers.append(conf.ACCOUNTING)
        if memory_limits:
            layers.append(conf.MEMORY_LIMITS)
        text = conf.slurm_conf(*layers, overrides, cpus=cpus, memory_mb=memory_mb)
        _write_files(folder, text)
        if memory_limits:
            _make_cgroups(folder)
        apart = ["--map-root-user", "--map-auto"] if os.geteuid() != 0 else []
        argv = ["unshare", *apart, "--mount", "--net", "--uts", "--pid", "--fork", "--mount-proc"]
        argv += ["--propagation", "private", "--kill-child", PYTHON, "-IS", str(HERE / "inside.py"), "hold"]
        argv += [str(folder), str(ROOT), "/root"]
        with (folder / "log" / "holder.log").open("w") as log:
            holder = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": SBIN, "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        try:
            line = holder.stdout.readline() if holder.stdout else ""
            if not line:
                raise ClusterError(f"no namespaces: {(folder / 'log' / 'holder.log').read_text()}")
            inner = json.loads(line)
            outer = _outer_pids(holder.pid, inner)
            (folder / "pids.json").write_text(json.dumps({"outer": outer, "inner": inner}))
            _write_ssh_config(folder, outer["office"])
            return holder, cls(folder, outer, inner)
        except BaseException:
            _end(holder)
            raise

    def _start_daemons(self, *, accounting: bool) -> None:
        own = (
            "cd /var/log && touch slurmctld.log slurmdbd.log && cd /etc/slurm && chmod 600 slurmdbd.conf && "
        )
        own += "chown slurm:slurm slurmdbd.conf /var/log/slurm*.log"
        self.run("login", ["sh", "-c", own])
        for name in ("anna", "bert"):
            self._make_home("login", name)
        self._make_home("office", "worker")
        for node in NODES[1:]:
            self._start_munged(node)
        if accounting:
            self._start_accounting()
        self.run("login", ["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])
        self.start_controller()
        for node in ("c1", "c2"):
            self.run(node, ["slurmd"])
        self.wait_until_idle()

    def _make_home(self, node: str, name: str) -> None:
        script = 'cp -rT /etc/skel "/home/$1" && chmod 0755 "/home/$1" && chown -R "$1:$1" "/home/$1"'
        self.run(node, ["sh", "-c", script, "sh", name])

    def _start_munged(self, node: str) -> None:
        files = {"socket": "munge.socket.2", "pid-file": "munged.pid", "log-file": "log", "seed-file": "seed"}
        words = [f"--{name}=/run/munge/{file}" for name, file in files.items()]
        self.run(node, ["munged", "--force", "--key-file=/run/munge.key", *words], user="munge")

    def _start_accounting(self) -> None:
        data = "/var/spool/mysql"
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"]
        self.run("login", [*install, "--auth-root-authentication-method=normal"], user="mysql", timeout=120)
        server = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={data}/my.sock"]
        server += ["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M", "--lower-case-table-names=1"]
        start = 'exec setsid "$@" >/var/spool/mysql/log 2>&1 &'
        self.run("login", ["sh", "-c", start, "sh", *server], user="mysql")
        client = ["mariadb", "--no-defaults", "-u", "root", f"--socket={data}/my.sock", "-e"]
        allow = "CREATE DATABASE IF NOT EXISTS slurm; CREATE USER IF NOT EXISTS slurm@'127.0.0.1'; "
        allow += "GRANT ALL ON slurm.* TO slurm@'127.0.0.1'"
        _wait(
            lambda: self.run("login", [*client, allow], check=False).returncode == 0, 30, "MariaDB is not up"
        )
        self.run("login", ["slurmdbd"])
        add = ["sacctmgr", "-i", "add", "cluster", "lab"]
        _wait(lambda: self.run("login", add, check=False).returncode == 0, 30, "slurmdbd is not up")
        for words in (["account", "lab"], ["user", "anna,bert", "account=lab"]):
            self.run("login", ["sacctmgr", "-i", "add", *words])

    # --- working in it

    def enter(self, node: str, argv: Sequence[str], user: str | None = None) -> list[str]:
        """Return the argument list that runs `argv` on a node, as root or as an account.

        Who kills the process that this starts kills what runs inside, with SIGKILL.
        """
        home = f"/home/{user}" if user in ACCOUNTS else "/"
        rootless = ["--user", "--preserve-credentials"] if os.geteuid() != 0 else []
        words = ["nsenter", "--target", str(self._pids[node]), *rootless]
        words += ["--mount", "--net", "--uts", "--pid", "setpriv", "--pdeathsig", "KILL"]
        if user is not None:
            words += ["--reuid", user, "--regid", user, "--init-groups"]
        return [*words, "env", f"--chdir={home}", *argv]

    def environment(self, user: str | None = None) -> dict[str, str]:
        """Return the environment that a login would give."""
        name = user or "root"
        home = "/root" if user is None else f"/home/{user}" if user in ACCOUNTS else "/nonexistent"
        path = SBIN if user not in ACCOUNTS else "/usr/local/bin:/usr/bin:/bin"
        return {
            "PATH": path,
            "HOME": home,
            "USER": name,
            "LOGNAME": name,
            "LANG": "C.UTF-8",
            "SHELL": "/bin/bash",
        }

    def popen(
        self, node: str, argv: Sequence[str | Path], user: str | None = None, **options: Any
    ) -> "subprocess.Popen[str]":
        """Start a program on a node; options are those of subprocess.Popen, text unless text=False."""
        environment = {**self.environment(user), **options.pop("env", {})}
        options = {"text": True, "stdin": subprocess.DEVNULL, "cwd": "/", **options}
        return subprocess.Popen(
            self.enter(node, [str(word) for word in argv], user), env=environment, **options
        )

    def run(
        self,
        node: str,
        argv: Sequence[str | Path],
        user: str | None = None,
        *,
        check: bool = True,
        timeout: float = 60,
        input: str | bytes | None = None,
        **options: Any,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program on a node and return what it said."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if input is not None:
            pipes["stdin"] = subprocess.PIPE
        with self.popen(node, argv, user, **{**pipes, **options}) as process:
            try:
                out, err = process.communicate(input, timeout)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess([str(word) for word in argv], process.returncode, out, err)
        if check and done.returncode != 0:
            said = f"{out or ''}{err or ''}"
            raise ClusterError(f"{' '.join(done.args)} on {node} ended with {done.returncode}: {said}")
        return done

    def pid(self, node: str) -> int:
        """Return the process that keeps a node's namespaces, as it is called here."""
        return self._pids[node]

    def home(self, name: str) -> Path:
        """Return the home of an account, as seen from here."""
        return self.folder / ("office" if name == "worker" else "home") / name

    def path_outside(self, path: Path | str) -> Path:
        """Return where a file below /home or /var/log of the cluster's nodes lies outside."""
        path = Path(path)
        if path.is_relative_to("/home"):
            return self.folder / "home" / path.relative_to("/home")
        if path.is_relative_to("/var/log"):
            return self.folder / "log" / path.relative_to("/var/log")
        raise ValueError(f"{path} cannot be reached from outside: use run")

    def log(self, name: str) -> Path:
        """Return a log: sshd, slurmctld, slurmd.c1, slurmd.c2, slurmdbd."""
        return self.folder / "log" / f"{name}.log"

    # --- breaking it

    def kill_node(self, node: str) -> None:
        """Switch a compute node off: every process on it dies at once."""
        self.run(node, [PYTHON, "-IS", "-c", KILL_ALL], env={"KEEPER": str(self._inner[node])})

    def down(self, node: str) -> None:
        """Let Slurm call a node dead at once. If the node hears of it, it kills its jobs: see `cut`."""
        self.run("login", ["scontrol", "update", f"nodename={node}", "state=down", "reason=test"])

    def cut(self, node: str) -> None:
        """Pull a compute node's cable; what runs there goes on, also when Slurm calls the node `down`."""
        self.run("login", ["ip", "link", "set", f"cable{node[1:]}", "down"])

    def restore(self, node: str) -> None:
        """Make a node whole again after kill_node, down or cut, and wait until Slurm uses it."""
        self.run("login", ["ip", "link", "set", f"cable{node[1:]}", "up"])
        if not self._lives(node, "/run/munge/munged.pid"):
            self._start_munged(node)
        if not self._lives(node, "/run/slurmd.pid"):
            self.run(node, ["slurmd"])
        resume = ["scontrol", "update", f"nodename={node}", "state=resume"]
        self.run("login", resume, check=False)  # refused when it is up already
        states = ("idle", "mix", "alloc", "comp")
        _wait(lambda: self.node_state(node) in states, 60, f"{node} did not come back", self._nodes)

    def stop_controller(self, *, saving: bool = False) -> None:
        """Kill slurmctld: it forgets jobs that it took in its last seconds, unless it may save its state."""
        pid = self.run("login", ["cat", "/run/slurmctld.pid"]).stdout.strip()
        self.run("login", ["kill", "-TERM" if saving else "-KILL", pid])
        gone = ["sh", "-c", 'test ! -e "/proc/$1"', "sh", pid]
        _wait(lambda: self.run("login", gone, check=False).returncode == 0, 10, "slurmctld did not end")

    def start_controller(self) -> None:
        """Start slurmctld with the state it had, and wait until it answers."""
        self.run("login", ["slurmctld"])
        ping = ["scontrol", "ping"]
        _wait(
            lambda: "UP" in self.run("login", ping, check=False).stdout,
            30,
            "slurmctld does not answer",
            lambda: self.log("slurmctld").read_text()[-2000:],
        )

    def node_state(self, node: str) -> str:
        """Return the state of a node in Slurm's short words: idle, mix, alloc, down, ..."""
        return self.run("login", ["sinfo", "-h", "-N", "-p", "main", "-n", node, "-o", "%t"]).stdout.strip()

    def wait_until_idle(self) -> None:
        """Wait until both nodes have nothing to do."""
        _wait(
            lambda: {self.node_state("c1"), self.node_state("c2")} == {"idle"},
            30,
            "the nodes are not idle",
            self._nodes,
        )

    def _lives(self, node: str, pid_file: str) -> bool:
        script = 'test "$(readlink "/proc/$(cat "$1")/ns/net")" = "$(readlink /proc/self/ns/net)"'
        return self.run(node, ["sh", "-c", script, "sh", pid_file], check=False).returncode == 0

    def _nodes(self) -> str:
        return self.run("login", ["scontrol", "show", "nodes"], check=False).stdout

    def _empty_homes(self) -> None:
        if os.geteuid() != 0:  # what other numbers own cannot be removed from outside
            for node in ("login", "office"):
                self.run(node, ["sh", "-c", "rm -rf /home/* /home/.[!.]* /var/log/*.log"], check=False)

    def _remove_cgroups(self) -> None:
        path = self.folder / "cgroup"
        for controller in path.read_text().splitlines() if path.exists() else []:
            for folder, _, _ in os.walk(controller, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()


def _wait(
    over: Callable[[], bool], seconds: float, complaint: str, details: Callable[[], str] = lambda: ""
) -> None:
    end = time.monotonic() + seconds
    while not over():
        if time.monotonic() > end:
            raise ClusterError(f"{complaint} after {seconds} seconds. {details()}")
        time.sleep(0.05)


def _end(holder: "subprocess.Popen[str]") -> None:
    holder.kill()  # unshare --kill-child takes the first process along, and that takes all others
    for pipe in (holder.stdin, holder.stdout):
        if pipe:
            pipe.close()
    holder.wait()


def _write_files(folder: Path, slurm_conf: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for name in ("etc", "etc/slurm", "home", "office", "log"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o755)
    etc = folder / "etc"
    for name, text in (
        ("passwd", conf.passwd()),
        ("group", conf.group()),
        ("shadow", conf.shadow()),
        ("hosts", conf.hosts()),
        ("slurm/slurm.conf", slurm_conf),
        ("slurm/cgroup.conf", conf.CGROUP),
        ("slurm/slurmdbd.conf", conf.SLURMDBD),
    ):
        (etc / name).write_text(text)
        (etc / name).chmod(0o644)
    (etc / "shadow").chmod(0o600)
    shutil.rmtree(etc / "ssh", ignore_errors=True)
    (etc / "ssh" / "sshd_config.d").mkdir(parents=True)
    shutil.copy("/usr/share/openssh/sshd_config", etc / "ssh" / "sshd_config")
    shutil.copy("/etc/ssh/ssh_config", etc / "ssh" / "ssh_config")
    (etc / "ssh" / "sshd_config.d" / "cluster.conf").write_text(conf.SSHD)
    key = etc / "ssh" / "ssh_host_ed25519_key"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@login", "-f", str(key)]
    subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"{conf.ADDRESSES['login']} {public}\nlogin {public}\n")
    host = f"Host login\n  HostName {conf.ADDRESSES['login']}\n  UserKnownHostsFile {folder}/known_hosts\n"
    host += "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
    (folder / "ssh_config.inside").write_text(host)
    (folder / "ssh_config").write_text("")
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o600)


def _write_ssh_config(folder: Path, office: int) -> None:
    rootless = "--user --preserve-credentials " if os.geteuid() != 0 else ""
    enter = f"nsenter --target {office} {rootless}--net {PYTHON} -IS {HERE}/connect.py %h %p"
    host = (folder / "ssh_config.inside").read_text()
    # written in place: the office has the file without the ProxyCommand mounted over this one
    (folder / "ssh_config").write_text(f"{host}  ProxyCommand {enter}\n  ProxyUseFdpass yes\n")


def _make_cgroups(folder: Path) -> None:
    if os.geteuid() != 0:
        raise ClusterError("memory limits need root")
    paths = []
    for controller in ("memory", "freezer", "cpuset", "devices", "cpuacct"):
        parent = Path("/sys/fs/cgroup") / controller
        if not parent.is_mount():
            raise ClusterError(f"memory limits need control groups of version 1: {parent} is not there")
        path = parent / f"cluster-{secrets.token_hex(4)}"
        path.mkdir()
        paths.append(str(path))
    (folder / "cgroup").write_text("\n".join(paths))


def _outer_pids(holder: int, inner: Mapping[str, int]) -> dict[str, int]:
    """Find out under which process ids this side knows the keepers."""
    space = Path(f"/proc/{_child_of(holder)}/ns/pid").stat().st_ino
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (entry / "ns/pid").stat().st_ino != space:
                continue
            status = (entry / "status").read_text()
            number = int(next(line for line in status.splitlines() if line.startswith("NSpid")).split()[-1])
            found[number] = int(entry.name)
    return {name: found[number] for name, number in inner.items()}


def _child_of(parent: int) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"\nPPid:\t{parent}\n" in (entry / "status").read_text():
                    return int(entry.name)
    raise ClusterError("the cluster's first process is gone")
