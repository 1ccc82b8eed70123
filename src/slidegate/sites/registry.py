# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""The sites behind ssh that this home knows: where each is, and the host keys that were pinned.

``sites/<name>/`` holds ``site.json`` and ``known_hosts``; both belong to this account, and nobody else may
write there. A site appears whole or not at all, and a change replaces one file by another.
"""

import base64
import binascii
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from slidegate.domain.errors import BadRequest, UnknownSite
from slidegate.sites.errors import LinkDown, SiteError
from slidegate.sites.keys import NAME
from slidegate.sites.notes import write_note
from slidegate.sites.ssh import SshHost, meaning_of

LOCAL = "local"
SSH_ITSELF = "-"
_FORMAT = 1
_HOST = re.compile("[A-Za-z0-9_][A-Za-z0-9._:%-]{0,252}")
_ACCOUNT = re.compile("[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}")
_HOST_KEY = re.compile(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]{40,3000}={0,2})")
_SECONDS = 60


class SiteFileBroken(SiteError):
    """The file that describes the site cannot be used."""

    code = "site-file"


class SiteExists(BadRequest):
    """There is a site of that name."""

    code = "site-exists"


class SiteInUse(BadRequest):
    """Runs at the site have not ended."""

    code = "site-in-use"


class BadHostKey(BadRequest):
    """That is no host key."""

    code = "bad-host-key"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a gate is.

    Attributes
    ----------
    ssh
        The host, or an alias from the ssh configuration.
    ssh_config
        An ssh configuration to be read instead of ``~/.ssh/config``.
    key
        The key that everybody without an account of their own there uses: one of slidegate's by its name, or
        ``-`` for whatever ssh itself offers (agents, certificates). None admits only people who are linked.
    """

    name: str
    ssh: str
    user: str | None = None
    port: int | None = None
    ssh_config: str | None = None
    key: str | None = None


def _is(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


_FIELDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "ssh": (_is(_HOST), "a host's name, its address, or an alias from your ssh configuration"),
    "user": (_is(_ACCOUNT), "the name of an account"),
    "port": (lambda value: type(value) is int and 0 < value < 65536, "a number from 1 to 65535"),
    "ssh_config": (
        lambda value: isinstance(value, str) and value.startswith("/") and value.isprintable(),
        "a file's path from the root",
    ),
    "key": (lambda value: value == SSH_ITSELF or _is(NAME)(value), "the name of a key, or -"),
}


class Registry:
    """The sites of one home.

    Parameters
    ----------
    home
        ``$SLIDEGATE_HOME``; sites lie below its folder ``sites``.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home.absolute() / "sites"

    def names(self) -> list[str]:
        """Return the names of all sites but the embedded one."""
        return sorted(
            path.parent.name for path in self._folder.glob("*/site.json") if _is(NAME)(path.parent.name)
        )

    def get(self, name: str) -> Site:
        """Return a site.

        Raises
        ------
        UnknownSite
            There is none of that name.
        SiteFileBroken
            Its file cannot be used; the message says what to do.
        """
        path = self._folder / name / "site.json"
        if not _is(NAME)(name) or not path.exists():
            known = ", ".join([LOCAL, *self.names()])
            raise UnknownSite(
                f"There is no site {name!r}; there is {known}. slidegate site add {name} --ssh HOST adds it."
            )
        for part in (path.parent, path, path.parent / "known_hosts"):
            _check_owner(part)
        try:
            value = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SiteFileBroken(f"{path} cannot be read. {_again(name)}") from error
        return _site(name, value, path)

    def check(self, site: Site, replace_it: bool) -> None:
        """See whether a site could be remembered so; writes nothing.

        Raises
        ------
        BadRequest
            Something about it cannot be.
        SiteExists
            There is another one of that name, and it shall not be replaced.
        """
        if site.name == LOCAL or not NAME.fullmatch(site.name):
            raise BadRequest(f"A site cannot be called {site.name!r}: take up to 40 of a-z, 0-9, - and _.")
        _check_fields(asdict(site), BadRequest)
        path = self._folder / site.name / "site.json"
        if path.exists() and not replace_it and path.read_text() != _text(site):
            raise SiteExists(f"There is another site {site.name!r} already; --replace changes it.")

    def add(self, site: Site, host_keys: Collection[str], replace_it: bool = False) -> None:
        """Remember a site and pin its host keys; the same again changes nothing.

        Raises
        ------
        BadRequest, BadHostKey
            Something about it cannot be; nothing was written.
        SiteExists
            There is another one of that name, or it has other host keys, and it shall not be replaced.
        """
        self.check(site, replace_it)
        keys = sorted({read_host_key(line) for line in host_keys})
        if not keys:
            raise BadHostKey("A site needs at least one host key that it is recognised by.")
        target = self._folder / site.name
        if (target / "site.json").exists():
            if not replace_it and (target / "known_hosts").read_text() != _pins(site.name, keys):
                raise SiteExists(f"The site {site.name!r} has other host keys; --replace changes them.")
            write_note(target / "known_hosts", _pins(site.name, keys))
            write_note(target / "site.json", _text(site))
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            write_note(made / "known_hosts", _pins(site.name, keys))
            write_note(made / "site.json", _text(site))
            made.rename(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def remove(self, name: str, unfinished: Collection[str]) -> None:
        """Forget a site; what is there stays there.

        Parameters
        ----------
        unfinished
            The Runs there that have not ended; there may be none.
        """
        if not _is(NAME)(name) or not (self._folder / name / "site.json").exists():
            self.get(name)
        if unfinished:
            raise SiteInUse(
                f"Runs at {name!r} have not ended ({', '.join(unfinished)}). Wait for them, or cancel them: "
                "slidegate cancel RUN"
            )
        gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=self._folder))
        (self._folder / name).rename(gone / name)
        shutil.rmtree(gone)

    def host_keys(self, name: str) -> list[str]:
        """Return the host keys that were pinned for a site."""
        lines = (self._folder / name / "known_hosts").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines]

    def host(self, site: Site, user: str | None = None, identity: Path | None = None) -> SshHost:
        """Return how to reach a site, as an account there that a person has, with a private key."""
        return replace(
            _host(site, self._folder / site.name / "known_hosts"),
            user=user or site.user,
            identity=identity,
        )

    def channels(self, name: str) -> Path:
        """Return the folder for the locks on a site's channels."""
        return self._folder / name / "channels"


