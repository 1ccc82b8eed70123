# SPDX-License-Identifier: BSD-3-Clause
"""Signing in by a session in OMERO: it is joined, asked whose it is, and left as it was."""

import logging
import socket
import threading

import pytest
from sqlalchemy import inspect, text

from slidegate.settings import Settings
from slidegate.wiring.api import open_api
from slidegate.wiring.omero_people import asking
from slidegate.worker.wishes.granter import Granter
from tests.acceptance.omero.test_served import open_office, settings_of
from tests.unit.api.service import serving

pytestmark = [pytest.mark.omero, pytest.mark.slow]  # a server starts

PEOPLE = """
groups: {lab: read-annotate}
people:
  alice: {password: secret-a, groups: [lab]}
  bob: {password: secret-b, groups: [lab]}
  root: {password: secret-r}
"""
URL = "/v1/session/omero"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    from pocket_omero.server import Server

    folder = tmp_path_factory.mktemp("omero")
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as started:
        yield started


@pytest.fixture(scope="module")
def service(house, tmp_path_factory):
    """A service that asks this OMERO, as its settings have it made."""
    folder = tmp_path_factory.mktemp("service")
    settings = Settings(
        home=folder / "home", omero_host=house.host, omero_port=house.port, omero_ca=house.authority
    )
    with serving(folder, omero_host=house.host) as made, open_api(settings, embedded=False) as parts:
        made.parts.omero = parts.omero
        assert parts.settings.omero_grants
        yield made


@pytest.fixture
def login(house):
    """Begins sessions in OMERO that end with the test."""
    from slidegate.sources.omero.connection import Connection, Server

    opened = []

    def begin(name, password):
        server = Server(house.host, house.port, house.authority)
        opened.append(Connection.login(server, name, password))
        return opened[-1]

    yield begin
    for connection in opened:
        connection.close()


def code_of(answer):
    return answer.status_code, answer.json().get("code")


def test_a_session_in_omero_signs_its_person_in_lives_on_and_is_kept_nowhere(service, login, caplog):
    caplog.set_level(logging.DEBUG)
    connection = login("alice", "secret-a")
    client = service.client()
    said = client.post(URL, json={"session": connection.key}).json()
    assert (said["person"], said["omero"], said["role"]) == ("alice", "alice", "researcher")
    assert client.get("/v1/session").json()["person"] == "alice"
    assert connection.person == "alice"  # it lives on
    assert (
        service.client().post(URL, json={"session": connection.key}).status_code == 200
    )  # as often as wanted
    assert connection.key not in caplog.text
    assert connection.key not in everything_kept(service)
    assert service.store.audit.page("alice", 5, None)[0].target == "by a session in OMERO"


def everything_kept(service):
    with service.store.database.read() as connection:
        names = inspect(connection).get_table_names()
        return str([connection.execute(text(f'SELECT * FROM "{name}"')).all() for name in names])


def test_the_person_is_the_one_that_an_omero_web_vouches_for(service, login):
    user_id = login("bob", "secret-b").services("Admin").getEventContext().userId
    service.store.omero_people.signed_in(user_id, "bob-before", 1.0)
    said = service.client().post(URL, json={"session": login("bob", "secret-b").key}).json()
    assert (said["person"], said["omero"]) == ("bob-before", "bob")


def test_a_session_that_has_ended_or_never_was_proves_nothing(service, login):
    ended = login("alice", "secret-a")
    key = ended.key
    ended.close()
    for one in (key, "00000000-0000-4000-8000-000000000000", "alice", "x"):
        assert code_of(service.client().post(URL, json={"session": one})) == (401, "omero-session-gone")


@pytest.mark.parametrize(("name", "password"), [("root", "secret-r"), ("guest", "guest")])
def test_root_and_guests_are_nobody_here(service, login, name, password):
    before = service.store.accounts.all()
    key = login(name, password).key
    assert code_of(service.client().post(URL, json={"session": key})) == (403, "omero-person-refused")
    assert service.store.accounts.all() == before


def test_an_omero_that_is_away_or_not_the_right_one_is_said_in_words(house, service, login):
    key = login("alice", "secret-a").key
    right = service.parts.omero
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        others = {
            "omero-unreachable": asking(house.host, nobody.getsockname()[1], house.authority),
            "omero-certificate": asking(house.host, house.port, None),
        }
        try:
            for code, whose in others.items():
                service.parts.omero = whose
                assert code_of(service.client().post(URL, json={"session": key})) == (503, code)
        finally:
            service.parts.omero = right


@pytest.fixture(scope="module")
def office(house, tmp_path_factory):
    """A worker that people permit to act for them."""
    root = tmp_path_factory.mktemp("office")
    yield from open_office(root, house, settings_of(root, house))


def test_who_types_their_password_in_the_pages_lets_the_worker_act_until_they_take_it_back(
    house, office, login, tmp_path
):
    stop = threading.Event()
    granter = Granter(office.desk, ("omero-grant", "omero-revoke"))

    def work():
        while not stop.is_set():
            granter.step() or stop.wait(0.02)

    worker = threading.Thread(target=work)
    settings = {"omero_host": house.host, "omero_grants": True, "wait_seconds": 60.0}
    with serving(tmp_path, office.settings.database, **settings) as service:
        service.parts.omero = asking(house.host, house.port, house.authority)
        client = service.client()
        said = client.post(URL, json={"session": login("alice", "secret-a").key}).json()
        client.headers["X-CSRF-Token"] = said["csrf"]
        worker.start()
        try:
            assert client.get("/v1/omero/grant").json()["needed"]
            wrong = client.post("/v1/omero/grant", json={"password": "not mine"})
            assert code_of(wrong) == (422, "omero-login-refused")
            before = len(office.sessions("alice"))
            granted = client.post("/v1/omero/grant", json={"password": "secret-a"}).json()
            assert (granted["granted"], granted["name"]) == (True, "alice")
            assert len(office.sessions("alice")) == before + 1
            assert "secret-a" not in everything_kept(service)
            for _ in range(2):
                assert not client.delete("/v1/omero/grant").json()["granted"]
            assert len(office.sessions("alice")) == before
        finally:
            stop.set()
            worker.join()
