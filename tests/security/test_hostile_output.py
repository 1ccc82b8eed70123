# SPDX-License-Identifier: BSD-3-Clause
"""A workflow that an administrator was fooled into installing tries to carry out what is not its own.

What such a workflow can do to its own account cannot be prevented (see SECURITY.md). But its results are
only plain files that lie in its own folder, its words stay words, and no other key's contents are altered.
"""

import json
import os
import re
from collections.abc import Iterator

import pytest

from tests.security.gatehouse import Channel, Gatehouse, digest_of

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

PLAIN = 'open(out + "/out.txt", "w").write("done")'
OUTPUTS = {
    "link-to-a-file": 'os.symlink("/etc/passwd", out + "/out.txt")',
    "link-to-a-folder": 'os.mkdir(out + "/a"); os.symlink("/etc", out + "/out.txt")',
    "link-to-nothing": 'os.symlink("/nowhere", out + "/out.txt")',
    "link-above": 'os.symlink("../../../../../..", out + "/out.txt")',
    "link-to-a-foreign-blob": 'os.symlink("FOREIGN", out + "/out.txt")',
    "link-to-a-device": 'os.symlink("/dev/zero", out + "/out.txt")',
    "pipe": 'os.mkfifo(out + "/out.txt")',
    "socket": "import socket; os.chdir(out); one = socket.socket(socket.AF_UNIX); one.bind('out.txt')",
    "nothing": "pass",
    "name-with-a-new-line": PLAIN + '; open(out + "/a\\nb", "w").close()',
    "name-with-an-escape": PLAIN + '; open(out + "/\\x1b]0;pwned\\x07", "w").close()',
    "name-that-is-no-text": PLAIN + '; open(os.fsencode(out) + b"/\\xff\\xfe", "w").close()',
    "name-with-a-space": PLAIN + '; open(out + "/a b", "w").close()',
    "too-deep": PLAIN + '; os.makedirs(out + "/d" * 20); open(out + "/d" * 20 + "/f", "w")',
    "replaced-folder": PLAIN + '; os.rename(out, out + ".was"); os.symlink(out + ".was", out)',
    "folder-of-the-system": 'os.rename(out, out + ".was"); os.symlink("/etc", out)',
    "replaced-parent": 'os.symlink("/etc", ask["shared"] + "/out.txt")',
}


@pytest.fixture(scope="module")
def channel(gatehouse: Gatehouse) -> Iterator[Channel]:
    with gatehouse.channel() as opened:
        yield opened


def contents_of(channel: Channel, view: dict) -> dict[str, bytes]:
    """Return the results of an Attempt by their names."""
    entries = json.loads(channel.read(view["tree"]))["entries"]
    return {name: channel.read(digest) for name, _, digest in entries}


@pytest.fixture(scope="module")
def foreign(gatehouse: Gatehouse) -> str:
    """Where the job finds a content of another key, which its account can read as well."""
    gatehouse.add_key("victim")
    with gatehouse.channel(key="victim") as victim:
        digest = victim.put(b"what only the victim may read")
    return f"{gatehouse.home}/data/keys/victim/blobs/{digest[:2]}/{digest}"


@pytest.mark.parametrize("body", OUTPUTS.values(), ids=OUTPUTS)
def test_a_result_is_a_plain_file_with_a_plain_name(
    gatehouse: Gatehouse, channel: Channel, foreign: str, body: str
) -> None:
    release = gatehouse.release(body.replace("FOREIGN", foreign))
    view = channel.work(release)
    assert view["state"] == "failed", contents_of(channel, view)
    assert view["error"]["code"] == "bad-output"
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", view["error"]["message"])


def test_a_hard_link_to_a_foreign_content_leaves_that_content_as_it_was(
    gatehouse: Gatehouse, channel: Channel, foreign: str
) -> None:
    path = gatehouse.cluster.path_outside(foreign)
    before = path.read_bytes()
    view = channel.work(gatehouse.release(f'os.link("{foreign}", out + "/out.txt")'))
    assert path.read_bytes() == before
    if view["state"] == "succeeded":  # the account may read it, so its jobs may: see SECURITY.md
        assert contents_of(channel, view)["out.txt"] == before


def test_a_file_that_changes_after_it_was_hashed_is_noticed_by_its_reader(
    gatehouse: Gatehouse, channel: Channel
) -> None:
    body = """
path = out + "/out.txt"
file = open(path, "w")
file.write("what was hashed")
file.flush()
if os.fork() == 0:
    os.setsid()
    for handle in (0, 1, 2):
        os.close(handle)
    import time
    for _ in range(200):
        time.sleep(0.05)
        os.pwrite(file.fileno(), b"WHAT WAS HASHED", 0)
    os._exit(0)
"""
    view = channel.work(gatehouse.release(body))
    assert view["state"] == "succeeded"
    ((_, size, digest),) = json.loads(channel.read(view["tree"]))["entries"]
    seen = set()
    for _ in range(100):
        seen.add(digest_of(channel.read(digest)) == digest)
        if False in seen:
            break
    # Readers compare, as slidegate does: see test_hostile_site. The name alone proves nothing.
    assert size == len("what was hashed")
    assert seen


def test_a_long_log_is_cut_and_whatever_it_holds_is_bytes(gatehouse: Gatehouse, channel: Channel) -> None:
    body = PLAIN + '\nfor _ in range(3000):\n    os.write(2, b"\\x1b[2J\\xff" * 2000)'
    release = gatehouse.release(body)
    plan, attempt = channel.plan(release)
    assert channel.ask("submit", plan=plan, round=1)["ok"]
    while {one["attempt"]: one for one in channel.ask("status", cursor="")["attempts"]}[attempt]["state"] in (
        "queued",
        "running",
    ):
        pass
    answer = channel.ask("read", attempt=attempt, log=True, offset=0, length=8 << 20)
    assert 9 << 20 < answer["size"] < 11 << 20
    assert b"\x1b[2J\xff" in channel.body


@pytest.mark.parametrize(
    "answer",
    [
        '{"ok": False, "code": "\\x1b]0;pwned\\x07", "message": "\\x1b[2Jpwned"}',
        '{"ok": False, "code": "../../pwned", "message": "a" * 100000}',
        '{"ok": True, "units": ["../pwned"]}',
        '{"ok": True, "units": ["a"] * 100001}',
        '{"ok": True, "result": "pwned"}',
        "[]",
    ],
    ids=["sequences", "path", "unit", "units", "result", "list"],
)
def test_what_a_step_answers_is_believed_in_nothing(
    gatehouse: Gatehouse, channel: Channel, answer: str
) -> None:
    view = channel.work(gatehouse.release(f"answer = {answer}"))
    assert view["state"] == "failed"
    assert re.fullmatch("[a-z0-9-]{1,60}", view["error"]["code"]), view
    assert len(view["error"]["message"]) <= 2000


def test_a_job_leaves_nothing_outside_the_gates_folders(gatehouse: Gatehouse, channel: Channel) -> None:
    home = gatehouse.cluster.home("anna")
    before = {path.name for path in home.iterdir()}
    assert channel.work(gatehouse.release(PLAIN))["state"] == "succeeded"
    assert {path.name for path in home.iterdir()} == before
    temporary = gatehouse.cluster.run("login", ["ls", "-A", "/tmp"]).stdout.split()
    assert [name for name in temporary if name.startswith("slidegate-")] == []
    private = [gatehouse.outside / root for root in ("state", "data", "config.json")]
    found = [one for path in private for one in (path, *path.rglob("*"))]
    assert [path for path in found if os.lstat(path).st_mode & 0o077 and not path.is_symlink()] == []
