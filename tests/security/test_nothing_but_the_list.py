# SPDX-License-Identifier: BSD-3-Clause
"""Whoever has stolen the key stands before the real sshd, and gets the gate and nothing else.

After each attack everything that sshd started because of it is compared, argument list by argument list, with
what ``gatectl explain`` prints.
"""

import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.security.gatehouse import PYTHON, Gatehouse, Watch

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

# What an attacker asks for instead of the gate. Each of them would leave a file or print a word.
COMMANDS = {
    "shell": [],
    "command": ["touch pwned; echo pwned"],
    "another-command-behind-the-right-one": ["slidegate; touch pwned; echo pwned"],
    "new-line": ["slidegate\ntouch pwned; echo pwned"],
    "substitution": ["$(touch pwned)`touch pwned`"],
    "another-key": ["serve --key other; echo pwned"],
    "option-for-the-gate": ["slidegate", "--home", "/tmp"],
    "hand-tool": ["ctl", "key", "add", "pwned", "--workflow", "*"],
    "long-command": ["touch pwned;" + "a" * 130_000],
    "too-long-command": ["touch pwned;", "a" * 70_000, "b" * 70_000],
    "sftp-subsystem": ["-s", "sftp"],
    "unknown-subsystem": ["-s", "netconf"],
    "terminal": ["-tt", "touch pwned; echo pwned"],
}
# What sshd could do besides starting a command: (options, what the client says when it is refused)
FORWARDINGS = {
    "remote-port": (["-R", "127.0.0.1:0:127.0.0.1:9"], "remote port forwarding failed"),
    "remote-socket": (["-R", "/home/anna/pwned:127.0.0.1:9"], "remote port forwarding failed"),
    "remote-dynamic": (["-R", "0"], "remote port forwarding failed"),
    "terminal": (["-tt"], "PTY allocation request failed"),
}


@pytest.fixture
def explained(gatehouse: Gatehouse, watch: Watch) -> Iterator[list[list[str]]]:
    """Whatever the test does, nothing may start that is not listed; yields what was started."""
    watch.started()
    started: list[list[str]] = []
    yield started
    started += watch.started()
    listed = patterns(gatehouse)
    odd = [argv for argv in started if not any(one.fullmatch("\0".join(argv)) for one in listed)]
    assert odd == []


def patterns(gatehouse: Gatehouse) -> list["re.Pattern[str]"]:
    """Return what may be started: sshd's own doing, the line in authorized_keys, and what explain prints."""
    line = (gatehouse.cluster.home(gatehouse.account) / ".ssh/authorized_keys").read_text()
    commands = set(re.findall(r'command="([^"]*)"', line))
    found = [re.compile(r"/usr/sbin/sshd\0.*")]
    for command in commands:
        assert command.startswith("exec ")
        found.append(re.compile("(-|/bin/)?bash\0-c\0" + re.escape(command)))
        found.append(re.compile("\0".join(map(re.escape, command.removeprefix("exec ").split()))))
    for shown in gatehouse.ctl("explain").splitlines():
        if shown.startswith("  "):
            words = shown.split("    (")[0].split()
            found.append(
                re.compile("\0".join(re.sub(r"\\?<[^>]*>", "[^\0]*", re.escape(one)) for one in words))
            )
    return found


@pytest.fixture
def pwned(gatehouse: Gatehouse) -> Iterator[Path]:
    """The file that a successful attack leaves."""
    path = gatehouse.cluster.home("anna") / "pwned"
    yield path
    assert not path.exists()


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_the_key_starts_the_gate_and_no_command(
    words: Sequence[str], gatehouse: Gatehouse, pwned: Path, explained: object
) -> None:
    options = [word for word in words if word.startswith("-") and len(word) <= 3 and words[0] != "slidegate"]
    done = gatehouse.ssh(*options, "login", *[word for word in words if word not in options])
    assert b"pwned" not in done.stdout
    if not words:
        assert done.returncode == 0, done.stderr  # no command at all is the gate, whose channel ended
    else:
        assert done.returncode != 0, done.stdout
        assert done.stdout == b""
    if "ctl" in words:
        assert "pwned" not in gatehouse.ctl("key", "list")


@pytest.mark.parametrize(("options", "refusal"), FORWARDINGS.values(), ids=FORWARDINGS)
def test_sshd_does_nothing_besides_for_the_key(
    options: list[str], refusal: str, gatehouse: Gatehouse, pwned: Path, explained: object
) -> None:
    done = gatehouse.ssh("-o", "ExitOnForwardFailure=yes", *options, "login", "slidegate")
    assert refusal in done.stderr.decode(), done.stderr


