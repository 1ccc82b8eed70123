# SPDX-License-Identifier: BSD-3-Clause
import hashlib
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from slidegate.domain.errors import SlidegateError
from slidegate.sites import Gate, errors, ssh, transfer
from slidegate.sites.errors import LinkDown, LinkNoise
from slidegate.sites.link import Frame
from slidegate.sites.ssh import Patience, SshGate, SshHost, SshLink
from slidegate.sites.transfer import put_tree
from slidegate.sites.trees import describe_folder
from tests.unit.sites.link_contract import HELLO, LinkContract
from tests.unit.sites.sshd import SSHD, Sshd, free_port, make_key

pytestmark = [pytest.mark.ssh, pytest.mark.slow]
MIB = 1 << 20
Connect = Callable[..., SshLink]


@pytest.fixture
def sshd(tmp_path: Path, gate_argv: list[str]) -> Iterator[Sshd]:
    """An sshd behind which the gate is, for the key of this test."""
    assert SSHD is not None, "there is no sshd: apt install openssh-server"
    with Sshd.running(tmp_path / "sshd", gate_argv) as made:
        yield made


@pytest.fixture
def open_link(tmp_path: Path, sshd: Sshd) -> Iterator[Connect]:
    """Opens channels; each with a patience of its own unless it is given."""
    opened: list[SshLink] = []

    def open_now(host: SshHost | None = None, patience: Patience | None = None, idle: float = 20) -> SshLink:
        gate = SshGate(host or sshd.host(), tmp_path / "channels", "key", patience or Patience(), idle)
        opened.append(gate())
        return opened[-1]

    yield open_now
    for link in opened:
        link.close()


class TestSshLink(LinkContract):
    @pytest.fixture
    def link(self, open_link: Connect) -> SshLink:
        return open_link()


def words_of(link: SshLink, kind: type[SlidegateError]) -> str:
    """Return what is said when a site cannot be used; the class and its code must be exactly that one."""
    with pytest.raises(kind) as caught:
        link.exchange(HELLO)
    assert type(caught.value) is kind
    return caught.value.message


# what a person is told


def test_another_host_key_than_the_pinned_one_is_told_and_nothing_is_sent(
    sshd: Sshd, open_link: Connect
) -> None:
    sshd.stop()
    sshd.new_host_key()
    sshd.start()
    words = words_of(open_link(), errors.HostKeyChanged)
    assert "another key than the pinned one" in words
    assert sshd.accepted() == 0


def test_a_host_key_that_was_never_pinned_is_told_and_nothing_is_sent(sshd: Sshd, open_link: Connect) -> None:
    sshd.known_hosts.write_text("")
    assert "never pinned" in words_of(open_link(), errors.HostKeyUnknown)
    assert sshd.accepted() == 0


def test_only_the_pinned_host_key_counts_not_what_the_person_trusts(
    sshd: Sshd, open_link: Connect, tmp_path: Path
) -> None:
    trusted = tmp_path / "trusted"
    trusted.write_text(sshd.known_hosts.read_text())
    sshd.known_hosts.write_text("")
    config = tmp_path / "config"
    config.write_text(f"UserKnownHostsFile {trusted}\nGlobalKnownHostsFile {trusted}\nHostKeyAlias here\n")
    words_of(open_link(sshd.host(config=config)), errors.HostKeyUnknown)


def test_a_computer_without_ssh_is_told(
    sshd: Sshd, open_link: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "PLAIN", {"PATH": "/nonexistent"})
    with pytest.raises(LinkDown, match="ssh cannot be started"):
        open_link()


def test_a_key_that_is_not_authorised_is_told(sshd: Sshd, open_link: Connect) -> None:
    (sshd.folder / "authorized_keys").write_text("")
    words = words_of(open_link(), errors.KeyRefused)
    assert "Permission denied" in words
    assert "gatectl authorize" in words


@pytest.mark.parametrize(
    "option",
    [f'expiry-time="{datetime.now() - timedelta(days=2):%Y%m%d}"', 'from="192.0.2.7"'],
    ids=["expired", "from-elsewhere"],
)
def test_a_key_that_has_expired_or_comes_from_elsewhere_is_told(
    sshd: Sshd, open_link: Connect, gate_argv: list[str], option: str
) -> None:
    sshd.allow(gate_argv, f"restrict,{option}")
    words = words_of(open_link(), errors.KeyRefused)
    assert "has expired, or may not be used from this computer's address" in words


