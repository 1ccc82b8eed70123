# SPDX-License-Identifier: GPL-2.0-or-later
"""A server starts at once, stops clean, and finds everything again."""

import socket
import stat
import time
from contextlib import suppress

import Glacier2
import Ice
import omero
import omero.all
import pytest
from omero.rtypes import rstring
from pocket_omero.server import InUse, NotRunning, Server
from pocket_omero.testing import PEOPLE, fill

pytestmark = pytest.mark.slow  # a server starts


@pytest.fixture
def folder(tmp_path):
    fill(tmp_path)
    return tmp_path


def a_tag(client, words):
    tag = omero.model.TagAnnotationI()
    tag.textValue = rstring(words)
    return client.sf.getUpdateService().saveAndReturnObject(tag).id.val


def test_a_server_starts_and_stops_in_well_under_a_second(folder):
    with Server(folder):
        pass  # what is imported once is not counted
    begin = time.monotonic()
    with Server(folder) as server, server.client(*PEOPLE["member"]):
        pass
    assert time.monotonic() - begin < 1


def test_what_was_written_survives_and_sessions_do_not(folder):
    with Server(folder) as server, server.client(*PEOPLE["member"]) as client:
        number = a_tag(client, "kept")
        key = client.getSessionId()
        client.sf.detachOnDestroy()
    with Server(folder) as server:
        with pytest.raises(Glacier2.PermissionDeniedException):
            server.client(key, key)
        with server.client(*PEOPLE["member"]) as client:
            assert client.sf.getQueryService().get("TagAnnotation", number).textValue.val == "kept"


def test_a_restart_takes_sessions_and_leaves_data_at_the_same_port(folder):
    with Server(folder) as server:
        client = server.client(*PEOPLE["member"])
        number, port = a_tag(client, "kept"), server.port
        server.restart()
        assert server.port == port
        with pytest.raises(Ice.LocalException):
            client.sf.getConfigService().getVersion()
        with suppress(Ice.Exception):
            client.closeSession()
        with server.client(*PEOPLE["member"]) as again:
            assert again.sf.getQueryService().get("TagAnnotation", number).textValue.val == "kept"


def test_passwords_are_kept_hashed_where_nobody_else_reads(folder):
    with Server(folder) as server, server.client(*PEOPLE["member"]):
        assert stat.S_IMODE(server.home.stat().st_mode) == 0o700
    for file in server.home.rglob("*"):
        if file.is_file():
            assert PEOPLE["member"][1].encode() not in file.read_bytes(), file


def test_several_servers_run_at_once_and_know_nothing_of_each_other(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fill(tmp_path / name)
    with (
        Server(tmp_path / "one") as one,
        Server(tmp_path / "two") as two,
        one.client(*PEOPLE["member"]) as first,
        two.client(*PEOPLE["member"]) as second,
    ):
        a_tag(first, "of one")
        assert len(first.sf.getQueryService().findAll("TagAnnotation", None)) == 1
        assert second.sf.getQueryService().findAll("TagAnnotation", None) == []
        with pytest.raises(Glacier2.PermissionDeniedException):
            two.client(first.getSessionId(), first.getSessionId())


def test_a_port_that_is_taken_is_said(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            Server(folder, port=port).start()
    with Server(folder, port=port) as server:  # and nothing of the failure is left
        assert server.port == port


def test_two_servers_do_not_share_a_home(folder):
    with Server(folder), pytest.raises(InUse, match="another server"):
        Server(folder).start()
    with Server(folder):
        pass


def test_a_server_that_does_not_run_says_so(folder):
    server = Server(folder)
    with pytest.raises(NotRunning):
        _ = server.house
    server.start()
    server.start()
    server.stop()
    server.stop()
    with pytest.raises(NotRunning):
        _ = server.house
