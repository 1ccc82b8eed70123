# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""The SSH key pairs that open sites: made, exchanged and taken away. No private key ever leaves its file.

``keys/<name>/`` holds ``id`` (private), ``id.pub`` and ``key.json``; ``next/`` holds the pair that is to
take its place. All of it belongs to the account of the worker alone. A pair is made in a folder of another
name, which is given the right one at the end; what ``finish`` and ``revoke`` left half done when they were
killed is completed by whoever looks next. Every method may be repeated.
"""

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slidegate.domain.errors import BadRequest, SlidegateError
from slidegate.sites.notes import write_note

NAME = re.compile("[a-z0-9][a-z0-9_-]{0,39}")
_PUBLIC = re.compile(r"ssh-ed25519 ([A-Za-z0-9+/]{68}) slidegate:([a-z0-9_-]{1,40})")
_SECONDS = 30


class UnknownKey(BadRequest):
    """There is no key of that name."""

    code = "unknown-key"


class KeyRevoked(BadRequest):
    """The key was revoked; its private part is gone."""

    code = "key-revoked"


class NoNextKey(BadRequest):
    """The key has no next pair that could take its place."""

    code = "no-next-key"


class UnsafeKey(SlidegateError):
    """Somebody else could read or replace the key."""

    code = "unsafe-key"
    exit_code = 4


class KeyBroken(SlidegateError):
    """The files of the key are missing, or are not what they should be."""

    code = "key-broken"
    exit_code = 4


class NoKeyMade(SlidegateError):
    """No key could be made."""

    code = "no-key-made"
    exit_code = 4


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key, without its secret.

    Attributes
    ----------
    private
        Where the private key lies.
    public
        The line that a site gets.
    created
        Seconds since 1970.
    next_public
        The line of the pair that is to take its place, None when there is none.
    revoked
        When it was revoked, None when it was not; then there is no private key.
    """

    name: str
    private: Path
    public: str
    created: float
    next_public: str | None
    revoked: float | None

    @property
    def fingerprint(self) -> str:
        """What ssh and its logs call the key."""
        return fingerprint(self.public)


