# SPDX-License-Identifier: BSD-3-Clause
"""Live views, and signing in as people meet it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from slidegate.domain import events
from slidegate.domain.states import State
from tests.unit.api.service import Service, serving

pytestmark = pytest.mark.slow


@contextmanager
def watching(client: httpx.Client, **asked: Any) -> Iterator[Iterator[tuple[str, Any]]]:
    """Yield what is told, as (kind, data), beginning after the greeting."""
    with client.stream("GET", "/v1/events", params=asked) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        told = _events(answer)
        assert next(told) == ("hello", {})
        yield told


def _events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def test_who_watches_all_runs_hears_of_those_that_they_may_see(service: Service) -> None:
    ada, ben = service.person("seen ada", group="live"), service.person("seen ben", group="live")
    stranger = service.person("unseen", group="elsewhere")
    service.run(ada, "before")
    with watching(service.by_token(ada)) as told:
        service.run(stranger, "hidden")
        run = service.run(ben, "shown")
        kind, row = next(told)
        assert (kind, row["run"], row["state"], row["may"]) == ("run", run, "waiting", ["again"])
        service.fail(run)
        while row["state"] != "failed":
            kind, row = next(told)
            assert (kind, row["run"]) == ("run", run)


def test_who_watches_one_run_hears_how_it_is_at_once_and_when_it_is_gone(service: Service) -> None:
    ada = service.person("single")
    run, other = service.run(ada, "watched", tasks=1), service.run(ada, "other")
    with watching(service.by_token(ada), run=run) as told:
        assert next(told)[1]["run"] == run
        service.fail(other)
        task = service.store.runs.tasks(run)[0]["id"]
        service.store.history.append(run, events.Cancelled(task, State.WAITING), service.now())
        kind, row = next(told)
        assert (kind, row["run"], row["state"]) == ("run", run, "cancelled")
        service.store.runs.delete(run)
        assert next(told) == ("gone", {"run": run})


def test_a_wish_is_told_when_it_is_granted(service: Service) -> None:
    client = service.by_token(service.person("wisher"))
    asked = {"workflow": "count", "images": ["a:1.tif"]}
    wish = client.post("/v1/launches", json=asked, headers={"Idempotency-Key": "k"}).json()["id"]
    with watching(client, wish=wish, runs=False) as told:
        assert next(told)[1]["state"] == "open"
        with service.worker(launch=lambda _body: {"run": "0" * 12, "outcome": "created"}):
            kind, found = next(told)
        assert (kind, found["state"], found["answer"]["run"]) == ("wish", "granted", "0" * 12)


def test_a_live_view_ends_by_itself_so_that_who_was_signed_out_sees_no_more(tmp_path: Path) -> None:
    with serving(tmp_path, stream_seconds=0.3) as service:
        client = service.by_token(service.person("ada"))
        began = time.monotonic()
        with watching(client) as told:
            assert list(told) == []
        assert time.monotonic() - began < 12
        assert service.parts.metrics.streams.collect()[0].samples[0].value == 0


def test_many_watchers_cost_the_database_no_more_than_one(service: Service) -> None:
    asked: list[str] = []
    page = service.store.pages.runs_page
    clients = [service.by_token(service.person(f"crowd {n}", group="crowd")) for n in range(15)]
    run = service.run("crowd 0", "crowded")
    ready, heard = threading.Barrier(16), []

    def watch(client: httpx.Client) -> None:
        with watching(client) as told:
            ready.wait(20)
            heard.append(next(told)[1]["run"])

    threads = [threading.Thread(target=watch, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    ready.wait(20)
    service.store.pages.runs_page = lambda *a, **k: asked.append("x") or page(*a, **k)  # type: ignore[method-assign,func-returns-value]
    try:
        service.fail(run)
        for thread in threads:
            thread.join(20)
    finally:
        del service.store.pages.runs_page
    assert heard == [run] * 15
    assert len(asked) < 90  # three for each look; 15 who each looked would be 15 times as many


def test_people_are_added_changed_and_sign_in(service: Service) -> None:
    admin = service.by_cookie(service.person("boss", "administrator"))
    password = "correct horse battery"
    made = admin.post("/v1/people", json={"person": "newcomer", "group": "g", "password": password})
    assert made.json() == {
        "person": "newcomer", "role": "researcher", "group": "g", "active": True, "has_password": True,
        "omero": None,
    }  # fmt: skip
    client = service.client()
    said = client.post("/v1/session", json={"person": "newcomer", "password": password}).json()
    assert "runs.launch" in said["may"] and said["embedded"] is False
    assert client.get("/v1/session").json()["csrf"] == said["csrf"]
    admin.patch("/v1/people/newcomer", json={"active": False})
    assert client.get("/v1/session").status_code == 401
    changed = admin.patch("/v1/people/newcomer", json={"active": True, "role": "viewer"}).json()
    assert (changed["role"], changed["group"], changed["active"]) == ("viewer", "g", True)


def test_a_lead_sees_the_people_of_their_group(service: Service) -> None:
    lead = service.by_token(service.person("the head", "lead", "heads"))
    service.person("a member", group="heads")
    assert {one["person"] for one in lead.get("/v1/people").json()["items"]} == {"the head", "a member"}


def test_a_webhook_shows_its_secret_once(service: Service) -> None:
    client = service.by_token(service.person("hooked"))
    made = client.post("/v1/webhooks", json={"url": "https://example.org/x"}).json()
    listed = client.get("/v1/webhooks")
    assert listed.json()["items"][0]["id"] == made["id"] and made["secret"] not in listed.text
    other = service.by_token(service.person("unhooked"))
    assert other.delete(f"/v1/webhooks/{made['id']}").json()["code"] == "unknown-webhook"
    assert client.delete(f"/v1/webhooks/{made['id']}").status_code == 204


def test_the_page_is_served_for_every_address_and_its_files_for_ever(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    (pages / "assets").mkdir(parents=True)
    (pages / "index.html").write_text("<!doctype html><title>slidegate</title>")
    (pages / "assets" / "app-1.js").write_text("1")
    (pages / "icon.svg").write_text("<svg/>")
    (pages / "assets" / "link.js").symlink_to("/etc/passwd")
    with serving(tmp_path / "s", pages=pages) as service:
        client = service.client()
        for path in (
            "/",
            "/runs",
            "/runs/3f9a1c0b72de",
            "/runs/3f9a1c0b72de/results/1",
            "/launch",
            "/administration",
        ):
            answer = client.get(path)
            assert answer.status_code == 200 and "text/html" in answer.headers["Content-Type"], path
        browser = {"Accept": "text/html,*/*"}
        for path in ("/no/such/page", "/nothing"):
            answer = client.get(path, headers=browser)
            assert answer.status_code == 404 and "text/html" in answer.headers["Content-Type"], path
            assert client.get(path).json()["code"] == "not-found"
        assert client.get("/v1/nothing", headers=browser).json()["code"] == "not-found"
        used = client.get("/login", params={"link": "used"}, headers=browser)
        assert (used.status_code, used.headers["Location"]) == (303, "/?problem=link-used")
        assert "Set-Cookie" not in used.headers
        script = client.get("/assets/app-1.js")
        assert "immutable" in script.headers["Cache-Control"]
        assert script.headers["Content-Type"].startswith("text/javascript")
        assert client.get("/icon.svg").headers["Content-Type"].startswith("image/svg")
        for path in (
            "/assets/link.js",
            "/assets/..%2f..%2fslidegate.db",
            "/assets/.x",
            "/index.html",
            "/x.js",
        ):
            assert client.get(path).status_code == 404, path


def test_a_database_that_is_away_for_a_while_ends_neither_watching_nor_waiting(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        client = service.by_token(service.person("ada"))
        run = service.run("ada", tasks=1)
        page, failed = service.store.pages.run_stamps, threading.Event()

        def away(_runs: object) -> Any:
            failed.set()
            raise ValueError("no database")

        with watching(client, run=run) as told:
            assert next(told)[1]["state"] == "waiting"
            service.store.pages.run_stamps = away  # type: ignore[method-assign]
            assert failed.wait(10)
            service.store.pages.run_stamps = page  # type: ignore[method-assign]
            service.fail(run)
            assert next(told)[1]["state"] == "failed"
