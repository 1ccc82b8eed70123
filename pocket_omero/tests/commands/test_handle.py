# SPDX-License-Identifier: GPL-2.0-or-later
"""Handles: state, answer, callback, cancelling; and the commands that only look."""

from __future__ import annotations

import threading
from typing import Any

import Ice
import omero.callbacks
import pytest
from omero.cmd import (
    ERR,
    OK,
    Chgrp2,
    CurrentSessionsRequest,
    Delete2,
    DiskUsage2,
    FindChildren,
    FindParents,
    LegalGraphTargets,
    OriginalMetadataRequest,
    SendEmailRequest,
    State,
    Timing,
    Unknown,
    UpdateSessionTimeoutRequest,
)
from omero.rtypes import rlong

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:isSet\(\) is deprecated:DeprecationWarning"),  # omero-py's
]


def test_a_handle_keeps_the_request_the_answer_and_how_it_went(bench: Any) -> None:
    client = bench.client("anna")
    handle = client.sf.submit(Delete2(targetObjects={"Image": [bench.image().id]}, dryRun=False))
    client.waitOnCmd(handle, loops=50, ms=100)
    assert isinstance(handle.getRequest(), Delete2)
    assert "ome.model.core.Image" in handle.getResponse().deletedObjects
    status = handle.getStatus()
    assert status.flags == []
    assert status.currentStep == status.steps
    assert status.stopTime >= status.startTime > 0
    handle.close()
    with pytest.raises(Ice.ObjectNotExistException):
        handle.getStatus()


def test_a_failure_is_flagged_and_says_what_was_asked(bench: Any) -> None:
    client = bench.client("ben")
    handle = client.sf.submit(Delete2(targetObjects={"Image": [bench.image().id]}, dryRun=False))
    response = client.waitOnCmd(handle, loops=50, ms=100, failonerror=False).getResponse()
    assert handle.getStatus().flags == [State.FAILURE]
    assert (response.category, response.name) == ("::omero::cmd::Delete2", "graph-fail")
    handle.close()


def test_the_client_is_called_back_when_a_command_is_over(bench: Any) -> None:
    client = bench.client("anna")
    called = threading.Event()

    class Callback(omero.callbacks.CmdCallbackI):  # type: ignore[misc]
        def onFinished(self, rsp: Any, status: Any, current: Any) -> None:
            called.set()

        def initialPoll(self, foreground_poll: bool = False) -> None:
            """Do not ask: wait to be told."""

    handle = client.sf.submit(Delete2(targetObjects={"Image": [bench.image().id]}, dryRun=False))
    callback = Callback(client, handle)
    assert called.wait(10)
    assert "ome.model.core.Image" in callback.getResponse().deletedObjects
    callback.close(True)


def test_a_command_that_waits_is_cancelled_and_one_that_is_over_is_not(bench: Any) -> None:
    client, image = bench.client("anna"), bench.image()
    with bench.state.lock:  # commands wait for each other
        handle = client.sf.submit(Delete2(targetObjects={"Image": [image.id]}, dryRun=False))
        assert handle.cancel()
        assert handle.getResponse() is None
    response = client.waitOnCmd(handle, loops=50, ms=100, failonerror=False).getResponse()
    assert (response.name, handle.getStatus().flags) == ("cancelled", [State.FAILURE, State.CANCELLED])
    assert bench.there(image)
    assert not handle.cancel()
    handle.close()


def test_what_is_not_supported_is_unknown_by_name(bench: Any) -> None:
    response = bench.ask("anna", Timing(1, 1))
    assert isinstance(response, Unknown)
    assert "::omero::cmd::Timing" in response.parameters["message"]
    assert bench.server.house.calls.refused["omero.cmd.Timing"] == 1


def test_the_targets_of_commands_are_told(bench: Any) -> None:
    moved = bench.ask("anna", LegalGraphTargets(Chgrp2())).targets
    assert "ome.model.core.Image" in moved
    assert "ome.model.annotations.TagAnnotation" in moved
    assert "ome.model.containers.DatasetImageLink" not in moved
    deleted = bench.ask("anna", LegalGraphTargets(Delete2())).targets
    assert "ome.model.containers.DatasetImageLink" in deleted
    assert "ome.model.meta.Experimenter" not in deleted


