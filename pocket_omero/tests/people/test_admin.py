# SPDX-License-Identifier: GPL-2.0-or-later
"""IAdmin as clients use it: people, groups, privileges, passwords; and who may change them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import Glacier2
import omero
import pytest
from omero.gateway import BlitzGateway
from omero.model import ExperimenterGroupI, ExperimenterI, PermissionsI
from omero.rtypes import rstring, unwrap
from pocket_omero.people import levels
from pocket_omero.server import Server

pytestmark = [pytest.mark.omero, pytest.mark.slow]

PEOPLE = """
groups:
  lab: read-annotate
  hidden: private
people:
  anna: {name: Anna Adams, email: a@example.org, password: anna, groups: [lab, hidden]}
  ben: {name: Ben Brown, password: ben, groups: [lab]}
  olga: {name: Olga Owner, password: olga, groups: [lab], leads: [lab]}
  clerk: {name: Clara Clerk, password: clerk, administrator: true,
          privileges: [ModifyUser, ModifyGroup, ModifyGroupMembership, Sudo]}
  root: {password: root}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("people")
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as made:
        yield made


@pytest.fixture(scope="module")
def admins(server: Server) -> Iterator[Any]:
    """Of somebody: their IAdmin."""
    clients: dict[str, Any] = {}

    def of(name: str) -> Any:
        if name not in clients:
            clients[name] = server.client(name, name)
        return clients[name].sf.getAdminService()

    yield of
    for client in clients.values():
        client.closeSession()


def person(name: str, **values: str) -> Any:
    made = ExperimenterI()
    for field, value in {"omeName": name, "firstName": "First", "lastName": "Last", **values}.items():
        setattr(made, field, rstring(value))
    return made


def group(name: str, permissions: str | None = None) -> Any:
    made = ExperimenterGroupI()
    made.name = rstring(name)
    if permissions:
        made.details.permissions = PermissionsI(permissions)
    return made


def new_person(admins: Any, name: str, *groups: str) -> int:
    root = admins("root")
    rows = [root.lookupGroup(g) for g in groups or ("lab",)]
    return root.createExperimenterWithPassword(person(name), rstring(name), rows[0], [*rows[1:], group_of(1)])


def group_of(id: int) -> Any:
    return ExperimenterGroupI(id, False)


def person_of(id: int) -> Any:
    return ExperimenterI(id, False)


# Who is there


def test_who_calls_is_told_with_groups_and_privileges(admins: Any) -> None:
    anna = admins("anna").getEventContext()
    assert (anna.userName, anna.groupName, anna.isAdmin, list(anna.adminPrivileges)) == (
        "anna",
        "lab",
        False,
        [],
    )
    assert str(anna.groupPermissions) == levels.READ_ANNOTATE
    clerk = admins("clerk").getEventContext()
    assert clerk.isAdmin
    assert sorted(clerk.adminPrivileges) == ["ModifyGroup", "ModifyGroupMembership", "ModifyUser", "Sudo"]
    lab = admins("anna").lookupGroup("lab").id.val
    assert list(admins("olga").getEventContext().leaderOfGroups) == [lab]


def test_the_context_of_a_session_does_not_follow_the_group_of_a_call(admins: Any) -> None:
    assert admins("anna").getEventContext({"omero.group": "-1"}).groupName == "lab"


def test_people_and_groups_are_found_by_name_and_id_with_each_other(admins: Any) -> None:
    admin = admins("ben")
    anna = admin.lookupExperimenter("anna")
    assert (unwrap(anna.firstName), unwrap(anna.email)) == ("Anna", "a@example.org")
    assert [g.name.val for g in anna.linkedExperimenterGroupList()] == ["lab", "hidden", "user"]
    assert admin.getExperimenter(anna.id.val).omeName.val == "anna"
    lab = admin.lookupGroup("lab")
    assert {e.omeName.val for e in lab.linkedExperimenterList()} >= {"anna", "ben", "olga"}
    assert admin.getGroup(lab.id.val).name.val == "lab"
    everybody = {e.omeName.val for e in admin.lookupExperimenters()}
    assert everybody >= {"root", "guest", "anna", "ben", "olga", "clerk"}
    assert {g.name.val for g in admin.lookupGroups()} >= {"system", "user", "guest", "lab", "hidden"}
    assert "anna" in {e.omeName.val for e in admin.containedExperimenters(lab.id.val)}
    assert [g.name.val for g in admin.containedGroups(anna.id.val)] == ["lab", "hidden", "user"]
    assert admin.getMemberOfGroupIds(person_of(anna.id.val))[0] == lab.id.val
    assert admin.getDefaultGroup(anna.id.val).name.val == "lab"


