# SPDX-License-Identifier: BSD-3-Clause
"""Telling the end of a Run to an address that a person named, and to none inside the network."""

import hashlib
import hmac
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from slidegate.domain.events import Cancelled, CancelWanted
from slidegate.domain.hooks import BadHookUrl, check_hook_url, signature
from slidegate.domain.states import State
from slidegate.store import Store
from slidegate.store.webhooks import Delivery
from slidegate.worker import hooks
from slidegate.worker.hooks import HookFailed, HookRefused, Hooks, tell
from slidegate.worker.tools import Tools
from tests.unit.domain.histories import request
from tests.unit.worker.conftest import Clock

SECRET = "s" * 40


@dataclass
class Receiver:
    """A real HTTP server that keeps what it was told and answers as a test says."""

    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    told: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    do: Callable[[Any], None] = lambda _handler: None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/told?by=slidegate"

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in self.told]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.told.append(({**self.headers, "path": self.path}, body))
            kept.do(self)
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            for name, value in kept.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_what: None  # type: ignore[method-assign]
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()


def delivery(url: str) -> Delivery:
    return Delivery(7, url, SECRET, {"run": "a" * 12, "state": "failed"}, 0.0, 0, "me", 1)


@pytest.fixture
def ended(store: Store) -> Callable[[str], None]:
    """Have an address told of a Run that has ended."""

    def end(url: str) -> None:
        asked = request(tasks=1)
        store.webhooks.add(asked.person, url, SECRET, 1000.0)
        store.history.request(asked, 1000.0)
        task = asked.tasks[0].task
        store.history.append(asked.run, CancelWanted(task), 1000.0)
        store.history.append(asked.run, Cancelled(task, State.WAITING), 1000.0)

    return end


def test_the_end_of_a_run_is_told_once_with_a_signature_that_the_receiver_can_check(
    tools: Tools, receiver: Receiver, ended: Callable[[str], None]
) -> None:
    ended(receiver.url)
    teller = Hooks(tools, "me", allow_private=True)
    assert teller.step()
    assert not teller.step()
    ((headers, body),) = receiver.told
    told = json.loads(body)
    assert (told["event"], told["state"], told["run"]) == ("run-ended", "cancelled", request(tasks=1).run)
    signed = headers["X-Slidegate-Timestamp"].encode() + b"." + body
    expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Slidegate-Signature"] == expected == signature(SECRET, 1000, body)
    assert headers["path"] == "/told?by=slidegate"
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"


def test_what_was_not_taken_is_told_again_with_growing_pauses_for_a_day(
    tools: Tools, store: Store, clock: Clock, receiver: Receiver, ended: Callable[[str], None]
) -> None:
    ended(receiver.url)
    receiver.answers = [500] * 1000
    teller = Hooks(tools, "me", allow_private=True)
    told_at = []
    (webhook,) = store.webhooks.all(request(tasks=1).person)
    while store.webhooks.deliveries(webhook.id)[0]["state"] == "open":
        clock.now = max(clock.now, store.webhooks.deliveries(webhook.id)[0]["not_before"])
        assert teller.step()
        told_at.append(clock.now)
    pauses = [after - before for before, after in pairwise(told_at)]
    assert pauses == sorted(pauses)
    assert 80_000 < told_at[-1] - 1000.0 <= 86_400
    assert len(told_at) < 30
    last = store.webhooks.deliveries(webhook.id)[0]
    assert (last["state"], last["trouble"]) == ("given-up", "The address answered with 500.")
    assert {headers["X-Slidegate-Delivery"] for headers, _ in receiver.told} == {str(last["id"])}


def test_what_is_taken_at_the_second_try_is_told_no_more(
    tools: Tools, clock: Clock, receiver: Receiver, ended: Callable[[str], None]
) -> None:
    ended(receiver.url)
    receiver.answers = [503, 204]
    teller = Hooks(tools, "me", allow_private=True)
    assert teller.step()
    assert not teller.step()
    clock.now += 11
    assert teller.step()
    clock.now += 90_000
    assert not teller.step()
    assert len(receiver.told) == 2


def test_no_redirection_is_followed(receiver: Receiver) -> None:
    receiver.answers = [307]
    receiver.headers = {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}
    with pytest.raises(HookFailed, match="answered with 307"):
        tell(delivery(receiver.url), 1, allow_private=True)
    assert len(receiver.told) == 1


def test_no_proxy_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    tell(delivery(receiver.url), 1, allow_private=True)
    assert len(receiver.told) == 1


