# SPDX-License-Identifier: BSD-3-Clause
"""Signing in as somebody of OMERO, and permitting slidegate to act for oneself there."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from slidegate.api.limits import Limits
from slidegate.api.routes import omero as routes
from slidegate.api.signin import ONE_ADDRESS
from slidegate.domain.sealing import public_of, unseal
from slidegate.sources.omero.errors import (
    OmeroCertificateError,
    OmeroError,
    OmeroInterruptedError,
    OmeroSessionGoneError,
    OmeroUnreachableError,
)
from slidegate.store.omero import OmeroPerson
from slidegate.store.people import Link
from tests.unit.api.omero_web import OmeroWeb
from tests.unit.api.service import Said, Service, serving

pytestmark = pytest.mark.slow

URL = "/v1/session/omero"
SECRET = b"what the worker alone has"
REFUSED = (401, "omero-statement-refused")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"omero_host": "omero.example.org", "omero_grants": True, "wait_seconds": 60.0}
    with serving(tmp_path_factory.mktemp("omero"), **settings) as made:
        made.store.omero_grants.publish(public_of(SECRET), 1.0)
        yield made


@pytest.fixture(scope="module")
def web(service: Service) -> OmeroWeb:
    return OmeroWeb(service.store)


@pytest.fixture(autouse=True)
def _nobody_was_refused_before(service: Service) -> None:
    service.parts.limits = Limits(lambda: 0.0)  # nothing flows back while a test runs, however long it takes


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("code"))


def signed_in(service: Service, web: OmeroWeb, user_id: int, name: str) -> httpx.Client:
    """Return the client of somebody for whom an OMERO.web has vouched."""
    client = service.client()
    answer = client.post(URL, json=web.says(user_id, name))
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    return client


def test_somebody_of_omero_signs_in_by_what_their_omero_web_says(service: Service, web: OmeroWeb) -> None:
    client = service.client()
    answer = client.post(URL, json=web.says(101, "grace"))
    said = answer.json()
    assert (said["person"], said["role"], said["group"], said["omero"]) == (
        "grace",
        "researcher",
        "",
        "grace",
    )
    assert not said["has_password"]
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert client.get("/v1/session").json()["person"] == "grace"
    launched = {"workflow": "x", "images": ["omero:1"]}
    assert code_of(client.post("/v1/launches", json=launched)) == (403, "no-csrf-token")
    record = service.store.audit.page("grace", 5, None)[-1]
    assert (record.action, record.target) == ("session.begin", "by a statement of OMERO.web lab")


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], key: bytes | None = None) -> dict[str, str]:
    """Return a statement made by hand, as libraries refuse to make it."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)
    ]
    text = ".".join(parts)
    signature = b"" if key is None else hmac.new(key, text.encode(), hashlib.sha256).digest()
    return {"statement": f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"}


def _by_another_key(web: OmeroWeb) -> dict[str, str]:
    return {"statement": jwt.encode(web.claims(), Ed25519PrivateKey.generate(), "EdDSA")}


def _cut(web: OmeroWeb) -> dict[str, str]:
    return {"statement": web.says()["statement"].rpartition(".")[0] + "."}


def _altered(web: OmeroWeb) -> dict[str, str]:
    header, _, signature = web.says()["statement"].split(".")
    other = web.says(8, "ben")["statement"].split(".")[1]
    return {"statement": f"{header}.{other}.{signature}"}


def _later(**claims: float) -> Callable[[OmeroWeb], dict[str, str]]:
    return lambda web: web.says(**{name: int(time.time() + seconds) for name, seconds in claims.items()})


NOT_BELIEVED: dict[str, Callable[[OmeroWeb], dict[str, str]]] = {
    "expired": _later(iat=-160, exp=-100),
    "of-the-future": _later(iat=100, exp=160),
    "believed-for-an-hour": _later(iat=0, exp=3600),
    "ends-before-it-begins": _later(iat=10, exp=0),
    "wrong-key": _by_another_key,
    "no-signature": _cut,
    "altered": _altered,
    "no-algorithm": lambda web: forged({"alg": "none"}, web.claims()),
    "public-key-as-a-password": lambda web: forged({"alg": "HS256"}, web.claims(), web.public.encode()),
    "wrong-audience": lambda web: web.says(aud="another"),
    "several-audiences": lambda web: web.says(aud=["slidegate", "another"]),
    "no-audience": lambda web: web.says(aud=None),
    "unknown-web": lambda web: web.says(iss="elsewhere"),
    "web-with-no-name": lambda web: web.says(iss="../lab"),
    "no-web": lambda web: web.says(iss=None),
    "no-end": lambda web: web.says(exp=None),
    "no-beginning": lambda web: web.says(iat=None),
    "no-name-of-its-own": lambda web: web.says(jti=None),
    "short-name-of-its-own": lambda web: web.says(jti="1"),
    "no-person": lambda web: web.says(sub=None),
    "person-by-name": lambda web: web.says("ada"),
    "negative-person": lambda web: web.says("-7"),
    "no-login-name": lambda web: web.says(name=""),
    "sequences-in-the-login-name": lambda web: web.says(name="ada\x1b[2J"),
    "far-times": lambda web: web.says(iat=10**400, exp=10**400 + 1),
    "words": lambda _web: {"statement": "let me in"},
    "deep": lambda _web: {"statement": "e30." + base64.urlsafe_b64encode(b"[" * 2000).decode() + ".e30"},
}


@pytest.mark.parametrize("made", NOT_BELIEVED.values(), ids=NOT_BELIEVED)
def test_a_statement_that_is_not_right_in_everything_is_not_believed(
    service: Service, web: OmeroWeb, made: Callable[[OmeroWeb], dict[str, str]]
) -> None:
    before = service.store.accounts.all()
    client = service.client()
    assert code_of(client.post(URL, json=made(web))) == REFUSED
    assert not client.cookies
    assert service.store.accounts.all() == before


def test_a_statement_of_one_omero_web_is_not_believed_in_the_name_of_another(
    service: Service, web: OmeroWeb
) -> None:
    other = OmeroWeb(service.store, "other")
    assert code_of(service.client().post(URL, json=other.says(iss=web.name))) == REFUSED
    assert service.client().post(URL, json=other.says(102, "olga")).status_code == 200


def test_clocks_may_differ_by_some_seconds(
    service: Service, web: OmeroWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    monkeypatch.setattr(service.parts, "clock", lambda: float(now))
    for began, answered in ((now - 89, 200), (now - 90, 401), (now + 30, 200), (now + 31, 401)):
        said = web.says(103, "clara", iat=began, exp=began + 60)
        assert service.client().post(URL, json=said).status_code == answered, began - now


def test_a_statement_is_believed_once_also_when_it_comes_several_times_at_once(
    service: Service, web: OmeroWeb
) -> None:
    said = web.says(104, "eve")
    clients = [service.client() for _ in range(4)]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: answers.append(one.post(URL, json=said).status_code))
        for one in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 401, 401, 401]
    again = service.client().post(URL, json=said)
    assert code_of(again) == REFUSED
    assert "used already" in again.json()["detail"]


