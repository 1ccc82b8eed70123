# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody starts it on a folder, logs in, and ends it."""

import re
import signal
import subprocess
import sys
from contextlib import suppress

import Ice
import omero
import omero.all
import pytest
from omero.clients import BaseClient
from omero.rtypes import rstring
from pocket_omero.cli import main


def started(folder, *options):
    """Serve, and read what is said until it is ready: the process, the port, the words."""
    command = [sys.executable, "-m", "pocket_omero.cli", "serve", str(folder), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    words = ""
    for line in process.stdout:
        words += line
        if "Ctrl-C" in line:
            break
    return process, int(re.search(r"at 127.0.0.1:(\d+)", words)[1]), words


def logged_in(port, name, password):
    client = BaseClient(pmap={"omero.host": "127.0.0.1", "omero.port": str(port)})
    client.createSession(name, password)
    return client


@pytest.mark.slow
def test_somebody_starts_it_logs_in_and_finds_everything_after_a_kill(tmp_path):
    process, port, words = started(tmp_path)
    assert "never for data" in words
    password = re.search(r"demo +password (\S+)", words)[1]
    client = logged_in(port, "demo", password)
    tag = omero.model.TagAnnotationI()
    tag.textValue = rstring("kept")
    number = client.sf.getUpdateService().saveAndReturnObject(tag).id.val
    with process:
        process.kill()
    with suppress(Ice.Exception):
        client.closeSession()

    process, port, _ = started(tmp_path)
    client = logged_in(port, "demo", password)
    assert client.sf.getQueryService().get("TagAnnotation", number).textValue.val == "kept"
    client.closeSession()
    with process:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert password not in (tmp_path / ".pocket-omero" / "log").read_text()


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["pocket-omero", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@pytest.mark.slow
def test_what_it_cannot_do_is_said_in_a_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "people.yml").write_text("groups: {lab: everybody}\n")
    assert run(monkeypatch, "serve", tmp_path, "--port", 0) == 1
    assert "everybody" in capsys.readouterr().err
    assert run(monkeypatch, "web", tmp_path, "--setting", "nonsense") == 2


@pytest.mark.slow
def test_operations_are_listed_as_supported_or_refused(monkeypatch, capsys):
    assert run(monkeypatch, "operations") == 0
    words = capsys.readouterr().out
    assert "IQuery.findByQuery\tsupported\n" in words
    assert "ISession.createUserSession\tsupported\n" in words
    assert "IShare.getOwnShares\trefused\n" in words