def test_a_stolen_key_is_of_no_use_on_another_computer(gatehouse: Gatehouse, explained: object) -> None:
    private = gatehouse.add_key("of-the-office", "--from", "10.99.1.2")
    with gatehouse.channel(key="of-the-office") as channel:
        assert channel.ask("hello")["ok"]
    stolen = gatehouse.cluster.home("bert") / "stolen"
    stolen.write_bytes(private.read_bytes())
    gatehouse.cluster.run("login", ["sh", "-c", "chown bert: /home/bert/stolen; chmod 600 /home/bert/stolen"])
    argv = ["ssh", "-i", "stolen", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes", "anna@10.99.1.1"]
    done = gatehouse.cluster.run("login", [*argv, "slidegate"], user="bert", check=False)
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize("protocol", ["-O", "-s"])
def test_scp_copies_nothing_in_either_direction(
    protocol: str, gatehouse: Gatehouse, pwned: Path, explained: object, folder: Path
) -> None:
    (folder / "pwned").write_text("pwned")
    for words in ([str(folder / "pwned"), "login:pwned"], ["login:.bashrc", str(folder / "got")]):
        assert tool(gatehouse, "scp", protocol, *gatehouse.options(), *words).returncode != 0
    assert not (folder / "got").exists()


def test_sftp_copies_nothing(gatehouse: Gatehouse, pwned: Path, explained: object, folder: Path) -> None:
    (folder / "pwned").write_text("pwned")
    batch = folder / "batch"
    batch.write_text(f"put {folder}/pwned pwned\nget .bashrc {folder}/got\n")
    assert tool(gatehouse, "sftp", *gatehouse.options(), "-b", str(batch), "login").returncode != 0
    assert not (folder / "got").exists()


def test_rsync_copies_nothing(gatehouse: Gatehouse, pwned: Path, explained: object, folder: Path) -> None:
    (folder / "pwned").write_text("pwned")
    remote = ["-e", " ".join(["ssh", *gatehouse.options()])]
    for words in ([str(folder / "pwned"), "login:pwned"], ["login:.bashrc", str(folder / "got")]):
        assert tool(gatehouse, "rsync", "--timeout=20", *remote, *words).returncode != 0
    assert not (folder / "got").exists()


def test_a_local_forwarding_reaches_nothing_behind_the_gate(gatehouse: Gatehouse, explained: object) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for option in (f"{port}:127.0.0.1:22", f"{port}:/run/munge/munge.socket.2"):
        assert banner(gatehouse, port, "-L", option) == b""


def test_a_proxy_reaches_nothing_behind_the_gate(gatehouse: Gatehouse, explained: object) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = b"\x05\x01\x00" + b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + (22).to_bytes(2, "big")
    assert b"SSH-" not in banner(gatehouse, port, "-D", str(port), ask=asked)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.99.2.11"])
def test_the_gate_is_no_jump_host(host: str, gatehouse: Gatehouse, explained: object) -> None:
    done = gatehouse.ssh("-W", f"{host}:22", "login")
    assert b"SSH-" not in done.stdout
    assert b"open failed" in done.stderr
    jump = " ".join(["ssh", *gatehouse.options(), "-W", "%h:%p", "login"])
    over = ["-o", f"ProxyCommand={jump}", "-o", "StrictHostKeyChecking=no", "anna@127.0.0.1", "slidegate"]
    assert gatehouse.ssh(*over).returncode == 255


def test_the_key_opens_no_tunnel(gatehouse: Gatehouse, explained: object) -> None:
    office = [
        "ssh",
        *gatehouse.options(),
        "-o",
        "ExitOnForwardFailure=yes",
        "-w",
        "any:any",
        "login",
        "slidegate",
    ]
    done = gatehouse.cluster.run("office", office, check=False)
    assert "unnel" in done.stderr, done.stderr
    assert gatehouse.cluster.run("login", ["ls", "/sys/class/net"]).stdout.count("tun") == 0


def test_neither_agent_nor_screen_nor_environment_reach_the_gate(
    gatehouse: Gatehouse, explained: object
) -> None:
    evil = ["LC_EVIL", "LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "SLURM_CONF", "HOME", "PATH"]
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"(SSH_\w+)=([^;]+);", agent))
    try:
        for name in evil:  # the client sends the first SetEnv only, so one connection for each
            option = ["-o", f"SetEnv={name}=/tmp/pwned"]
            with gatehouse.channel("-A", "-X", *option, DISPLAY=":9", **found) as channel:
                assert channel.ask("hello")["ok"]
                there = environment_of_gates(gatehouse)
                assert len(there) == 1
                names = {word.partition("=")[0] for word in there[0]}
                assert not names & {"SSH_AUTH_SOCK", "DISPLAY", "SSH_TTY", "XAUTHORITY"}
                # sshd as Debian ships it lets LC_* pass; Python started with -I takes no notice of it
                assert [word for word in there[0] if "pwned" in word] in ([], ["LC_EVIL=/tmp/pwned"])
    finally:
        subprocess.run(["kill", found["SSH_AGENT_PID"]], check=True)


def test_what_a_client_puts_into_the_environment_reaches_no_job(gatehouse: Gatehouse) -> None:
    body = """
own = dict(os.environ)
runner = open("/proc/%d/environ" % os.getppid()).read()
with open(os.path.join(out, "out.txt"), "w") as file:
    json.dump({"own": own, "runner": runner}, file)
"""
    release = gatehouse.release(body, "environment")
    with gatehouse.channel("-o", "SetEnv=LC_EVIL=pwned") as channel:
        view = channel.work(release)
        tree = channel.read(view["tree"])
        told = channel.read(re.findall(rb'"out.txt",\d+,"(\w+)"', tree)[0].decode())
    assert b"pwned" not in told
    assert b"SSH_" not in told


