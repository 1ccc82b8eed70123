# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients log in, join by key, call back, and come to an end."""

import subprocess
import sys
import threading
import time

import Glacier2
import Ice
import omero
import omero.all
import pytest
from omero.clients import BaseClient
from omero.gateway import BlitzGateway

pytestmark = pytest.mark.slow  # a server starts


def until(what, seconds=5.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def client_of(place, **properties):
    return BaseClient(pmap={"omero.host": place.host, "omero.port": str(place.port), **properties})


def test_a_person_logs_in_with_a_password(pocket_omero):
    with pocket_omero.client() as client:
        context = client.sf.getAdminService().getEventContext()
        assert context.userName == pocket_omero.person()[0]
        assert context.sessionUuid == client.getSessionId()
        assert context.groupName not in ("user", "system")


@pytest.mark.parametrize("password", ["wrong", "secret-b", " "])
def test_a_wrong_password_opens_nothing(pocket_omero, password):
    client = client_of(pocket_omero)
    with pytest.raises(Glacier2.PermissionDeniedException):
        client.createSession(pocket_omero.person()[0], password)
    client.closeSession()


def test_nobody_logs_in_as_somebody_unknown_or_with_a_dead_key(pocket_omero):
    for name in ("nobody", "5c8f0b1e-0000-0000-0000-000000000000"):
        client = client_of(pocket_omero)
        with pytest.raises(Glacier2.PermissionDeniedException):
            client.createSession(name, name)
        client.closeSession()


def test_guests_log_in_without_a_password_of_theirs(pocket_omero):
    client = client_of(pocket_omero)
    client.createSession("guest", "guest")
    assert client.sf.getAdminService().getEventContext().userName == "guest"
    client.closeSession()


def test_a_gateway_says_why_it_did_not_connect(pocket_omero):
    conn = BlitzGateway(pocket_omero.person()[0], "wrong", host=pocket_omero.host, port=pocket_omero.port)
    assert not conn.connect()
    assert "Password check failed" in str(conn.getLastError())
    conn.close()


def test_a_group_can_be_chosen_at_login_if_one_is_in_it(pocket_omero):
    name, password = pocket_omero.person()
    with pocket_omero.client() as client:
        group = client.sf.getAdminService().getEventContext().groupName
    client = client_of(pocket_omero, **{"omero.group": group})
    client.createSession(name, password)
    assert client.sf.getAdminService().getEventContext().groupName == group
    client.closeSession()
    other = client_of(pocket_omero, **{"omero.group": "system"})
    with pytest.raises(Glacier2.CannotCreateSessionException, match="not a member of group"):
        other.createSession(name, password)
    other.closeSession()


def test_a_session_is_joined_by_its_key_and_outlives_the_guest_who_leaves(pocket_omero):
    with pocket_omero.client() as first:
        key, service = first.getSessionId(), first.sf.getSessionService()
        second = client_of(pocket_omero)
        second.joinSession(key)
        assert second.getSessionId() == key
        assert service.getReferenceCount(key) == 2
        second.closeSession()
        until(lambda: service.getReferenceCount(key) == 1)


def test_a_session_ends_with_the_last_who_leaves(pocket_omero):
    with pocket_omero.client() as client:
        key = client.getSessionId()
    late = client_of(pocket_omero)
    with pytest.raises(Glacier2.PermissionDeniedException):
        late.joinSession(key)
    late.closeSession()


def test_a_session_outlives_who_detaches(pocket_omero):
    with pocket_omero.client() as client:
        key = client.getSessionId()
        client.sf.detachOnDestroy()
    again = client_of(pocket_omero)
    again.joinSession(key)
    again.killSession()


def test_a_killed_session_is_dead_for_all_who_hold_it(pocket_omero):
    with pocket_omero.client() as first:
        second = client_of(pocket_omero)
        second.joinSession(first.getSessionId())
        assert second.killSession() == 2
        with pytest.raises(omero.RemovedSessionException):
            first.sf.getAdminService().getEventContext()


def test_one_connection_has_one_session(pocket_omero):
    with pocket_omero.client() as client:
        router = client.getRouter(client.ic)
        with pytest.raises(Glacier2.CannotCreateSessionException):
            router.createSession(*pocket_omero.person())


def test_one_logs_in_again_over_the_connection_of_a_session_that_ended(pocket_omero):
    name, password = pocket_omero.person()
    with pocket_omero.client() as client:
        pocket_omero.server.expire_sessions(name)
        factory = client.getRouter(client.ic).createSession(name, password)
        again = omero.api.ServiceFactoryPrx.uncheckedCast(factory)
        assert again.getAdminService().getEventContext().userName == name


def test_logging_out_twice_is_said(pocket_omero):
    client = client_of(pocket_omero)
    with pytest.raises(Glacier2.SessionNotExistException):
        client.getRouter(client.ic).destroySession()
    client.closeSession()


def test_servants_of_others_are_out_of_reach(pocket_omero):
    with pocket_omero.client() as mine, pocket_omero.client("colleague") as other:
        name = other.sf.createRawFileStore().ice_getIdentity()
        proxy = mine.ic.stringToProxy(mine.ic.identityToString(name)).ice_router(mine.ic.getDefaultRouter())
        with pytest.raises(Ice.ObjectNotExistException):
            omero.api.RawFileStorePrx.uncheckedCast(proxy).size()
        prefix = str(mine.sf).split(" -t")[0]
        assert prefix != str(other.sf).split(" -t")[0]


def test_services_with_a_state_are_listed_kept_alive_and_closed(pocket_omero):
    with pocket_omero.client() as client:
        store, other = client.sf.createRawFileStore(), client.sf.createRawPixelsStore()
        assert len(client.sf.activeServices()) == 2
        assert len(client.getStatefulServices()) == 2
        assert client.sf.keepAlive(store)
        other.close()
        assert not client.sf.keepAlive(other)
        assert client.sf.keepAllAlive([store, other]) == 2
        assert client.sf.activeServices() == [store.ice_getIdentity().name]
        with pytest.raises(Ice.ObjectNotExistException):
            other.getByteWidth()


def test_a_client_hears_that_its_session_ended(pocket_omero):
    heard = threading.Event()
    with pocket_omero.client() as client:
        client.onSessionClosed(heard.set)
        pocket_omero.server.expire_sessions(pocket_omero.person()[0])
        assert heard.wait(5)


def test_the_group_of_a_session_changes_to_those_that_one_is_in_only(pocket_omero):
    with pocket_omero.client() as client:
        admin = client.sf.getAdminService()
        before = admin.getEventContext().groupId
        contexts = [group.id.val for group in client.sf.getSecurityContexts()]
        assert before in contexts
        old = client.sf.setSecurityContext(omero.model.ExperimenterGroupI(before, False))
        assert old.id.val == before
        with pytest.raises(omero.SecurityViolation):
            client.sf.setSecurityContext(omero.model.ExperimenterGroupI(0, False))


def test_a_client_that_is_killed_leaves_nothing_behind(pocket_omero):
    name, password = pocket_omero.person()
    where = {"omero.host": pocket_omero.host, "omero.port": str(pocket_omero.port)}
    code = (
        "import os, omero, omero.clients\n"
        f"c = omero.clients.BaseClient(pmap={where})\n"
        f"c.createSession({name!r}, {password!r})\n"
        "c.sf.createRawPixelsStore()\nprint(c.getSessionId(), flush=True)\nos._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 9
    with pocket_omero.client("admin") as admin:
        service = admin.sf.getSessionService()

        def gone():
            try:
                service.getReferenceCount(done.stdout.strip())
            except omero.RemovedSessionException:
                return True
            return False

        until(gone)
