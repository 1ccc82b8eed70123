# SPDX-License-Identifier: AGPL-3.0-or-later
"""What may be asked of slidegate through OMERO.web is a list."""

import pytest
from omero_slidegate.permitted import permitted, shown
from omero_slidegate.problems import BadAddress, WrongMethod

RUN = "3d789203a1b2"
TASK = f"runs/{RUN}/tasks/1"


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("GET", "session", "session"),
        ("GET", f"{TASK}/files/labels.zarr/0/c/0", f"{TASK}/files/labels.zarr/0/c/0"),
        ("GET", f"{TASK}/files/a b?#%2e.txt", f"{TASK}/files/a%20b%3F%23%252e.txt"),
        ("GET", f"{TASK}/files/größe…", f"{TASK}/files/gr%C3%B6%C3%9Fe%E2%80%A6"),
        ("POST", "launches", "launches"),
        ("DELETE", f"runs/{RUN}", f"runs/{RUN}"),
    ],
)
def test_what_is_on_the_list_is_asked_with_its_path_written_anew(method, path, asked):
    assert permitted(method, f"v1/{path}", {}).path == f"/v1/{asked}"


def test_several_images_are_asked_for_at_once():
    asked = permitted("GET", "v1/images/tasks", {"image": ["omero:1", "omero:2#z=1,t=0"]})
    assert asked.path == "/v1/images/tasks?image=omero%3A1&image=omero%3A2%23z%3D1%2Ct%3D0"


@pytest.mark.parametrize(
    "path",
    [
        "v1/tokens",
        "v1/people",
        "v1/audit",
        "v1/webhooks",
        "v1/browse",
        "v1/events",
        "v1/openapi.json",
        "v1/session/password",
        "v1/session/omero",
        "v1/",
        "v1//runs",
        "v1/runs/",
        "v1/runs/../tokens",
        f"v1/runs/{RUN}/../../tokens",
        f"v1/runs/{RUN}/tasks/1/files/..",
        f"v1/runs/{RUN}/tasks/1/files/../../../../tokens",
        f"v1/runs/{RUN}/tasks/1/files/a/./b",
        f"v1/runs/{RUN}/tasks/1/files/a//b",
        f"v1/runs/{RUN}/tasks/1/files/a\\..\\b",
        f"v1/runs/{RUN}/tasks/1/files/a\r\nHost: elsewhere",
        f"v1/runs/{RUN}/tasks/1/files/a\x00",
        f"v1/runs/{RUN}/tasks/1/table/..",
        "v1/runs/RUN",
        "metrics",
        "healthz",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_all_else_is_not_found(method, path):
    with pytest.raises(BadAddress):
        permitted(method, path, {})


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS", "POST"])
def test_a_method_that_is_not_on_the_list_is_refused(method):
    with pytest.raises(WrongMethod):
        permitted(method, "v1/runs", {})


@pytest.mark.parametrize("name", ["bsession", "username", "password", "server", "link"])
def test_a_login_in_an_address_is_not_passed_on(name):
    with pytest.raises(BadAddress):
        permitted("GET", "v1/runs", {name: ["x"]})


def test_a_browser_gets_no_cookie_and_nothing_that_could_run():
    said = {
        "Set-Cookie": "slidegate_session=secret",
        "Server": "uvicorn",
        "Content-Type": "text/html",
        "Content-Security-Policy": "default-src *",
        "Content-Disposition": "inline",
        "ETag": '"7"',
    }
    heard = shown(said.get)
    assert "Set-Cookie" not in heard
    assert "Server" not in heard
    assert (heard["Content-Type"], heard["ETag"]) == ("text/html", '"7"')
    assert heard["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert heard["X-Content-Type-Options"] == "nosniff"
