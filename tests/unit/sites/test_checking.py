# SPDX-License-Identifier: BSD-3-Clause
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slidegate.sites import Gate, SshGate
from slidegate.sites.checking import Layer, look_at
from slidegate.sites.ssh import Patience
from tests.unit.sites.conftest import Connect
from tests.unit.sites.sshd import Sshd, free_port

pytestmark = pytest.mark.slow

LAYERS = [
    "ssh", "own key", "channels", "name", "port", "host key", "key", "noise", "gate", "protocol", "audit",
    "key name", "workflows", "limits", "clock", "round trip",
]  # fmt: skip

Look = Callable[..., list[Layer]]


class Heads:
    def __init__(self, seq: int = 0, head: str = "0" * 64) -> None:
        self.last = (seq, head)

    def known(self) -> tuple[int, str]:
        return self.last

    def advance(self, seq: int, head: str) -> None:
        self.last = (seq, head)


@pytest.fixture
def sshd(tmp_path: Path, gate_argv: list[str]) -> Iterator[Sshd]:
    with Sshd.running(tmp_path / "sshd", gate_argv) as made:
        yield made


@pytest.fixture
def look(tmp_path: Path, sshd: Sshd, key: str) -> Look:
    def look_now(heads: Heads | None = None, called: str = key, **changes: object) -> list[Layer]:
        connect = SshGate(sshd.host(**changes), tmp_path / "channels", key, Patience(), 20)
        gate = Gate(connect, heads or Heads())
        try:
            return list(look_at(gate, called))
        finally:
            gate._drop()

    return look_now


def faults(layers: list[Layer]) -> list[tuple[str, str | None]]:
    return [(layer.layer, layer.code) for layer in layers if layer.code]


@pytest.mark.ssh
def test_every_layer_of_a_site_is_looked_at_and_a_key_without_workflows_is_told(look: Look) -> None:
    layers = look()
    assert [layer.layer for layer in layers] == LAYERS
    assert faults(layers) == [("workflows", "no-workflows")]
    assert "idle seconds 900" in layers[LAYERS.index("limits")].words


@pytest.mark.ssh
def test_what_is_broken_is_named_after_all_that_was_well_before_it(
    look: Look, sshd: Sshd, gate_argv: list[str]
) -> None:
    def seen(**changes: object) -> tuple[list[str], list[tuple[str, str | None]]]:
        layers = look(**changes)
        return [layer.layer for layer in layers], faults(layers)

    def broken(layer: str, code: str) -> tuple[list[str], list[tuple[str, str]]]:
        return LAYERS[: LAYERS.index(layer) + 1], [(layer, code)]

    assert seen(host="no-such-host.invalid") == broken("name", "host-unknown")
    assert seen(port=free_port()) == broken("port", "host-unreachable")
    assert seen(config=Path("/nonexistent")) == broken("ssh", "site-unreachable")
    sshd.allow(["sh", "-c", 'echo hello; exec "$@"', "sh", *gate_argv])
    assert seen() == broken("noise", "site-noise")
    sshd.allow(["/nonexistent"])
    assert seen() == broken("gate", "gate-missing")
    (sshd.folder / "authorized_keys").write_text("")
    assert seen() == broken("key", "key-refused")
    sshd.known_hosts.write_text("")
    assert seen() == broken("host key", "host-key-unknown")
    assert look(Heads(3, "1" * 64), port=free_port())[-1].layer == "port"


@pytest.mark.ssh
def test_a_record_that_was_set_back_is_told(look: Look) -> None:
    assert faults(look(Heads(3, "1" * 64))) == [("audit", "audit-broken")]


@pytest.mark.ssh
def test_a_key_that_the_gate_calls_otherwise_is_told(look: Look) -> None:
    assert ("key name", "other-key-name") in faults(look(called="omero"))


def test_clocks_that_differ_are_told_with_how_much(connect: Connect) -> None:
    gate = Gate(connect, Heads())
    late = list(look_at(gate, None, over_ssh=False, clock=lambda: time.time() - 600))
    assert faults(late) == [("workflows", "no-workflows"), ("clock", "clocks-differ")]
    assert "600 s ahead" in late[-2].words
    gate.close()


def test_the_gate_on_this_computer_is_looked_at_without_the_layers_of_ssh(connect: Connect) -> None:
    gate = Gate(connect, Heads())
    assert [layer.layer for layer in look_at(gate, None, over_ssh=False)] == LAYERS[8:]
    gate.close()