def test_it_is_not_believed_again_as_long_as_it_could_be_for_its_age(
    service: Service, web: OmeroWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = int(time.time())

    def answered(at: int, said: dict[str, str]) -> str:
        monkeypatch.setattr(service.parts, "clock", lambda: float(began + at))
        return service.client().post(URL, json=said).text

    said = web.says(105, "rita", iat=began, exp=began + 60)
    assert '"rita"' in answered(0, said)
    other = web.says(106, "other", iat=began + 80, exp=began + 140)
    assert '"other"' in answered(89, other)  # which sweeps
    assert "used already" in answered(89, said)
    assert "too old" in answered(90, said)


def test_who_has_another_login_name_now_is_the_same_person(service: Service, web: OmeroWeb) -> None:
    assert signed_in(service, web, 110, "maria-a").get("/v1/session").json()["person"] == "maria-a"
    said = signed_in(service, web, 110, "maria-b").get("/v1/session").json()
    assert (said["person"], said["omero"]) == ("maria-a", "maria-b")


def test_a_login_name_that_somebody_else_has_now_leads_to_an_account_of_their_own(
    service: Service, web: OmeroWeb
) -> None:
    run = service.run("ivan", "his")
    signed_in(service, web, 120, "jan")
    jan = service.run("jan", "his")
    signed_in(service, web, 120, "jan-the-elder")
    theirs = signed_in(service, web, 121, "jan")
    assert theirs.get("/v1/session").json()["person"] == "jan-2"
    assert theirs.get(f"/v1/runs/{jan}").status_code == 404
    filed = signed_in(service, web, 122, "ivan")  # of a person who was removed, but whose Runs are there
    assert filed.get("/v1/session").json()["person"] == "ivan-2"
    assert filed.get(f"/v1/runs/{run}").status_code == 404


def test_nobody_is_taken_over_who_is_called_so_here(service: Service, web: OmeroWeb) -> None:
    service.person("boss", "administrator")
    service.set_password("boss", "a long enough sentence")
    service.store.people.add("linked", 1.0)
    service.store.people.join(Link("linked", "hpc", "anna", "k", date(2026, 1, 1)))
    for number, name in enumerate(("boss", "linked")):
        said = signed_in(service, web, 130 + number, name).get("/v1/session").json()
        assert (said["person"], said["role"], said["has_password"]) == (f"{name}-2", "researcher", False)
    assert service.store.accounts.get("boss").role == "administrator"


@pytest.mark.parametrize("name", ["x" * 300, "x" * 98])
def test_who_has_a_name_that_nobody_can_have_here_is_called_by_their_number(
    service: Service, web: OmeroWeb, name: str
) -> None:
    if len(name) > 255:
        assert code_of(service.client().post(URL, json=web.says(140, name))) == REFUSED
    else:
        assert signed_in(service, web, 141, name).get("/v1/session").json()["person"] == "omero-141"


def test_who_is_off_or_an_administrator_here_is_not_let_in_by_omero(service: Service, web: OmeroWeb) -> None:
    signed_in(service, web, 150, "dismissed")
    service.store.accounts.deactivate("dismissed", False)
    answer = service.client().post(URL, json=web.says(150, "dismissed"))
    assert code_of(answer) == (403, "omero-person-refused")
    signed_in(service, web, 151, "risen")
    service.store.accounts.set("risen", "administrator", "", 1.0)
    answer = service.client().post(URL, json=web.says(151, "risen"))
    assert code_of(answer) == (403, "omero-person-refused")


@pytest.mark.parametrize(("number", "name"), [(0, "root"), (1, "guest"), (0, "x"), (1, "x"), (9, "guest")])
def test_root_and_guests_of_omero_are_nobody_here(
    service: Service, web: OmeroWeb, number: int, name: str
) -> None:
    before = service.store.accounts.all()
    answer = service.client().post(URL, json=web.says(number, name))
    assert code_of(answer) == (403, "omero-person-refused")
    assert service.store.accounts.all() == before


def test_nobody_is_vouched_for_any_more_by_an_omero_web_that_was_removed(service: Service) -> None:
    lost = OmeroWeb(service.store, "lost")
    kept = OmeroWeb(service.store, "kept")
    by_lost, by_kept = signed_in(service, lost, 160, "tess"), signed_in(service, kept, 160, "tess")
    token = by_lost.post("/v1/tokens", json={"name": "thief"}).json()["token"]
    thief = service.client(headers={"Authorization": f"Bearer {token}"})
    second = thief.post("/v1/tokens", json={"name": "second"}).json()["token"]
    assert service.store.omero_webs.remove("lost") == 3
    assert code_of(service.client().post(URL, json=lost.says(160, "tess"))) == REFUSED
    assert by_lost.get("/v1/session").status_code == 401
    for secret in (token, second):
        gone = service.client(headers={"Authorization": f"Bearer {secret}"})
        assert gone.get("/v1/session").status_code == 401
    assert by_kept.get("/v1/session").status_code == 200


@pytest.mark.slow
def test_who_is_refused_again_and_again_is_slowed_down_and_who_is_not_never(
    service: Service, web: OmeroWeb
) -> None:
    client = service.client()
    for number in range(int(ONE_ADDRESS.burst) + 5):
        assert client.post(URL, json=web.says(170, "many")).status_code == 200, number
    for _ in range(int(ONE_ADDRESS.burst)):
        assert code_of(client.post(URL, json={"statement": "a.b.c"})) == REFUSED
    answer = client.post(URL, json=web.says(170, "many"))
    assert code_of(answer) == (429, "too-many-sign-ins")
    assert int(answer.headers["Retry-After"]) > 0


def test_signing_in_ends_the_session_that_was_there_before(service: Service, web: OmeroWeb) -> None:
    client = signed_in(service, web, 180, "fixed")
    before = client.cookies["slidegate_session"]
    client.post(URL, json=web.says(180, "fixed"))
    assert client.cookies["slidegate_session"] != before
    assert service.store.sessions.find(before, service.now()) is None


def test_a_request_holds_a_statement_or_a_key_and_neither_is_too_long(service: Service) -> None:
    for body in ({}, {"statement": "a", "session": "b"}, {"statement": "a" * 5000}, {"session": "b" * 201}):
        answer = service.client().post(URL, json=body)
        assert code_of(answer) == (422, "invalid"), body
        assert "bbb" not in answer.text


@pytest.mark.slow
def test_where_no_omero_is_known_that_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("none")) as none:
        web = OmeroWeb(none.store)
        assert code_of(none.client().post(URL, json=web.says())) == (409, "omero-not-configured")
        client = none.by_token(none.person("ada"))
        assert client.get("/v1/omero/grant").json() == {
            "omero": None, "name": None, "needed": False, "granted": False, "granted_at": None,
            "ends_at": None,
        }  # fmt: skip
        for answer in (
            client.post("/v1/omero/grant", json={"password": "x"}),
            client.delete("/v1/omero/grant"),
        ):
            assert code_of(answer) == (409, "omero-not-configured")


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (OmeroSessionGoneError, (401, "omero-session-gone")),
        (OmeroUnreachableError, (503, "omero-unreachable")),
        (OmeroInterruptedError, (503, "omero-interrupted")),
        (OmeroCertificateError, (503, "omero-certificate")),
        (OmeroError, (503, "omero-failed")),
    ],
)
def test_what_keeps_omero_from_saying_whose_a_session_is_keeps_its_code_and_words(
    service: Service, error: type[OmeroError], refused: tuple[int, str]
) -> None:
    def whose(_key: str) -> OmeroPerson:
        raise error

    service.parts.omero = whose
    try:
        answer = service.client().post(URL, json={"session": "k"})
    finally:
        service.parts.omero = None
    assert code_of(answer) == refused
    assert answer.json()["detail"] == error().message


