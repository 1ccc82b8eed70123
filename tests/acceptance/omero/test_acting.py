# SPDX-License-Identifier: BSD-3-Clause
"""Acting in OMERO for a person: with their rights and no more, and never for longer than is needed."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytestmark = [pytest.mark.omero, pytest.mark.slow]  # a server starts

PEOPLE = """
groups: {lab: read-annotate, shelf: read-only, other: private}
people:
  alice: {password: secret-a, groups: [lab, shelf]}
  bob: {password: secret-b, groups: [lab, shelf]}
  carol: {password: secret-c, groups: [other]}
  root: {password: secret-r}
  slidegate: {password: secret-s, groups: [lab], administrator: true, privileges: [Sudo]}
  helper: {password: secret-h, groups: [lab], administrator: true, privileges: [ModifyUser]}
datasets:
  Slides: {owner: alice, group: lab, images: ["slides/*"]}
  Shelf: {owner: alice, group: shelf, images: ["shelf/*"]}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    from pocket_omero.server import Server

    folder = tmp_path_factory.mktemp("acting")
    for name in ("slides", "shelf"):
        (folder / name).mkdir()
        tifffile.imwrite(folder / name / f"{name}.tif", np.zeros((16, 16), np.uint8))
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as started:
        yield started


@pytest.fixture(scope="module")
def server(house):
    from slidegate.sources.omero.connection import Server

    return Server(house.host, house.port, house.authority)


@pytest.fixture
def account(server, tmp_path):
    """Writes the file of an account that acts for people."""

    def write(name="slidegate", password="secret-s", mode=0o600) -> Path:
        said = {"host": server.host, "port": server.port, "ca": str(server.ca)}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**said, "name": name, "password": password}))
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def sudo(account):
    from slidegate.sources.omero.acting import Sudo

    return Sudo(account())


def who(connection):
    context = connection.services("Admin").getEventContext()
    return context.userName, context.groupName


def open_sessions(house, person):
    return [s for s in house.house.sessions.all() if s.person["omeName"] == person]


def image_in(house, name):
    [row] = [row for row in house.house.state.all("Image") if row["name"] == f"{name}.tif"]
    return row.id


def test_a_restricted_administrator_is_a_person_in_the_group_of_the_data_while_the_block_runs(house, sudo):
    with sudo.acting("alice", "shelf") as connection:
        assert who(connection) == ("alice", "shelf")
        [session] = open_sessions(house, "alice")
        assert session.sudoer["omeName"] == "slidegate"
        assert 0 < session.idle <= 5 * 60_000
        assert 0 < session.live <= 30 * 60_000
        assert open_sessions(house, "slidegate") == []  # its own has ended already
    assert open_sessions(house, "alice") == []


def test_who_is_acted_for_has_no_right_of_the_administrator(house, sudo):
    with sudo.acting("carol", "other") as connection:
        context = connection.services("Admin").getEventContext()
        assert not context.isAdmin
        assert connection.query("select i.id from Image i") == []


def test_the_session_ends_when_the_block_fails_and_when_its_connection_was_lost(house, sudo):
    from slidegate.sources.omero.errors import OmeroError

    with pytest.raises(ZeroDivisionError), sudo.acting("alice", "lab"):
        raise ZeroDivisionError
    assert open_sessions(house, "alice") == []
    with pytest.raises(OmeroError), sudo.acting("alice", "lab") as connection:
        house.faults.set(drop_after=1, drop_on="IQuery.*")
        try:
            for _ in range(3):
                connection.query("select i.id from Image i")
        finally:
            house.faults.clear()
            assert len(open_sessions(house, "alice")) == 1
    assert open_sessions(house, "alice") == []


def test_a_session_that_was_killed_or_ran_out_meanwhile_is_told_and_leaves_nothing(house, sudo):
    from slidegate.sources.omero.errors import OmeroSessionGoneError

    with pytest.raises(OmeroSessionGoneError), sudo.acting("alice", "lab") as connection:
        house.expire_sessions("alice")
        connection.query("select i.id from Image i")
    assert open_sessions(house, "alice") == []


def test_nobody_is_acted_for_where_omero_does_not_allow_it(account, sudo):
    from slidegate.sources.omero.acting import OmeroNotActingError, Sudo

    cases = [
        (Sudo(account("helper", "secret-h")), "alice", "lab"),  # an administrator without Sudo
        (Sudo(account("bob", "secret-b")), "alice", "lab"),
        (sudo, "carol", "lab"),  # not, or not any more, in the group
        (sudo, "nobody", "lab"),
    ]
    for acts, person, group in cases:
        with pytest.raises(OmeroNotActingError, match="Sudo"), acts.acting(person, group):
            pass


def test_credentials_that_others_could_read_or_replace_are_not_used(account, sudo, tmp_path):
    from slidegate.sources.omero.acting import read_account
    from slidegate.sources.omero.private import SecretOpenError, SecretUnreadableError

    for mode in (0o640, 0o604, 0o620):
        with pytest.raises(SecretOpenError, match="chmod 600"):
            read_account(account(mode=mode))
    good = account()
    (tmp_path / "link").symlink_to(good)
    for path in (tmp_path / "link", tmp_path / "nothing"):
        with pytest.raises(SecretUnreadableError):
            read_account(path)
    (tmp_path / "half").write_text('{"host": "here"}')
    (tmp_path / "half").chmod(0o600)
    with pytest.raises(SecretUnreadableError, match="name"):
        read_account(tmp_path / "half")
    assert "secret-s" not in repr(read_account(good))


