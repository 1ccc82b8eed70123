# SPDX-License-Identifier: BSD-3-Clause
"""What is sent to whoever helps names nobody and opens nothing."""

import json
import logging
import re
import time
import zipfile
from datetime import date
from pathlib import Path

import pytest

from slidegate.cli.bundle import harmless_lines, write_bundle
from slidegate.domain.logs import JsonLines
from slidegate.settings import Settings
from slidegate.store import Store
from slidegate.store.people import Link
from slidegate.wiring.log import Log

PERSON, GROUP, ACCOUNT = "zoe.quastenflosser", "quastenflosser-lab", "zq4711"
IMAGE, HOST, SHELF = "Jane_Doe_1970.ome.tif", "login.quasten.example.org", "quastenshelf"
PLANTED = (PERSON, "quasten", ACCOUNT, "Jane", "Doe", HOST, SHELF, "correct horse battery")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home that holds names and secrets wherever there is room for them."""
    home = tmp_path / "home-of-quastenflosser"
    home.mkdir()
    settings = Settings(
        home=home,
        person=PERSON,
        shelves={SHELF: tmp_path / "Jane_Doe"},
        public_url=f"https://{HOST}",
        database_url=f"sqlite:///{home}/quasten.db",
    )
    store = Store.open(settings.database)
    now = time.time()
    store.accounts.set(PERSON, "lead", GROUP, now)
    store.accounts.set_password(PERSON, "$argon2id$correct horse battery")
    store.people.join(Link(PERSON, "quastenhost", ACCOUNT, "quastenkey", date(2026, 1, 1)))
    settings_secret = store.tokens.make(PERSON, "token of Jane", now)
    store.wishes.ask("browse", PERSON, {"at": f"{SHELF}:{IMAGE}"}, now)
    store.close()

    log = logging.getLogger("slidegate.test")
    with Log(home):
        log.error("cannot read %s", IMAGE, extra={"action": "step_broke"})
        log.error("token %s", settings_secret, extra={"action": "step_broke"})
    lines = JsonLines("worker")
    record = logging.LogRecord("slidegate", logging.ERROR, "x", 1, f"{IMAGE} of {PERSON}", (), None)
    record.__dict__ |= {"action": "step_failed", "code": "disk-full", "run": "68fdded14009", "person": PERSON}
    record.__dict__ |= {
        "site": HOST,
        "address": "10.11.12.13",
        "tries": 3,
        "task": IMAGE,
        "route": f"/{IMAGE}",
    }
    (home / "serve.log").write_text(
        f'{lines.format(record)}\n{{"at": "{IMAGE}", "level": "{PERSON}"}}\nnonsense about {IMAGE}\n'
        f"Traceback (most recent call last):\n"
        f'  File "/home/{PERSON}/x/slidegate/worker/staging.py", line 7, in f\n'
        f"    open({IMAGE!r})\nFileNotFoundError: {IMAGE}\n"
    )
    return settings


def test_a_bundle_names_nobody_and_holds_no_secret(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    write_bundle(path, settings)
    with zipfile.ZipFile(path) as made:
        texts = {name: made.read(name).decode() for name in made.namelist()}
    whole = "\n".join([*texts, *texts.values()])
    for planted in PLANTED:
        assert planted.lower() not in whole.lower(), planted
    assert not re.search(r"sg_|argon2|10\.11\.12|/home|/tmp", whole)


def test_a_bundle_tells_what_helps(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    write_bundle(path, settings)
    with zipfile.ZipFile(path) as made:
        told = {name: json.loads(made.read(name)) for name in made.namelist() if name.endswith(".json")}
        lines = made.read("serve.log").decode().splitlines()
        old = made.read("slidegate.log").decode()
    assert told["versions.json"]["libraries"]["slidegate"]
    assert told["settings.json"]["database_url"] == {"set": True, "value": "sqlite"}
    assert told["settings.json"]["shelves"] == {"set": True, "number": 1}
    assert {"check": "store", "ok": True} in told["checks.json"]
    assert sum(told["counts.json"]["accounts"].values()) == 1
    assert told["counts.json"]["wishes"] == {"browse open": 1}
    first = json.loads(lines[0])
    assert (first["action"], first["code"], first["run"], first["tries"]) == (
        "step_failed",
        "disk-full",
        "68fdded14009",
        3,
    )
    assert "slidegate/worker/staging.py 7 f" in lines
    assert "FileNotFoundError" in lines
    assert "ERROR step_broke" in old


def test_what_is_left_out_of_a_log_is_counted() -> None:
    assert list(harmless_lines(["Jane", "Doe", "KeyError: Jane"])) == ["KeyError", '{"lines_left_out": 2}']