def test_who_has_waited_long_for_their_turn_is_told_to_come_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_TURN_SECONDS", 0.0)
    monkeypatch.setattr(service.parts, "omero_turns", asyncio.Semaphore(0))
    monkeypatch.setattr(service.parts, "omero", lambda _key: OmeroPerson(191, "late"))
    answer = service.client().post(URL, json={"session": "k"})
    assert code_of(answer) == (503, "omero-busy")
    assert answer.headers["Retry-After"]


def test_where_nothing_can_ask_omero_that_is_said(service: Service) -> None:
    assert code_of(service.client().post(URL, json={"session": "k"})) == (409, "omero-not-installed")


@pytest.mark.slow
def test_an_omero_that_hangs_holds_up_nobody_who_asks_for_something_else(service: Service) -> None:
    answers = threading.Event()

    def whose(_key: str) -> OmeroPerson:
        answers.wait(60)
        return OmeroPerson(190, "patient")

    service.parts.omero = whose
    client = service.client()
    try:
        with ThreadPoolExecutor(45) as many:  # more than the service has threads
            waiting = [many.submit(client.post, URL, json={"session": "k"}) for _ in range(45)]
            try:
                assert service.client().get("/v1/session").status_code == 401
            finally:
                answers.set()
            codes = {one.result().status_code for one in waiting}
    finally:
        service.parts.omero = None
    assert 200 in codes
    assert codes <= {200, 503}


