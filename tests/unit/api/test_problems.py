# SPDX-License-Identifier: BSD-3-Clause
"""Every code of the table of problems is reached, with its status, by somebody who does what leads to it."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from slidegate.api.problems import PROBLEMS
from slidegate.api.results.errors import ResultsProblem
from slidegate.store import wishes
from slidegate.store.asking import Reconciling
from tests.unit.api import test_omero, test_omero_images, test_results
from tests.unit.api.service import Said, Service, serving

pytestmark = pytest.mark.slow

LAUNCH: dict[str, Any] = {"workflow": "count", "site": "local", "images": ["a:1.tif"]}
KEY = {"Idempotency-Key": "k"}
SIGN_IN = {"person": "ada", "password": "not the right one"}


class Asker:
    """Somebody with every right, and everything that there is to ask of."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.nobody = service.client()
        self.admin = service.by_cookie(service.person("ada", "administrator", "g"))
        self.viewer = service.by_token(service.person("vic", "viewer", "g"))
        self.run = service.run("ada")
        self.waiting = service.run("ada", "waiting")

    def launch(self, **more: Any) -> httpx.Response:
        return self.admin.post("/v1/launches", json=LAUNCH | more, headers=KEY)


def wrong_page(asker: Asker) -> httpx.Response:
    return asker.admin.post("/v1/launches", json=LAUNCH, headers=KEY | {"Origin": "https://evil.example"})


def no_csrf(asker: Asker) -> httpx.Response:
    return asker.admin.post("/v1/launches", json=LAUNCH, headers=KEY | {"X-CSRF-Token": "x"})


def key_reused(asker: Asker) -> httpx.Response:
    asker.launch()
    return asker.launch(images=["a:2.tif"])


def refused(asker: Asker) -> httpx.Response:
    def refuse(_body: object) -> dict[str, Any]:
        raise Said("wish-refused", "No.")

    with asker.service.worker(browse=refuse):
        return asker.admin.get("/v1/browse")


def picture_gone(asker: Asker) -> httpx.Response:
    with asker.service.worker(thumbnail=lambda _body: {"file": f"thumbnails/{'0' * 64}.jpg"}):
        return asker.admin.get("/v1/images/thumbnail", params={"image": "a:1.tif"})


def many_webhooks(asker: Asker) -> httpx.Response:
    for _ in range(21):
        answer = asker.admin.post("/v1/webhooks", json={"url": "https://example.org/"})
    return answer


def many_sign_ins(asker: Asker) -> httpx.Response:
    for _ in range(7):
        answer = asker.nobody.post("/v1/session", json=SIGN_IN)
    return answer


def patched(asker: Asker, name: str, value: Any, path: str = "/v1/runs") -> httpx.Response:
    """Ask while a part of the store does not do what it does."""
    room, _, method = name.partition(".")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(getattr(asker.service.store, room), method, value)
        return asker.admin.post(path) if path.endswith("retry") else asker.admin.get(path)


def raising(error: Exception) -> Callable[..., Any]:
    def broken(*_words: object, **_more: object) -> Any:
        raise error

    return broken


def internal(asker: Asker) -> httpx.Response:
    return patched(asker, "pages.runs_page", raising(ValueError("?")))


def reconciling(asker: Asker) -> httpx.Response:
    return patched(asker, "asking.retry", raising(Reconciling()), f"/v1/runs/{asker.run}/retry")


def database_away(asker: Asker) -> httpx.Response:
    """Ask while the tables are gone; they come back, and so does the service."""
    path = str(asker.service.store.database.engine.url.database)
    with sqlite3.connect(path) as direct:
        direct.execute("ALTER TABLE account RENAME TO away")
    answer = asker.admin.get("/readyz")
    during = asker.admin.get("/v1/runs")
    with sqlite3.connect(path) as direct:
        direct.execute("ALTER TABLE away RENAME TO account")
    assert answer.status_code == 200 and during.headers["Retry-After"] == "2"
    assert asker.admin.get("/v1/runs").status_code == 200
    return during


def too_many(asker: Asker) -> httpx.Response:
    with serving(asker.service.cache.folder.parent / "few", person_burst=1, person_per_second=0.01) as few:
        client = few.by_token(few.person("ada"))
        client.get("/v1/session")
        return client.get("/v1/session")


def too_many_streams(asker: Asker) -> httpx.Response:
    with serving(asker.service.cache.folder.parent / "blind", streams_per_person=0) as blind:
        return blind.by_token(blind.person("ada")).get("/v1/events")