def test_an_answer_that_never_ends_is_not_read(receiver: Receiver) -> None:
    def pour(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
        with pytest.raises(OSError, match=r"."):
            while True:
                handler.wfile.write(b"x" * 65536)

    receiver.do = pour
    began = time.monotonic()
    tell(delivery(receiver.url), 1, allow_private=True)
    assert time.monotonic() - began < 5


def test_an_answer_that_comes_drop_by_drop_is_given_up(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_SECONDS", 0.5)
    enough = threading.Event()

    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _drop in range(60):
            if enough.wait(0.05):
                return
            handler.wfile.write(b"x")
        handler.wfile.write(b"\r\n")

    receiver.do = drip
    began = time.monotonic()
    with pytest.raises(HookFailed, match="too long"):
        tell(delivery(receiver.url), 1, allow_private=True)
    assert time.monotonic() - began < 5
    enough.set()


def test_who_does_not_answer_and_who_is_not_there_is_tried_again() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(HookFailed) as failed:
            tell(delivery(f"http://127.0.0.1:{port}/"), 1, allow_private=True)
    assert failed.value.transient
    with pytest.raises(HookFailed):
        tell(delivery("https://nobody.invalid/"), 1, allow_private=False)


# attempts to have slidegate ask inside its own network


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0.0.0.0", "10.0.0.8", "172.16.3.4", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f.1", "0177.0.0.1",
        "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fec0::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.8]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[ff02::1]", "localhost",
    ],
)  # fmt: skip
def test_nothing_inside_the_network_is_asked_however_it_is_written(
    host: str, receiver: Receiver, tools: Tools
) -> None:
    with pytest.raises((HookRefused, BadHookUrl, HookFailed)):
        tell(delivery(f"https://{host}:{receiver.port}/"), 1, allow_private=False)
    assert receiver.told == []


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:169.254.169.254"], ["fe80::1%lo"]],
)
def test_a_name_that_means_an_address_inside_is_refused_at_once_and_for_good(
    addresses: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tools: Tools,
    store: Store,
    ended: Callable[[str], None],
    receiver: Receiver,
) -> None:
    def looked_up(_host: object, port: int, *_more: object, **_named: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    ended(f"https://rebound.example:{receiver.port}/")
    assert Hooks(tools, "me").step()
    (webhook,) = store.webhooks.all(request(tasks=1).person)
    (told,) = store.webhooks.deliveries(webhook.id)
    assert (told["state"], told["trouble"]) == ("given-up", HookRefused().message)


def test_the_connection_goes_to_the_address_that_was_checked_whatever_the_name_means_later(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    answers = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    asked = []

    def looked_up(host: object, port: int, *_more: object, **_named: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    tell(delivery(f"http://rebound.example:{receiver.port}/"), 1, allow_private=True)
    named = [
        host for host in asked if b"rebound" in (host if isinstance(host, bytes) else str(host).encode())
    ]
    assert len(named) == 1
    ((headers, _body),) = receiver.told
    assert headers["Host"] == f"rebound.example:{receiver.port}"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "file:///etc/passwd", "https://", "https:///x",
        "https://ada:secret@example.org/", "https://example.org/#x", "https://example.org:0/",
        "https://example.org:99999/", "https://example.org/\r\nX: y", "https://ex ample.org/",
        "https://b\u00fccher.example/", "https://[::1/", "https://127.0.0.1/", "https://[::1]/", "gopher:x",
        "https://example.org/" + "x" * 3000,
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_when_it_is_named(url: str) -> None:
    with pytest.raises(BadHookUrl):
        check_hook_url(url)


def test_an_address_in_the_network_may_be_allowed() -> None:
    assert check_hook_url("http://127.0.0.1:8080/x", allow_private=True).port == 8080
    assert check_hook_url("https://example.org/x").hostname == "example.org"
    with pytest.raises(BadHookUrl):
        check_hook_url("file:///etc/passwd", allow_private=True)


# encryption


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hooks.example"
    )
    argv = ["openssl", *words.split(), "-addext", "subjectAltName=DNS:hooks.example"]
    subprocess.run([*argv, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def _request(connection: ssl.SSLSocket) -> bytes:
    """Read a request to its end, and return its body: who closes before that resets the connection."""
    with connection.makefile("rb") as stream:
        stream.readline()
        headers = http.client.parse_headers(stream)
        return stream.read(int(headers["Content-Length"]))


@pytest.mark.parametrize(("name", "taken"), [("hooks.example", True), ("other.example", False)])
def test_the_certificate_must_be_that_of_the_name_though_an_address_is_connected_to(
    certificate: tuple[Path, Path], name: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    monkeypatch.setattr(hooks, "_trusted", lambda: ssl.create_default_context(cafile=str(cert)))
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda _host, port, *_more, **_named: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        ],
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as inside:
                    seen.append(_request(inside))
                    inside.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            except OSError:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://{name}:{listener.getsockname()[1]}/"
        if taken:
            tell(delivery(url), 1, allow_private=True)
        else:
            with pytest.raises(HookFailed):
                tell(delivery(url), 1, allow_private=True)
        thread.join()
    assert bool(seen) is taken
