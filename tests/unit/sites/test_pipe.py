# SPDX-License-Identifier: BSD-3-Clause
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from slidegate.sites import PipeLink
from slidegate.sites.errors import LinkDown, LinkNoise
from tests.unit.sites.conftest import Connect
from tests.unit.sites.link_contract import HELLO, LinkContract, put


class TestPipeLink(LinkContract):
    @pytest.fixture
    def link(self, connect: Connect) -> PipeLink:
        return connect()


Imitate = Callable[..., PipeLink]


@pytest.fixture
def gate_that() -> Iterator[Imitate]:
    """Programs that are no gates."""
    started = []

    def start(code: str, idle_seconds: float = 5.0) -> PipeLink:
        argv = [sys.executable, "-IS", "-c", f"import os, sys, time\n{code}"]
        started.append(PipeLink(argv, idle_seconds))
        return started[-1]

    yield start
    for link in started:
        link.close()


def test_a_gate_that_is_killed_is_a_link_that_is_down(connect: Connect) -> None:
    link = connect()
    link.exchange(HELLO)
    assert link._process is not None
    os.kill(link._process.pid, signal.SIGKILL)
    with pytest.raises(LinkDown):
        link.exchange(HELLO)


def test_a_shell_that_greets_is_quoted(gate_that: Imitate) -> None:
    link = gate_that("print('Welcome to the cluster! Mail: none', flush=True); time.sleep(5)")
    with pytest.raises(LinkNoise, match="Welcome to the cluster! Mail: none"):
        link.exchange(HELLO)


def test_a_program_that_ends_says_its_last_words(gate_that: Imitate) -> None:
    link = gate_that("sys.stderr.write('no such key'); sys.exit(2)")
    with pytest.raises(LinkDown, match="no such key"):
        link.exchange(HELLO)


def test_an_answer_that_is_cut_off_is_a_link_that_is_down(gate_that: Imitate) -> None:
    link = gate_that(f"sys.stdout.write('SLIDEGATE/1 100 0 {'0' * 64}' + chr(10) + '{{'); sys.stdout.flush()")
    with pytest.raises(LinkDown):
        link.exchange(HELLO)


def test_silence_ends_after_the_time_that_was_given(gate_that: Imitate) -> None:
    link = gate_that("time.sleep(60)", idle_seconds=0.3)
    began = time.monotonic()
    with pytest.raises(LinkDown, match="said nothing"):
        link.exchange(HELLO)
    link.close()
    assert time.monotonic() - began < 5


def test_a_gate_that_stops_reading_does_not_stop_the_client_for_ever(gate_that: Imitate) -> None:
    link = gate_that("time.sleep(60)", idle_seconds=0.5)
    began = time.monotonic()
    with pytest.raises(LinkDown):
        list(link.stream(put(bytes(8 << 20)) for _ in range(4)))
    assert time.monotonic() - began < 5


def test_an_answer_to_another_request_is_not_taken(gate_that: Imitate) -> None:
    text = '{"id":"ff","ok":true}'
    code = f"""
import hashlib
sys.stdin.buffer.readline()
text = {text!r}.encode()
head = 'SLIDEGATE/1 %d 0 %s' % (len(text), hashlib.sha256(text).hexdigest())
sys.stdout.buffer.write(head.encode() + bytes([10]) + text)
sys.stdout.buffer.flush()
time.sleep(5)
"""
    with pytest.raises(LinkNoise, match="another request"):
        gate_that(code).exchange(HELLO)


def test_a_program_that_is_not_there_is_a_link_that_is_down() -> None:
    with pytest.raises(LinkDown, match="cannot be started"):
        PipeLink(["/nonexistent/python3"])


def test_the_gate_gets_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, gate_that: Imitate
) -> None:
    monkeypatch.setenv("OMERO_PASSWORD", "secret")
    link = gate_that("sys.stderr.write(' '.join(sorted(os.environ))); sys.exit()")
    with pytest.raises(LinkDown) as caught:
        link.exchange(HELLO)
    assert "OMERO_PASSWORD" not in str(caught.value)
    assert "PATH" in str(caught.value)


def endless() -> Iterator[tuple[dict, bytes]]:
    while True:
        yield {"verb": "have", "blobs": []}, b""


def test_requests_are_drawn_only_a_few_ahead_of_the_answers(connect: Connect) -> None:
    answers = connect().stream(endless())
    assert [next(answers)[0]["ok"] for _ in range(50)] == [True] * 50
    answers.close()
