# SPDX-License-Identifier: BSD-3-Clause
from datetime import date
from typing import Any

import pytest

from slidegate.domain import events
from slidegate.domain.states import State
from slidegate.domain.values import digest_of
from slidegate.store.people import Link
from tests.unit.api.service import RELEASE, Said, Service

pytestmark = pytest.mark.slow

BODY = {"workflow": "count", "site": "local", "images": ["a:1.tif"], "parameters": {"size": 9}}


def launch(client: Any, key: str, **more: Any) -> Any:
    return client.post("/v1/launches", json=BODY | more, headers={"Idempotency-Key": key})


def test_a_launch_is_asked_of_a_worker_and_its_answer_is_found_at_the_wish(service: Service) -> None:
    client = service.by_token(service.person("launcher"))
    with service.worker(launch=lambda _body: {"run": "0" * 12, "outcome": "created"}) as asked:
        made = launch(client, "one")
        assert made.status_code == 202 and made.json()["kind"] == "launch"
        while client.get(made.headers["Location"]).json()["state"] == "open":
            pass
    assert client.get(made.headers["Location"]).json()["answer"] == {"run": "0" * 12, "outcome": "created"}
    body = asked[0]
    assert (body["workflow"], body["version"], body["images"]) == ("count", "1.0", ["a:1.tif"])
    assert body["request"] == made.headers["X-Request-ID"]
    assert "regions" not in body


def test_a_launch_can_leave_out_what_people_drew(service: Service) -> None:
    client = service.by_token(service.person("drawer"))
    with service.worker(launch=lambda _body: {"run": "1" * 12, "outcome": "created"}) as asked:
        made = launch(client, "plain", regions=False)
        while client.get(made.headers["Location"]).json()["state"] == "open":
            pass
    assert asked[0]["regions"] is False


def test_the_same_key_is_the_same_launch_also_after_it_was_granted(service: Service) -> None:
    client = service.by_token(service.person("clicker"))
    wishes = {launch(client, "twice").json()["id"] for _ in range(3)}
    assert len(wishes) == 1
    assert [wish["id"] for wish in client.get("/v1/launches").json()["items"]] == list(wishes)
    with service.worker(launch=lambda _body: {"run": "0" * 12, "outcome": "created"}):
        while client.get("/v1/launches").json()["items"]:
            pass
    service.ahead += 3600
    assert launch(client, "twice").json()["id"] in wishes
    service.ahead -= 3600
    assert launch(client, "another").json()["id"] not in wishes


def test_a_key_that_comes_with_another_body_is_refused(service: Service) -> None:
    client = service.by_token(service.person("mistaken"))
    launch(client, "k")
    assert launch(client, "k", images=["a:2.tif"]).json()["code"] == "key-reused"
    other = service.by_token(service.person("another person"))
    assert launch(other, "k", images=["a:2.tif"]).status_code == 202


def test_all_parameters_that_do_not_fit_are_named_at_once(service: Service) -> None:
    client = service.by_token(service.person("careless"))
    answer = launch(client, "p", parameters={"size": 99, "colour": "red"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-parameter")
    assert {error["name"] for error in answer.json()["errors"]} == {"size", "colour"}
    assert launch(client, "p", parameters={"size": "9.5"}).status_code == 202  # as a form gives it


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"workflow": "unheard-of"}, "unknown-workflow"),
        ({"version": "9.9"}, "unknown-workflow"),
        ({"site": "nowhere"}, "unknown-site"),
        ({"images": []}, "nothing-selected"),
        ({"images": ["/etc/passwd"]}, "bad-image-name"),
        ({"images": ["a:../../etc/passwd"]}, "bad-image-name"),
        ({"images": ["a:x"] * 5001}, "bad-request"),
        ({"command": "rm"}, "invalid"),
        ({"images": ["a:\ud800"]}, "invalid"),
        ({"parameters": {"size": 1e400}}, "invalid"),
    ],
)
def test_what_cannot_be_launched_is_refused_at_once(
    service: Service, more: dict[str, Any], code: str
) -> None:
    import json

    client = service.by_token(service.person("wrong"))
    headers = {"Idempotency-Key": "x", "Content-Type": "application/json"}
    answer = client.post("/v1/launches", content=json.dumps(BODY | more), headers=headers)
    assert answer.json()["code"] == code
    assert client.get("/v1/launches").json()["items"] == []


def test_people_see_the_offers_of_the_gates_that_they_may_use(service: Service) -> None:
    service.offer("uni/everybodys")
    service.offer("uni/adas")
    ada, ben = service.person("linked ada"), service.person("unlinked ben")
    service.store.people.join(Link(ada, "uni", "acct", "adas", date(2020, 1, 1)))
    late = service.person("late cy")
    service.store.people.join(Link(late, "uni", "acct2", "cys", date(2020, 1, 1), date(2020, 2, 1)))
    found = {}
    for person in (ada, ben, late):
        items = service.by_token(person).get("/v1/workflows").json()["items"]
        found[person] = sorted(item["site"] for item in items)
    assert found == {ada: ["local", "uni"], ben: ["local", "uni"], late: ["local"]}
    sites = service.by_token(ben).get("/v1/sites").json()["items"]
    assert [site["site"] for site in sites] == ["local", "uni"]
    assert "everybodys" not in service.by_token(ben).get("/v1/workflows").text


def test_browsing_waits_for_the_answer_or_says_who_to_ask_later(service: Service) -> None:
    client = service.by_token(service.person("browser"))
    listing = {"at": "a:", "trail": [], "folders": [], "images": [], "truncated": False}
    with service.worker(browse=lambda _body: listing) as asked:
        assert client.get("/v1/browse", params={"at": "a:"}).json() == listing
        assert client.get("/v1/browse", params={"at": "a:"}).json() == listing  # just looked
    assert len(asked) == 1