def test_the_accounts_rc_file_is_not_run(gatehouse: Gatehouse, pwned: Path, explained: object) -> None:
    rc = gatehouse.cluster.home("anna") / ".ssh/rc"
    rc.write_text("touch ~/pwned\n")
    try:
        with gatehouse.channel() as channel:
            assert channel.ask("hello")["ok"]
    finally:
        rc.unlink()


def test_noise_of_a_start_file_is_refused_by_the_reader_and_found_by_the_selftest(
    gatehouse: Gatehouse,
) -> None:
    bashrc = gatehouse.cluster.home("anna") / ".bashrc"
    before = bashrc.read_text()
    bashrc.write_text("echo Welcome to the cluster\n" + before)
    try:
        done = gatehouse.ssh("login", "slidegate")
        assert done.stdout.startswith(b"Welcome")
        assert re.search(
            r"BAD.*\n?.*(noise|Welcome|start file|shell)", gatehouse.ctl("selftest", check=False)
        )
    finally:
        bashrc.write_text(before)


def test_a_silent_channel_is_ended(gatehouse: Gatehouse, explained: object) -> None:
    gatehouse.add_key("silent")
    gatehouse.limit("silent", idle_seconds=1)
    with gatehouse.channel(key="silent") as channel:
        assert channel.ask("hello")["ok"]
        assert channel.answer()["error"]["code"] == "idle"
        assert channel.answer() == {}
    assert environment_of_gates(gatehouse) == []


def test_a_gate_whose_client_was_killed_ends(gatehouse: Gatehouse, explained: object) -> None:
    with gatehouse.channel() as channel:
        assert channel.ask("hello")["ok"]
        assert len(environment_of_gates(gatehouse)) == 1
        channel.process.kill()
        channel.process.wait()
        wait_until(lambda: environment_of_gates(gatehouse) == [])


def test_connections_that_never_log_in_do_not_keep_the_key_out(
    gatehouse: Gatehouse, explained: object
) -> None:
    hold = "import socket, time\nopened = [socket.create_connection(('10.99.1.1', 22)) for _ in range(8)]\n"
    hold += "print('held', flush=True)\ntime.sleep(60)\n"
    with gatehouse.cluster.popen("office", [PYTHON, "-IS", "-c", hold], stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        try:
            with gatehouse.channel() as channel:
                assert channel.ask("hello")["ok"]
        finally:
            holder.kill()


def test_a_key_has_no_more_channels_than_it_may(gatehouse: Gatehouse, explained: object) -> None:
    gatehouse.add_key("many")
    gatehouse.limit("many", channels=2)
    with gatehouse.channel(key="many") as one, gatehouse.channel(key="many") as two:
        assert one.code("hello") == two.code("hello") == "ok"
        with gatehouse.channel(key="many") as three:
            assert three.answer()["error"]["code"] == "limit"
            assert three.answer() == {}
        assert one.code("hello") == "ok"
    with gatehouse.channel(key="many") as again:
        assert again.code("hello") == "ok"


def test_input_without_end_is_left_after_its_first_line(gatehouse: Gatehouse, explained: object) -> None:
    began = time.monotonic()
    with Path("/dev/zero").open("rb") as endless:
        done = subprocess.run(
            ["ssh", *gatehouse.options(), "login", "slidegate"],
            stdin=endless,
            capture_output=True,
            timeout=30,
        )
    assert b"bad-frame" in done.stdout
    assert len(done.stdout) < 2000
    assert time.monotonic() - began < 20
    wait_until(lambda: environment_of_gates(gatehouse) == [])


def tool(gatehouse: Gatehouse, *argv: str) -> "subprocess.CompletedProcess[bytes]":
    """Run another program over ssh, as it stands in the attacker's shell."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)


def banner(gatehouse: Gatehouse, port: int, *options: str, ask: bytes = b"") -> bytes:
    """Return what is heard at a forwarded port, the attacker having asked for nothing but the forwarding."""
    argv = ["ssh", *gatehouse.options(), "-N", *options, "login"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
        try:
            end = time.monotonic() + 20
            while True:
                try:
                    connection = socket.create_connection(("127.0.0.1", port), 5)
                    break
                except OSError:
                    assert time.monotonic() < end, "ssh does not listen"
                    time.sleep(0.05)
            with connection:
                connection.sendall(ask)
                heard = b""
                try:
                    while len(heard) < 30 and (part := connection.recv(100)):
                        heard += part
                except OSError:
                    pass
                return heard
        finally:
            client.kill()


def environment_of_gates(gatehouse: Gatehouse) -> list[list[str]]:
    """Return the environments of the gates that run in the account."""
    found = []
    space = Path(f"/proc/{gatehouse.cluster._pids['login']}/ns/pid").readlink()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "ns/pid").readlink() != space:
                continue
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"serve" in words and f"{gatehouse.home}/current".encode() in words:
                found.append((path / "environ").read_bytes().decode().split("\0"))
        except OSError:
            continue
    return found


def wait_until(holds: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)