@pytest.mark.parametrize("ask", ["lookupExperimenter", "lookupGroup"])
def test_who_is_not_there_is_an_error(admins: Any, ask: str) -> None:
    with pytest.raises(omero.ApiUsageException, match="nobody"):
        getattr(admins("anna"), ask)("nobody")


def test_the_roles_are_those_of_omero(admins: Any) -> None:
    roles = admins("anna").getSecurityRoles()
    assert (roles.rootId, roles.systemGroupId, roles.userGroupId, roles.guestGroupName) == (0, 0, 1, "guest")


def test_the_gateway_shows_colleagues_and_groups(server: Server) -> None:
    with server.client("olga", "olga") as client:
        conn = BlitzGateway(client_obj=client)
        assert conn.getUser().getName() == "olga"
        assert not conn.isAdmin()
        assert conn.isLeader()
        assert {c.getOmeName() for c in conn.listColleagues()} >= {"anna", "ben"}
        assert [g.getName() for g in conn.listOwnedGroups()] == ["lab"]
        summary = conn.getGroupFromContext().groupSummary()
        assert [leader.getOmeName() for leader in summary[0]] == ["olga"]


# New people and groups


def test_a_new_person_logs_in(server: Server, admins: Any) -> None:
    number = new_person(admins, "dora", "hidden", "lab")
    with server.client("dora", "dora") as client:
        context = client.sf.getAdminService().getEventContext()
        assert (context.userId, context.groupName) == (number, "hidden")


def test_a_login_name_is_used_once_and_names_are_needed(admins: Any) -> None:
    with pytest.raises(omero.ValidationException, match="once"):
        new_person(admins, "anna")
    nameless = ExperimenterI()
    nameless.omeName = rstring("nameless")
    with pytest.raises(omero.ValidationException, match="firstName"):
        admins("root").createUser(nameless, "lab")


def test_a_new_group_is_private_unless_it_says_otherwise(admins: Any) -> None:
    admin = admins("clerk")
    for name, permissions, level in (("quiet", None, levels.PRIVATE), ("loud", "rwrw--", levels.READ_WRITE)):
        number = admin.createGroup(group(name, permissions))
        assert str(admin.getGroup(number).details.permissions) == level
    with pytest.raises(omero.ValidationException):
        admin.createGroup(group("loud"))


@pytest.mark.parametrize("who", ["anna", "olga"])
def test_only_administrators_make_groups(admins: Any, who: str) -> None:
    with pytest.raises(omero.SecurityViolation):
        admins(who).createGroup(group("club"))


def test_the_owner_of_a_group_makes_people_in_it_and_nowhere_else(admins: Any) -> None:
    olga = admins("olga")
    lab, hidden = olga.lookupGroup("lab"), olga.lookupGroup("hidden")
    assert olga.createExperimenter(person("erik"), lab, [group_of(1)])
    with pytest.raises(omero.SecurityViolation, match="neither admin nor group-leader"):
        olga.createExperimenter(person("emma"), hidden, [group_of(1)])
    with pytest.raises(omero.SecurityViolation):
        admins("anna").createExperimenter(person("emma"), lab, [group_of(1)])


def test_nobody_makes_an_administrator_with_more_privileges_than_their_own(admins: Any) -> None:
    clerk = admins("clerk")
    with pytest.raises(omero.SecurityViolation, match="cannot give administrator privileges"):
        clerk.createSystemUser(person("boss"))
    with pytest.raises(omero.ApiUsageException):
        clerk.lookupExperimenter("boss")
    sudo = [p for p in clerk.getCurrentAdminPrivileges() if p.value.val == "Sudo"]
    number = clerk.createRestrictedSystemUserWithPassword(person("sudoer"), sudo, rstring("sudoer"))
    assert [p.value.val for p in clerk.getAdminPrivileges(person_of(number))] == ["Sudo"]
    assert number in [e.id.val for e in clerk.getAdminsWithPrivileges(sudo)]