def test_a_name_without_an_address_is_told(sshd: Sshd, open_link: Connect) -> None:
    words = words_of(open_link(sshd.host(host="no-such-host.invalid")), errors.HostUnknown)
    assert "no-such-host.invalid" in words


def test_a_port_where_nobody_listens_is_told(sshd: Sshd, open_link: Connect) -> None:
    assert "Connection refused" in words_of(open_link(sshd.host(port=free_port())), errors.HostUnreachable)


def test_a_host_that_cannot_be_reached_through_a_program_of_the_persons_own_is_told(
    sshd: Sshd, open_link: Connect, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'much noise' >&2\necho 'nc: Connection refused' >&2\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "config").write_text(f"Host *\n  ProxyCommand {program}\n")
    said = words_of(open_link(sshd.host(config=tmp_path / "config")), errors.HostUnreachable)
    assert said.endswith("ssh says: nc: Connection refused")


def test_an_address_that_swallows_everything_is_left_after_a_time(
    sshd: Sshd, open_link: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 1)
    with socket.socket() as full:  # a queue of connections that is full: the next is never answered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        held = [socket.socket() for _ in range(3)]
        for each in held:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        began = time.monotonic()
        words_of(open_link(sshd.host(port=port)), errors.HostUnreachable)
        assert time.monotonic() - began < 5
        for each in held:
            each.close()


def test_a_host_that_hangs_up_at_once_is_busy(sshd: Sshd, open_link: Connect) -> None:
    with HangsUp() as host:
        words_of(open_link(sshd.host(port=host.port)), errors.HostBusy)


def test_what_a_shell_prints_before_the_gate_is_told_with_what_to_do(
    sshd: Sshd, open_link: Connect, gate_argv: list[str]
) -> None:
    sshd.allow(["sh", "-c", 'echo "Welcome to the cluster!"; exec "$@"', "sh", *gate_argv])
    words = words_of(open_link(), LinkNoise)
    assert "Welcome to the cluster!" in words
    assert "~/.bashrc" in words


def test_a_gate_that_is_not_installed_is_told(sshd: Sshd, open_link: Connect, gate_argv: list[str]) -> None:
    sshd.allow([gate_argv[0], "-IS", "/nonexistent/.slidegate-gate/current", "serve", "--key", "key"])
    assert "gatectl install" in words_of(open_link(), errors.GateMissing)


def test_a_key_that_opens_a_shell_instead_of_a_gate_is_told(sshd: Sshd, open_link: Connect) -> None:
    sshd.allow([])
    assert "slidegate" in words_of(open_link(), errors.GateMissing)


def test_a_gate_that_does_not_know_the_key_says_so_itself(
    sshd: Sshd, open_link: Connect, gate_argv: list[str]
) -> None:
    sshd.allow([*gate_argv[:-1], "unheard-of"])
    assert "no key of that name" in words_of(open_link(), errors.GateRefused)


def test_a_gate_that_is_slow_to_begin_is_waited_for_and_a_silent_one_is_left(
    sshd: Sshd, open_link: Connect, gate_argv: list[str]
) -> None:
    sshd.allow(["sh", "-c", 'sleep 1; exec "$@"', "sh", *gate_argv])
    assert open_link(idle=10).exchange(HELLO)[0]["ok"] is True
    sshd.allow(["sleep", "60"])
    assert "has said nothing" in words_of(open_link(idle=0.5), errors.GateSilent)


# what the other side gets


def test_nothing_of_the_environment_reaches_the_other_side(
    sshd: Sshd, open_link: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_SECRET", "patient")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    sshd.stop()
    sshd.start("AcceptEnv *")
    code = "import os, sys; sys.exit(' '.join(sorted(os.environ)) + '=' + os.environ['SSH_ORIGINAL_COMMAND'])"
    sshd.allow([sys.executable, "-c", code])
    config = tmp_path / "config"
    config.write_text("SendEnv *\n")
    words = words_of(open_link(sshd.host(config=config)), errors.GateRefused)
    assert words.endswith("=slidegate")
    assert "SSH_CONNECTION" in words
    assert "LC_SECRET" not in words
    assert set(sshd.host().environment()) <= {"PATH", "LANG", "HOME"}
    assert set(sshd.host(identity=None).environment()) <= {"PATH", "LANG", "HOME", "SSH_AUTH_SOCK"}


def test_only_the_named_key_is_offered_even_if_an_agent_holds_one_that_would_do(
    sshd: Sshd, open_link: Connect, agent: Callable[[Path], None], tmp_path: Path
) -> None:
    agent(sshd.identity)
    other = tmp_path / "other"
    make_key(other)
    words_of(open_link(sshd.host(identity=other)), errors.KeyRefused)
    assert open_link(sshd.host(identity=None)).exchange(HELLO)[0]["ok"] is True


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """An ssh-agent of this test; call it to let it hold a key."""
    # a socket's path may have 107 signs
    where = Path("/tmp") / f"agent-{os.getpid()}-{time.monotonic_ns()}"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(where)], stdout=subprocess.DEVNULL)
    while not where.exists():
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(where))

    def hold(path: Path) -> None:
        subprocess.run(["ssh-add", "-q", str(path)], check=True)

    yield hold
    process.terminate()
    process.wait()
    where.unlink(missing_ok=True)


