# SPDX-License-Identifier: BSD-3-Clause
"""A whole place, of real processes.

An OMERO in the pocket, an unmodified OMERO.web with the app, slidegate's api and worker, and the embedded
site.

>>> with open_place(tmp_path) as place:                      # doctest: +SKIP
...     with place.visit("alice") as visit:
...         visit.get("/slidegate/selection/?image=1").json()
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tifffile
import yaml

ROOT = Path(__file__).parents[3]
APP = ROOT / "omero_web" / "omero_slidegate"
SLIDEGATE = Path(sys.executable).with_name("slidegate")
WORKFLOWS = ROOT / "tests" / "data" / "workflows"
PATIENCE_S = 60.0

PEOPLE = """\
groups: {lab: read-annotate, shelf: read-only, other: private}
people:
  alice: {name: Alice Liddell, password: secret-a, groups: [lab, shelf, other]}
  bob: {name: Bob Builder, password: secret-b, groups: [lab, shelf]}
  carol: {name: Carol Carter, password: secret-c, groups: [lab]}
  visitor: {name: Visi Tor, password: secret-v, groups: [lab]}
  root: {password: secret-r}
  slidegate: {password: secret-s, groups: [lab], administrator: true, privileges: [Sudo]}
projects:
  Study: {owner: alice, group: lab, datasets: {Treated: ["treated/*"]}}
datasets:
  Cells: {owner: alice, group: lab, images: ["cells/*"]}
  Shelf: {owner: alice, group: shelf, images: ["shelf/*"]}
  Private: {owner: alice, group: other, images: ["private/*"]}
"""
PASSWORDS = {
    "alice": "secret-a",
    "bob": "secret-b",
    "carol": "secret-c",
    "visitor": "secret-v",
    "root": "secret-r",
    "slidegate": "secret-s",
}
API = (
    "import socket, sys; from slidegate.settings import Settings; "
    "from slidegate.wiring.api import serve_api; "
    "serve_api(Settings(), socket.socket(fileno=int(sys.argv[1])), embedded=False)"
)
"""What ``slidegate api`` does, at a socket that nobody else can take meanwhile."""


def fill(folder: Path) -> None:
    """Put into a folder what OMERO serves: people, and small images that can and cannot be used."""
    (folder / "people.yml").write_text(PEOPLE)
    random = np.random.default_rng(5)

    def draw(name: str, shape: tuple[int, ...], dtype: str = "uint16", **more: Any) -> None:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        tifffile.imwrite(file, random.integers(0, 200, shape).astype(dtype), **more)

    for number in range(3):
        draw(f"cells/cell{number}.tif", (64, 96))
    for number in range(2):
        draw(f"treated/treated{number}.tif", (64, 64))
    draw("cells/float.tif", (32, 32), "float32")
    draw("cells/stack.ome.tif", (3, 32, 32), metadata={"axes": "ZYX"})
    draw("cells/colour.tif", (32, 32, 3), "uint8", photometric="rgb")
    draw("shelf/shelf.tif", (32, 32))
    draw("private/private.tif", (32, 32))


@dataclass
class Place:
    """What runs, and where.

    Attributes
    ----------
    omero
        A `pocket_omero.server.Server` in this process.
    web
        A `pocket_omero.web.Web`.
    api
        Where slidegate answers: ``http://127.0.0.1:…``.
    home
        slidegate's.
    """

    folder: Path
    omero: Any
    api: str = ""
    web: Any = None
    listener: Any = None
    extra: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """The settings of slidegate."""
        return {
            **os.environ,
            "SLIDEGATE_HOME": str(self.home),
            "SLIDEGATE_WORKFLOWS_DIR": str(WORKFLOWS),
            "SLIDEGATE_CORES": "2",
            "SLIDEGATE_OMERO_HOST": self.omero.host,
            "SLIDEGATE_OMERO_PORT": str(self.omero.port),
            "SLIDEGATE_OMERO_CA": str(self.omero.authority),
            "SLIDEGATE_OMERO_ACCOUNT": str(self.folder / "omero-account.json"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "COLUMNS": "200",
            **self.extra,
        }

    def call(self, *words: object, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Type a command of slidegate."""
        argv = [str(SLIDEGATE), *map(str, words)]
        return _typed(argv, self.environment, given)

    def admin(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Type a command of the app, as the account of OMERO.web."""
        own = {"OMERODIR": str(self.folder / "web" / "omero"), "HOME": str(self.folder / "web")}
        return _typed(
            [sys.executable, "-P", "-m", "omero_slidegate", *map(str, words)], {**os.environ, **own}
        )

    @contextmanager
    def store(self) -> Iterator[Any]:
        """Open what slidegate remembers."""
        from slidegate.store import Store

        store = Store.open(f"sqlite:///{self.home / 'slidegate.db'}")
        try:
            yield store
        finally:
            store.close()

    def start(self, part: str) -> None:
        """Start the api or the worker."""
        argv = {
            "api": [sys.executable, "-P", "-c", API, str(self.listener.fileno())],
            "worker": [str(SLIDEGATE), "worker"],
        }[part]
        with (self.folder / f"{part}.log").open("ab") as log:
            self.processes[part] = subprocess.Popen(
                argv,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self.listener.fileno()] if part == "api" else [],
            )

    def stop(self, part: str) -> None:
        """End the api or the worker."""
        process = self.processes.pop(part)
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def image(self, name: str) -> int:
        """Return the number that OMERO gave an image: ``cell0.tif``."""
        [row] = [row for row in self.omero.house.state.all("Image") if row["name"] == name]
        return int(row.id)

    def container(self, kind: str, name: str) -> int:
        """Return the number of a Dataset or Project."""
        [row] = [row for row in self.omero.house.state.all(kind) if row["name"] == name]
        return int(row.id)

    @contextmanager
    def visit(self, person: str) -> Iterator[Visit]:
        """Log in at OMERO.web."""
        with Visit(self.web.url) as visit:
            visit.log_in(person, PASSWORDS[person])
            yield visit

    @property
    def logs(self) -> str:
        """What all of them have written, for when a test fails."""
        files = [self.folder / "api.log", self.folder / "worker.log"]
        own = [file.read_text("utf-8", "replace")[-3000:] for file in files if file.exists()]
        return "\n".join([*own, self.web.log[-3000:] if self.web else ""])


class Visit(httpx.Client):
    """A browser without a screen. Each request has a connection of its own."""

    def __init__(self, url: str) -> None:
        none = httpx.Limits(max_keepalive_connections=0)
        super().__init__(base_url=url, timeout=PATIENCE_S, limits=none)

    def log_in(self, person: str, password: str, server: int = 1) -> None:
        """Log in, as on the page."""
        page = self.get("/webclient/login/")
        [token] = re.findall('name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        fields = {"csrfmiddlewaretoken": token, "server": server, "username": person, "password": password}
        self.headers["Referer"] = str(self.base_url)
        done = self.post("/webclient/login/", data=fields)
        assert done.status_code == 302, done.text[-2000:]
        self.headers["X-CSRFToken"] = self.cookies.get("csrftoken", "")

    def api(self, path: str, **query: Any) -> httpx.Response:
        """Ask slidegate through the app."""
        return self.get(f"/slidegate/api/v1/{path}", params=query)

    def tell(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send slidegate something through the app."""
        return self.post(f"/slidegate/api/v1/{path}", json=body, headers=headers)

    def granted(self, answer: httpx.Response) -> Any:
        """Return the answer to a wish, once there is one."""
        assert answer.status_code in (200, 202), answer.text
        if answer.status_code == 200:
            return answer.json()
        wish = answer.json()["id"]
        said = until(lambda: _ended(self.api(f"wishes/{wish}").json()), f"wish {wish}")
        assert said["state"] == "granted", said
        return said["answer"]


def _ended(wish: dict[str, Any]) -> dict[str, Any] | None:
    return wish if wish.get("state") in ("granted", "refused") else None


def until(reached: Callable[[], Any], what: str = "it", seconds: float = PATIENCE_S) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.1)
    return found


