# SPDX-License-Identifier: BSD-3-Clause
"""Key pairs: made whole or not at all, for one account alone, and never shown."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slidegate.domain.errors import BadRequest
from slidegate.sites.keys import (
    KeyBroken,
    KeyRevoked,
    Keys,
    NoKeyMade,
    NoNextKey,
    UnknownKey,
    UnsafeKey,
    fingerprint,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def keys(home: Path) -> Keys:
    return Keys(home)


def modes(folder: Path) -> set[tuple[str, str]]:
    return {(path.name, oct(path.stat().st_mode & 0o777)) for path in [folder, *folder.rglob("*")]}


def public_of(private: Path) -> str:
    """What ssh-keygen makes of the private key."""
    done = subprocess.run(["ssh-keygen", "-y", "-f", private], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_key_is_made_for_this_account_alone_and_is_one_that_ssh_takes(keys: Keys, home: Path) -> None:
    pair = keys.create("omero")
    assert modes(home / "keys" / "omero") == {
        ("omero", "0o700"),
        ("id", "0o600"),
        ("id.pub", "0o600"),
        ("key.json", "0o600"),
    }
    assert pair.private == home / "keys" / "omero" / "id"
    assert pair.public == public_of(pair.private)
    assert pair.public.startswith("ssh-ed25519 ")
    assert pair.public.endswith(" slidegate:omero")
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", home / "keys" / "omero" / "id.pub"], check=True, capture_output=True
    )
    assert pair.fingerprint in listed.stdout.decode()


def test_a_key_that_is_there_stays_as_it_is(keys: Keys) -> None:
    first = keys.create("omero")
    assert keys.create("omero") == first == keys.get("omero")
    assert keys.all() == [first]


@pytest.mark.parametrize("name", ["", "Omero", "-omero", "a/b", "../a", "a b", "a\n", "x" * 41, "ä"])
def test_a_name_that_a_gate_would_not_take_is_refused(keys: Keys, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be called"):
        keys.create(name)
    with pytest.raises(UnknownKey):
        keys.get(name)
    with pytest.raises(UnknownKey):
        keys.revoke(name)


def test_rotating_keeps_both_pairs_until_it_is_finished(keys: Keys, home: Path) -> None:
    old = keys.create("omero")
    both = keys.rotate("omero")
    assert (both.public, both.private) == (old.public, old.private)
    assert both.next_public == public_of(home / "keys" / "omero" / "next" / "id") != old.public
    assert keys.rotate("omero") == both
    new = keys.finish("omero")
    assert (new.public, new.next_public) == (both.next_public, None)
    assert public_of(new.private) == new.public
    assert not (home / "keys" / "omero" / "next").exists()
    note = json.loads((home / "keys" / "omero" / "key.json").read_text())
    assert [one["fingerprint"] for one in note["former"]] == [old.fingerprint]
    with pytest.raises(NoNextKey, match="key rotate omero"):
        keys.finish("omero")


def test_revoking_removes_every_private_key_and_keeps_the_record(keys: Keys, home: Path) -> None:
    pair = keys.create("omero")
    keys.rotate("omero")
    revoked = keys.revoke("omero")
    assert revoked.revoked is not None
    assert revoked.fingerprint == pair.fingerprint
    assert not [path for path in home.rglob("*") if path.name == "id"]
    with pytest.raises(KeyRevoked, match=r"revoked on \d{4}-\d\d-\d\d"):
        keys.get("omero")
    with pytest.raises(KeyRevoked):
        keys.rotate("omero")
    assert keys.revoke("omero") == revoked
    assert keys.all() == [revoked]


def test_a_name_whose_key_was_revoked_can_have_a_new_one_and_the_record_stays(keys: Keys, home: Path) -> None:
    old = keys.create("omero")
    keys.revoke("omero")
    new = keys.create("omero")
    assert new.public == public_of(new.private) != old.public
    note = json.loads((home / "keys" / "omero" / "key.json").read_text())
    assert [one["fingerprint"] for one in note["former"]] == [old.fingerprint]


@pytest.mark.parametrize(
    ("path", "mode", "words"),
    [
        ("keys/omero/id", 0o640, r"too open \(0640\).*chmod 600 "),
        ("keys/omero/id", 0o604, "chmod 600 "),
        ("keys/omero", 0o750, "chmod 700 "),
        ("keys", 0o755, "chmod 700 "),
        (".", 0o777, "chmod go-w "),
    ],
)
def test_a_key_that_others_could_read_or_replace_is_refused_with_the_command_that_mends_it(
    keys: Keys, home: Path, path: str, mode: int, words: str
) -> None:
    keys.create("omero")
    (home / path).chmod(mode)
    with pytest.raises(UnsafeKey, match=words) as refused:
        keys.get("omero")
    command = str(refused.value).partition("Run: ")[2]
    subprocess.run(command.split(), check=True)
    assert keys.get("omero").name == "omero"


def test_a_key_that_others_could_read_can_still_be_revoked(keys: Keys, home: Path) -> None:
    keys.create("omero")
    (home / "keys/omero/id").chmod(0o644)
    (home / "keys/omero").chmod(0o755)
    assert keys.revoke("omero").revoked
    assert not (home / "keys/omero/id").exists()


def test_a_link_in_the_place_of_a_key_is_refused(keys: Keys, home: Path, tmp_path: Path) -> None:
    keys.create("omero")
    (home / "keys/omero/id").rename(tmp_path / "id")
    (home / "keys/omero/id").symlink_to(tmp_path / "id")
    with pytest.raises(UnsafeKey, match="not a plain file"):
        keys.get("omero")
    (home / "keys/omero").rename(tmp_path / "omero")
    (home / "keys/omero").symlink_to(tmp_path / "omero")
    with pytest.raises(UnsafeKey, match="not a plain folder"):
        keys.get("omero")


def test_a_home_of_another_account_is_refused_and_says_whose_it_is(
    keys: Keys, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.create("omero")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UnsafeKey, match="this is account 4711"):
        keys.get("omero")


def test_a_damaged_or_missing_file_is_said_with_what_to_do(keys: Keys, home: Path) -> None:
    folder = home / "keys/omero"
    keys.create("omero")
    public = (folder / "id.pub").read_text()
    (folder / "id.pub").unlink()
    with pytest.raises(KeyBroken, match="Write it anew: ssh-keygen -y -f") as broken:
        keys.get("omero")
    command = str(broken.value).partition("anew: ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert (folder / "id.pub").read_text() == public
    (folder / "id").unlink()
    with pytest.raises(KeyBroken, match="id is missing"):
        keys.get("omero")
    (folder / "key.json").write_text("{}")
    with pytest.raises(KeyBroken, match=r"key\.json is missing or damaged"):
        keys.get("omero")


def test_without_ssh_keygen_the_package_to_install_is_named(
    keys: Keys, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKeyMade, match="openssh-client"):
        keys.create("omero")
    assert keys.all() == []


CANARY = "CANARYCANARYCANARY"


@pytest.mark.parametrize("ending", ["exit 1", "exit 0", "kill -9 $$"])
def test_whatever_ssh_keygen_does_or_says_nothing_of_it_is_passed_on(
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    ending: str,
) -> None:
    program = tmp_path / "bin" / "ssh-keygen"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho {CANARY}\necho {CANARY} >&2\n{ending}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(NoKeyMade) as failed:
        keys.create("omero")
    assert CANARY not in str(failed.value) + "".join(capfd.readouterr())
    assert keys.all() == []


def test_a_private_key_that_lies_where_the_public_one_should_is_not_shown(keys: Keys, home: Path) -> None:
    keys.create("omero")
    folder = home / "keys/omero"
    secret = (folder / "id").read_text()
    (folder / "id.pub").write_text(secret)
    for method in (keys.get, keys.create, keys.rotate, keys.finish, keys.revoke):
        with pytest.raises(KeyBroken) as broken:
            method("omero")
        assert secret.splitlines()[1] not in str(broken.value)


MOMENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "open", "subprocess.Popen"}


def die_at(moment: int, keys: Keys, verb: str, home: Path) -> int:
    """Do it in a process that ends at that moment, as if killed; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [moment]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in MOMENTS and str(home) in str(arguments):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)

    sys.addaudithook(hook)
    getattr(keys, verb)("omero")
    os._exit(0)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["create", "rotate", "finish", "revoke"])