def test_the_persons_ssh_configuration_holds_for_aliases_and_jumps(
    sshd: Sshd, open_link: Connect, tmp_path: Path
) -> None:
    """The jump host is this same sshd, with another key that may forward to it and do nothing else."""
    jumper = tmp_path / "jumper"
    public = make_key(jumper)
    keys = sshd.folder / "authorized_keys"
    door = f'restrict,port-forwarding,permitopen="127.0.0.1:{sshd.port}",command="/bin/false"'
    keys.write_text(f"{keys.read_text()}{door} {public}\n")
    trusted = tmp_path / "trusted"
    trusted.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    config = tmp_path / "config"
    config.write_text(
        f"Host cluster\n  HostName 127.0.0.1\n  Port {sshd.port}\n  ProxyJump jump\n"
        f"Host jump\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {jumper}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {trusted}\n"
        # what is switched off on the command line stays off
        "Host *\n  ForwardAgent yes\n  RequestTTY force\n  RemoteCommand date\n  LocalForward 1 a:1\n"
    )
    link = open_link(sshd.host(host="cluster", port=None, config=config))
    assert link.exchange(HELLO)[0]["ok"] is True
    assert sshd.accepted() == 2


def test_a_certificate_beside_the_key_is_used(
    sshd: Sshd, open_link: Connect, tmp_path: Path, gate_argv: list[str]
) -> None:
    authority = tmp_path / "authority"
    made = make_key(authority)
    command = shlex.join(gate_argv)
    line = f'cert-authority,principals="gate",restrict,command="{command}" {made}'
    (sshd.folder / "authorized_keys").write_text(f"{line}\n")
    words_of(open_link(), errors.KeyRefused)
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "omero", "-n", "gate", "-V", "+5m"]
    subprocess.run([*sign, str(sshd.identity.with_suffix(".pub"))], check=True)
    assert open_link().exchange(HELLO)[0]["ok"] is True


def test_a_path_with_spaces_and_signs_of_ssh_is_taken_as_it_stands(
    sshd: Sshd, open_link: Connect, tmp_path: Path
) -> None:
    folder = tmp_path / 'a "home" with %h and $HOME'
    folder.mkdir()
    known_hosts, identity = folder / "known hosts", folder / "id"
    known_hosts.write_bytes(sshd.known_hosts.read_bytes())
    identity.write_bytes(sshd.identity.read_bytes())
    identity.chmod(0o600)
    link = open_link(sshd.host(known_hosts=known_hosts, identity=identity))
    assert link.exchange(HELLO)[0]["ok"] is True


# cut and taken up again


