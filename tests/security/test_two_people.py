# SPDX-License-Identifier: BSD-3-Clause
"""Anna and bert have an account, a gate and a key each; neither sees or touches what is the other's."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.gatehouse import PYTHON, Channel, Gatehouse, digest_of

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

OPENED = """
import os, sys
for path in sys.stdin.buffer.read().split(b"\\0"):
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open(path, flags))
            print(path)
        except (PermissionError, IsADirectoryError):
            pass
"""


@pytest.fixture(scope="module")
def bert(gatehouse: Gatehouse, tmp_path_factory: pytest.TempPathFactory) -> Gatehouse:
    made = Gatehouse(
        gatehouse.cluster,
        "bert",
        tmp_path_factory.mktemp("bert"),
        "--scheduler",
        "slurm",
        "--partition",
        "main",
    )
    text = json.loads((made.outside / "config.json").read_text())
    made.configure(scheduler={**text["scheduler"], "poll_seconds": 1, "settle_seconds": 1})
    return made


@pytest.fixture(scope="module")
def both(gatehouse: Gatehouse, bert: Gatehouse) -> Iterator[tuple[Channel, Channel]]:
    with gatehouse.channel() as one, bert.channel() as other:
        yield one, other


def test_the_key_of_one_does_not_open_the_account_of_the_other(gatehouse: Gatehouse, bert: Gatehouse) -> None:
    for mine, other in ((gatehouse, bert), (bert, gatehouse)):
        options = [word.replace(f"User={mine.account}", f"User={other.account}") for word in mine.options()]
        done = subprocess.run(["ssh", *options, "login", "slidegate"], capture_output=True, timeout=30)
        assert done.returncode == 255
        assert b"Permission denied" in done.stderr


def test_neither_knows_the_ids_contents_or_cursors_of_the_other(
    gatehouse: Gatehouse, bert: Gatehouse, both: tuple[Channel, Channel]
) -> None:
    anna, other = both
    release = gatehouse.release('open(out + "/out.txt", "w").write("done")', "two-people")
    bert.release('open(out + "/out.txt", "w").write("done")', "two-people")
    secret = anna.put(b"what anna has")
    view = anna.work(release)
    cursor = anna.ask("status", cursor="")["cursor"]
    assert other.ask("have", blobs=[[secret, 13], [view["tree"], 1]])["missing"] == [secret, view["tree"]]
    assert other.code("read", digest=secret, offset=0, length=10) == "gone"
    assert other.code("read", attempt=view["attempt"], log=True, offset=0, length=10) == "not-found"
    assert other.code("read", attempt=view["attempt"], units=True) == "not-found"
    assert view["attempt"] not in json.dumps(other.ask("status", cursor=cursor))
    assert other.ask("release", attempts=[view["attempt"]])["released"] == []
    other.ask("cancel", attempts=[view["attempt"]])
    again = {one["attempt"]: one["state"] for one in anna.ask("status", cursor="")["attempts"]}
    assert again[view["attempt"]] == "succeeded"


def test_equal_contents_are_staged_once_for_each_and_neither_notices(
    gatehouse: Gatehouse, bert: Gatehouse, both: tuple[Channel, Channel]
) -> None:
    anna, other = both
    data = b"the same slide " * 100
    anna.put(data)
    assert other.ask("have", blobs=[[digest_of(data), len(data)]])["missing"] == [digest_of(data)]
    other.put(data)
    paths = [
        house.outside / f"data/keys/omero/blobs/{digest_of(data)[:2]}/{digest_of(data)}"
        for house in (gatehouse, bert)
    ]
    assert len({path.stat().st_ino for path in paths}) == 2
    assert len({path.stat().st_uid for path in paths}) == 2


def test_neither_opens_a_file_of_the_other(
    gatehouse: Gatehouse, bert: Gatehouse, both: tuple[Channel, Channel]
) -> None:
    both[0].ask("hello")
    for mine, theirs in ((gatehouse, "bert"), (bert, "anna")):
        found = [path for path in mine.outside.rglob("*") if path.is_file() and not path.is_symlink()]
        inside = ["/home" / path.relative_to(mine.cluster.home("anna").parent) for path in found]
        inside += [Path(f"/home/{mine.account}/.ssh/authorized_keys")]
        assert len(inside) > 20
        for node in ("login", "c1"):
            listed = b"\0".join(map(os.fsencode, inside))
            argv = [PYTHON, "-IS", "-c", OPENED]
            done = mine.cluster.run(node, argv, user=theirs, input=listed, text=False)
            assert done.stdout == b""
            done = mine.cluster.run(node, argv, user=mine.account, input=listed, text=False)
            assert done.stdout.count(b"\n") > 20  # so it is the accounts that differ


def test_neither_sees_the_jobs_of_the_other_or_into_their_processes(
    gatehouse: Gatehouse, bert: Gatehouse, both: tuple[Channel, Channel]
) -> None:
    cluster = bert.cluster
    release = bert.release('import time; time.sleep(600)\nopen(out + "/out.txt", "w").write("done")', "long")
    _, other = both
    plan, attempt = other.plan(release)
    array = other.ask("submit", plan=plan, round=1)["crews"][0]["array"]
    try:
        end = time.monotonic() + 40
        while "R" not in cluster.run("login", ["squeue", "-h", "-j", array, "-o", "%t"], user="bert").stdout:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert cluster.run("login", ["squeue", "-h", "-a"], user="anna").stdout == ""
        seen = cluster.run("login", ["scontrol", "show", "job", array], user="anna", check=False)
        assert "JobName" not in seen.stdout
        assert cluster.run("login", ["scancel", array], user="anna", check=False).returncode != 0
        gates = cluster.run("login", ["pgrep", "-u", "bert", "-f", "serve --key"]).stdout.split()
        assert gates
        for path in ("environ", "fd/0", "root", "mem"):
            read = cluster.run("login", ["cat", f"/proc/{gates[0]}/{path}"], user="anna", check=False)
            assert read.returncode != 0 and read.stdout == ""
    finally:
        other.ask("cancel", attempts=[attempt])
    end = time.monotonic() + 40
    while cluster.run("login", ["squeue", "-h", "-j", array], user="bert", check=False).stdout:
        assert time.monotonic() < end
        time.sleep(0.2)
