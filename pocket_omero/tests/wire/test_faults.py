# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong at a real OMERO now and then goes wrong here when a test wants it."""

import json
import time

import Ice
import numpy as np
import omero
import omero.all
import pytest
import tifffile
from omero.rtypes import rstring
from pocket_omero.errors import WrongUse
from pocket_omero.testing import fill

pytestmark = pytest.mark.slow  # a server starts


@pytest.fixture(scope="session")
def pocket_omero(pocket_omero_at, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    fill(folder)
    tifffile.imwrite(folder / "spots.tif", np.arange(64 * 64, dtype="u2").reshape(64, 64))
    return pocket_omero_at(folder)


def tag():
    made = omero.model.TagAnnotationI()
    made.textValue = rstring("a tag")
    return made


def pixels(client):
    query = client.sf.getQueryService()
    found = query.findByQuery("select p from Pixels p", omero.sys.ParametersI(), {"omero.group": "-1"})
    return found.id.val


def test_a_connection_is_lost_after_as_many_calls_as_wanted(pocket_omero, pocket_omero_faults):
    pocket_omero_faults.set(drop_after=2, drop_on="IConfig.*")
    with pocket_omero.client() as client:
        config = client.sf.getConfigService()
        client.sf.getAdminService().getEventContext()  # does not count
        config.getVersion()
        config.getVersion()
        with pytest.raises(Ice.ConnectionLostException):
            config.getVersion()
    with pocket_omero.client() as client:
        client.sf.getConfigService().getVersion()  # once only


def test_connections_are_cut_at_once(pocket_omero):
    with pocket_omero.client() as client, pocket_omero.client("colleague") as other:
        assert pocket_omero.server.drop_connections(pocket_omero.person()[0]) == 1
        with pytest.raises(Ice.LocalException):
            client.sf.getConfigService().getVersion()
        other.sf.getConfigService().getVersion()


def test_sessions_of_a_person_expire(pocket_omero):
    with pocket_omero.client() as client, pocket_omero.client("colleague") as other:
        assert pocket_omero.server.expire_sessions(pocket_omero.person()[0]) >= 1
        with pytest.raises(omero.SessionTimeoutException):
            client.sf.getConfigService().getVersion()
        other.sf.getConfigService().getVersion()


def test_nothing_is_written_while_the_server_only_reads(pocket_omero, pocket_omero_faults):
    with pocket_omero.client() as client:
        update, query = client.sf.getUpdateService(), client.sf.getQueryService()
        before = len(query.findAll("TagAnnotation", None))
        pocket_omero_faults.set(read_only=True)
        with pytest.raises(omero.SecurityViolation, match="only reads"):
            update.saveAndReturnObject(tag())
        handle = client.sf.submit(omero.cmd.Delete2(targetObjects={"Image": [1]}))
        until = time.monotonic() + 5
        while handle.getResponse() is None:
            assert time.monotonic() < until
        assert isinstance(handle.getResponse(), omero.cmd.ERR)
        assert len(query.findAll("TagAnnotation", None)) == before
        assert not query.findAll("Image", None)[0].details.permissions.canEdit()
        pocket_omero_faults.clear()
        assert update.saveAndReturnObject(tag()).id.val
        assert query.findAll("Image", None)[0].details.permissions.canEdit()


def test_tiles_are_slow_or_fail_as_often_as_wanted(pocket_omero, pocket_omero_faults):
    with pocket_omero.client() as client:
        store = client.sf.createRawPixelsStore()
        store.setPixelsId(pixels(client), True)
        good = store.getTile(0, 0, 0, 0, 0, 16, 16)
        pocket_omero_faults.set(tile_delay=0.2)
        begin = time.monotonic()
        assert store.getTile(0, 0, 0, 0, 0, 16, 16) == good
        assert time.monotonic() - begin > 0.19
        pocket_omero_faults.set(tile_delay=0.0, tile_failures=2)
        for _ in range(2):
            with pytest.raises(omero.ResourceError):
                store.getTile(0, 0, 0, 0, 0, 16, 16)
        assert store.getTile(0, 0, 0, 0, 0, 16, 16) == good
        store.close()


def test_tiles_stop_coming_after_as_many_as_wanted_until_all_is_well(pocket_omero, pocket_omero_faults):
    pocket_omero_faults.set(tiles_until=2)
    with pocket_omero.client() as client:
        store = client.sf.createRawPixelsStore()
        store.setPixelsId(pixels(client), True)
        for _ in range(2):
            store.getTile(0, 0, 0, 0, 0, 8, 8)
        late = store.begin_getTile(0, 0, 0, 0, 0, 8, 8)
        client.sf.getConfigService().getVersion()  # what else is asked is answered
        assert not late.isCompleted()
        pocket_omero_faults.clear()
        assert len(store.end_getTile(late)) == 128
        store.close()


def test_any_call_fails_as_wanted_or_takes_its_time(pocket_omero, pocket_omero_faults):
    with pocket_omero.client() as client:
        config = client.sf.getConfigService()
        pocket_omero_faults.set(fail={"IConfig.getVersion": "DatabaseBusyException"})
        with pytest.raises(omero.DatabaseBusyException):
            config.getVersion()
        pocket_omero_faults.set(fail={}, delay={"IConfig.*": 0.1})
        begin = time.monotonic()
        config.getVersion()
        assert time.monotonic() - begin > 0.09


def test_logging_in_fails_as_wanted(pocket_omero, pocket_omero_faults):
    pocket_omero_faults.set(fail={"Router.createSession": "InternalException"})
    with pytest.raises(omero.WrappedCreateSessionException), pocket_omero.client():
        pass


def test_a_fault_that_is_none_is_refused(pocket_omero):
    with pytest.raises(WrongUse, match="tile_delay"):
        pocket_omero.server.faults.set(til_delay=1)
    with pytest.raises(WrongUse, match="wrong-host"):
        pocket_omero.server.act({"certificate": "crumpled"})


def test_another_process_asks_for_faults_in_the_control_file(pocket_omero):
    server = pocket_omero.server
    file = server.home / "control.json"
    name = pocket_omero.person()[0]
    with pocket_omero.client() as client:
        file.write_text(json.dumps({"tile_delay": 0.5, "expire": name}))
        until = time.monotonic() + 5
        while server.faults.tile_delay != 0.5:
            assert time.monotonic() < until
            time.sleep(0.02)
        with pytest.raises(omero.SessionTimeoutException):
            client.sf.getConfigService().getVersion()
    file.write_text("{}")
    while server.faults.tile_delay:
        assert time.monotonic() < until
        time.sleep(0.02)