def too_many_wishes(asker: Asker) -> httpx.Response:
    asker.admin.get("/v1/browse", params={"at": "a:one"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wishes, "MOST_OPEN", 1)
        return asker.admin.get("/v1/browse", params={"at": "a:two"})


def wrong_current(asker: Asker) -> httpx.Response:
    asker.service.set_password(asker.service.person("pam"), "the sentence that is right")
    client = asker.service.by_token("pam")
    return client.post("/v1/session/password", json={"current": "another one", "new": "a third sentence"})


def slow(asker: Asker) -> httpx.Response:
    def pieces() -> Iterator[bytes]:
        yield b"{"
        time.sleep(0.5)
        yield b"}"

    with serving(asker.service.cache.folder.parent / "hasty", body_seconds=0.1) as hasty:
        return hasty.client().post("/v1/session", content=pieces())


def wrong_type(asker: Asker) -> httpx.Response:
    return asker.nobody.post("/v1/session", content="hello", headers={"Content-Type": "text/plain"})


def long_body(asker: Asker) -> httpx.Response:
    return asker.nobody.post("/v1/session", content=b"x" * 2**21)


WAYS: dict[str, Callable[[Asker], httpx.Response]] = {
    "bad-request": lambda a: a.admin.get("/v1/runs", params={"cursor": "made up"}),
    "no-idempotency-key": lambda a: a.admin.post("/v1/launches", json=LAUNCH),
    "not-signed-in": lambda a: a.nobody.get("/v1/runs"),
    "wrong-current-password": wrong_current,
    "wrong-password": lambda a: a.nobody.post("/v1/session", json=SIGN_IN | {"person": "vic"}),
    "not-allowed": lambda a: a.viewer.post(f"/v1/runs/{a.run}/cancel"),
    "no-csrf-token": no_csrf,
    "wrong-origin": wrong_page,
    "not-found": lambda a: a.admin.get("/v1/nothing"),
    "unknown-run": lambda a: a.admin.get("/v1/runs/000000000000"),
    "unknown-task": lambda a: a.admin.get(f"/v1/runs/{a.run}/tasks/99/log"),
    "unknown-wish": lambda a: a.admin.get("/v1/wishes/0"),
    "unknown-person": lambda a: a.admin.patch("/v1/people/nobody", json={}),
    "unknown-token": lambda a: a.admin.delete("/v1/tokens/99"),
    "unknown-webhook": lambda a: a.admin.delete("/v1/webhooks/99"),
    "wrong-method": lambda a: a.admin.put("/v1/runs"),
    "last-administrator": lambda a: a.admin.patch("/v1/people/ada", json={"active": False}),
    "too-many-webhooks": many_webhooks,
    "run-still-active": lambda a: a.admin.delete(f"/v1/runs/{a.waiting}"),
    "person-exists": lambda a: a.admin.post("/v1/people", json={"person": "ada"}),
    "link-used": lambda a: a.nobody.get("/login", params={"link": "x"}),
    "picture-not-kept": picture_gone,
    "body-too-long": long_body,
    "wrong-media-type": wrong_type,
    "wrong-host": lambda a: a.nobody.get("/healthz", headers={"Host": "evil"}),
    "bad-hook-url": lambda a: a.admin.post("/v1/webhooks", json={"url": "https://127.0.0.1/"}),
    "bad-image-name": lambda a: a.launch(images=["../etc"]),
    "bad-parameter": lambda a: a.launch(parameters={"size": -1}),
    "bad-password": lambda a: a.admin.post("/v1/people", json={"person": "new", "password": "short"}),
    "invalid": lambda a: a.launch(workflow=7),
    "key-reused": key_reused,
    "nothing-selected": lambda a: a.launch(images=[]),
    "wish-refused": refused,
    "unknown-site": lambda a: a.launch(site="nowhere"),
    "unknown-workflow": lambda a: a.launch(workflow="unheard-of"),
    "too-many-requests": too_many,
    "too-slow": slow,
    "too-many-sign-ins": many_sign_ins,
    "too-many-streams": too_many_streams,
    "too-many-wishes": too_many_wishes,
    "internal": internal,
    "reconciling": reconciling,
    "store-unusable": database_away,
}


OF_RESULTS = [cls.code for cls in ResultsProblem.__subclasses__()]
"""Those that need results, which the tests of results reach by the same means."""


OF_OMERO = [code for code in PROBLEMS if "omero" in code]
"""Those that need an OMERO to be known, which the tests of OMERO reach."""


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with serving(tmp_path_factory.mktemp("problems"), wait_seconds=0.5) as service:
        service.offer()
        yield Asker(service)


def test_there_is_a_way_to_every_problem() -> None:
    assert sorted([*WAYS, *OF_RESULTS, *OF_OMERO]) == sorted(PROBLEMS)
    reached = Path(test_results.__file__).read_text(encoding="utf-8")
    assert [code for code in OF_RESULTS if f', "{code}")' not in reached] == []
    reached = "".join(
        Path(each.__file__).read_text(encoding="utf-8") for each in (test_omero, test_omero_images)
    )
    assert [code for code in OF_OMERO if f', "{code}")' not in reached] == []


@pytest.mark.parametrize("code", sorted(WAYS))
def test_a_problem_is_told_as_it_is_documented(asker: Asker, code: str) -> None:
    answer = WAYS[code](asker)
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert (answer.status_code, said["code"], said["status"]) == (
        PROBLEMS[code].status,
        code,
        answer.status_code,
    )
    assert said["type"] == f"urn:slidegate:problem:{code}" and said["title"] == PROBLEMS[code].title
    assert said["detail"].endswith((".", "!", "]")) and said["instance"].startswith("/")
    assert said["request"] == answer.headers["X-Request-ID"]
    assert (answer.status_code in (429, 503)) == ("Retry-After" in answer.headers)


def test_the_id_of_a_request_is_that_of_the_client_if_it_is_one(asker: Asker) -> None:
    for said, kept in (("a-click-of-mine-1", True), ("short", False), ("with space and more", False)):
        answer = asker.nobody.get("/healthz", headers={"X-Request-ID": said})
        assert (answer.headers["X-Request-ID"] == said) == kept


def test_a_database_that_cannot_be_reached_is_waited_for(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        client = service.by_token(service.person("ada"))
        path = Path(str(service.store.database.engine.url.database))
        service.store.close()
        names = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
        for name in names:
            if name.exists():
                name.rename(name.with_suffix(name.suffix + ".away"))
        path.mkdir()
        assert client.get("/readyz").json()["code"] == "store-unusable"
        assert client.get("/healthz").status_code == 200
        path.rmdir()
        for name in names:
            away = name.with_suffix(name.suffix + ".away")
            if away.exists():
                away.rename(name)
        assert client.get("/v1/runs").status_code == 200