def test_a_workers_refusal_keeps_its_code_and_its_words(service: Service) -> None:
    def refuse(_body: object) -> dict[str, Any]:
        raise Said("bad-image", "The image cannot be read.\x1b[31m")

    client = service.by_token(service.person("unlucky"))
    with service.worker(describe=refuse):
        answer = client.post("/v1/images/describe", json={"images": ["a:1.tif"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-image")
    assert answer.json()["detail"] == "The image cannot be read."


def test_a_thumbnail_comes_from_the_cache_and_is_made_again_when_it_was_swept(service: Service) -> None:
    client = service.by_token(service.person("looker"))
    name = f"thumbnails/{digest_of('t')}.jpg"
    made = []

    def make(body: Any) -> dict[str, Any]:
        made.append(body)
        service.cache.put(name, b"\xff\xd8jpeg")
        return {"file": name, "width": 256, "height": 128, "scale": 8.0}

    with service.worker(thumbnail=make):
        answer = client.get("/v1/images/thumbnail", params={"image": "a:1.tif"})
        assert (answer.content, answer.headers["X-Image-Scale"]) == (b"\xff\xd8jpeg", "8.0")
        client.get("/v1/images/thumbnail", params={"image": "a:1.tif"})
        assert len(made) == 1
        (service.cache.folder / name).unlink()
        assert client.get("/v1/images/thumbnail", params={"image": "a:1.tif"}).status_code == 200
    assert len(made) == 2


def test_a_preview_is_a_wish_whose_pictures_only_its_person_gets(service: Service) -> None:
    client = service.by_token(service.person("previewer"))
    stranger = service.by_token(service.person("curious"))
    asked = {"workflow": "count", "image": "a:1.tif", "region": [0, 0, 512, 512]}

    def make(_body: object) -> dict[str, Any]:
        names = {part: f"previews/{'0' * 32}/{part}.png" for part in ("picture", "plain")}
        for name in names.values():
            service.cache.put(name, name.encode())
        return {**names, "width": 512, "height": 512, "facts": {"nuclei": 3}}

    with service.worker(preview=make):
        wish = client.post("/v1/previews", json=asked).json()["id"]
        while client.get(f"/v1/wishes/{wish}").json()["state"] == "open":
            pass
    assert client.get(f"/v1/previews/{wish}/picture").content.endswith(b"/picture.png")
    assert client.get(f"/v1/previews/{wish}/plain").headers["Content-Type"] == "image/png"
    assert stranger.get(f"/v1/previews/{wish}/plain").json()["code"] == "unknown-wish"
    for region in ([0, 0, 0, 9], [9, 0, 0, 9], [0, 0, 4096, 9], [0, 0, 9]):
        assert client.post("/v1/previews", json=asked | {"region": region}).json()["code"] == "invalid"


def test_an_estimate_says_what_it_rests_on(service: Service) -> None:
    client = service.by_token(service.person("planner"))
    image = {"image": "a:1.tif", "shape": [2, 1000, 1000], "dtype": "uint16", "bytes": 4_000_000}
    with service.worker(describe=lambda _body: {"images": [image]}):
        found = client.post("/v1/estimates", json=BODY | {"site": "local"} | {"parameters": {}}).json()
    assert (found["images"], found["bytes"], found["pixels"]) == (1, 4_000_000, 1_000_000)
    assert found["computing_seconds"] is None and "not finished at this site yet" in found["basis"]


def test_an_estimate_is_measured_on_earlier_runs(service: Service) -> None:
    person = service.person("experienced")
    run = service.run(person, "earlier", tasks=1)
    task = service.store.runs.tasks(run)[0]["id"]
    tree, at = digest_of("tree"), service.now()
    from slidegate.domain.values import ImageRef

    ref = ImageRef("folder", "/images/1.tif")
    service.store.images.remember_staged(ref, "f1", "c", tree, [("a", 1_000_000, "0" * 64)])
    steps = [
        (0, events.StagingBegan(task, State.WAITING)),
        (10, events.Staged(task, State.STAGING, tree)),
        (11, events.Submitted(task, State.SUBMITTING)),
        (12, events.Started(task, State.QUEUED)),
        (32, events.Computed(task, State.RUNNING, digest_of("out"), {})),
        (33, events.Collected(task, State.COLLECTING, ())),
        (34, events.Published(task, State.PUBLISHING, "/nowhere")),
    ]
    for after, event in steps:
        service.store.history.append(run, event, at + after)
    client = service.by_token(person)
    image = {"image": "a:2.tif", "shape": [1, 500, 1000], "dtype": "uint8", "bytes": 500_000}
    with service.worker(describe=lambda _body: {"images": [image]}):
        found = client.post("/v1/estimates", json=BODY | {"images": ["a:2.tif"]}).json()
    assert (found["staging_seconds"], found["computing_seconds"]) == (5.0, 10.0)
    assert "time by 1 earlier images of count" in found["basis"]


def test_what_was_used_last_is_remembered(service: Service) -> None:
    person = service.person("habitual")
    client = service.by_token(person)
    asked = {"workflow": "count"}
    assert client.get("/v1/last-used", params=asked).json() == {"parameters": None, "site": None}
    service.run(person, "habit", site="uni/secret-key")
    found = client.get("/v1/last-used", params=asked).json()
    assert found == {"parameters": {"size": 8.0, "channel": "0"}, "site": "uni"}


def test_forms_can_be_drawn_from_what_is_offered(service: Service) -> None:
    client = service.by_token(service.person("former"))
    item = next(i for i in client.get("/v1/workflows").json()["items"] if i["site"] == "local")
    assert (item["title"], item["schema"], item["each"]) == ("Count", RELEASE.schema, ["image"])