def test_killed_at_any_moment_there_is_a_whole_key_or_none_and_a_repeat_completes_it(
    home: Path, verb: str
) -> None:
    code = 9
    moment = 0
    while code == 9:
        fresh = home.with_name(f"home{moment}")
        keys = Keys(fresh)
        before = keys.create("omero") if verb != "create" else None
        following = keys.rotate("omero").next_public if verb == "finish" else None
        code = die_at(moment, keys, verb, fresh)
        for pair in keys.all():
            if pair.revoked is None:
                assert public_of(pair.private) == pair.public
            else:
                assert not pair.private.exists()
        if code == 9 and (verb != "finish" or keys.get("omero").next_public):
            getattr(keys, verb)("omero")
        (after,) = keys.all()
        assert {path.name for path in (fresh / "keys").iterdir()} == {".lock", "omero"}
        assert (after.revoked is not None) == (verb == "revoke")
        assert (after.next_public is not None) == (verb == "rotate")
        if verb == "finish":
            assert after.public == following
        elif before is not None:
            assert after.public == before.public
        moment += 1
    assert code == 0
    assert moment > 5


def test_two_at_once_make_one_key(home: Path) -> None:
    code = f"from slidegate.sites.keys import *; print(Keys(Path({str(home)!r})).create('omero').public)"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
    first, second = (process.communicate(timeout=60)[0] for process in both)
    assert first == second != b""


def test_a_fingerprint_is_that_of_the_key_and_not_of_its_comment() -> None:
    blob = base64.b64encode(b"\0" * 51).decode()
    assert fingerprint(f"ssh-ed25519 {blob} a") == fingerprint(f"ssh-ed25519 {blob} b")
