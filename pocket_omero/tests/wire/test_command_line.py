# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody starts it on a folder, logs in, and ends it."""

import re
import signal
import subprocess
import sys

import omero
import omero.all
import pytest
from omero.clients import BaseClient
from omero.rtypes import rstring

pytestmark = pytest.mark.slow


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


def test_it_says_where_it_is_who_may_log_in_and_that_it_is_never_for_data(tmp_path):
    process, port, words = started(tmp_path)
    with process:
        assert "never for data" in words
        password = re.search(r"demo +password (\S+)", words)[1]
        client = logged_in(port, "demo", password)
        assert client.sf.getAdminService().getEventContext().userName == "demo"
        client.closeSession()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert password not in (tmp_path / ".pocket-omero" / "log").read_text()


def test_what_was_answered_survives_a_kill(tmp_path):
    process, port, words = started(tmp_path)
    password = re.search(r"demo +password (\S+)", words)[1]
    client = logged_in(port, "demo", password)
    tag = omero.model.TagAnnotationI()
    tag.textValue = rstring("kept")
    number = client.sf.getUpdateService().saveAndReturnObject(tag).id.val
    with process:
        process.kill()
    client.closeSession()
    process, port, _ = started(tmp_path)
    client = logged_in(port, "demo", password)
    assert client.sf.getQueryService().get("TagAnnotation", number).textValue.val == "kept"
    client.closeSession()
    with process:
        process.terminate()
        assert process.wait(10) == 0


def test_what_it_cannot_do_is_said_in_a_sentence(tmp_path):
    (tmp_path / "people.yml").write_text("groups: {lab: everybody}\n")
    command = [sys.executable, "-m", "pocket_omero.cli", "serve", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "everybody" in done.stderr
    assert "Traceback" not in done.stderr


def test_operations_are_listed_as_supported_or_refused():
    command = [sys.executable, "-m", "pocket_omero.cli", "operations"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "IQuery.findByQuery\tsupported\n" in done.stdout
    assert "ISession.createUserSession\tsupported\n" in done.stdout
