# SPDX-License-Identifier: BSD-3-Clause
"""The service over PostgreSQL: the same answers, and what it says while the database is away."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.postgres import Postgres, running, what_is_missing
from tests.unit.api.service import Service, serving

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def database() -> Iterator[Postgres]:
    """A server of its own, as it is killed."""
    if missing := what_is_missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"this test needs {missing}")
    with running() as server:
        yield server


def test_the_service_works_over_postgresql_and_comes_back_when_it_was_killed(
    database: Postgres, tmp_path: Path
) -> None:
    with serving(tmp_path, database.create()) as service:
        service.offer()
        person = service.person("ada", "administrator", "g")
        client = service.by_cookie(person)
        go_round(service, client)
        database.kill()
        away = client.get("/v1/runs")
        assert (away.status_code, away.json()["code"]) == (503, "store-unusable")
        assert "Retry-After" in away.headers and client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        database.start()
        until = time.monotonic() + 20
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert len(client.get("/v1/runs").json()["items"]) == 1


def go_round(service: Service, client: httpx.Client) -> None:
    """Ask for a bit of everything."""
    run = service.run("ada", "one", tasks=3)
    asked = {"workflow": "count", "images": ["a:ü.tif"]}
    wishes = [
        client.post("/v1/launches", json=asked, headers={"Idempotency-Key": "k"}).json()["id"] for _ in "ab"
    ]
    assert len(set(wishes)) == 1
    again = client.post("/v1/launches", json=asked | {"again": True}, headers={"Idempotency-Key": "k"})
    assert again.json()["code"] == "key-reused"
    with service.worker(launch=lambda _body: {"run": run, "outcome": "created"}):
        while client.get(f"/v1/wishes/{wishes[0]}").json()["state"] != "granted":
            pass
    assert client.get("/v1/runs", params={"image": "1"}).json()["items"][0]["run"] == run
    assert client.post(f"/v1/runs/{run}/cancel").json() == {"images": 3}
    for path in ("", "/tasks", "/events", "/costs"):
        assert client.get(f"/v1/runs/{run}{path}").status_code == 200, path
    assert client.get("/v1/runs", params={"workflow": "\x00"}).json()["code"] == "bad-request"
    assert client.get("/v1/sites").json()["items"][0]["queued"] == 3
    actions = [note["action"] for note in client.get("/v1/audit").json()["items"]]
    assert actions == ["runs.cancel", "runs.launch", "runs.launch", "runs.launch", "session.begin"]
    with client.stream("GET", "/v1/events", params={"run": run}) as answer:
        lines = answer.iter_lines()
        assert any(line == "event: run" for line in lines)
