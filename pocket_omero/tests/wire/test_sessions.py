# SPDX-License-Identifier: GPL-2.0-or-later
"""ISession: whose sessions one may begin, how long they last, and what they carry."""

import time

import Glacier2
import omero
import omero.all
import pytest
from omero.clients import BaseClient
from omero.rtypes import rlong, rstring
from pocket_omero.server import Server

pytestmark = pytest.mark.slow  # a server starts

PEOPLE = """
groups: {lab: read-annotate, other: private}
people:
  alice: {password: a, groups: [lab], leads: [lab]}
  bob: {password: b, groups: [lab, other]}
  carol: {password: c, groups: [other]}
  root: {password: r}
  sudoer: {password: s, groups: [lab], administrator: true, privileges: [Sudo]}
  helper: {password: h, groups: [lab], administrator: true, privileges: [ModifyUser]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sessions")
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as started:
        yield started


@pytest.fixture
def join(server):
    """Join sessions by key, until the end of the test."""
    joined = []

    def by(key):
        client = BaseClient(pmap={"omero.host": server.host, "omero.port": str(server.port)})
        joined.append(client)
        client.joinSession(key)
        return client

    yield by
    for client in joined:
        client.closeSession()


def for_whom(name, group=None):
    return omero.sys.Principal(name, group, "User", None)


def test_a_person_begins_more_sessions_of_their_own_with_the_password(server, join):
    with server.client("bob", "b") as client:
        service = client.sf.getSessionService()
        made = service.createUserSession(0, 60_000, "other")
        assert made.timeToIdle.val == 60_000
        context = join(made.uuid.val).sf.getAdminService().getEventContext()
        assert (context.userName, context.groupName) == ("bob", "other")
        with pytest.raises(omero.SecurityViolation):
            service.createUserSession(0, 60_000, "system")


def test_a_session_is_begun_for_whoever_gives_the_password(server, join):
    with server.client("alice", "a") as client:
        service = client.sf.getSessionService()
        made = service.createSession(for_whom("bob", "lab"), "b")
        assert join(made.uuid.val).sf.getAdminService().getEventContext().userName == "bob"
        with pytest.raises(omero.SecurityViolation):
            service.createSession(for_whom("bob", "lab"), "wrong")


def test_who_joined_by_a_key_begins_no_session_before_the_password_is_given(server, join):
    with server.client("bob", "b") as client:
        joined = join(client.getSessionId())
        with pytest.raises(omero.SecurityViolation, match="password"):
            joined.sf.getSessionService().createUserSession(0, 60_000, "lab")
        with pytest.raises(omero.SecurityViolation):
            joined.sf.setSecurityPassword("wrong")
        joined.sf.setSecurityPassword("b")
        assert joined.sf.getSessionService().createUserSession(0, 60_000, "lab").uuid.val


def test_a_session_that_was_begun_for_later_stays_when_who_joined_it_leaves(server, join):
    with server.client("bob", "b") as client:
        service = client.sf.getSessionService()
        key = service.createUserSession(0, 60_000, "lab").uuid.val
        join(key).closeSession()
        assert service.getReferenceCount(key) == 1
        session = omero.model.SessionI()
        session.uuid = rstring(key)
        assert service.closeSession(session) == -2
        assert service.closeSession(session) == -1
        with pytest.raises(omero.RemovedSessionException):
            service.getSession(key)


@pytest.mark.parametrize(("who", "password"), [("root", "r"), ("sudoer", "s")])
def test_administrators_with_sudo_begin_sessions_of_others(server, join, who, password):
    with server.client(who, password) as admin:
        made = admin.sf.getSessionService().createSessionWithTimeouts(for_whom("bob"), 0, 60_000)
        context = join(made.uuid.val).sf.getAdminService().getEventContext()
        assert context.userName == "bob"
        assert not context.isAdmin


@pytest.mark.parametrize(("who", "password"), [("bob", "b"), ("helper", "h")])
def test_others_do_not(server, who, password):
    with server.client(who, password) as client, pytest.raises(omero.SecurityViolation):
        client.sf.getSessionService().createSessionWithTimeouts(for_whom("carol"), 0, 60_000)


def test_owners_of_a_group_begin_sessions_of_its_members_in_it(server, join):
    with server.client("alice", "a") as owner:
        service = owner.sf.getSessionService()
        made = service.createSessionWithTimeouts(for_whom("bob", "lab"), 0, 60_000)
        assert join(made.uuid.val).sf.getAdminService().getEventContext().userName == "bob"
        with pytest.raises(omero.SecurityViolation):
            service.createSessionWithTimeouts(for_whom("bob", "other"), 0, 60_000)
        with pytest.raises(omero.SecurityViolation):
            service.createSessionWithTimeouts(for_whom("sudoer", "lab"), 0, 60_000)


def test_sudo_gives_no_more_rights_than_who_did_it_has(server, join):
    with server.client("sudoer", "s") as client:
        made = client.sf.getSessionService().createSessionWithTimeouts(for_whom("root"), 0, 60_000)
        joined = join(made.uuid.val)
        privileges = [p.getValue().val for p in joined.sf.getAdminService().getCurrentAdminPrivileges()]
        assert privileges == ["Sudo"]


def test_nobody_begins_a_session_of_somebody_unknown(server):
    with server.client("root", "r") as admin, pytest.raises(omero.ApiUsageException):
        admin.sf.getSessionService().createSessionWithTimeouts(for_whom("nobody"), 0, 60_000)


def test_a_session_ends_when_nobody_calls_for_a_while(server, join):
    with server.client("bob", "b") as client:
        service = client.sf.getSessionService()
        key = service.createUserSession(0, 200, "lab").uuid.val
        joined = join(key)
        time.sleep(0.3)
        with pytest.raises(omero.SessionTimeoutException):
            joined.sf.getAdminService().getEventContext()
        with pytest.raises(omero.SessionTimeoutException):
            service.getSession(key)


def test_asking_for_a_session_keeps_it_alive(server):
    with server.client("bob", "b") as client:
        service = client.sf.getSessionService()
        key = service.createUserSession(0, 400, "lab").uuid.val
        for _ in range(6):
            time.sleep(0.1)
            assert service.getSession(key).uuid.val == key


def test_a_session_ends_at_the_end_of_its_life_however_busy_it_is(server):
    with server.client("bob", "b") as client:
        service = client.sf.getSessionService()
        key = service.createUserSession(300, 0, "lab").uuid.val
        with pytest.raises(omero.SessionTimeoutException):
            for _ in range(20):
                time.sleep(0.05)
                service.getSession(key)


def test_the_server_ends_by_itself_what_nobody_asks_for(server):
    with server.client("bob", "b") as client:
        key = client.sf.getSessionService().createUserSession(0, 100, "lab").uuid.val
        until = time.monotonic() + 5
        while any(s.uuid == key for s in server.house.sessions.all()):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_clients_leave_values_for_each_other_in_a_session(server, join):
    with server.client("bob", "b") as client:
        client.setInput("channel", rstring("DAPI"))
        joined = join(client.getSessionId())
        assert joined.getInput("channel").val == "DAPI"
        joined.setOutput("count", rlong(7))
        assert client.getOutput("count").val == 7
        assert client.getOutputKeys() == ["count"]
        assert client.sf.getSessionService().getOutputs(client.getSessionId())["count"].val == 7
        client.setInput("channel", None)
        assert client.getInputKeys() == []
        with server.client("alice", "a") as other, pytest.raises(omero.RemovedSessionException):
            other.sf.getSessionService().getOutput(client.getSessionId(), "count")


def test_who_was_made_inactive_does_not_log_in(server):
    with server.client("root", "r") as admin:
        service = admin.sf.getAdminService()
        carol = service.lookupExperimenter("carol")
        user = omero.model.ExperimenterGroupI(1, False)
        service.removeGroups(carol, [user])
        with pytest.raises(Glacier2.PermissionDeniedException, match="not active"):
            server.client("carol", "c")
        service.addGroups(carol, [user])
    with server.client("carol", "c"):
        pass


def test_open_sessions_are_listed_to_their_person(server):
    with server.client("bob", "b") as client, server.client("alice", "a"):
        service = client.sf.getSessionService()
        mine = service.getMyOpenSessions()
        assert client.getSessionId() in [s.uuid.val for s in mine]
        assert {s.details.owner.id.val for s in mine} == {
            client.sf.getAdminService().getEventContext().userId
        }


def test_what_is_written_in_a_session_carries_its_event(server):
    with server.client("bob", "b") as client:
        saved = client.sf.getUpdateService().saveAndReturnObject(omero.model.TagAnnotationI())
        assert saved.details.creationEvent.id.val
        key = client.getSessionId()
    row = next(r for r in server.house.state.all("Session") if r["uuid"] == key)
    assert row["closed"] is not None
    assert [e["experimenter"]["omeName"] for e in server.house.state.many(row, "events")] == ["bob"]


def test_sessions_in_which_nothing_was_written_leave_no_rows(server):
    with server.client("bob", "b") as client:
        key = client.getSessionId()
    assert all(r["uuid"] != key for r in server.house.state.all("Session"))


def test_the_log_names_sessions_by_number_and_never_by_their_key(server, caplog):
    with caplog.at_level("INFO"), server.client("bob", "b") as client:
        key = client.getSessionId()
    assert "of bob opened" in caplog.text
    assert "of bob closed" in caplog.text
    assert key not in caplog.text
