# SPDX-License-Identifier: BSD-3-Clause
"""The commands about sites, as a person types them."""

import os
import pty
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slidegate.sites.keys import Keys, fingerprint
from slidegate.sites.registry import Registry, Site
from tests.acceptance.conftest import SLIDEGATE, call_slidegate
from tests.unit.sites.sshd import Sshd

pytestmark = [pytest.mark.ssh, pytest.mark.slow]


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd.running(tmp_path / "sshd", ["false"]) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def where(sshd: Sshd) -> list[str]:
    return ["--ssh", "127.0.0.1", "--port", str(sshd.port), "--ssh-config", "/dev/null"]


def answered(home: Path, answer: str, *words: str) -> tuple[int, str]:
    """Type a command at a terminal and answer its question; returns the exit code and what was shown."""
    here, there = pty.openpty()
    environment = {**os.environ, "SLIDEGATE_HOME": str(home), "TERM": "dumb"}
    process = subprocess.Popen(
        [str(SLIDEGATE), *words], stdin=there, stdout=there, stderr=there, env=environment
    )
    os.close(there)
    shown = b""
    deadline = time.monotonic() + 30
    while b"[y/N]" not in shown and time.monotonic() < deadline:
        shown += os.read(here, 4096)
    os.write(here, f"{answer}\n".encode())
    code = process.wait(30)
    shown += os.read(here, 1 << 16)
    os.close(here)
    return code, shown.decode()


def test_a_host_key_is_pinned_only_after_a_person_compared_it(home: Path, sshd: Sshd) -> None:
    alone = call_slidegate(home, "site", "add", "lab", *where(sshd))
    assert alone.returncode == 2
    assert "--host-key" in alone.stderr
    assert Registry(home).names() == []

    code, shown = answered(home, "n", "site", "add", "lab", *where(sshd))
    assert (code, fingerprint(sshd.host_key) in shown) == (2, True)
    assert Registry(home).names() == []

    code, shown = answered(home, "y", "site", "add", "lab", *where(sshd))
    assert code == 0, shown
    assert Registry(home).host_keys("lab") == [sshd.host_key]


def test_a_site_is_added_listed_shown_and_removed(home: Path, sshd: Sshd) -> None:
    add = ["site", "add", "lab", *where(sshd), "--key", "omero", "--host-key", sshd.host_key]
    unknown = call_slidegate(home, *add)
    assert (unknown.returncode, "slidegate key create omero" in unknown.stderr) == (2, True)
    Keys(home).create("omero")
    assert call_slidegate(home, *add).returncode == 0
    listed = call_slidegate(home, "site", "list").stdout
    assert all(word in listed for word in ("local", "lab", "127.0.0.1", "omero"))
    assert fingerprint(sshd.host_key) in call_slidegate(home, "site", "show", "lab").stdout
    assert call_slidegate(home, "site", "remove", "lab").returncode == 0
    assert Registry(home).names() == []


def test_a_check_ends_with_one_and_the_words_of_the_broken_layer(home: Path, sshd: Sshd) -> None:
    Keys(home).create("omero")
    lab = Site("lab", "127.0.0.1", port=sshd.port, ssh_config="/dev/null", key="omero")
    Registry(home).add(lab, [sshd.host_key])
    done = call_slidegate(home, "site", "check", "lab")
    assert done.returncode == 1
    assert "good  host key: The host key is the pinned one." in done.stdout
    assert "BAD   key: The host does not accept the key." in done.stdout
    assert "[key-refused]" in done.stdout


def test_a_person_whom_nothing_links_to_a_site_without_a_key_is_told_what_to_do(home: Path) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDLF0MtTRJQoTIL3hTU8mfhCOKho3Vh/H5GgQAorgnC3"
    Registry(home).add(Site("lab", "127.0.0.1"), [key])
    done = call_slidegate(home, "workflow", "list", "--site", "lab", SLIDEGATE_PERSON="ada")
    assert done.returncode == 2
    assert "slidegate person link ada lab" in done.stderr
    (home / "sites" / "lab" / "site.json").write_text("{}")
    broken = call_slidegate(home, "site", "show", "lab")
    assert (broken.returncode, "[site-file]" in broken.stderr) == (4, True)
    doctor = call_slidegate(home, "doctor")
    assert (doctor.returncode, "The site lab cannot be used" in doctor.stdout) == (1, True)
    assert not (home / "sites" / "local").exists()
