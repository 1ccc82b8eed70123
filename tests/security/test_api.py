# SPDX-License-Identifier: BSD-3-Clause
"""What somebody does who is not signed in, is somebody else, or is another page in the browser."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from slidegate.api.guard import COOKIE
from slidegate.api.limits import Pace
from tests.acceptance.served import until
from tests.unit.api.service import Service, serving

pytestmark = pytest.mark.slow

_ONE_PERSON = Pace(5, 1 / 60)
PASSWORD = "a long enough sentence"
LAUNCH = {"workflow": "count", "site": "local", "images": ["a:1.tif"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("api"), wait_seconds=0.0) as made:
        made.offer()
        yield made


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service as a facility has it: https outside, and few requests."""
    limits = {
        "person_burst": 30, "person_per_second": 0.1, "address_burst": 40, "address_per_second": 0.1,
        "change_burst": 5, "change_per_second": 0.1, "public_url": "https://slides.example.org",
    }  # fmt: skip
    with serving(tmp_path_factory.mktemp("strict"), **limits) as made:
        yield made


def sign_in(client: httpx.Client, person: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/v1/session", json={"person": person, "password": password})


def member(service: Service, name: str) -> str:
    service.person(name)
    service.set_password(name, PASSWORD)
    return name


# sessions


def test_signing_in_gives_a_new_secret_and_ends_the_one_that_was_there_before(service: Service) -> None:
    person = member(service, "fixed")
    attacker, victim = service.client(), service.client()
    assert sign_in(attacker, person).status_code == 200
    planted = attacker.cookies[COOKIE]
    victim.cookies.set(COOKIE, planted, domain="127.0.0.1", path="/")
    sign_in(victim, person)
    assert planted not in [cookie.value for cookie in victim.cookies.jar][-1]
    assert service.client(cookies={COOKIE: planted}).get("/v1/session").status_code == 401


def test_a_secret_that_the_server_did_not_make_is_never_taken_up(service: Service) -> None:
    person = member(service, "chosen")
    client = service.client(cookies={COOKIE: "chosen-by-the-attacker"})
    answer = sign_in(client, person)
    assert "chosen-by-the-attacker" not in answer.headers["Set-Cookie"]
    assert service.client(cookies={COOKIE: "chosen-by-the-attacker"}).get("/v1/session").status_code == 401


def test_a_cookie_is_out_of_reach_for_scripts_and_other_pages(strict: Service, service: Service) -> None:
    cookie = sign_in(strict.client(headers={"Host": "slides.example.org"}), member(strict, "cookie"))
    parts = {part.strip().lower() for part in cookie.headers["Set-Cookie"].split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= parts
    plain = sign_in(service.client(), member(service, "cookie"))
    assert "secure" not in plain.headers["Set-Cookie"].lower()  # http on loopback


def test_signing_out_ends_the_session_at_the_server(service: Service) -> None:
    client = service.by_cookie(service.person("leaver"))
    kept = client.cookies[COOKIE]
    assert client.delete("/v1/session").status_code == 204
    assert service.client(cookies={COOKIE: kept}).get("/v1/session").status_code == 401


def test_people_change_their_own_password_and_are_signed_out_elsewhere(service: Service) -> None:
    person = member(service, "changed")
    here, there, program = service.by_cookie(person), service.by_cookie(person), service.by_token(person)
    stolen = here.cookies[COOKIE]
    wanted = {"current": PASSWORD, "new": "another long sentence"}
    changed = here.post("/v1/session/password", json=wanted)
    assert changed.status_code == 200 and changed.json()["person"] == person
    assert here.cookies[COOKIE] != stolen and changed.json()["csrf"] != here.headers["X-CSRF-Token"]
    assert here.get("/v1/session").status_code == 200
    assert there.get("/v1/session").status_code == 401
    assert service.client(cookies={COOKIE: stolen}).get("/v1/session").status_code == 401
    assert program.get("/v1/session").status_code == 200
    assert sign_in(service.client(), person).status_code == 401
    assert sign_in(service.client(), person, wanted["new"]).status_code == 200
    admin = service.by_token(service.person("auditor", "administrator"))
    (noted,) = [
        one
        for one in admin.get("/v1/audit", params={"person": person}).json()["items"]
        if one["action"] == "password.change"
    ]
    assert (noted["person"], noted["outcome"]) == (person, "done")


def test_who_holds_a_session_of_somebody_cannot_guess_their_password_quickly(service: Service) -> None:
    person = member(service, "left alone")
    client = service.by_cookie(person)
    before = client.cookies[COOKIE]
    codes = [
        client.post("/v1/session/password", json={"current": f"guess {n} at it", "new": "a new sentence"})
        for n in range(7)
    ]
    assert [answer.json()["code"] for answer in codes[:5]] == ["wrong-current-password"] * 5
    assert [answer.json()["code"] for answer in codes[5:]] == ["too-many-sign-ins"] * 2
    assert int(codes[-1].headers["Retry-After"]) >= 1
    assert client.cookies[COOKIE] == before and client.get("/v1/session").status_code == 200
    assert sign_in(service.client(), person).status_code == 200  # the password is what it was, and not locked


def test_no_password_that_is_too_short_is_taken_and_none_where_there_is_none(service: Service) -> None:
    client = service.by_cookie(member(service, "lazy"))
    short = client.post("/v1/session/password", json={"current": PASSWORD, "new": "short"})
    assert short.json()["code"] == "bad-password"
    linked = service.by_cookie(service.person("never had one"))
    asked = {"current": "", "new": "a long sentence to have"}
    assert linked.post("/v1/session/password", json=asked).json()["code"] == "not-allowed"


def test_a_session_that_nobody_uses_ends(service: Service) -> None:
    client = service.by_cookie(service.person("sleeper"))
    service.ahead += 13 * 3600
    try:
        assert client.get("/v1/session").json()["code"] == "not-signed-in"
    finally:
        service.ahead -= 13 * 3600


def test_who_is_not_active_any_more_has_neither_session_nor_token(service: Service) -> None:
    person = member(service, "dismissed")
    clients = [service.by_cookie(person), service.by_token(person)]
    service.store.accounts.deactivate(person, False)
    assert [client.get("/v1/session").status_code for client in clients] == [401, 401]
    assert sign_in(service.client(), person).json()["code"] == "wrong-password"


def test_a_link_signs_in_once_and_not_for_long(service: Service) -> None:
    person = service.person("linked")
    link = service.store.login_links.make(person, service.now())
    assert service.client().get("/login", params={"link": link}).status_code == 303
    assert service.client().get("/login", params={"link": link}).json()["code"] == "link-used"
    old = service.store.login_links.make(person, service.now() - 301)
    assert service.client().get("/login", params={"link": old}).json()["code"] == "link-used"


def test_a_token_proves_its_person_until_it_ends_or_is_revoked(service: Service) -> None:
    client = service.by_cookie(service.person("programmer"))
    secret = client.post("/v1/tokens", json={"name": "mine", "days": 1}).json()["token"]
    program = service.client(headers={"Authorization": f"Bearer {secret}"})
    assert program.get("/v1/session").json()["person"] == "programmer"
    assert secret not in client.get("/v1/tokens").text
    made = client.get("/v1/tokens").json()["items"][0]
    other = service.by_token(service.person("thief"))
    assert other.delete(f"/v1/tokens/{made['id']}").json()["code"] == "unknown-token"
    service.ahead += 86401
    try:
        assert program.get("/v1/session").status_code == 401
    finally:
        service.ahead -= 86401
    assert client.delete(f"/v1/tokens/{made['id']}").status_code == 204
    assert program.get("/v1/session").status_code == 401


def test_a_token_that_is_not_right_is_not_made_good_by_a_cookie(service: Service) -> None:
    client = service.by_cookie(service.person("both"))
    assert client.get("/v1/session", headers={"Authorization": "Bearer sg_wrong"}).status_code == 401


def test_no_secret_is_kept_as_it_is(service: Service, tmp_path: Path) -> None:
    person = member(service, "secretive")
    client = service.client()
    sign_in(client, person)
    token = service.store.tokens.make(person, "t", service.now())
    link = service.store.login_links.make(person, service.now())
    url = str(service.store.database.engine.url.database)
    kept = b"".join(path.read_bytes() for path in Path(url).parent.glob("slidegate.db*"))
    for secret in (client.cookies[COOKIE], token, link, PASSWORD):
        assert secret.encode() not in kept


# other pages


def test_a_change_by_cookie_needs_the_token_of_the_page(service: Service) -> None:
    client = service.by_cookie(service.person("clicked"))
    token = client.headers.pop("X-CSRF-Token")
    key = {"Idempotency-Key": "k"}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}, {"X-CSRF-Token": "ü".encode()}):
        answer = client.post("/v1/launches", json=LAUNCH, headers=key | headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "no-csrf-token")
        assert client.delete("/v1/session", headers=headers).status_code == 403
    others = service.by_cookie(service.person("other clicker")).headers["X-CSRF-Token"]
    assert client.post("/v1/launches", json=LAUNCH, headers=key | {"X-CSRF-Token": others}).status_code == 403
    assert client.post("/v1/launches", json=LAUNCH, headers=key | {"X-CSRF-Token": token}).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_another_page_sends_is_refused_even_with_the_right_token(
    service: Service, headers: dict[str, str]
) -> None:
    client = service.by_cookie(service.person("visitor"))
    answer = client.post("/v1/launches", json=LAUNCH, headers={"Idempotency-Key": "k"} | headers)
    assert answer.json()["code"] == "wrong-origin"
    signing = service.client().post(
        "/v1/session", json={"person": "visitor", "password": PASSWORD}, headers=headers
    )
    assert signing.json()["code"] == "wrong-origin"


