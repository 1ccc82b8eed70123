# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO.scripts through omero-py, unmodified: listing, parameters, running, cancelling."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import omero
import omero.scripts
import pytest
from omero.gateway import BlitzGateway
from omero.rtypes import rbool, rint, rlist, rlong, rstring, unwrap
from pocket_omero.testing import Omero

from .world import World

pytestmark = [pytest.mark.omero, pytest.mark.slow, pytest.mark.client("omero-py scripts")]

ECHO = """
import sys, time
import omero.scripts as scripts
from omero.rtypes import rstring, robject, wrap

client = scripts.client(
    "Echo", "Says what it was told",
    scripts.String("Word", optional=False, grouping="1"),
    scripts.Int("Times", default=2, min=1, max=5, grouping="2"),
    scripts.Double("Sleep", default=0.0, grouping="3"),
    scripts.Int("Leave", default=0, grouping="4"),
    authors=["A. Nobody"], version="1.2.3",
)
asked = client.getInputs(unwrap=True)
print("printed", asked["Word"])
print("complained", file=sys.stderr)
time.sleep(asked["Sleep"])
client.setOutput("Message", rstring(" ".join([asked["Word"]] * asked["Times"])))
client.setOutput("User", rstring(client.sf.getAdminService().getEventContext().userName))
client.closeSession()
sys.exit(asked["Leave"])
"""


@pytest.fixture(scope="module")
def conn(place: Omero) -> Iterator[BlitzGateway]:
    with place.gateway() as opened:
        yield opened


@pytest.fixture(scope="module")
def echo(place: Omero) -> Iterator[int]:
    """A script for everybody."""
    with place.gateway("admin") as root:
        service = root.getScriptService()
        number = service.uploadOfficialScript(f"/test/{uuid.uuid4().hex}/Echo.py", ECHO)
        yield number
        service.deleteScript(number)


def _run(conn: BlitzGateway, number: int, **inputs: Any) -> tuple[int, dict[str, Any]]:
    process = conn.getScriptService().runScript(number, inputs, None)
    callback = omero.scripts.ProcessCallbackI(conn.c, process)
    try:
        until = time.monotonic() + 60
        while callback.block(500) is None and time.monotonic() < until:
            pass
        code = process.poll()
        assert code is not None
        return code.val, process.getResults(5)
    finally:
        callback.close()
        process.close(False)


def test_scripts_for_everybody_are_listed(conn: BlitzGateway, echo: int) -> None:
    listed = {one.id.val: one.path.val + one.name.val for one in conn.getScriptService().getScripts()}
    assert echo in listed
    assert conn.getScriptService().getScriptID(listed[echo]) == echo


def test_a_script_says_what_it_takes(conn: BlitzGateway, echo: int) -> None:
    params = conn.getScriptService().getParams(echo)
    assert (params.name, params.version, params.authors) == ("Echo", "1.2.3", ["A. Nobody"])
    assert set(params.inputs) == {"Word", "Times", "Sleep", "Leave"}
    assert not params.inputs["Word"].optional
    times = params.inputs["Times"]
    assert (times.min.getValue(), times.max.getValue(), unwrap(times.prototype)) == (1, 5, 2)


def test_the_text_of_a_script_is_read(conn: BlitzGateway, echo: int) -> None:
    assert conn.getScriptService().getScriptText(echo) == ECHO


def test_a_script_runs_as_the_caller_and_answers(conn: BlitzGateway, echo: int) -> None:
    code, results = _run(conn, echo, Word=rstring("hey"))
    assert code == 0
    assert unwrap(results["Message"]) == "hey hey"
    assert unwrap(results["User"]) == conn.getUser().getName()


def test_what_a_script_prints_is_kept_in_files(conn: BlitzGateway, echo: int) -> None:
    _, results = _run(conn, echo, Word=rstring("aloud"))
    texts = {
        name: b"".join(conn.getObject("OriginalFile", results[name].val.id.val).getFileInChunks())
        for name in ("stdout", "stderr")
    }
    assert texts["stdout"] == b"printed aloud\n"
    assert b"complained" in texts["stderr"]


def test_a_script_that_fails_says_so(conn: BlitzGateway, echo: int) -> None:
    code, _ = _run(conn, echo, Word=rstring("x"), Leave=rint(3))
    assert code == 3