def test_privileges_are_given_and_taken_within_ones_own(admins: Any) -> None:
    clerk, root = admins("clerk"), admins("root")
    number = clerk.createRestrictedSystemUser(person("junior"), [])
    everything = root.getCurrentAdminPrivileges()
    assert len(everything) == len(levels.PRIVILEGES)
    with pytest.raises(omero.SecurityViolation):
        clerk.setAdminPrivileges(person_of(number), everything)
    root.setAdminPrivileges(person_of(number), everything)
    assert len(root.getAdminPrivileges(person_of(number))) == len(levels.PRIVILEGES)
    with pytest.raises(omero.ApiUsageException, match="root"):
        root.setAdminPrivileges(person_of(0), [])


# Changes


def test_people_change_their_names_and_administrators_those_of_others(admins: Any) -> None:
    number = new_person(admins, "fred")
    fred = admins("fred")
    me = fred.getExperimenter(number)
    me.lastName, me.omeName = rstring("Flint"), rstring("frederick")
    fred.updateSelf(me)
    assert (fred.getExperimenter(number).lastName.val, fred.getEventContext().userName) == ("Flint", "fred")
    with pytest.raises(omero.SecurityViolation):
        admins("ben").updateExperimenter(me)
    admins("clerk").updateExperimenter(me)
    assert fred.getExperimenter(number).omeName.val == "frederick"
    root = admins("clerk").getExperimenter(0)
    root.omeName = rstring("toor")
    with pytest.raises(omero.ValidationException, match="special"):
        admins("clerk").updateExperimenter(root)


def test_people_join_and_leave_groups_and_keep_one(admins: Any) -> None:
    clerk, number = admins("clerk"), new_person(admins, "gina")
    hidden, lab = clerk.lookupGroup("hidden"), clerk.lookupGroup("lab")
    clerk.addGroups(person_of(number), [hidden])
    assert hidden.id.val in clerk.getMemberOfGroupIds(person_of(number))
    clerk.setDefaultGroup(person_of(number), hidden)
    assert clerk.getDefaultGroup(number).name.val == "hidden"
    clerk.removeGroups(person_of(number), [lab])
    with pytest.raises(omero.ValidationException, match="different default group"):
        clerk.removeGroups(person_of(number), [hidden])
    with pytest.raises(omero.ApiUsageException):
        clerk.setDefaultGroup(person_of(number), group_of(levels.USER_GROUP))
    with pytest.raises(omero.SecurityViolation, match="own default group"):
        admins("ben").setDefaultGroup(person_of(number), hidden)
    with pytest.raises(omero.ValidationException, match="root"):
        admins("root").removeGroups(person_of(0), [group_of(0)])


def test_owners_of_a_group_choose_further_owners(admins: Any) -> None:
    olga, number = admins("olga"), new_person(admins, "hugo")
    lab = olga.lookupGroup("lab")
    olga.addGroupOwners(lab, [person_of(number)])
    assert list(olga.getLeaderOfGroupIds(person_of(number))) == [lab.id.val]
    olga.unsetGroupOwner(lab, person_of(number))
    assert list(olga.getLeaderOfGroupIds(person_of(number))) == []
    with pytest.raises(omero.SecurityViolation):
        admins("ben").setGroupOwner(lab, person_of(number))


def test_a_group_changes_its_name_and_level(admins: Any) -> None:
    clerk = admins("clerk")
    club = clerk.getGroup(clerk.createGroup(group("old-name", "rwr---")))
    club.name, club.description = rstring("new-name"), rstring("d")
    club.details.permissions = PermissionsI("rwra--")
    clerk.updateGroup(club)
    again = clerk.lookupGroup("new-name")
    assert (again.description.val, str(again.details.permissions)) == ("d", levels.READ_ANNOTATE)
    with pytest.raises(omero.SecurityViolation):
        admins("olga").updateGroup(again)
    user = clerk.getGroup(levels.USER_GROUP)
    user.name = rstring("people")
    with pytest.raises(omero.ValidationException, match="special"):
        clerk.updateGroup(user)