def test_our_own_page_is_heard(service: Service) -> None:
    client = service.by_cookie(service.person("owner"))
    headers = {"Origin": service.url, "Sec-Fetch-Site": "same-origin", "Idempotency-Key": "k"}
    assert client.post("/v1/launches", json=LAUNCH, headers=headers).status_code == 202


def test_a_form_of_another_page_cannot_send_what_is_taken(service: Service) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = service.client().post(
            "/v1/session", content=b'{"person": "a", "password": "b"}', headers={"Content-Type": kind}
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "wrong-media-type")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "[::2]", "localhost@evil"])
def test_a_name_that_leads_here_but_is_not_ours_gets_nothing(service: Service, host: str) -> None:
    client = service.by_token(service.person("rebound"))
    answer = client.get("/v1/session", headers={"Host": host})
    assert answer.status_code in (400, 421) and "rebound" not in answer.text


def test_no_other_page_may_read_answers(service: Service) -> None:
    answer = service.client().get("/v1/session", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_every_answer_has_the_headers_that_keep_scripts_of_others_out(
    strict: Service, service: Service
) -> None:
    outside = strict.client(headers={"Host": "slides.example.org"})
    answers = [
        service.client().get(path)
        for path in ("/", "/v1/session", "/nothing/at/all", "/assets/x.js", "/v1/openapi.json")
    ]
    answers += [service.client().get("/", headers={"Host": "evil"}), outside.get("/healthz")]
    for answer in answers:
        csp = dict(
            part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert (csp["default-src"], csp["frame-ancestors"], csp["script-src"]) == ("'none'",) * 2 + (
            "'self'",
        )
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert "max-age" in answers[-1].headers["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in answers[0].headers
    assert service.client().get("/v1/session").headers["Cache-Control"] == "no-store"


# too much


def test_a_body_that_is_too_long_is_refused_before_it_is_read(service: Service) -> None:
    client = service.client(headers={"Content-Type": "application/json"})
    assert client.post("/v1/session", content=b"x" * (1 << 20) + b"x").json()["code"] == "body-too-long"
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        lines = ["POST /v1/session HTTP/1.1", f"Host: {host}", "Content-Length: 999999999999", "", ""]
        raw.sendall("\r\n".join(lines).encode())
        assert b"413" in raw.recv(1000).splitlines()[0]  # though nothing of it was sent

    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * (1 << 16)

    assert client.post("/v1/session", content=pieces()).json()["code"] == "body-too-long"


def test_somebody_who_asks_without_end_is_slowed_down_and_nobody_else_is(strict: Service) -> None:
    greedy, modest = (strict.by_token(strict.person(name)) for name in ("greedy", "modest"))
    codes = [greedy.get("/v1/session").status_code for _ in range(40)]
    assert codes[:30] == [200] * 30 and set(codes[30:]) == {429}
    answer = greedy.get("/v1/session")
    assert answer.json()["code"] == "too-many-requests" and int(answer.headers["Retry-After"]) >= 1
    assert modest.get("/v1/session").status_code == 200


def test_changes_are_counted_by_themselves(strict: Service) -> None:
    client = strict.by_token(strict.person("changer"))
    codes = [client.post("/v1/tokens", json={"name": "t"}).status_code for _ in range(8)]
    assert codes == [201] * 5 + [429] * 3
    assert client.get("/v1/tokens").status_code == 200


def test_requests_without_a_person_are_counted_by_address_and_hold_up_nobody_who_has_signed_in(
    strict: Service,
) -> None:
    member = strict.by_token(strict.person("signed in"))
    stranger = strict.client()
    codes = [stranger.get("/v1/session").status_code for _ in range(60)]
    assert 429 in codes and codes[0] in (401, 429)
    assert member.get("/v1/session").status_code == 200


def test_guessing_a_password_is_slowed_down_but_locks_out_nobody(service: Service) -> None:
    person, other = member(service, "guessed"), member(service, "innocent")
    client = service.client()
    answers = [sign_in(client, person, f"guess number {n}") for n in range(7)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    assert answers[-1].json()["code"] == "too-many-sign-ins"
    assert sign_in(service.client(), person).status_code == 429  # though it is right: from this address
    assert sign_in(service.client(), other).status_code == 200
    service.parts.limits.refill("sign-ins", "127.0.0.1")
    pair = "10.0.0.9 guessed"  # the person at their own desk
    assert service.parts.limits.look("sign-in", pair, _ONE_PERSON) == 0.0


def test_who_signs_in_rightly_is_not_held_up_by_former_mistakes(service: Service) -> None:
    person, client = member(service, "forgetful"), service.client()
    for _ in range(4):
        assert sign_in(client, person, "wrong words here").status_code == 401
        assert sign_in(client, person).status_code == 200
    service.parts.limits.refill("sign-ins", "127.0.0.1")


def test_names_that_nobody_has_are_answered_like_wrong_passwords(service: Service) -> None:
    person = member(service, "real")
    service.person("without password")
    answers = [
        sign_in(service.client(), name, "not it at all") for name in (person, "nobody", "without password")
    ]
    shown = [{**answer.json(), "request": ""} for answer in answers]
    assert shown[0] == shown[1] == shown[2]
    service.parts.limits.refill("sign-ins", "127.0.0.1")


def test_more_live_views_than_a_person_may_have_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path, streams_per_person=2) as small:
        client = small.by_token(small.person("many windows"))
        with client.stream("GET", "/v1/events") as one, client.stream("GET", "/v1/events") as two:
            assert (one.status_code, two.status_code) == (200, 200)
            lines = [one.iter_lines(), two.iter_lines()]
            assert [next(each) for each in lines] == ["event: hello"] * 2
            assert client.get("/v1/events").json()["code"] == "too-many-streams"


# the record


def test_every_change_is_recorded_with_who_and_from_where_before_it_is_answered(service: Service) -> None:
    admin = service.by_cookie(service.person("recorder", "administrator"))
    person = member(service, "recorded")
    client = service.by_token(person)
    run = service.run(person, "recorded")
    made = client.post("/v1/launches", json=LAUNCH, headers={"Idempotency-Key": "k"})
    client.post(f"/v1/runs/{run}/cancel")
    client.delete(f"/v1/runs/{run}")
    admin.patch(f"/v1/people/{person}", json={"role": "lead"})
    sign_in(service.client(), person, "the wrong one")
    found = admin.get("/v1/audit").json()["items"][:5]
    told = [(one["person"], one["action"], one["target"], one["outcome"]) for one in reversed(found)]
    assert told == [
        (person, "runs.launch", made.json()["id"], "done"),
        (person, "runs.cancel", run, "done"),
        (person, "runs.delete", run, "refused (409)"),
        ("recorder", "people.change", person, "done"),
        (person, "session.begin", "", "refused (401)"),
    ]
    assert {one["address"] for one in found} == {"127.0.0.1"}
    assert found[-1]["request"] == made.headers["X-Request-ID"]
    assert "the wrong one" not in json.dumps(found)


def test_a_link_that_does_not_work_is_recorded_as_refused_though_a_page_says_so(service: Service) -> None:
    admin = service.by_cookie(service.person("watcher", "administrator"))
    for accept in ("text/html", "application/json"):
        service.client().get("/login", params={"link": "made up"}, headers={"Accept": accept})
    found = admin.get("/v1/audit").json()["items"][:2]
    assert [(one["action"], one["outcome"][:7]) for one in found] == [("session.begin", "refused")] * 2


def test_only_looking_is_not_recorded(service: Service) -> None:
    admin = service.by_cookie(service.person("looker-on", "administrator"))
    before = admin.get("/v1/audit").json()["items"][0]["id"]
    service.by_token(service.person("onlooker")).get("/v1/runs")
    service.by_token("onlooker").post("/v1/images/describe", json={"images": ["a:1.tif"]})
    assert admin.get("/v1/audit").json()["items"][0]["id"] == before


def test_the_last_administrator_stays(tmp_path: Path) -> None:
    with serving(tmp_path) as alone:
        admin = alone.by_token(alone.person("only", "administrator"))
        for change in ({"role": "viewer"}, {"active": False}):
            assert admin.patch("/v1/people/only", json=change).json()["code"] == "last-administrator"
        alone.person("second", "administrator")
        assert admin.patch("/v1/people/only", json={"role": "viewer"}).status_code == 200
        assert admin.get("/v1/people").status_code == 403  # from the next request on


def test_numbers_are_told_to_this_computer_and_to_administrators_only(service: Service) -> None:
    assert service.client().get("/metrics").status_code == 200
    proxied = {"X-Forwarded-For": "203.0.113.9"}
    assert service.client(headers=proxied).get("/metrics").status_code == 401
    assert service.by_token(service.person("curious one")).get("/metrics").status_code == 403
    admin = service.by_token(service.person("metric reader", "administrator"))
    text = admin.get("/metrics", headers=proxied).text
    assert 'route="/v1/session"' in text and "curious one" not in text


def test_a_fault_is_told_to_the_log_under_its_id_and_to_nobody_else(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = " ".join(["/secret/path", "of", "Jane", "Doe"])

    def broken(*_words: object, **_more: object) -> None:
        raise ValueError(words)

    client = service.by_token(service.person("unlucky one"))
    monkeypatch.setattr(service.store.pages, "runs_page", broken)
    answer = client.get("/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert words not in answer.text + caplog.text
    assert answer.json()["request"] in caplog.text and "ValueError" in caplog.text


def test_the_log_names_routes_and_never_what_stands_in_an_address(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "slidegate.api")
    client = service.by_token(service.person("private"))
    client.get("/v1/images/thumbnail", params={"image": "Jane Doe.tif"})
    client.get("/Jane Doe.tif")
    client.post("/v1/images/describe", json={"images": ["a:Jane Doe.tif"]})
    until(lambda: "/v1/images/describe" in caplog.text)  # written when the answer has gone out
    assert "Jane" not in caplog.text
