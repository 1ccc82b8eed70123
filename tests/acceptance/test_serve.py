# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate serve``: pages for one person, by real processes that are really killed."""

import json
import os
import re
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jsonschema
import pytest

from slidegate.cli import main
from slidegate.client import Client, NotSignedIn, Problem, Refused, sign_in
from slidegate.domain.hooks import SIGNATURE, TIMESTAMP, signature
from tests.acceptance.served import ROOT, SLIDEGATE, Served, note_of, until

pytestmark = pytest.mark.slow
SCHEMA = json.loads((ROOT / "src" / "slidegate" / "cli" / "answer.schema.json").read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Pages that are served; whoever ends them starts them again."""
    made = Served(tmp_path_factory.mktemp("served"))
    made.draw(24)
    made.start()
    yield made
    if made.process.poll() is None:
        made.stop()


class Typed(NamedTuple):
    """What became of a command."""

    status: int
    out: str
    err: str


Type = Callable[..., Typed]


@pytest.fixture
def type_(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command; it is carried out in this process, which is what takes long otherwise."""
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)

    def typed(*words: object) -> Typed:
        monkeypatch.setattr("sys.argv", ["slidegate", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Typed(int(left.value.code or 0), said.out, said.err)

    return typed


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with served.client() as made:
        until(lambda: made.workflows())  # the worker has heard what the site offers
        yield made


def test_the_link_signs_its_person_in_once(served: Served) -> None:
    with httpx.Client(base_url=served.url, timeout=30) as browser:
        assert browser.get("/v1/session").status_code == 401
        assert browser.get(served.link).headers["location"] == "/"
        assert browser.get("/v1/session").json()["person"] == "ada"
    with httpx.Client(base_url=served.url, timeout=30) as other:
        assert other.get(served.link).status_code >= 400
        assert other.get("/v1/session").status_code == 401


def test_the_same_command_again_gives_another_link_to_the_same_pages(served: Served) -> None:
    again = served.call("serve")
    assert again.returncode == 0, again.stderr
    link = again.stdout.strip()
    assert link.startswith(f"{served.url}/login?link=")
    assert link != served.link
    assert httpx.get(link, timeout=30).status_code == 303
    elsewhere = served.call("serve", served.folder)
    assert elsewhere.returncode == 2
    assert str(note_of(served.home)["process"]) in elsewhere.stderr


def test_a_run_that_python_asks_for_comes_back_with_its_results(
    served: Served, client: Client, tmp_path: Path
) -> None:
    assert [entry.name for entry in client.browse().folders] == ["images"]
    images = list(client.images("images:"))
    assert images[:2] == ["images:image0.tif", "images:image1.tif"]
    assert client.estimate("count_bytes", images[:2]).images == 2
    launched = client.launch("count_bytes", images[:2], key="one click")
    repeated = client.launch("count_bytes", images[:2], key="one click")
    assert (launched.outcome, repeated.run) == ("created", launched.run)
    seen: list[str] = []
    run = client.wait_for(launched.run, 60, lambda run: seen.append(run.state))
    assert (run.state, run.person, run.counts) == ("succeeded", "ada", {"succeeded": 2})
    assert seen[-1] == "succeeded"
    tasks = list(client.tasks(run.run))
    assert [(task.number, task.name, task.published) for task in tasks] == [
        (1, "image0.tif", True),
        (2, "image1.tif", True),
    ]
    paths = client.download(run.run, 1, tmp_path / "out")
    assert tmp_path / "out" / "summary.json" in paths
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["files"] >= 2
    kinds = [event.kind for event in client.history(run.run)]
    assert kinds.count("published") == 2
    assert [each.run for each in client.runs(mine=True)] == [run.run]
    assert client.costs(run.run)["images"] == 2


def test_what_cannot_be_is_refused_in_words_and_by_code(client: Client, served: Served) -> None:
    with pytest.raises(Refused, match="image"):
        client.launch("count_bytes", ["images:nothing.tif"])
    with pytest.raises(Refused) as refused:
        client.launch("count_bytes", ["images:image0.tif"], {"colour": 1})
    assert refused.value.errors[0]["name"] == "colour"
    with Client(served.url, "sg_" + "x" * 43) as stranger, pytest.raises(NotSignedIn):
        stranger.session()


def test_nothing_is_lost_when_api_and_worker_are_killed(served: Served, client: Client) -> None:
    images = list(client.images("images:"))
    run = client.launch("count_bytes", images, again=True).run
    served.kill("worker")
    served.kill("api")
    ended = client.wait_for(run, 90)
    assert ended.counts == {"succeeded": len(images)}
    published = [event.task for event in client.history(run) if event.kind == "published"]
    assert sorted(published) == sorted(task.task for task in client.tasks(run))


def test_the_commands_work_on_a_server_as_they_do_here(
    served: Served, client: Client, tmp_path: Path, type_: Type
) -> None:
    server = ("--server", served.url)
    stranger = type_("runs", *server)
    assert (stranger.status, "login" in stranger.err) == (2, True)
    token = type_("token", "make", "command line").out
    assert token.startswith("sg_")
    given = tmp_path / "token"
    given.write_text(token)
    with given.open() as file:
        assert "You are ada" in type_("login", *server, "--fd", file.fileno()).err
    kept = served.folder / "config" / "slidegate" / "servers.json"
    assert kept.stat().st_mode & 0o777 == 0o600

    assert "count_bytes" in type_("workflow", "list", *server).out
    out = tmp_path / "out"
    asked = type_(
        "run", "count_bytes", "images:image5.tif", *server, "--param", "byte=7", "--out", out, "--json"
    )
    assert asked.status == 0, asked.err
    answer = json.loads(asked.out)
    jsonschema.validate(answer, SCHEMA)
    assert answer["images"][0]["results"] == str(out / "image5")
    assert answer["images"][0]["summary"]["files"] >= 2
    assert (out / "image5" / "summary.json").exists()
    run = answer["run"]
    assert run[:8] in type_("runs", *server).out
    assert run[:8] in type_("runs").out
    assert json.loads(type_("show", run[:6], *server, "--json").out)["run"] == run
    assert "nothing to cancel" in type_("cancel", run, *server).err
    assert "none is tried again" in type_("retry", run, *server).err
    assert type_("log", run, *server).status == 0
    assert f"run {run}" in type_("delete", run, *server, "--results").out
    gone = type_("show", run, *server)
    assert (gone.status, "unknown-run" in gone.err) == (2, True)
    assert "forgotten" in type_("logout", *server).err


def test_signing_in_with_a_password_gives_a_token_that_works(
    served: Served, client: Client, tmp_path: Path, type_: Type
) -> None:
    given = tmp_path / "password"
    given.write_text("correct horse battery\n")
    with given.open() as file:
        assert type_("person", "password", "ada", "--fd", file.fileno()).status == 0
    token = sign_in(served.url, "ada", "correct horse battery", "laptop", days=1)
    with Client(served.url, token) as signed_in:
        assert signed_in.session().person == "ada"
    with pytest.raises(Problem) as refused:
        sign_in(served.url, "ada", "incorrect horse", "laptop")
    assert refused.value.code == "wrong-password"


@pytest.fixture(scope="module")
def page(served: Served, client: Client) -> str:
    """The page Script it, for these pages and a workflow that takes a second."""
    for day, number in (("day1", 3), ("day2", 4)):
        (served.images / day).mkdir()
        (served.images / f"image{number}.tif").rename(served.images / day / f"slide{number}.tif")
    text = (ROOT / "docs" / "how-to" / "script-it.md").read_text("utf-8")
    for written, here in (
        ("https://slidegate.example.org", served.url),
        ("slides:", "images:"),
        ('summary["nuclei"]', 'summary["files"]'),
        ("nuclei", "count_bytes"),
        ("diameter_um", "byte"),
    ):
        text = text.replace(written, here)
    return text


def test_the_python_of_the_page_script_it_works_as_it_is_written(
    page: str,
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = "told once"
    names: dict[str, Any] = {"json": json, "secret": secret, "token": served.token()}
    blocks = re.findall("^```python\n(.*?)^```", page, re.S | re.M)
    for block in blocks:
        exec(compile(block, "script-it.md", "exec"), names)
    assert len(blocks) == 4
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "succeeded {'succeeded': 1}"
    assert printed[1].startswith("slide3.tif ")
    assert printed[2].split(" ")[1:] == ["['byte']"]
    assert (tmp_path / "results" / "slide3.tif" / "summary.json").exists()

    body, now = b'{"run": "r", "state": "failed"}', int(time.time())
    headers = {TIMESTAMP: str(now), SIGNATURE: signature(secret, now, body)}
    assert names["received"](headers, body) == 204
    assert names["received"]({}, body) == 403
    assert capsys.readouterr().out == "r failed\n"


def test_the_commands_of_the_page_script_it_work_as_they_are_written(
    page: str, served: Served, tmp_path: Path
) -> None:
    token = served.token()
    served.call("login", "--server", served.url, "--fd", 0, given=token)
    blocks = re.findall("^```sh\n(.*?)^```", page, re.S | re.M)
    path = f"{SLIDEGATE.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env={**served.environment, "PATH": path, "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(blocks) == 2
    assert json.loads((tmp_path / "answer.json").read_text())["state"] == "succeeded"
    assert (tmp_path / "results" / "day1" / "slide3" / "summary.json").exists()
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert any(name.endswith("summary.json") for name in archive.namelist())


def test_pages_that_others_could_read_on_the_way_are_not_served(served: Served) -> None:
    refused = served.call("api", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "not-for-the-network" in refused.stderr
    assert "trusted_proxies" in refused.stderr


def test_when_the_command_is_killed_what_it_started_ends_and_the_next_one_goes_on(
    served: Served, client: Client
) -> None:
    run = client.launch("count_bytes", list(client.images("images:"))[:8], again=True).run
    until(lambda: len(served.children()) == 2)
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.communicate()
    until(lambda: served.children() == [])
    served.start()
    with served.client() as again:
        assert again.wait_for(run, 60).state == "succeeded"


def test_it_ends_cleanly(served: Served) -> None:
    status, said = served.stop()
    assert status == 0, said
    assert served.children() == []
    assert not (served.home / "serve.json").exists()
