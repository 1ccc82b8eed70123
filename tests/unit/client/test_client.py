# SPDX-License-Identifier: BSD-3-Clause
"""The client, against a server that answers as it is told: what it repeats, and what it believes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from slidegate.client import (
    Client,
    NotAServer,
    NotFound,
    NotSecret,
    Problem,
    Refused,
    TookTooLong,
    Unreachable,
    is_signed,
    sign_in,
)
from slidegate.domain.hooks import SIGNATURE, TIMESTAMP, signature

Answer = tuple[int, dict[str, str], bytes]
RUN = {
    "run": "68fdded14009",
    "state": "active",
    "person": "ada",
    "workflow": "nuclei",
    "version": "1",
    "site": "local",
    "created_at": 1.0,
    "changed_at": 2.0,
    "something": "new",
}


def as_json(body: object, status: int = 200, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode()


class Told:
    """A server that answers what the test puts here, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer | None] = []
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.usual: Callable[[str], Answer] = lambda _path: as_json({})
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                told.asked.append((self.command, self.path, dict(self.headers), body))
                answer = told.answers.pop(0) if told.answers else told.usual(self.path)
                if answer is None:  # as a process that is killed: no answer at all
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_words: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.close()


@pytest.fixture
def client(told: Told) -> Iterator[Client]:
    with Client(told.url, "sg_secret", patience=5) as made:
        yield made


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slidegate.client.wire._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("slidegate.client.client._POLL_FIRST", 0.01)


GRANTED = as_json(
    {"id": "w", "kind": "launch", "state": "granted", "answer": {"run": "r", "outcome": "created"}}
)


def test_a_launch_that_got_no_answer_is_asked_again_with_the_same_key(client: Client, told: Told) -> None:
    told.answers = [None, as_json({}, 503), GRANTED]
    assert client.launch("nuclei", ["a:b.tif"]).run == "r"
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in told.asked}
    assert len(told.asked) == 3
    assert len(keys) == 1
    assert all(headers["Authorization"] == "Bearer sg_secret" for _, _, headers, _ in told.asked)
    told.answers = [GRANTED]
    client.launch("nuclei", ["a:b.tif"])
    assert told.asked[-1][2]["Idempotency-Key"] not in keys, "another launch is another launch"


def test_a_launch_says_of_regions_only_that_they_are_left_out(client: Client, told: Told) -> None:
    told.answers = [GRANTED, GRANTED]
    client.launch("nuclei", ["a:b.tif"])
    client.launch("nuclei", ["a:b.tif"], regions=False)
    assert [body.get("regions") for *_, body in told.asked] == [None, False]


def test_who_asks_too_often_waits_as_long_as_the_server_says(client: Client, told: Told) -> None:
    told.answers = [as_json({"code": "too-many"}, 429, **{"Retry-After": "0.3"}), as_json(RUN)]
    began = time.monotonic()
    assert client.run("r").state == "active"
    assert time.monotonic() - began > 0.25


def test_a_problem_carries_its_code_and_what_is_wrong_with_each_parameter(client: Client, told: Told) -> None:
    errors = [{"name": "colour", "message": "unknown"}]
    told.answers = [
        as_json({"code": "bad-parameter", "detail": "No.", "errors": errors, "request": "q"}, 422)
    ]
    with pytest.raises(Problem, match=r"^No\.$") as caught:
        client.launch("nuclei", [])
    assert (caught.value.code, caught.value.status, caught.value.errors) == ("bad-parameter", 422, errors)
    assert caught.value.request == "q"
    told.answers = [as_json({"code": "unknown-run"}, 404)]
    with pytest.raises(NotFound):
        client.run("r")


def test_a_wish_is_waited_for_and_may_be_refused(client: Client, told: Told) -> None:
    wish = {"id": "w", "kind": "launch", "state": "open", "done": 1, "total": 2}
    why = {"code": "image-not-found", "message": "There is none."}
    told.answers = [as_json(wish, 202), as_json(wish), as_json({**wish, "state": "refused", "problem": why})]
    seen: list[int | None] = []
    with pytest.raises(Refused, match="There is none") as caught:
        client.launch("nuclei", ["a:b"], progress=lambda wish: seen.append(wish.done))
    assert caught.value.code == "image-not-found"
    assert seen == [1, 1]
    told.usual = lambda _path: as_json({**wish, "trouble": "No worker runs."})
    with pytest.raises(TookTooLong, match="No worker runs"):
        client.launch("nuclei", ["a:b"], seconds=0.1)