# granting


def test_a_password_is_read_by_the_worker_alone_and_is_nowhere_afterwards(
    service: Service, web: OmeroWeb
) -> None:
    client = signed_in(service, web, 200, "gina")
    assert client.get("/v1/omero/grant").json()["needed"]
    read: list[dict[str, Any]] = []

    def take(body: Mapping[str, Any]) -> Mapping[str, Any]:
        read.append(json.loads(unseal(SECRET, body["sealed"], "omero-grant")))
        service.store.omero_grants.note("gina", 5.0, service.now() + 900)
        return {"ends_at": None}

    with service.worker(**{"omero-grant": take}) as asked:
        answer = client.post("/v1/omero/grant", json={"password": "hunter2 hunter2"})
    assert answer.status_code == 200
    assert (answer.json()["granted"], answer.json()["granted_at"]) == (True, 5.0)
    assert read == [{"person": "gina", "user_id": 200, "name": "gina", "password": "hunter2 hunter2"}]
    assert set(asked[0]) == {"kind", "sealed", "request"}
    with service.store.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM wish WHERE person = 'gina'").all()
    assert [json.loads(row[0]) for row in rows] == [{}]
    assert "hunter2" not in str(service.store.audit.page(None, 500, None))
    service.store.omero_grants.note("gina", 5.0, service.now() - 1)
    assert not client.get("/v1/omero/grant").json()["granted"]  # it has ended