def fingerprint(public: str) -> str:
    """Return the fingerprint of a public key, as ``ssh-keygen -l`` prints it."""
    digest = hashlib.sha256(base64.b64decode(public.split(" ")[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class Keys:
    """The keys of one home.

    Parameters
    ----------
    home
        ``$SLIDEGATE_HOME``; keys lie below its folder ``keys``.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.absolute()
        self._folder = self._home / "keys"

    def create(self, name: str) -> KeyPair:
        """Make a key; one that is there already is left as it is, one that was revoked is made anew.

        Raises
        ------
        BadRequest
            It cannot be called so.
        UnsafeKey, NoKeyMade
        """
        if not NAME.fullmatch(name):
            raise BadRequest(f"A key cannot be called {name!r}: take up to 40 of a-z, 0-9, - and _.")
        with self._locked():
            folder = self._folder / name
            note = self._note(name) if folder.is_dir() else {"revoked": None, "former": []}
            if not folder.is_dir() or note["revoked"] is not None:
                with self._making(name) as made:
                    note = note | {"created": time.time(), "revoked": None}
                    if folder.is_dir():  # it was revoked, and counts as such until its note says otherwise
                        for part in ("id.pub", "id"):
                            (made / part).replace(folder / part)
                        self._write_note(folder, note)
                    else:
                        self._write_note(made, note)
                        made.rename(folder)
            return self._read(name)

    def get(self, name: str) -> KeyPair:
        """Return a key that can be used.

        Raises
        ------
        UnknownKey, KeyRevoked
            There is none of that name, or none any more.
        UnsafeKey, KeyBroken
            Its files are not as they must be; the message says what to do.
        """
        if not (NAME.fullmatch(name) and (self._folder / name).is_dir()):
            raise UnknownKey(f"There is no key {name!r}. slidegate key create {name} makes it.")
        with self._locked():
            found = self._read(name)
        if found.revoked is not None:
            raise KeyRevoked(f"The key {name!r} was revoked on {_day(found.revoked)}. Choose another key.")
        return found

    def all(self) -> list[KeyPair]:
        """Return all keys, those that were revoked too, by name."""
        if not self._folder.is_dir():
            return []
        with self._locked():
            names = sorted(path.name for path in self._folder.iterdir() if NAME.fullmatch(path.name))
            return [self._read(name) for name in names]

    def rotate(self, name: str) -> KeyPair:
        """Make the pair that is to take a key's place; both work until :meth:`finish`."""
        self.get(name)
        with self._locked():
            next_folder = self._folder / name / "next"
            if not next_folder.is_dir():
                with self._making(name) as made:
                    made.rename(next_folder)
            return self._read(name)

    def finish(self, name: str) -> KeyPair:
        """Let the next pair take the key's place; the old private key is gone.

        Raises
        ------
        NoNextKey
            There is no next pair: :meth:`rotate` makes it.
        """
        found = self.get(name)
        with self._locked():
            folder = self._folder / name
            if not (folder / "next").is_dir():
                raise NoNextKey(f"There is no next pair of {name!r}. slidegate key rotate {name} makes it.")
            note = self._note(name)
            self._write_note(folder, _ended(note, found.fingerprint) | {"created": time.time()})
            (folder / "next" / "id").replace(folder / "id")
            return self._read(name)

    def revoke(self, name: str) -> KeyPair:
        """Take a key away for good, also one that others could read: its private part goes, its record stays.

        Raises
        ------
        UnknownKey
            There never was one of that name.
        """
        if not (NAME.fullmatch(name) and (self._folder / name).is_dir()):
            raise UnknownKey(f"There is no key {name!r}.")
        with self._locked():
            folder = self._folder / name
            folder.chmod(0o700)
            note = self._note(name)
            if note["revoked"] is None:
                public = _public(folder / "id.pub", name)
                self._write_note(folder, _ended(note, fingerprint(public)) | {"revoked": time.time()})
            return self._read(name)

    # files

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out, with the folders made and checked; what a killed one was making goes."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check(self._home, others_may=0o055)
        self._folder.mkdir(exist_ok=True, mode=0o700)
        _check(self._folder)
        handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            for left in self._folder.glob(".new-*"):
                shutil.rmtree(left)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _making(self, name: str) -> Iterator[Path]:
        """Make a pair in a new folder, which goes unless the block renames it."""
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            _keygen(name, made / "id")
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _read(self, name: str) -> KeyPair:
        folder = self._folder / name
        _check(folder)
        note = self._settled(name)
        if note["revoked"] is None:
            _check(folder / "id", folder=False)
        following = folder / "next" / "id.pub"
        return KeyPair(
            name,
            folder / "id",
            _public(folder / "id.pub", name),
            note["created"],
            _public(following, name) if following.exists() else None,
            note["revoked"],
        )

    def _settled(self, name: str) -> dict[str, Any]:
        """Complete what a killed ``finish`` or ``revoke`` left half done; return what is noted of the key."""
        folder, note = self._folder / name, self._note(name)
        following = folder / "next"
        if note["revoked"] is not None:
            (folder / "id").unlink(missing_ok=True)
            shutil.rmtree(following, ignore_errors=True)
        elif following.is_dir() and not (following / "id").exists():
            if (following / "id.pub").exists():
                (following / "id.pub").replace(folder / "id.pub")
            following.rmdir()
        return note

    def _note(self, name: str) -> dict[str, Any]:
        try:
            note = json.loads((self._folder / name / "key.json").read_bytes())
            return {"created": note["created"], "revoked": note["revoked"], "former": list(note["former"])}
        except (OSError, ValueError, KeyError, TypeError):
            raise KeyBroken(
                f"{self._folder / name / 'key.json'} is missing or damaged. Restore it, or remove the folder "
                "and make another key."
            ) from None

    def _write_note(self, folder: Path, note: dict[str, Any]) -> None:
        write_note(folder / "key.json", json.dumps({"format": 1, **note}, sort_keys=True))


def _ended(note: dict[str, Any], ended: str) -> dict[str, Any]:
    """Return a key's note with one more pair among those that were; a repeat changes nothing."""
    one = {"fingerprint": ended, "created": note["created"], "ended": time.time()}
    return note | {"former": [*(each for each in note["former"] if each["fingerprint"] != ended), one]}


def _keygen(name: str, path: Path) -> None:
    """Have ssh-keygen make a pair; nothing that it says is passed on."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"slidegate:{name}", "-f", str(path)]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    no = subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv, env=environment, timeout=_SECONDS, check=False, stdin=no, stdout=no, stderr=no
        )
    except FileNotFoundError:
        raise NoKeyMade("There is no ssh-keygen here: install openssh-client.") from None
    except (OSError, subprocess.TimeoutExpired):
        raise NoKeyMade("ssh-keygen did not make the key: it cannot be run, or it hangs.") from None
    if done.returncode != 0 or not path.exists():
        raise NoKeyMade(f"ssh-keygen did not make the key (status {done.returncode}): is the disk full?")
    for made in (path, path.with_suffix(".pub")):
        made.chmod(0o600)


def _public(path: Path, name: str) -> str:
    """Return the line in a public key's file; never what else may lie there."""
    try:
        line = path.read_text("ascii").rstrip("\n")
    except (OSError, UnicodeError):
        line = ""
    found = _PUBLIC.fullmatch(line)
    if found is None or found.group(2) != name:
        raise KeyBroken(
            f"{path} does not hold the public part of {name!r}. "
            f"Write it anew: ssh-keygen -y -f {path.with_suffix('')} > {path}"
        )
    return line


def _check(path: Path, folder: bool = True, others_may: int = 0) -> None:
    """Raise unless a path is this account's own, and others may do no more to it than said."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        raise KeyBroken(f"{path} is missing. Restore it, or revoke the key and make it anew.") from None
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(info.st_mode):
        raise UnsafeKey(f"{path} is not a plain {'folder' if folder else 'file'}. Look who has put it there.")
    if info.st_uid != os.geteuid():
        raise UnsafeKey(
            f"{path} belongs to account {info.st_uid}, and this is account {os.geteuid()}. "
            "Use the account that slidegate's worker runs as."
        )
    if info.st_mode & 0o077 & ~others_may:
        mode = "go-w" if others_may else "700" if folder else "600"
        raise UnsafeKey(
            f"The permissions of {path} are too open ({info.st_mode & 0o777:04o}): others could read or "
            f"replace keys. Run: chmod {mode} {path}"
        )


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
