# SPDX-License-Identifier: BSD-3-Clause
import json
from pathlib import Path

from slidegate.domain import events
from slidegate.domain.states import State
from slidegate.domain.values import digest_of
from tests.unit.api.service import Service, serving


def test_a_run_is_shown_in_numbers_and_with_what_one_may_do(service: Service) -> None:
    person = service.person("runner")
    run = service.run(person, "shown", tasks=3, site="uni/key")
    client = service.by_token(person)
    row = client.get("/v1/runs", params={"mine": True}).json()["items"][0]
    assert (row["run"], row["state"], row["counts"], row["tasks"]) == (run, "waiting", {"waiting": 3}, 3)
    assert (row["title"], row["first"], row["site"]) == ("Count", "1.tif", "uni")
    assert row["may"] == ["cancel", "again"]
    whole = client.get(f"/v1/runs/{run}").json()
    assert whole["parameters"] == {"size": 8.0, "channel": "0"} and whole["schema"]["type"] == "object"
    assert "folder:/out" not in json.dumps(whole) and "uni/key" not in json.dumps(whole)
    service.fail(run)
    ended = client.get(f"/v1/runs/{run}").json()
    assert (ended["state"], ended["may"]) == ("failed", ["retry", "delete", "again"])


def test_runs_come_in_pages_whose_cursors_lead_through_all_of_them(service: Service) -> None:
    person = service.person("busy")
    runs = {service.run(person, f"run {n}", tasks=1) for n in range(7)}
    client, seen, cursor = service.by_token(person), [], None
    while True:
        asked = {"mine": True, "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/runs", params=asked).json()
        seen += [row["run"] for row in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == 7 and set(seen) == runs
    assert client.get("/v1/runs", params={"cursor": "made up"}).json()["code"] == "bad-request"


def test_what_has_not_changed_is_not_sent_again(service: Service) -> None:
    person = service.person("poller")
    run = service.run(person, "polled")
    client = service.by_token(person)
    for path in (f"/v1/runs/{run}", "/v1/runs?mine=true", "/v1/workflows", f"/v1/runs/{run}/events"):
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b""), path
    tag = client.get(f"/v1/runs/{run}").headers["ETag"]
    service.fail(run)
    assert client.get(f"/v1/runs/{run}", headers={"If-None-Match": tag}).status_code == 200


def test_images_of_a_run_are_told_in_plain_words(tmp_path: Path) -> None:
    with serving(tmp_path, shelves={"slides": Path("/images")}) as service:
        person = service.person("ada")
        run = service.run(person, tasks=3)
        ids = [row["id"] for row in service.store.runs.tasks(run)]
        key = service.store.runs.tasks(run)[0]["attempt_key"]
        service.cache.put(f"logs/{key}", b"first\n\x1b[31mlast words\n")
        failed = events.Failed(ids[0], State.WAITING, "bad-image", "It is\x1b[0m broken.")
        service.store.history.append(run, failed, service.now())
        service.store.history.append(run, events.CancelWanted(ids[1]), service.now())
        client = service.by_token(person)
        first, second, third = client.get(f"/v1/runs/{run}/tasks").json()["items"]
        assert first["words"] == "failed: It is broken."
        wanted = {"code": "bad-image", "message": "It is broken.", "log": ["first", "last words"]}
        assert first["error"] == wanted
        assert second["words"] == "waiting, to be cancelled"
        assert (third["image"], third["name"], third["published"]) == ("slides:3.tif", "3.tif", False)
        only = client.get(f"/v1/runs/{run}/tasks", params={"state": "failed"}).json()["items"]
        assert [task["number"] for task in only] == [1]
        page = client.get(f"/v1/runs/{run}/tasks", params={"after": 1, "limit": 1}).json()
        assert ([task["number"] for task in page["items"]], page["next"]) == ([2], 2)


