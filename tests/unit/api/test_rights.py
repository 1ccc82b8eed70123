# SPDX-License-Identifier: BSD-3-Clause
"""Every route with every role and everybody's Runs: what the table of rights says is what happens."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from slidegate.api.guard import OnRun
from slidegate.api.rights import PUBLIC, RIGHTS, ROLES, reaches
from tests.unit.api.asked import EXAMPLES, LAUNCH, PASSWORD, ask, guards, routes
from tests.unit.api.service import Service, serving

pytestmark = pytest.mark.slow

WHOSE = ("own", "group", "other")


@dataclass
class Town:
    """People of two groups, a Run of each that has ended and one that has not."""

    service: Service
    clients: dict[str, httpx.Client]
    runs: dict[str, str]
    ended: dict[str, str]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    quick = {"wait_seconds": 0.0, "short_wait_seconds": 0.0, "stream_seconds": 0.05}
    with serving(tmp_path_factory.mktemp("town"), **quick) as service:
        service.offer()
        clients = {}
        for role in ROLES:
            clients[role] = service.by_token(service.person(f"the {role}", role, "here"))
            service.set_password(f"the {role}", PASSWORD)
        names = [f"the {role}" for role in ROLES]
        names += [service.person("neighbour", group="here"), service.person("stranger", group="there")]
        runs = {name: service.run(name, "going") for name in names}
        ended = {name: service.fail(service.run(name, "ended")) for name in names}
        yield Town(service, clients, runs, ended)


def test_every_route_names_one_action_of_the_table_and_is_tried_here(town: Town) -> None:
    seen = set()
    for name, route in routes(town.service):
        found = guards(route)
        assert len(found) == 1, f"{name} must depend on exactly one of Allowed, OnRun, Public"
        assert found[0].action == PUBLIC or found[0].action in RIGHTS, name
        assert ("{run}" not in name) or found[0].action == PUBLIC or isinstance(found[0], OnRun), name
        seen.add(name)
    assert seen == set(EXAMPLES)


def test_nothing_can_be_asked_without_having_signed_in_but_what_is_public(town: Town) -> None:
    forged = {
        "nobody": {},
        "a forged token": {"headers": {"Authorization": "Bearer sg_" + "x" * 43}},
        "a forged session": {"cookies": {"slidegate_session": "x" * 43}},
        "another scheme": {"headers": {"Authorization": "Basic YWRhOmFkYQ=="}},
    }
    for who, credentials in forged.items():
        client = town.service.client(**credentials)
        for name, route in routes(town.service):
            status = ask(client, name, run=town.runs["neighbour"]).status_code
            is_public = guards(route)[0].action == PUBLIC
            if name == "GET /metrics" and who != "a forged token" and who != "another scheme":
                assert status == 200  # from this computer
            elif is_public:
                assert status not in (403, 500), name
            else:
                assert status == 401, (who, name, status)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_does_with_everybodys_runs_what_the_table_says_and_nothing_else(town: Town, role: str) -> None:
    owners = {"own": f"the {role}", "group": "neighbour", "other": "stranger"}
    groups = {"own": "here", "group": "here", "other": "there"}
    tried = 0
    for name, route in routes(town.service):
        action = guards(route)[0].action
        if action == PUBLIC or name == "DELETE /v1/session":
            continue
        for whose in WHOSE if "{run}" in name else ("own",):
            owner = owners[whose]
            runs = town.ended if name.startswith("DELETE") else town.runs
            answer = ask(town.clients[role], name, run=runs[owner])
            found = RIGHTS[action][role]
            person = owners["own"]
            allowed = reaches(found, person, "here", owner, groups[whose])
            seen = reaches(RIGHTS["runs.see"][role], person, "here", owner, groups[whose])
            code = answer.json().get("code") if "problem" in answer.headers.get("content-type", "") else None
            where = (name, role, whose, answer.status_code, code)
            if found == "none" or (seen and not allowed):
                assert (answer.status_code, code) == (403, "not-allowed"), where
            elif not seen:
                assert (answer.status_code, code) == (404, "unknown-run"), where
            else:
                assert answer.status_code not in (401, 403, 500) and code != "unknown-run", where
            tried += 1
    assert tried > 60


def test_the_table_gives_what_it_promises() -> None:
    changing = [name for name in RIGHTS if name.startswith("runs.") and name != "runs.see"]
    assert all(RIGHTS[name]["viewer"] == "none" for name in changing)
    assert all(RIGHTS[name]["researcher"] == "own" for name in changing)
    assert all(RIGHTS[name]["lead"] != "all" for name in RIGHTS if name != "workflows.see")
    only = ("people.change", "audit.see", "metrics.see")
    assert all([RIGHTS[name][role] for role in ROLES[:3]] == ["none"] * 3 for name in only)


def test_no_group_is_not_a_group(service: Service) -> None:
    mine, theirs = service.person("lone ada"), service.person("lone ben")
    run = service.run(theirs, "lonely")
    client = service.by_token(mine)
    assert client.get(f"/v1/runs/{run}").status_code == 404
    assert client.get("/v1/runs").json()["items"] == []


def test_lists_hold_only_what_one_may_see_however_they_are_asked_for(town: Town) -> None:
    client = town.clients["researcher"]
    everything = {row["run"] for row in client.get("/v1/runs", params={"limit": 500}).json()["items"]}
    assert town.runs["neighbour"] in everything and town.runs["stranger"] not in everything
    for asked in ({"person": "stranger"}, {"group": "there"}, {"person": "stranger", "group": "here"}):
        assert client.get("/v1/runs", params=asked).json()["items"] == [], asked
    mine = client.get("/v1/runs", params={"mine": True}).json()["items"]
    assert {row["person"] for row in mine} == {"the researcher"}
    everybody = town.clients["administrator"].get("/v1/runs", params={"group": "there"}).json()["items"]
    assert {row["person"] for row in everybody} == {"stranger"}


def test_a_wish_is_its_own_persons(town: Town) -> None:
    asked = town.clients["researcher"].post("/v1/launches", json=LAUNCH, headers={"Idempotency-Key": "w"})
    wish = asked.json()["id"]
    assert town.clients["researcher"].get(f"/v1/wishes/{wish}").status_code == 200
    for role in ("lead", "administrator", "viewer"):
        assert town.clients[role].get(f"/v1/wishes/{wish}").json()["code"] == "unknown-wish"
        assert town.clients[role].get("/v1/events", params={"wish": wish}).status_code == 404
