# SPDX-License-Identifier: BSD-3-Clause
"""What holds for every route that the application has, also for those that are yet to be written."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import APIRoute

from slidegate.api.guard import COOKIE, SAFE, Allowed
from slidegate.api.rights import PUBLIC, ROLES
from tests.unit.api.asked import EXAMPLES, KEY, ask, guards, routes
from tests.unit.api.service import Service, serving

pytestmark = pytest.mark.slow

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "CONNECT")
OWNED = {"wish": "unknown-wish", "token": "unknown-token", "webhook": "unknown-webhook"}
"""What of a path names a thing that belongs to one person alone, whatever anybody's role is."""
SHARED = {"run", "number", "level", "tile_row", "column", "name", "picture", "person"}
"""What of a path names nothing of a person's own, or what the table of rights speaks of."""
NOT_RECORDED = {"POST /v1/images/describe", "POST /v1/estimates"}
"""They ask, and change nothing: the question is too long for an address."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    quick = {"wait_seconds": 0.0, "short_wait_seconds": 0.0, "stream_seconds": 0.05}
    with serving(tmp_path_factory.mktemp("routes"), **quick) as made:
        made.offer()
        for role in ROLES:
            made.person(f"the {role}", role, "here")
        yield made


@pytest.fixture(scope="module")
def own(service: Service) -> dict[str, str]:
    """Things of a person who is in the group of all others."""
    person = service.person("owner", "lead", "here")
    client = service.by_token(person)
    wish = client.post("/v1/previews", **EXAMPLES["POST /v1/previews"]).json()["id"]
    hook = client.post("/v1/webhooks", **EXAMPLES["POST /v1/webhooks"]).json()["id"]
    token = client.get("/v1/tokens").json()["items"][0]["id"]
    run = service.fail(service.run(person, "owned"))
    return {"wish": wish, "webhook": str(hook), "token": str(token), "run": run, "person": person}


def changing(service: Service) -> list[tuple[str, APIRoute]]:
    return [(name, route) for name, route in routes(service) if name.partition(" ")[0] not in SAFE]


def recorded(service: Service) -> list[tuple[str, str, str]]:
    return [(one.person, one.action, one.outcome) for one in service.store.audit.page(None, 500, None)]


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


def test_what_stands_in_a_path_is_known_to_these_tests(service: Service) -> None:
    found = {part for name, _ in routes(service) for part in re.findall("{([a-z_]+)}", name)}
    assert found == set(OWNED) | SHARED


def test_a_verb_that_an_address_does_not_take_is_refused_and_does_nothing(
    service: Service, own: dict[str, str]
) -> None:
    client = service.by_token("the administrator")
    known = routes(service)
    before, asked = recorded(service), 0
    for name, _route in known:
        path = name.partition(" ")[2].format_map({**dict.fromkeys(SHARED, "1"), **own})
        taken = {one.partition(" ")[0] for one, route in known if route.path_regex.match(path)}
        for verb in VERBS:
            if verb in taken:
                continue
            answer = client.request(verb, path)
            assert answer.status_code in (400, 404, 405), (verb, path, answer.status_code)
            if verb != "HEAD" and answer.status_code != 400:
                assert code_of(answer) in ("wrong-method", "not-found"), (verb, path)
            asked += 1
    assert asked > 400
    assert recorded(service) == before


def test_no_header_makes_another_verb_of_one(service: Service, own: dict[str, str]) -> None:
    client = service.by_token("the administrator")
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert client.get(f"/v1/runs/{own['run']}", headers={header: "DELETE"}).status_code == 200
    assert client.get(f"/v1/runs/{own['run']}", params={"_method": "DELETE"}).status_code == 200


def test_nothing_changes_by_a_cookie_without_the_token_of_the_page(
    service: Service, own: dict[str, str]
) -> None:
    client = service.by_cookie("the administrator")
    right = client.headers.pop("X-CSRF-Token")
    others = service.by_cookie("the lead").headers["X-CSRF-Token"]
    tried = 0
    for name, route in changing(service):
        if guards(route)[0].action == PUBLIC:
            continue
        for wrong in ({}, {"X-CSRF-Token": others}):
            answer = ask(client, name, headers=wrong, **own)
            assert (answer.status_code, code_of(answer)) == (403, "no-csrf-token"), name
        elsewhere = {"X-CSRF-Token": right, "Origin": "https://evil.example"}
        answer = ask(client, name, headers=elsewhere, **own)
        assert (answer.status_code, code_of(answer)) == (403, "wrong-origin"), name
        tried += 1
    assert tried > 12
    assert ("the administrator", "runs.delete", "refused (403)") in recorded(service)
    by_admin = [one[1:] for one in recorded(service) if one[0] == "the administrator"]
    assert [action for action, outcome in by_admin if outcome == "done"] == ["session.begin"]
    assert client.get("/v1/session").status_code == 200


def test_no_other_page_signs_anybody_in_or_changes_anything_that_is_public(service: Service) -> None:
    found = [name for name, route in changing(service) if guards(route)[0].action == PUBLIC]
    assert sorted(found) == ["POST /v1/session", "POST /v1/session/omero"]
    for name in found:
        answer = ask(service.client(), name, headers={"Origin": "https://evil.example"})
        assert code_of(answer) == "wrong-origin"


@pytest.mark.parametrize("role", ROLES)
def test_what_is_somebodys_own_is_not_there_for_anybody_else(
    service: Service, own: dict[str, str], role: str
) -> None:
    client = service.by_token(f"the {role}")
    tried = 0
    for name, _route in routes(service):
        for part, code in OWNED.items():
            if f"{{{part}}}" not in name:
                continue
            answer = ask(client, name, **own)
            refused = (answer.status_code, code_of(answer))
            no_right = role == "viewer" and part == "webhook"
            assert refused == ((403, "not-allowed") if no_right else (404, code)), (name, refused)
            tried += 1
    assert tried >= 4
    owner = service.by_token(own["person"])
    assert owner.get(f"/v1/wishes/{own['wish']}").status_code == 200
    assert own["token"] in [str(one["id"]) for one in owner.get("/v1/tokens").json()["items"]]
    assert own["webhook"] in [str(one["id"]) for one in owner.get("/v1/webhooks").json()["items"]]


def test_who_was_sent_away_is_nobody_at_every_route(service: Service, own: dict[str, str]) -> None:
    person = service.person("dismissed", "administrator", "here")
    by_cookie, by_token = service.by_cookie(person), service.by_token(person)
    kept = by_cookie.cookies[COOKIE]
    service.store.accounts.deactivate(person, False)
    by_cookie = service.client(cookies={COOKIE: kept}, headers={"X-CSRF-Token": "x"})
    for client in (by_cookie, by_token):
        for name, route in routes(service):
            if guards(route)[0].action != PUBLIC and name != "GET /metrics":
                answer = ask(client, name, **own)
                assert (answer.status_code, code_of(answer)) == (401, "not-signed-in"), name


def test_every_answer_keeps_scripts_of_others_out(service: Service, own: dict[str, str]) -> None:
    clients = [service.client(), service.by_token("the administrator")]
    for client in clients:
        for name, route in routes(service):
            if guards(route)[0].action == PUBLIC or client is clients[0]:
                answer = ask(client, name, **{**own, "run": "0" * 12})
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy, name
                assert "unsafe" not in policy and "*" not in policy, name
                assert answer.headers["X-Content-Type-Options"] == "nosniff", name
                assert not [head for head in answer.headers if head.startswith("access-control")], name


def test_every_change_is_recorded_whether_it_was_allowed_or_not(service: Service) -> None:
    named = set()
    for number, (name, route) in enumerate(changing(service)):
        guard = guards(route)[0]
        if not isinstance(guard, Allowed):
            continue
        if not guard.changes(name.partition(" ")[0]):
            named.add(name)
            continue
        person = service.person(f"asker {number}", "viewer", "here")
        run = service.run(person, "recorded")
        ask(service.by_token(person), name, run=run)
        found = [one for one in recorded(service) if one[0] == person and one[1] == guard.action]
        assert len(found) == 1, name
    assert named == NOT_RECORDED


def test_every_request_is_counted(tmp_path_factory: pytest.TempPathFactory) -> None:
    nothing = {"person_burst": 0, "address_burst": 0, "person_per_second": 0.01, "address_per_second": 0.01}
    with serving(tmp_path_factory.mktemp("counted"), **nothing) as strict:
        run = strict.run(strict.person("ada", "administrator", "here"))
        stranger, ada = strict.client(), strict.by_token("ada")
        for name, route in routes(strict):
            is_public = guards(route)[0].action == PUBLIC
            answer = ask(stranger if is_public else ada, name, run=run)
            assert (answer.status_code, code_of(answer)) == (429, "too-many-requests"), name


def test_no_route_takes_what_is_not_json_or_too_long(service: Service, own: dict[str, str]) -> None:
    client = service.by_token("the administrator")
    for name, _route in changing(service):
        verb, _, path = name.partition(" ")
        url = path.format_map({**dict.fromkeys(SHARED, "1"), **own})
        form = client.request(verb, url, content=b"a=b", headers={"Content-Type": "text/plain", **KEY})
        assert (form.status_code, code_of(form)) == (415, "wrong-media-type"), name
        long = json.dumps({"a": "x" * (1 << 20)})
        answer = client.request(verb, url, content=long, headers={"Content-Type": "application/json", **KEY})
        assert (answer.status_code, code_of(answer)) == (413, "body-too-long"), name
