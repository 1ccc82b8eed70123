# SPDX-License-Identifier: BSD-3-Clause
"""Images of OMERO, as they are launched on and found again."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from slidegate.domain import events
from slidegate.domain.run import run_id
from slidegate.domain.states import State
from slidegate.domain.values import RunId, digest_of
from tests.unit.api.service import RELEASE, Said, Service, serving

LAUNCH = {"workflow": "count", "site": "local", "images": ["omero:12", "omero:13#z=1,t=0"]}
ALL = {"objects": "all-on-duplicate", "labels": "image", "tags": ["counted", "by me"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"omero_host": "omero.example.org", "wait_seconds": 60.0}
    with serving(tmp_path_factory.mktemp("images"), **settings) as made:
        made.offer()
        yield made


def launch(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/v1/launches", json=LAUNCH | more, headers={"Idempotency-Key": str(more)})


def in_omero(service: Service, person: str, name: str, images: list[str]) -> RunId:
    """Make a Run of images in OMERO."""
    digest = digest_of([person, name])
    run = run_id(digest, 0)
    tasks = tuple(
        events.NewTask(f"{run}.{n}", "omero", image, f"{image}.tif", "f", digest_of([name, n]))
        for n, image in enumerate(images, 1)
    )
    asked = events.RunRequested(
        run=run, identity=digest, generation=0, person=person, site="local", workflow="count", version="1.0",
        release=RELEASE.digest, parameters={}, out="omero:omero.example.org", tasks=tasks,
    )  # fmt: skip
    service.store.releases.remember(RELEASE)
    service.store.history.request(asked, service.now())
    return run


def test_how_results_are_written_into_omero_is_told_to_the_worker(service: Service) -> None:
    client = service.by_token(service.person("writer"))
    for asked, told in (
        (ALL, ALL),
        ({}, {"objects": "sample", "labels": "none", "tags": []}),
        (None, None),
    ):
        wish = launch(client, publish=asked).json()["id"]
        assert service.store.wishes.get(wish).body.get("publish") == told
    assert "publish" not in service.store.wishes.get(wish).body


@pytest.mark.parametrize(
    "publish",
    [
        {"objects": "none"}, {"labels": "zip"}, {"tags": ["x"] * 11}, {"tags": [""]}, {"tags": ["x" * 101]},
        {"tags": [" x"]}, {"tags": ["x\n"]}, {"rois": True},
    ],
)  # fmt: skip
def test_what_cannot_be_written_into_omero_is_refused(service: Service, publish: dict[str, Any]) -> None:
    answer = launch(service.by_token(service.person("wisher")), publish=publish)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"images": ["omero:12", "a:1.tif"]}, "omero-mixed"),
        ({"images": ["a:1.tif"], "publish": ALL}, "publish-not-in-omero"),
        ({"images": ["omero:x"]}, "bad-image-name"),
        ({"images": ["omero:"]}, "bad-image-name"),
        ({"images": ["omero:012"]}, "bad-image-name"),
        ({"images": ["omero:1/2"]}, "bad-image-name"),
        ({"images": ["omero:-1"]}, "bad-image-name"),
        ({"images": ["omero:" + "9" * 19]}, "bad-image-name"),
    ],
)
def test_images_that_cannot_be_of_one_run_are_refused_at_once(
    service: Service, more: dict[str, Any], code: str
) -> None:
    client = service.by_token(service.person("mixer"))
    answer = launch(client, **more)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    if "publish" not in more:
        assert client.post("/v1/estimates", json=LAUNCH | more).json()["code"] == code


@pytest.mark.slow
def test_images_of_omero_are_refused_where_none_is_known(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("without")) as none:
        none.offer()
        answer = launch(none.by_token(none.person("ada")))
        assert (answer.status_code, answer.json()["code"]) == (409, "omero-not-configured")


def test_what_is_done_with_an_image_is_found_by_the_image(service: Service) -> None:
    client = service.by_token(service.person("finder"))
    one = in_omero(service, "finder", "one", ["21", "22"])
    two = in_omero(service, "finder", "two", ["21#z=1,t=0"])
    failed = service.store.runs.tasks(two)[0]["id"]
    event = events.Failed(failed, State.WAITING, "bad-image", "It cannot be read.")
    service.store.history.append(two, event, service.now())
    found = client.get("/v1/images/tasks", params={"image": "omero:21"}).json()["items"]
    assert [(item["run"], item["number"], item["image"], item["state"]) for item in found] == [
        (two, 1, "omero:21#z=1,t=0", "failed"), (one, 1, "omero:21", "waiting"),
    ]  # fmt: skip
    assert found[0]["error"]["code"] == "bad-image"
    assert (found[0]["title"], found[0]["workflow"], found[0]["person"]) == ("Count", "count", "finder")
    assert found[0]["at"] >= found[1]["at"] > 0
    listed = client.get(f"/v1/runs/{one}/tasks").json()["items"]
    assert [item["image"] for item in listed] == ["omero:21", "omero:22"]
    assert listed[0].items() <= found[1].items()  # in the same words
    both = client.get("/v1/images/tasks", params=[("image", "omero:22"), ("image", "omero:21#z=1,t=0")])
    assert {item["run"] for item in both.json()["items"]} == {one, two}
    assert client.get("/v1/images/tasks", params={"image": "omero:2"}).json() == {"items": []}


def test_what_omero_tells_a_worker_is_nothing_that_happened_to_the_service_or_its_session(
    service: Service,
) -> None:
    client = service.by_token(service.person("looker"))

    def refuse(_body: Any) -> Any:
        raise Said("omero-session-gone", "The session in OMERO has ended.")

    with service.worker(describe=refuse):
        answer = client.post("/v1/images/describe", json={"images": ["omero:1"]})
    assert (answer.status_code, answer.json()["code"]) == (
        422,
        "omero-session-gone",
    )  # who is told 401 signs in


def test_a_run_says_how_its_results_are_written_into_omero(service: Service) -> None:
    client = service.by_token(service.person("reader"))
    run = in_omero(service, "reader", "said", ["51"])
    assert client.get(f"/v1/runs/{run}").json()["publish"] == {
        "objects": "sample", "labels": "none", "tags": [],
    }  # fmt: skip
    out = "omero:omero.example.org?labels=image&objects=all-on-duplicate&tag=by%20me&tag=counted"
    service.store.history.append(run, events.OutChosen(out), service.now())
    assert client.get(f"/v1/runs/{run}").json()["publish"] == ALL | {"tags": ["by me", "counted"]}
    elsewhere = service.run("reader")
    assert client.get(f"/v1/runs/{elsewhere}").json()["publish"] is None


def test_only_what_one_may_see_is_found(service: Service) -> None:
    service.person("mate", group="team")
    run = in_omero(service, "mate", "theirs", ["31"])
    for person, role, group, seen in (
        ("colleague", "researcher", "team", True),
        ("viewer of it", "viewer", "team", True),
        ("stranger", "lead", "others", False),
        ("alone", "researcher", "", False),
        ("the boss", "administrator", "", True),
    ):
        client = service.by_token(service.person(person, role, group))
        found = client.get("/v1/images/tasks", params={"image": "omero:31"}).json()["items"]
        assert [item["run"] for item in found] == ([run] if seen else []), person


@pytest.mark.parametrize("images", [[], ["a:1.tif"], ["omero:x"], ["omero:1"] * 101])
def test_only_some_images_of_omero_are_looked_for(service: Service, images: list[str]) -> None:
    client = service.by_token(service.person("asker"))
    answer = client.get("/v1/images/tasks", params=[("image", image) for image in images])
    assert answer.status_code == 422
    assert answer.json()["code"] == ("bad-image-name" if 0 < len(images) < 101 else "invalid")


def test_a_client_may_keep_the_answer_and_asks_whether_it_still_holds(service: Service) -> None:
    client = service.by_token(service.person("poller"))
    run = in_omero(service, "poller", "kept", ["41"])
    first = client.get("/v1/images/tasks", params={"image": "omero:41"})
    known = {"If-None-Match": first.headers["ETag"]}
    assert client.get("/v1/images/tasks", params={"image": "omero:41"}, headers=known).status_code == 304
    task = service.store.runs.tasks(run)[0]["id"]
    service.store.history.append(run, events.Cancelled(task, State.WAITING), service.now())
    assert client.get("/v1/images/tasks", params={"image": "omero:41"}, headers=known).status_code == 200