def _typed(
    argv: list[str], environment: Mapping[str, str], given: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, env=dict(environment), capture_output=True, text=True, input=given, timeout=180, check=False
    )


@contextmanager
def open_place(
    folder: Path,
    *,
    fill: Callable[[Path], None] = fill,
    environment: Mapping[str, str] | None = None,
    web: Callable[[Any], Mapping[str, Any]] = lambda _omero: {},
    worker: bool = True,
    **options: Any,
) -> Iterator[Place]:
    """Start everything, and end it with the block.

    Parameters
    ----------
    fill
        Puts into a folder what OMERO serves.
    environment
        More settings of slidegate, by their names in the environment.
    web
        Returns more settings of OMERO.web, for the OMERO that it is given.
    worker
        Whether a worker works.
    options
        As of `pocket_omero.web.Web.start`.
    """
    from pocket_omero.server import Server
    from pocket_omero.web import running_web

    served = folder / "served"
    served.mkdir()
    fill(served)
    with ExitStack() as running:
        omero = running.enter_context(Server(served))
        place = Place(folder, omero, extra=environment or {})
        account = folder / "omero-account.json"
        where = {"host": omero.host, "port": omero.port, "ca": str(omero.authority)}
        account.touch(0o600)
        account.write_text(json.dumps({**where, "name": "slidegate", "password": PASSWORDS["slidegate"]}))
        place.listener = running.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        place.api = f"http://127.0.0.1:{place.listener.getsockname()[1]}"
        _trusted(place)
        for part in ("api", "worker") if worker else ("api",):
            place.start(part)
            running.callback(lambda part=part: part in place.processes and place.stop(part))
        settings = {
            "omero.web.slidegate.url": place.api,
            "omero.web.slidegate.key_file": str(folder / "slidegate.key"),
            **web(omero),
        }
        desired = yaml.safe_load((APP / "desired.yml").read_text("utf-8"))
        apps = desired.pop("omero.web.apps")
        place.web = running.enter_context(
            running_web(omero, folder / "web", apps=apps, settings=settings, added=desired, **options)
        )
        until(lambda: _answers(place.api), "the api")
        yield place


def _trusted(place: Place) -> None:
    """Make the key of OMERO.web, and let slidegate know its public half."""
    from omero_slidegate import keys

    public = place.folder / "omero-web.pub"
    public.write_text(keys.public_key(keys.make_key(place.folder / "slidegate.key")))
    known = place.call("omero", "web", "add", "omero-web", public)
    assert known.returncode == 0, known.stderr


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=PATIENCE_S).status_code == 200
    except httpx.TransportError:
        return False
