# SPDX-License-Identifier: AGPL-3.0-or-later
"""For whom a session at slidegate is used."""

from types import SimpleNamespace

import jwt
import pytest
from omero_slidegate.keys import Person, make_key, public_key
from omero_slidegate.permitted import permitted
from omero_slidegate.problems import NotLetIn, NotReady, SignInRefused
from omero_slidegate.signin import asked_as

from .answering import answering, say

ALICE, BOB = Person(7, "alice"), Person(8, "bob")


class Session(dict):
    """A session of a browser at OMERO.web, whose store is `kept`."""

    kept = {}  # noqa: RUF012
    modified = False

    def __init__(self, session_key):
        super().__init__(self.kept)
        self.session_key = session_key

    def save(self):
        type(self).kept = dict(self)


@pytest.fixture
def request_of(settings, monkeypatch, tmp_path):
    """Return a request of the one browser that there is."""
    monkeypatch.setattr(settings, "KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setattr(Session, "kept", {})
    make_key(tmp_path / "key")
    return lambda: SimpleNamespace(session=Session("one"))


class Slidegate:
    """Lets everybody in, and remembers who asked with which session."""

    def __init__(self, key):
        self.key, self.began, self.asked, self.ended = key, [], [], set()

    def __call__(self, handler):
        length = int(handler.headers["Content-Length"] or 0)
        body = handler.rfile.read(length).decode()
        if handler.path.endswith("/v1/session/omero"):
            statement = body.split('"')[3]
            claims = jwt.decode(statement, self.key, algorithms=["EdDSA"], audience="slidegate")
            self.began.append(claims["sub"])
            cookie = f"slidegate_session={claims['sub']}-{len(self.began)}; Path=/"
            say(200, b'{"csrf": "token"}', Set_Cookie=cookie)(handler)
            return
        cookie = handler.headers["Cookie"].partition("=")[2]
        self.asked.append((cookie, handler.headers["X-CSRF-Token"]))
        say(401 if cookie in self.ended else 200)(handler)


@pytest.fixture
def slidegate(settings, monkeypatch, request_of, tmp_path):
    from omero_slidegate.keys import read_key

    service = Slidegate(public_key(read_key(tmp_path / "key")))
    with answering(settings, monkeypatch, service):
        yield service


def ask(request, person, method="GET", path="v1/runs"):
    asked_as(request, person, permitted(method, path, {}), {}, None).close()


def test_a_session_is_begun_once_and_used_for_the_person_alone_that_it_was_begun_for(slidegate, request_of):
    ask(request_of(), ALICE)
    ask(request_of(), ALICE)
    ask(request_of(), BOB)  # who logged in at OMERO.web in the same browser
    assert slidegate.began == ["7", "8"]
    assert slidegate.asked == [("7-1", None), ("7-1", None), ("8-2", None)]


def test_what_changes_something_shows_slidegates_own_token(slidegate, request_of):
    ask(request_of(), ALICE, "POST", "v1/launches")
    assert slidegate.asked == [("7-1", "token")]


def test_a_session_that_has_ended_is_begun_anew(slidegate, request_of):
    ask(request_of(), ALICE)
    slidegate.ended.add("7-1")
    ask(request_of(), ALICE)
    assert slidegate.asked == [("7-1", None), ("7-1", None), ("7-2", None)]


def test_a_session_of_another_slidegate_is_not_shown_to_this_one(
    slidegate, request_of, settings, monkeypatch
):
    ask(request_of(), ALICE)
    monkeypatch.setattr(settings, "URL", settings.URL.replace("127.0.0.1", "localhost"))
    ask(request_of(), ALICE)
    assert slidegate.began == ["7", "7"]


@pytest.mark.parametrize(
    ("status", "problem"), [(401, SignInRefused), (403, NotLetIn), (409, NotReady), (503, NotReady)]
)
def test_a_refusal_comes_with_slidegates_own_words(request_of, settings, monkeypatch, status, problem):
    reply = say(status, b'{"detail": "Because of this."}')
    with answering(settings, monkeypatch, reply), pytest.raises(problem, match="Because of this"):
        ask(request_of(), ALICE)