def test_a_wrong_password_is_told_is_nowhere_afterwards_and_cannot_be_guessed(
    service: Service, web: OmeroWeb
) -> None:
    client = signed_in(service, web, 201, "gus")

    def refuse(_body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Said("omero-login-refused", "OMERO does not know this name with this password.")

    with service.worker(**{"omero-grant": refuse}):
        answers = [client.post("/v1/omero/grant", json={"password": f"guess {n}"}) for n in range(6)]
    assert [code_of(answer) for answer in answers[:5]] == [(422, "omero-login-refused")] * 5
    assert code_of(answers[5]) == (429, "too-many-sign-ins")
    with service.store.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM wish WHERE person = 'gus'").all()
    assert {row[0] for row in rows} == {"{}"}


def test_until_a_worker_has_it_the_request_says_where_to_look(service: Service, web: OmeroWeb) -> None:
    client = signed_in(service, web, 202, "gil")
    answer = client.post("/v1/omero/grant", json={"password": "x"}, headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/wishes/{answer.json()['id']}"
    assert "sealed" not in client.get(answer.headers["Location"]).text


def test_what_was_granted_is_taken_back(service: Service, web: OmeroWeb) -> None:
    client = signed_in(service, web, 203, "gwen")
    service.store.omero_grants.note("gwen", 5.0, None)
    assert client.get("/v1/omero/grant").json()["granted"]

    def revoke(_body: Mapping[str, Any]) -> Mapping[str, Any]:
        service.store.omero_grants.forget("gwen")
        return {}

    with service.worker(**{"omero-revoke": revoke}):
        for _ in range(2):
            answer = client.delete("/v1/omero/grant")
            assert (answer.status_code, answer.json()["granted"]) == (200, False)


@pytest.mark.slow
def test_only_who_came_from_omero_grants_and_only_where_it_is_needed(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client = service.by_token(service.person("local"))
    assert not client.get("/v1/omero/grant").json()["needed"]
    assert code_of(client.post("/v1/omero/grant", json={"password": "x"})) == (409, "not-of-omero")
    with serving(tmp_path_factory.mktemp("sudo"), omero_host="omero.example.org") as other:
        theirs = signed_in(other, OmeroWeb(other.store), 7, "ada")
        assert not theirs.get("/v1/omero/grant").json()["needed"]
        answer = theirs.post("/v1/omero/grant", json={"password": "x"})
        assert code_of(answer) == (409, "omero-grant-not-needed")
    with serving(
        tmp_path_factory.mktemp("young"), omero_host="omero.example.org", omero_grants=True
    ) as young:
        theirs = signed_in(young, OmeroWeb(young.store), 7, "ada")
        assert code_of(theirs.post("/v1/omero/grant", json={"password": "x"})) == (503, "omero-no-worker")