def test_an_authority_that_cannot_be_read_is_said_to_be_so(server, tmp_path):
    from slidegate.sources.omero.connection import Connection, Server
    from slidegate.sources.omero.errors import OmeroAuthorityError

    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("nothing.pem", "empty.pem"):
        with pytest.raises(OmeroAuthorityError, match=name):
            Connection.login(Server(server.host, server.port, tmp_path / name), "alice", "secret-a")


def test_rights_are_those_of_the_person(house, sudo):
    from slidegate.sources.omero.acting import OmeroNotWritableError, check_rights
    from slidegate.sources.omero.errors import OmeroNotPermittedError

    slide, shelf = image_in(house, "slides"), image_in(house, "shelf")
    with sudo.acting("alice", "lab") as connection:
        found = check_rights(connection, [slide, shelf], writing=True)
        assert {right.group_name for right in found.values()} == {"lab", "shelf"}
    with sudo.acting("bob", "lab") as connection:
        assert check_rights(connection, [slide], writing=True)[slide].writable
        assert not check_rights(connection, [shelf], writing=False)[shelf].writable
        with pytest.raises(OmeroNotWritableError, match=str(shelf)):
            check_rights(connection, [slide, shelf], writing=True)
    with sudo.acting("carol", "other") as connection, pytest.raises(OmeroNotPermittedError):
        check_rights(connection, [slide], writing=False)


def test_rights_that_were_taken_away_while_a_job_waited_are_noticed(house, sudo):
    import omero.model

    from slidegate.sources.omero.acting import check_rights
    from slidegate.sources.omero.errors import OmeroNotPermittedError

    slide = image_in(house, "slides")
    with sudo.acting("bob", "shelf") as connection:
        check_rights(connection, [slide], writing=True)
        with house.client("root", "secret-r") as root:
            admin = root.sf.getAdminService()
            bob, lab = (
                admin.lookupExperimenter("bob"),
                omero.model.ExperimenterGroupI(admin.lookupGroup("lab").id.val, False),
            )
            admin.removeGroups(bob, [lab])
            try:
                with pytest.raises(OmeroNotPermittedError):
                    check_rights(connection, [slide], writing=True)
            finally:
                admin.addGroups(bob, [lab])


@pytest.fixture
def grants(tmp_path):
    from slidegate.sources.omero.grants import Grants

    return Grants(tmp_path / "grants", tmp_path / "secret" / "grants.key")


def granted(server, person="alice", hours=1.0):
    from slidegate.sources.omero.acting import grant

    return grant(server, person, f"secret-{person[0]}", hours)


def test_a_session_that_a_person_grants_lives_on_without_the_password(house, server, grants):
    given = granted(server)
    assert (given.person, given.idle_s) == ("alice", 3600)
    grants.keep(server, "alice", given.key)
    for _ in range(2):  # leaving does not end it
        with grants.acting(server, "alice") as connection:
            assert who(connection)[0] == "alice"
    assert grants.revoke(server, "alice")
    assert open_sessions(house, "alice") == []
    assert not grants.revoke(server, "alice")


def test_where_omero_allows_less_a_grant_is_as_long_as_it_allows(house, server):
    from slidegate.sources.omero.acting import end_session
    from slidegate.sources.omero.connection import Connection

    limit = "omero.sessions.max_user_time_to_idle"
    for most, expected in (("6000000", 6000), ("600000", 600)):
        house.house.config[limit] = most
        try:
            given = granted(server, hours=12)
        finally:
            del house.house.config[limit]
        assert given.idle_s == expected
        with Connection.join(server, given.key) as connection:
            end_session(connection, given.key)


def test_grants_are_encrypted_at_rest_and_readable_by_this_account_alone(server, grants, tmp_path):
    grants.keep(server, "alice", "the-key-of-alice")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        held = path.read_bytes()
        assert b"the-key-of-alice" not in held
        assert b"alice" not in held
        assert b"alice" not in os.fsencode(path.name)
    assert grants.key(server, "alice") == "the-key-of-alice"


def test_a_grant_that_was_put_in_the_place_of_anothers_is_not_used(server, grants, tmp_path):
    from slidegate.sources.omero.private import SecretUnreadableError

    grants.keep(server, "alice", "a")
    [first] = (tmp_path / "grants").iterdir()
    grants.keep(server, "bob", "b")
    [second] = set((tmp_path / "grants").iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    with pytest.raises(SecretUnreadableError, match="somebody else"):
        grants.key(server, "bob")
    second.write_bytes(b"noise")
    with pytest.raises(SecretUnreadableError, match="damaged"):
        grants.key(server, "bob")


def test_a_grant_whose_session_has_ended_is_forgotten_and_said_to_be_gone(house, server, grants):
    from slidegate.sources.omero.grants import OmeroNoGrantError

    grants.keep(server, "alice", granted(server).key)
    house.expire_sessions("alice")
    for _ in range(2):
        with pytest.raises(OmeroNoGrantError):
            grants.acting(server, "alice")
    with pytest.raises(OmeroNoGrantError):
        grants.key(server, "carol")


def test_many_grants_are_kept_alive_by_one_connection(house, server):
    from slidegate.sources.omero.acting import keep_alive
    from slidegate.sources.omero.connection import Connection

    keys = [granted(server, person, hours=0.4 / 3600).key for person in ("alice", "bob", "carol")]
    with Connection.login(server, "alice", "secret-a") as connection:
        for _ in range(6):
            time.sleep(0.1)
            assert keep_alive(connection, keys) == []
        house.expire_sessions("bob")
        assert keep_alive(connection, keys) == [keys[1]]
        time.sleep(0.5)
        assert keep_alive(connection, keys) == keys