def test_who_never_logged_in_is_deleted_and_who_did_is_not(server: Server, admins: Any) -> None:
    clerk = admins("clerk")
    number = new_person(admins, "ines")
    clerk.deleteExperimenter(person_of(number))
    with pytest.raises(omero.ApiUsageException, match="No such experimenter"):
        clerk.getExperimenter(number)
    with pytest.raises(omero.ValidationException):
        clerk.deleteExperimenter(person_of(admins("ben").getEventContext().userId))
    with pytest.raises(omero.SecurityViolation):
        admins("anna").deleteExperimenter(person_of(number - 1))
    empty = clerk.createGroup(group("empty"))
    clerk.deleteGroup(group_of(empty))
    state, lab = server.house.state, clerk.lookupGroup("lab")
    state.new(
        "Dataset",
        name="d",
        owner=state.get("Experimenter", 0),
        group=state.get("ExperimenterGroup", lab.id.val),
    )
    with pytest.raises(omero.ValidationException):
        clerk.deleteGroup(lab)
    assert clerk.lookupGroup("lab").sizeOfGroupExperimenterMap() > 3


# Passwords


def test_people_change_their_own_password_and_administrators_that_of_others(
    server: Server, admins: Any
) -> None:
    new_person(admins, "jane")
    with server.client("jane", "jane") as client:
        client.sf.getAdminService().changePassword(rstring("second"))
    with server.client("jane", "second") as client:
        admin = client.sf.getAdminService()
        with pytest.raises(omero.SecurityViolation, match="Old password"):
            admin.changePasswordWithOldPassword(rstring("jane"), rstring("third"))
        admin.changePasswordWithOldPassword(rstring("second"), rstring("third"))
    admins("clerk").changeUserPassword("jane", rstring("fourth"))
    with pytest.raises(Glacier2.PermissionDeniedException):
        server.client("jane", "third")
    server.client("jane", "fourth").closeSession()


def test_who_came_with_a_key_instead_of_a_password_changes_none(server: Server) -> None:
    with server.client("ben", "ben") as client:
        joined = server.client(client.getSessionId(), client.getSessionId())
        with pytest.raises(omero.SecurityViolation, match="Bad authentication credentials"):
            joined.sf.getAdminService().changePassword(rstring("stolen"))
        joined.closeSession()


def test_nobody_changes_the_password_of_somebody_more_privileged(admins: Any) -> None:
    with pytest.raises(omero.SecurityViolation, match="more privileged"):
        admins("clerk").changeUserPassword("root", rstring("mine"))
    with pytest.raises(omero.SecurityViolation):
        admins("olga").changeUserPassword("clerk", rstring("mine"))


# Others


def test_there_is_no_ldap_and_no_mail(server: Server, admins: Any) -> None:
    admin = admins("root")
    assert unwrap(admin.lookupLdapAuthExperimenters()) == []
    assert not admin.lookupLdapAuthExperimenter(0)
    with pytest.raises(omero.ServerError, match="no mail"):
        admin.reportForgottenPassword("anna", "a@example.org")
    with server.client("root", "root") as client:
        ldap = client.sf.getLdapService()
        assert not ldap.getSetting()
        with pytest.raises(omero.ApiUsageException, match="not configured"):
            ldap.findDN("anna")


def test_a_photo_of_oneself_is_kept_and_seen_by_others(server: Server, admins: Any) -> None:
    anna = admins("anna")
    number = anna.uploadMyUserPhoto("me.png", "image/png", b"\x89PNG...")
    assert anna.uploadMyUserPhoto("me2.png", "image/png", b"\x89PNG..again") == number
    (photo,) = anna.getMyUserPhotos()
    assert (photo.name.val, photo.size.val) == ("me2.png", len(b"\x89PNG..again"))
    assert admins("ben").getMyUserPhotos() == []
    row = server.house.state.get("OriginalFile", number)
    assert row is not None
    assert row.group == levels.USER_GROUP


def test_whether_a_row_may_be_changed_is_told(server: Server, admins: Any) -> None:
    state = server.house.state
    from pocket_omero.people import roster

    lab = roster.group(state, "lab")
    dataset = state.new("Dataset", name="d", owner=roster.person(state, "anna"), group=lab)
    obj = omero.model.DatasetI(dataset.id, False)
    assert [admins(who).canUpdate(obj) for who in ("anna", "ben", "olga", "root")] == [
        True,
        False,
        True,
        True,
    ]