def test_a_running_image_says_how_long_it_still_takes_and_a_queued_one_why_it_waits(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        person = service.person("ada")
        run = service.run(person, tasks=2)
        at = service.now() - 100
        for row in service.store.runs.tasks(run):
            service.store.history.append(run, events.StagingBegan(row["id"], State.WAITING), at)
            service.store.history.append(run, events.Staged(row["id"], State.STAGING, digest_of("t")), at)
        ids = tuple(row["id"] for row in service.store.runs.tasks(run))
        plan = digest_of("plan")
        service.store.history.append(run, events.Sealed(plan[:32], plan, ids), at)
        for task in ids:
            service.store.history.append(run, events.Submitted(task, State.SUBMITTING), at)
        service.store.history.append(run, events.Started(ids[0], State.QUEUED), at)
        key = service.store.runs.tasks(run)[0]["attempt_key"]
        service.store.sites.note_progress(ids[0], key, "detect", 25, 100)
        client = service.by_token(person)
        running, queued = client.get(f"/v1/runs/{run}/tasks").json()["items"]
        assert (running["step"], running["done"], running["total"]) == ("detect", 25, 100)
        assert 295 < running["left_seconds"] < 330
        assert (queued["words"], queued["left_seconds"]) == ("queued at the site", None)
        row = client.get(f"/v1/runs/{run}").json()
        assert 0 < row["progress"] < 1 and row["state"] == "active"


def test_facts_name_no_place_on_this_computer(service: Service) -> None:
    person = service.person("historian")
    run = service.fail(service.run(person, "told", site="uni/key"))
    found = service.by_token(person).get(f"/v1/runs/{run}/events").json()
    first, *rest = found["items"]
    assert (first["seq"], first["kind"], first["body"]["images"]) == (1, "run-requested", 2)
    assert [item["words"] for item in rest] == ["failed: The image cannot be read."] * 2
    text = json.dumps(found)
    assert "folder:/out" not in text and "/images/" not in text and "uni/key" not in text
    page = service.by_token(person).get(f"/v1/runs/{run}/events", params={"after": 1, "limit": 1}).json()
    assert (page["items"][0]["seq"], page["next"]) == (2, 2)


def test_cancelling_and_retrying_are_wishes_that_may_be_repeated(service: Service) -> None:
    person = service.person("undecided")
    run = service.run(person, "undecided")
    client = service.by_token(person)
    assert client.post(f"/v1/runs/{run}/cancel").json() == {"images": 2}
    assert client.post(f"/v1/runs/{run}/cancel").json() == {"images": 0}
    for row in service.store.runs.tasks(run):
        service.store.history.append(run, events.Cancelled(row["id"], State.WAITING), service.now())
    assert client.post(f"/v1/runs/{run}/retry").json() == {"images": 2}
    assert client.get(f"/v1/runs/{run}").json()["state"] == "waiting"


def test_deleting_is_a_wish_and_refused_while_the_run_is_active(service: Service) -> None:
    person = service.person("tidy")
    client = service.by_token(person)
    active, ended = service.run(person, "active"), service.fail(service.run(person, "ended"))
    assert client.delete(f"/v1/runs/{active}").json()["code"] == "run-still-active"
    with service.worker(delete=lambda body: {"removed": [body["run"]]}) as asked:
        wish = client.delete(f"/v1/runs/{ended}", params={"results": True}).json()
        while client.get(f"/v1/wishes/{wish['id']}").json()["state"] == "open":
            pass
    assert asked[0] == {"kind": "delete", "run": ended, "results": True, "request": asked[0]["request"]}


def test_logs_and_units_are_asked_of_a_worker(service: Service) -> None:
    person = service.person("watcher of units")
    run = service.run(person, "units")
    client = service.by_token(person)
    units = {"step": "detect", "shape": [1, 1], "side": 1, "units": 1, "done": "AA==", "current": []}
    with service.worker(units=lambda _b: units, log=lambda _b: {"text": "hello", "ended": False}) as asked:
        assert client.get(f"/v1/runs/{run}/tasks/1/units").json() == units
        assert client.get(f"/v1/runs/{run}/tasks/2/log").json()["text"] == "hello"
    assert [(one["kind"], one["task"]) for one in asked] == [("units", f"{run}.1"), ("log", f"{run}.2")]
    assert client.get(f"/v1/runs/{run}/tasks/99/log").json()["code"] == "unknown-task"


def test_costs_are_zero_before_anything_was_done(service: Service) -> None:
    person = service.person("thrifty")
    run = service.run(person, "free")
    found = service.by_token(person).get(f"/v1/runs/{run}/costs").json()
    assert set(found.values()) == {0}
