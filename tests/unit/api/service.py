# SPDX-License-Identifier: BSD-3-Clause
"""The real service behind a real port, for tests: uvicorn, a store, and a worker that grants wishes."""

import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from argon2 import PasswordHasher
from fastapi import FastAPI

from slidegate.api import ApiParts, ApiSettings, create_app
from slidegate.api.document import routes_of
from slidegate.api.problems import MEDIA_TYPE
from slidegate.api.signin import LocalAccounts
from slidegate.cache import Cache
from slidegate.domain import events
from slidegate.domain.run import run_id, task_id
from slidegate.domain.states import State
from slidegate.domain.values import Release, RunId, digest_of
from slidegate.store import Store
from slidegate.store.wishes import KINDS

FAST = {"person_burst": 10**6, "address_burst": 10**6, "change_burst": 10**6, "poll_seconds": 0.05}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": [],
    "properties": {
        "size": {"type": "number", "minimum": 2, "maximum": 50, "default": 8, "title": "Size"},
        "channel": {"type": "string", "maxLength": 20, "default": "0", "title": "Channel"},
    },
}
RELEASE = Release(
    digest=digest_of("release"),
    name="count",
    version="1.0",
    manifest={"title": "Count", "description": "Counts.", "each": ["image"], "outputs": {}},
    schema=SCHEMA,
    runtime="r" * 64,
)
Grant = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Said(Exception):  # noqa: N818
    """A worker's refusal: code and message."""


class Service:
    """A service that runs; its clock can be set forward."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        self.store = Store.open(url)
        self.ahead = 0.0
        self.cache = Cache(folder / "cache", 10**9)
        self.parts = ApiParts(self.store, self.cache, self.now, ApiSettings(**{**FAST, **settings}))
        self.app: FastAPI = create_app(self.parts)
        self.parts.accounts = LocalAccounts(self.store, PasswordHasher(1, 64, 1))  # as quick as can be
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio sends at once only on such
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(256)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(self.app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._clients: list[httpx.Client] = []

    def now(self) -> float:
        return time.time() + self.ahead

    def __enter__(self) -> "Service":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for client in self._clients:
            client.close()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self.store.close()

    # people

    def person(self, name: str, role: str = "researcher", group: str = "") -> str:
        self.store.accounts.set(name, role, group, self.now())
        return name

    def client(self, **more: Any) -> httpx.Client:
        """Return a client that has not signed in."""
        hooks = {"response": [self._check_documented]}
        made = httpx.Client(base_url=self.url, timeout=30, event_hooks=hooks, **more)
        self._clients.append(made)
        return made

    def _check_documented(self, answer: httpx.Response) -> None:
        """Fail when a problem is told that the OpenAPI document does not name for that request."""
        if answer.headers.get("Content-Type") != MEDIA_TYPE or answer.request.method == "HEAD":
            return
        code = json.loads(answer.read())["code"]
        for route in routes_of(self.app.routes):
            method, path = answer.request.method, answer.request.url.path
            if method in route.methods and route.path_regex.match(path) and route.include_in_schema:
                operation = self.app.openapi()["paths"][route.path_format][method.lower()]
                named = operation["responses"].get(str(answer.status_code), {}).get("description", "")
                assert f"`{code}`" in named or "`wish-refused`" in named, (method, path, code, named)
                return

    def by_cookie(self, person: str) -> httpx.Client:
        """Return the client of somebody who has signed in with a browser."""
        made = self.client()
        link = self.store.login_links.make(person, self.now())
        assert made.get("/login", params={"link": link}).status_code == 303
        made.headers["X-CSRF-Token"] = made.get("/v1/session").json()["csrf"]
        return made

    def by_token(self, person: str) -> httpx.Client:
        """Return the client of a program."""
        token = self.store.tokens.make(person, "test", self.now())
        return self.client(headers={"Authorization": f"Bearer {token}"})

    def set_password(self, person: str, password: str) -> None:
        self.store.accounts.set_password(person, self.parts.accounts.hash(password))

    # what there is

    def offer(self, site: str = "local") -> None:
        self.store.offers.note(site, [RELEASE], self.now())

    def run(self, person: str, name: str = "one", tasks: int = 2, site: str = "local") -> RunId:
        """Make a Run that waits."""
        digest = digest_of([person, name])
        run = run_id(digest, 0)
        made = events.RunRequested(
            run=run, identity=digest, generation=0, person=person, site=site, workflow="count",
            version="1.0", release=RELEASE.digest, parameters={"size": 8.0, "channel": "0"},
            out="folder:/out",
            tasks=tuple(
                events.NewTask(
                    task_id(run, n), "folder", f"/images/{n}.tif", f"{n}.tif", f"f{n}", digest_of([name, n])
                )
                for n in range(1, tasks + 1)
            ),
        )  # fmt: skip
        self.store.releases.remember(RELEASE)
        self.store.history.request(made, self.now())
        return run

    def fail(self, run: RunId) -> RunId:
        """Have all Tasks of a Run fail that wait."""
        for row in self.store.runs.tasks(run):
            if row["state"] == State.WAITING:
                event = events.Failed(row["id"], State.WAITING, "bad-image", "The image cannot be read.")
                self.store.history.append(run, event, self.now())
        return run

    @contextmanager
    def worker(self, **grants: Grant) -> Iterator[list[dict[str, Any]]]:
        """Grant wishes of these kinds while the block runs; yields what was asked."""
        asked: list[dict[str, Any]] = []
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.01):
                held = self.store.wishes.claim("test", self.now(), 30, grants)
                if held is None:
                    continue
                asked.append({"kind": held.wish.kind, **held.wish.body})
                try:
                    self.store.wishes.grant(held, grants[held.wish.kind](held.wish.body), self.now())
                except Said as error:
                    self.store.wishes.refuse(held, *error.args, self.now())

        assert set(grants) <= set(KINDS)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield asked
        finally:
            stop.set()
            thread.join()


@contextmanager
def serving(folder: Path, url: str | None = None, **settings: Any) -> Iterator[Service]:
    """Run a service in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if url is None:
        path = folder / "slidegate.db"
        path.write_bytes(_empty())
        url = f"sqlite:///{path}"
    with Service(url, folder, **settings) as service:
        yield service


@lru_cache
def _empty() -> bytes:
    """An empty database with all tables: making them takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slidegate.db"
        Store.open(f"sqlite:///{path}").close()
        return path.read_bytes()