def test_an_upload_goes_on_where_it_was_cut_however_often_sshd_is_killed(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PIECE", MIB)  # a kill comes while most of the file is still to be sent
    image = tmp_path / "image"
    image.mkdir()
    (image / "large").write_bytes(os.urandom(48 * MIB))
    entries = describe_folder(image)
    patience = Patience(first_seconds=0.01, most_seconds=0.05)
    gate = Gate(SshGate(sshd.host(), tmp_path / "channels", "key", patience, 20))

    def kill_after(least: int) -> Callable[[int, int], None]:
        """Kill the connection once so many bytes of the contents have been confirmed."""
        alive = [True]

        def told(done: int, _total: int) -> None:
            if alive[0] and done >= least:
                alive[0] = sshd.kill_connections() == 0

        return told

    for least in (1, 6 * MIB, 12 * MIB, 18 * MIB, 24 * MIB):
        with pytest.raises(LinkDown):
            put_tree(gate, image, entries, kill_after(least))
        time.sleep(0.1)
    assert put_tree(gate, image, entries) < 25 * MIB
    assert put_tree(gate, image, entries) == 0
    gate.close()


def test_what_arrived_before_a_cut_is_not_sent_again(sshd: Sshd, open_link: Connect) -> None:
    data = os.urandom(16 * MIB)
    digest = hashlib.sha256(data).hexdigest()

    def pieces(start: int) -> Iterator[Frame]:
        for at in range(start, len(data), MIB):
            yield {"verb": "put", "digest": digest, "size": len(data), "offset": at}, data[at : at + MIB]

    link = open_link()
    with pytest.raises(LinkDown):
        for count, _answer in enumerate(link.stream(pieces(0))):
            if count == 5:
                sshd.kill_connections()
    answer, _ = open_link().exchange({"verb": "have", "blobs": [[digest, len(data)]]})
    there = answer["partial"][digest]
    assert there >= 6 * MIB
    *_, (answer, _) = open_link().stream(pieces(there))
    assert answer["committed"] is True


# no storm


class HangsUp:
    """A host that takes connections, counts them and hangs up."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.connects = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.connects += 1

    def __enter__(self) -> "HangsUp":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


def test_an_outage_is_met_with_few_connections_however_many_ask(sshd: Sshd, tmp_path: Path) -> None:
    asked = []
    with HangsUp() as host:
        patience = Patience(first_seconds=0.1, most_seconds=1.0)

        def keep_asking() -> None:
            gate = Gate(SshGate(sshd.host(port=host.port), tmp_path / "channels", "key", patience, 20))
            while time.monotonic() < until:
                with pytest.raises(errors.HostBusy):
                    gate.hello()
                asked.append(1)
                time.sleep(0.005)

        until = time.monotonic() + 2
        threads = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(asked) > 100
        assert 3 <= host.connects <= 9


def test_in_an_hour_of_outage_a_site_is_asked_some_dozen_times() -> None:
    now = [0.0]
    patience = Patience(clock=lambda: now[0])
    connects = 0
    for now[0] in range(3600):
        try:
            patience.check()
        except LinkDown:
            continue
        connects += 1
        patience.failed(LinkDown(), 0.0)
    assert 20 < connects < 70


def test_a_refused_key_is_not_tried_again_for_long() -> None:
    now = [0.0]
    patience = Patience(clock=lambda: now[0])
    patience.failed(errors.KeyRefused("no"), 0.0)
    now[0] = 55.0
    with pytest.raises(errors.KeyRefused, match="no"):
        patience.check()
    now[0] = 121.0
    patience.check()


def test_a_site_that_swallows_everything_costs_no_more_than_half_of_the_time() -> None:
    now = [0.0]
    patience = Patience(clock=lambda: now[0])
    waited = 0.0
    while now[0] < 3600:
        try:
            patience.check()
        except LinkDown:
            now[0] += 1.0
            continue
        now[0] += 120.0
        waited += 120.0
        patience.failed(errors.GateSilent(), 0.0, 120.0)
    assert waited <= now[0] / 2 + 120.0


def test_after_a_long_time_that_went_well_a_break_is_followed_by_a_short_pause() -> None:
    now = [0.0]
    patience = Patience(clock=lambda: now[0])
    for _ in range(8):
        patience.failed(LinkDown(), 0.0)
    patience.failed(LinkDown(), lasted=3600.0)
    now[0] = 1.1
    patience.check()


def test_there_are_at_most_four_channels_at_once(open_link: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_WAIT_SECONDS", 0.2)
    links = [open_link() for _ in range(4)]
    with pytest.raises(errors.ChannelsTaken):
        open_link()
    links[2].close()
    assert open_link().exchange(HELLO)[0]["ok"] is True


def test_who_has_a_channel_for_long_leaves_it_to_who_waits_and_takes_another_later(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_HELD_SECONDS", 0.2)
    gates = [Gate(SshGate(sshd.host(), tmp_path / "channels", "key", Patience(), 20)) for _ in range(6)]
    until = time.monotonic() + 5
    first = [0.0] * len(gates)

    def follow(number: int) -> None:
        while time.monotonic() < until:
            gates[number].hello()
            first[number] = first[number] or time.monotonic()
            time.sleep(0.05)
        gates[number].close()

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(len(gates))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(first) < until, "some had to wait until others had no use for theirs any more"