def test_pages_are_fetched_as_they_are_needed(client: Client, told: Told) -> None:
    told.answers = [as_json({"items": [RUN], "next": "c/1"}), as_json({"items": [RUN], "next": None})]
    runs = client.runs(mine=True)
    assert next(runs).run == "68fdded14009"
    assert len(told.asked) == 1
    assert len(list(runs)) == 1
    assert "mine=true" in told.asked[0][1]
    assert "cursor=c%2F1" in told.asked[1][1]


def test_waiting_asks_cheaply_and_ends_with_the_run(client: Client, told: Told) -> None:
    told.answers = [
        as_json(RUN, ETag='"1"'),
        (304, {}, b""),
        as_json({**RUN, "state": "succeeded"}, ETag='"2"'),
    ]
    states: list[str] = []
    assert client.wait_for("r", changed=lambda run: states.append(run.state)).ended
    assert states == ["active", "succeeded"]
    assert told.asked[1][2]["If-None-Match"] == '"1"'
    told.usual = lambda _path: as_json(RUN)
    with pytest.raises(TookTooLong, match="goes on"):
        client.wait_for("r", seconds=0.05)


def test_what_the_server_says_by_itself_is_read_line_by_line(client: Client, told: Told) -> None:
    stream = (
        b': here\r\nretry: 1000\r\n\r\nevent: run\r\ndata: {"a":\r\ndata: 1}\r\n\r\nevent: run\ndata: no\n\n'
    )
    told.answers = [(200, {"Content-Type": "text/event-stream"}, stream), None]
    news = client.events("r")
    first = next(news)
    assert (first.kind, first.body) == ("run", {"a": 1})
    told.answers += [(200, {"Content-Type": "text/event-stream"}, b"event: wish\ndata: {}\n\n")]
    assert next(news).kind == "wish", "a stream that broke is opened again"


def test_a_token_travels_only_where_it_stays_secret() -> None:
    for server in ("http://slidegate.example.org", "http://10.0.0.1", "ftp://localhost", "localhost"):
        with pytest.raises(NotSecret):
            Client(server, "sg_secret")
    for server in ("https://slidegate.example.org", "http://localhost:1", "http://[::1]:1"):
        Client(server, "sg_secret").close()


def test_a_token_does_not_follow_to_another_address(client: Client, told: Told) -> None:
    told.answers = [(302, {"Location": "http://127.0.0.1:1/"}, b"")]
    with pytest.raises(NotAServer):
        client.session()
    told.answers = [(200, {"Content-Type": "text/html"}, b"<html>")]
    with pytest.raises(NotAServer):
        client.session()


def test_a_server_that_is_gone_is_said_to_be_gone() -> None:
    with Client("http://127.0.0.1:9", patience=0.05) as client, pytest.raises(Unreachable, match="answer"):
        client.session()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\b", ""])
def test_a_file_is_never_written_beside_its_folder(
    client: Client, told: Told, tmp_path: Path, name: str
) -> None:
    told.answers = [as_json({"items": [{"name": name, "bytes": 1}]})]
    with pytest.raises(NotAServer):
        client.download("r", 1, tmp_path / "out")
    assert not list(tmp_path.rglob("x"))


def test_signing_in_makes_a_token_and_ends_the_session(told: Told) -> None:
    told.answers = [as_json({"csrf": "c"}), as_json({"token": "sg_new"}, 201), (204, {}, b"")]
    assert sign_in(told.url, "ada", "pass word", "laptop") == "sg_new"
    assert [(method, path) for method, path, _, _ in told.asked] == [
        ("POST", "/v1/session"),
        ("POST", "/v1/tokens"),
        ("DELETE", "/v1/session"),
    ]
    assert told.asked[1][2]["X-CSRF-Token"] == "c"


def test_what_the_server_signs_is_believed_and_nothing_else() -> None:
    body = b'{"run": "r"}'
    headers = {TIMESTAMP.upper(): "1000", SIGNATURE: signature("secret", 1000, body)}
    assert is_signed("secret", headers, body, 1100.0)
    assert not is_signed("other", headers, body, 1100.0)
    assert not is_signed("secret", headers, body + b" ", 1100.0)
    assert not is_signed("secret", headers, body, 1301.0), "an old one may be sent by anybody who kept it"
    assert not is_signed("secret", headers, body)
    assert not is_signed("secret", {}, body)
    assert not is_signed("secret", {**headers, TIMESTAMP.upper(): "1e3"}, body, 1100.0)