@pytest.mark.parametrize(
    "inputs",
    [{}, {"Word": rstring("x"), "Times": rint(9)}, {"Word": rint(1)}],
    ids=["missing", "out of range", "wrong type"],
)
def test_wrong_inputs_are_refused(conn: BlitzGateway, echo: int, inputs: dict[str, Any]) -> None:
    with pytest.raises(omero.ValidationException):
        conn.getScriptService().runScript(echo, inputs, None)


def test_a_running_script_is_cancelled(conn: BlitzGateway, echo: int) -> None:
    word, sleep = rstring("x"), omero.rtypes.rdouble(60)
    process = conn.getScriptService().runScript(echo, {"Word": word, "Sleep": sleep}, None)
    assert process.poll() is None
    process.cancel()
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    assert process.poll() is not None
    assert process.poll().val != 0
    job = process.getJob()
    query = "select s.value from Job j join j.status s where j.id = :id"
    params = omero.sys.ParametersI().addId(job.id.val)
    assert unwrap(conn.getQueryService().projection(query, params, {"omero.group": "-1"})) == [["Cancelled"]]


def test_a_script_goes_on_when_its_caller_leaves(place: Omero, echo: int) -> None:
    stay = BlitzGateway(host=place.host, port=place.port, secure=True)
    with place.gateway() as conn:
        assert stay.connect(sUuid=conn.c.getSessionId())
        inputs = {"Word": rstring("on"), "Sleep": omero.rtypes.rdouble(1)}
        proxy = str(conn.getScriptService().runScript(echo, inputs, None))
        conn.close(hard=False)
    process = omero.grid.ScriptProcessPrx.checkedCast(stay.c.ic.stringToProxy(proxy))
    assert process.wait() == 0
    assert unwrap(process.getResults(1)["Message"]) == "on on"
    stay.close()


def test_only_administrators_add_scripts_for_everybody(conn: BlitzGateway) -> None:
    with pytest.raises(omero.SecurityViolation):
        conn.getScriptService().uploadOfficialScript("/test/Mine.py", ECHO)


def test_a_script_is_not_added_twice(place: Omero, conn: BlitzGateway, echo: int) -> None:
    file = conn.getObject("OriginalFile", echo)
    with place.gateway("admin") as root, pytest.raises(omero.ApiUsageException):
        root.getScriptService().uploadOfficialScript(file.getPath() + file.getName(), ECHO)


def test_a_script_is_changed(place: Omero, conn: BlitzGateway) -> None:
    with place.gateway("admin") as root:
        service = root.getScriptService()
        number = service.uploadOfficialScript(f"/test/{uuid.uuid4().hex}.py", ECHO)
        service.editScript(omero.model.OriginalFileI(number, False), ECHO.replace("1.2.3", "1.2.4"))
        assert conn.getScriptService().getParams(number).version == "1.2.4"
        service.deleteScript(number)
        assert number not in {one.id.val for one in service.getScripts()}


def test_a_users_own_script_needs_a_processor_of_theirs(conn: BlitzGateway) -> None:
    service = conn.getScriptService()
    number = service.uploadScript(f"/mine/{uuid.uuid4().hex}.py", ECHO)
    assert number in {one.id.val for one in service.getUserScripts([])}
    assert number not in {one.id.val for one in service.getScripts()}
    with pytest.raises(omero.ResourceError):
        service.runScript(number, {"Word": rstring("x")}, None)
    service.deleteScript(number)


def test_a_script_that_is_broken_says_why(place: Omero, conn: BlitzGateway) -> None:
    with place.gateway("admin") as root:
        number = root.getScriptService().uploadOfficialScript(f"/test/{uuid.uuid4().hex}.py", "1 / 0\n")
        with pytest.raises(omero.ServerError):
            conn.getScriptService().getParams(number)
        root.getScriptService().deleteScript(number)


@pytest.mark.pocket
def test_the_example_describes_images(conn: BlitzGateway) -> None:
    world = World.make(conn)
    number = conn.getScriptService().getScriptID("/pocket_omero/Describe_Images.py")
    inputs = {
        "IDs": rlist([rlong(world.image)]),
        "Data_Type": rstring("Image"),
        "Add_Key_Values": rbool(True),
    }
    code, results = _run(conn, number, **inputs)
    assert code == 0
    assert unwrap(results["Message"]) == "Described 1 of 1 images"
    assert results["Image"].val.id.val == world.image
    [pairs] = conn.getObject("Image", world.image).listAnnotations()
    assert dict(pairs.getValue())["Width"] == "64"
