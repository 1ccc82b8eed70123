# SPDX-License-Identifier: BSD-3-Clause
"""What lets a worker act for people in OMERO is seen by nobody: in no log, command line, environment or file.

A worker runs as a service does, in a process of its own; passwords and keys of all sessions are looked for
wherever it leaves something.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from slidegate.domain.sealing import seal
from slidegate.settings import Settings
from slidegate.store import Store
from slidegate.store.wishes import Wish
from tests.unit.wishes.conftest import write_workflow

pytestmark = [pytest.mark.omero, pytest.mark.slow]

SLIDEGATE = Path(sys.executable).with_name("slidegate")
SECONDS = 60
PASSWORD, OF_ACCOUNT = "canary-password-of-bob-91", "canary-password-of-the-account-17"
PEOPLE = f"""
groups: {{lab: read-annotate}}
people:
  bob: {{password: {PASSWORD}, groups: [lab]}}
  root: {{password: secret-r}}
  slidegate: {{password: {OF_ACCOUNT}, groups: [lab], administrator: true, privileges: [Sudo]}}
datasets:
  Slides: {{owner: bob, group: lab, images: ["slides/*"]}}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pocket_omero.server import Server

    folder = tmp_path_factory.mktemp("canaries")
    (folder / "slides").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 4000, (64, 64), np.uint16)
        tifffile.imwrite(folder / "slides" / f"{number}.tif", pixels)
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as started:
        yield started


def granted(store: Store, kind: str, body: dict[str, Any]) -> Wish:
    """Ask for something as bob, and wait until the worker has seen to it."""
    wish = store.wishes.ask(kind, "bob", body, time.time())
    until = time.monotonic() + SECONDS
    while (found := store.wishes.get(wish.id)).state == "open":
        assert time.monotonic() < until, found
        time.sleep(0.05)
    assert found.state == "granted", found
    return found


def letter(store: Store, user_id: int) -> str:
    """Seal bob's password, once the worker has said for whom."""
    until = time.monotonic() + SECONDS
    while (public := store.omero_grants.public()) is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    said = {"person": "bob", "user_id": user_id, "name": "bob", "password": PASSWORD}
    return seal(public, json.dumps(said).encode(), "omero-grant")


def processes(home: Path) -> bytes:
    """Return the command lines and environments of the worker and all that it has started."""
    found = b""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(folder.name) != os.getpid() and os.fsencode(home) in line + environment:
            found += line + b"\n" + environment + b"\n"
    return found


def in_files(folder: Path, words: set[str]) -> list[str]:
    """Return the files below a folder whose names or contents have one of the words."""
    found = []
    for path in folder.rglob("*"):
        held = os.fsencode(path)
        with suppress(FileNotFoundError):  # the embedded site may still tidy up
            held += path.read_bytes() if path.is_file() else b""
        found += [str(path)] if any(word.encode() in held for word in words) else []
    return found


@pytest.mark.parametrize("way", ["account", "grant"])
def test_passwords_and_keys_of_sessions_are_nowhere(house: Any, tmp_path: Path, way: str) -> None:
    write_workflow(tmp_path / "workflows" / "squares")
    account = tmp_path / "account.json"
    account.write_text(json.dumps({"host": house.host, "name": "slidegate", "password": OF_ACCOUNT}))
    account.chmod(0o600)
    said = {
        "home": tmp_path / "home",
        "workflows_dir": tmp_path / "workflows",
        "cores": 2,
        "person": "service",
    }
    said |= {"omero_host": house.host, "omero_port": house.port, "omero_ca": house.authority}
    said |= {"omero_account": account} if way == "account" else {}
    settings = Settings(**said)
    settings.home.mkdir()
    keys: set[str] = set()
    house.house.sessions.on_end(lambda session: keys.add(session.uuid))
    [user_id] = [row.id for row in house.house.state.all("Experimenter") if row["omeName"] == "bob"]
    image = house.house.state.all("Image")[0 if way == "account" else 1].id
    store = Store.open(settings.database)
    environment = {f"SLIDEGATE_{name.upper()}": str(value) for name, value in said.items()}
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([SLIDEGATE, "worker"], env={**os.environ, **environment}, stderr=log)
    shown = b""
    try:
        store.omero_people.signed_in(user_id, "bob", time.time())
        if way == "grant":
            granted(store, "omero-grant", {"sealed": letter(store, user_id)})
        body = {"workflow": "squares", "images": [f"omero:{image}"]}
        run = granted(store, "launch", body).answer["run"]
        until = time.monotonic() + SECONDS
        state = ""
        while state not in ("succeeded", "failed"):
            assert time.monotonic() < until, state
            state = store.runs.tasks(run)[0]["state"]
            shown += processes(settings.home)
            keys |= {session.uuid for session in house.house.sessions.all()}
            time.sleep(0.05)
        assert state == "succeeded", store.runs.tasks(run)[0]["error"]
    finally:
        worker.terminate()
        worker.wait(SECONDS)
        store.close()
    words = keys | {PASSWORD, OF_ACCOUNT}
    assert len(words) > 3
    assert b"worker\0" in shown, "the process was not seen"
    assert [word for word in words if word.encode() in shown] == []
    assert b"wish_launch" in (tmp_path / "log").read_bytes()
    assert in_files(settings.home, {run}) != [], "the files were not seen"
    assert in_files(settings.home, words) == []
    assert [word for word in words if word.encode() in (tmp_path / "log").read_bytes()] == []
    if way == "grant":
        assert sorted(path.name for path in settings.home.glob("omero-grants*")) == [
            "omero-grants",
            "omero-grants.key",
        ]
