# SPDX-License-Identifier: AGPL-3.0-or-later
"""Talking to slidegate, and what becomes of it when something else answers, or nothing."""

import socket
import threading

import pytest
from omero_slidegate import remote
from omero_slidegate.problems import (
    SlidegateAnsweredBadly,
    SlidegateNotTrusted,
    SlidegateSlow,
    SlidegateUnreachable,
)

from .answering import answering, say


def test_an_answer_comes_with_its_cookie_from_below_the_address(settings, monkeypatch):
    seen = []

    def reply(handler):
        seen.append((handler.path, handler.headers["Cookie"]))
        say(200, b'{"a": 1}', Set_Cookie="slidegate_session=secret; Path=/; HttpOnly")(handler)

    with answering(settings, monkeypatch, reply):
        for _ in range(2):  # what the first answer sets is not sent with the second request
            answer = remote.ask("GET", "/v1/x?y=1")
            assert (answer.status, answer.cookie(remote.COOKIE), answer.json()) == (200, "secret", {"a": 1})
            answer.close()
    assert seen == [("/below/v1/x?y=1", None)] * 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_what_leads_elsewhere_is_not_followed(settings, monkeypatch, status):
    with (
        answering(settings, monkeypatch, say(status, Location="http://127.0.0.1:1/")),
        pytest.raises(SlidegateAnsweredBadly),
    ):
        remote.ask("GET", "/v1/x")


def test_what_is_no_json_is_said_to_be_something_else(settings, monkeypatch):
    with answering(settings, monkeypatch, say(200, b"<html>")):
        answer = remote.ask("GET", "/v1/x")
        with pytest.raises(SlidegateAnsweredBadly):
            answer.json()
        answer.close()


def test_an_answer_that_does_not_come_is_waited_for_so_long_and_no_longer(settings, monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(remote, "_ANSWER_S", 0.05)
    with answering(settings, monkeypatch, lambda _: let_go.wait(60)):
        with pytest.raises(SlidegateSlow):
            remote.ask("GET", "/v1/x")
        let_go.set()


def test_nobody_there_is_said_in_words(settings, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(settings, "URL", f"http://127.0.0.1:{port}")
    with pytest.raises(SlidegateUnreachable, match="cannot be reached"):
        remote.ask("GET", "/v1/x")


def test_a_file_of_an_authority_that_is_none_is_noticed(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "URL", "https://127.0.0.1:1")
    monkeypatch.setattr(settings, "CA", str(tmp_path / "none"))
    with pytest.raises(SlidegateNotTrusted):
        remote.ask("GET", "/v1/x")