def _host(site: Site, known_hosts: Path) -> SshHost:
    config = None if site.ssh_config is None else Path(site.ssh_config)
    return SshHost(site.name, site.ssh, known_hosts, site.user, site.port, config)


def _again(name: str) -> str:
    return f"Write it anew: slidegate site add {name} --ssh HOST --replace"


def _site(name: str, value: Any, path: Path) -> Site:
    if not isinstance(value, dict):
        raise SiteFileBroken(f"{path} does not hold an object. {_again(name)}")
    if value.get("format") != _FORMAT:
        raise SiteFileBroken(
            f"{path} has the format {value.get('format')!r}, and this slidegate reads {_FORMAT}: "
            "it was written by another version."
        )
    unknown = sorted(set(value) - set(_FIELDS) - {"format"})
    if unknown or "ssh" not in value:
        what = f"holds {unknown[0]!r}, which means nothing" if unknown else "does not name a host (ssh)"
        raise SiteFileBroken(f"{path} {what}. {_again(name)}")
    _check_fields(value, SiteFileBroken, f"{path}: ")
    return Site(name, **{field: value[field] for field in _FIELDS if field in value})


def _check_fields(values: dict[str, Any], kind: Callable[[str], Exception], where: str = "") -> None:
    for name, (is_good, words) in _FIELDS.items():
        if values.get(name) is not None and not is_good(values[name]):
            raise kind(f"{where}{name} is {words}, not {values[name]!r}.")


def _check_owner(path: Path) -> None:
    try:
        found = path.lstat()
    except OSError:
        raise SiteFileBroken(f"{path} is missing. {_again(path.parent.name)}") from None
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
        raise SiteFileBroken(f"{path} was put there by somebody else. Look who it was.")
    if found.st_mode & 0o022:
        raise SiteFileBroken(f"Others may write to {path}. Run: chmod go-w {path}")


def _text(site: Site) -> str:
    values = {name: value for name, value in asdict(site).items() if name != "name" and value is not None}
    return json.dumps({"format": _FORMAT, **values}, indent=2, sort_keys=True) + "\n"


def _pins(name: str, keys: Collection[str]) -> str:
    return "".join(f"{name} {key}\n" for key in keys)


def read_host_key(line: str) -> str:
    """Return the kind and the key in a line of a ``.pub`` file or of known_hosts.

    Raises
    ------
    BadHostKey
        There is none in it.
    """
    found = _HOST_KEY.search(line)
    kind, text = found.groups() if found else ("", "")
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        blob = b""
    parts = list(_parts(blob))
    if parts[:1] != [kind.encode()] or None in parts:
        raise BadHostKey(
            f"That is no host key: {line[:60]!r}. It looks like: ssh-ed25519 AAAAC3Nza... ; the cluster's "
            "administrator finds it in /etc/ssh/ssh_host_ed25519_key.pub"
        )
    return f"{kind} {text}"


def _parts(blob: bytes) -> Iterator[bytes | None]:
    """Yield the parts of a public key, each of which stands behind its length; None where one is cut off."""
    while blob:
        end = 4 + int.from_bytes(blob[:4], "big")
        yield blob[4:end] if end <= len(blob) else None
        blob = blob[end:]


def read_host_keys(path: Path) -> list[str]:
    """Return the host keys in a file, one a line."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise BadHostKey(f"{path} cannot be read.") from error
    return [read_host_key(line) for line in lines if line.strip() and not line.startswith("#")]


def shown_host_key(site: Site) -> str:
    """Return the host key that a site shows just now. Nobody has vouched for it.

    It is asked as ssh itself asks, through hosts on the way too, and nobody logs in.

    Raises
    ------
    LinkDown
        The host does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="slidegate-") as folder:
        host = _host(site, Path(folder) / "known_hosts")
        options = ["StrictHostKeyChecking=accept-new", "PreferredAuthentications=none", "HashKnownHosts=no"]
        argv = host.argv()
        argv[1:1] = [f"-o{option}" for option in options]
        try:
            done = subprocess.run(
                argv,
                env=host.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LinkDown(f"ssh cannot be run: {error}.") from error
        try:
            return read_host_key(host.known_hosts.read_text())
        except (OSError, BadHostKey):
            raise meaning_of(done.stderr) from None
