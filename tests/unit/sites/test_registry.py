# SPDX-License-Identifier: BSD-3-Clause
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from slidegate.domain.errors import BadRequest, UnknownSite
from slidegate.sites import errors
from slidegate.sites.registry import (
    BadHostKey,
    Registry,
    Site,
    SiteExists,
    SiteFileBroken,
    SiteInUse,
    read_host_key,
    read_host_keys,
    shown_host_key,
)
from tests.unit.sites.sshd import Sshd, free_port

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDLF0MtTRJQoTIL3hTU8mfhCOKho3Vh/H5GgQAorgnC3"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
LAB = Site("lab", "login.example.org", "anna", 2222, "/etc/lab config", "omero")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, registry: Registry) -> Path:
    registry.add(LAB, [KEY])
    return tmp_path / "sites" / "lab"


def test_a_site_is_found_again_as_it_was_added_and_is_its_owners_alone(
    registry: Registry, folder: Path
) -> None:
    registry.add(Site("other", "alias"), [KEY])
    assert registry.get("lab") == LAB
    assert registry.get("other") == Site("other", "alias")
    assert registry.names() == ["lab", "other"]
    assert registry.host_keys("lab") == [KEY]
    assert [path.name for path in folder.parent.iterdir()] == ["lab", "other"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    assert modes == {"lab": 0o700, "site.json": 0o600, "known_hosts": 0o600}


def test_the_same_again_changes_nothing_and_another_needs_to_be_told_so(
    registry: Registry, folder: Path
) -> None:
    registry.add(LAB, [f"login.example.org {KEY} root@login"])
    for site, key in ((Site("lab", "elsewhere"), KEY), (LAB, OTHER)):
        with pytest.raises(SiteExists, match="--replace"):
            registry.add(site, [key])
    assert (registry.get("lab"), registry.host_keys("lab")) == (LAB, [KEY])
    registry.add(Site("lab", "elsewhere"), [OTHER], replace_it=True)
    assert registry.get("lab").ssh == "elsewhere"
    assert registry.host_keys("lab") == [OTHER]


@pytest.mark.parametrize(
    "site",
    [
        Site("local", "host"),
        Site("../lab", "host"),
        Site("lab/x", "host"),
        Site("lab", "-oProxyCommand=date"),
        Site("lab", "host name"),
        Site("lab", "host", user="-x"),
        Site("lab", "host", port=0),
        Site("lab", "host", ssh_config="relative"),
        Site("lab", "host", key="../key"),
    ],
    ids=str,
)
def test_what_could_mean_something_else_to_ssh_or_leave_its_folder_is_refused(
    registry: Registry, tmp_path: Path, site: Site
) -> None:
    with pytest.raises(BadRequest):
        registry.add(site, [KEY])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("[]", "does not hold an object"),
        ('{"format": 2, "ssh": "host"}', "format 2"),
        ('{"format": 1}', "does not name a host"),
        ('{"format": 1, "ssh": "host", "proxy": "x"}', "'proxy', which means nothing"),
        ('{"format": 1, "ssh": "-x"}', "ssh is a host's name"),
        ('{"format": 1, "ssh": "host", "port": true}', "port is a number"),
        ('{"format": 1, "ssh": "host", "key": 3}', "key is the name of a key"),
    ],
)
def test_a_site_file_that_is_not_as_it_must_be_is_told_in_words(
    registry: Registry, folder: Path, text: str, words: str
) -> None:
    (folder / "site.json").write_text(text)
    with pytest.raises(SiteFileBroken, match=words):
        registry.get("lab")


@pytest.mark.parametrize("name", [".", "site.json", "known_hosts"])
def test_files_that_others_could_have_written_are_not_believed(
    registry: Registry, folder: Path, name: str
) -> None:
    path = folder / name
    path.chmod(path.stat().st_mode | 0o020)
    with pytest.raises(SiteFileBroken, match="chmod go-w"):
        registry.get("lab")


def test_a_site_whose_pinned_host_keys_are_gone_is_not_used(registry: Registry, folder: Path) -> None:
    (folder / "known_hosts").unlink()
    with pytest.raises(SiteFileBroken, match="is missing"):
        registry.get("lab")


def test_an_unknown_site_is_told_with_those_that_there_are(registry: Registry, folder: Path) -> None:
    with pytest.raises(UnknownSite, match="there is local, lab"):
        registry.get("moon")
    with pytest.raises(UnknownSite):
        registry.remove("../lab", [])


def test_a_site_is_removed_only_when_no_run_there_is_unfinished(registry: Registry, folder: Path) -> None:
    with pytest.raises(SiteInUse, match="0a1b2c3d"):
        registry.remove("lab", ["0a1b2c3d"])
    assert registry.get("lab") == LAB
    (folder / "site.json").write_text("{}")  # a broken one too
    registry.remove("lab", [])
    assert registry.names() == []
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", KEY[:-4], KEY.replace("ssh-ed25519", "ssh-rsa"), "x" * 90]
)
def test_what_is_no_host_key_is_refused(line: str) -> None:
    with pytest.raises(BadHostKey):
        read_host_key(line)


def test_host_keys_are_read_from_files_as_sshd_and_ssh_write_them(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the login nodes\n{KEY} root@login1\n\n[login2]:22,10.0.0.2 {OTHER}\n")
    assert read_host_keys(path) == [KEY, OTHER]
    with pytest.raises(BadHostKey, match="cannot be read"):
        read_host_keys(tmp_path / "nothing")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd.running(tmp_path / "sshd", ["false"]) as made:
        yield made


@pytest.mark.ssh
def test_the_host_key_that_a_host_shows_is_seen_without_logging_in(sshd: Sshd) -> None:
    site = Site("lab", "127.0.0.1", port=sshd.port, ssh_config="/dev/null")
    assert shown_host_key(site) == sshd.host_key
    assert sshd.accepted() == 0


@pytest.mark.ssh
def test_a_host_that_shows_no_key_is_told_in_words(registry: Registry) -> None:
    with pytest.raises(errors.HostUnreachable):
        shown_host_key(Site("lab", "127.0.0.1", port=free_port(), ssh_config="/dev/null"))


def test_what_ssh_is_told_is_what_the_site_says(registry: Registry, folder: Path, tmp_path: Path) -> None:
    host = registry.host(registry.get("lab"), "bert", tmp_path / "id")
    argv = host.argv()
    assert argv[-3:] == ["--", "login.example.org", "slidegate"]
    assert argv[:7] == ["ssh", "-F", "/etc/lab config", "-l", "bert", "-p", "2222"]
    assert f'-oUserKnownHostsFile="{folder}/known_hosts"' in argv
    assert f'-oIdentityFile="{tmp_path}/id"' in argv
    assert json.loads((folder / "site.json").read_text())["format"] == 1