def test_containers_are_found_from_below_and_contents_from_above(bench: Any) -> None:
    project, dataset, image = bench.row("Project"), bench.row("Dataset"), bench.image()
    bench.link(project, dataset)
    bench.link(dataset, image)
    roi = bench.row("Roi", image=image)
    parents = FindParents(targetObjects={"Roi": [roi.id]}, typesOfParents=["Project", "Dataset", "Image"])
    assert bench.ask("anna", parents).parents == {
        "ome.model.containers.Dataset": [dataset.id],
        "ome.model.containers.Project": [project.id],
        "ome.model.core.Image": [image.id],
    }
    children = FindChildren(
        targetObjects={"Project": [project.id]}, typesOfChildren=["Image", "Roi"], stopBefore=["Roi"]
    )
    assert bench.ask("anna", children).children == {"ome.model.core.Image": [image.id]}


def test_used_space_is_counted_by_owner_and_group(bench: Any) -> None:
    image = bench.image()
    file = bench.row("OriginalFile", path="/", size=42)
    bench.link(image, bench.row("FileAnnotation", file=file))
    usage = bench.ask("anna", DiskUsage2(targetObjects={"Image": [image.id]}, targetClasses=[]))
    ((key, size),) = usage.totalBytesUsed.items()
    assert (key.first, key.second, size) == (file.owner, file.group, 42)
    assert usage.bytesUsedByReferer[key] == {"Annotation": 42}


def test_people_shorten_their_sessions_and_only_administrators_switch_the_limit_off(bench: Any) -> None:
    client = bench.client("anna")
    key = client.getSessionId()
    assert isinstance(bench.ask("anna", UpdateSessionTimeoutRequest(key, None, rlong(60_000))), OK)
    assert client.sf.getSessionService().getSession(key).getTimeToIdle().val == 60_000
    assert isinstance(bench.ask("anna", UpdateSessionTimeoutRequest(key, None, rlong(0))), ERR)
    assert isinstance(bench.ask("ben", UpdateSessionTimeoutRequest(key, None, rlong(60_000))), ERR)
    assert isinstance(bench.ask("root", UpdateSessionTimeoutRequest(key, None, rlong(0))), OK)


def test_open_sessions_are_listed_for_those_who_may_see_them(bench: Any) -> None:
    bench.client("anna")
    own = bench.client("ben").getSessionId()
    told = bench.ask("ben", CurrentSessionsRequest())
    assert [s.uuid.val for s in told.sessions if s is not None] == [own]
    assert {c.userName for c in told.contexts} >= {"anna", "ben"}
    assert all(session is not None for session in bench.ask("root", CurrentSessionsRequest()).sessions)


def test_there_is_no_mail_and_no_metadata_beyond_the_model(bench: Any) -> None:
    assert (
        "no mail"
        in bench.ask("root", SendEmailRequest(subject="s", body="b", everyone=True)).parameters["message"]
    )
    answer = bench.ask("anna", OriginalMetadataRequest(bench.image().id))
    assert (answer.globalMetadata, answer.seriesMetadata) == ({}, {})


def test_a_server_that_only_reads_changes_nothing_by_commands(bench: Any) -> None:
    image = bench.image()
    rights = bench.server.house.rights
    rights.read_only = True
    try:
        to = bench.group("read-only").id
        assert isinstance(
            bench.ask("anna", Chgrp2(targetObjects={"Image": [image.id]}, groupId=to, dryRun=False)), ERR
        )
        assert isinstance(bench.ask("anna", Delete2(targetObjects={"Image": [image.id]}, dryRun=False)), ERR)
    finally:
        rights.read_only = False
    assert bench.there(image)
    assert image.group == bench.group("read-annotate").id


def test_the_owner_of_a_group_deletes_as_a_member_in_that_group(bench: Any) -> None:
    here, elsewhere = bench.image("anna", "read-only"), bench.image("anna", "private")
    service = bench.client("olga").sf.getSessionService()
    principal = omero.sys.Principal("anna", "read-only", "User", None)
    key = service.createSessionWithTimeouts(principal, 0, 60_000).uuid.val
    client = bench.server.client(key, key)
    for image, goes in ((here, True), (elsewhere, False)):
        handle = client.sf.submit(Delete2(targetObjects={"Image": [image.id]}, dryRun=False))
        response = client.waitOnCmd(handle, loops=50, ms=100, failonerror=False).getResponse()
        assert isinstance(response, ERR) is not goes
        assert bench.there(image) is not goes
        handle.close()
    client.closeSession()
