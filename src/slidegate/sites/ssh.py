# SPDX-License-Identifier: BSD-3-Clause
"""A Link to a gate behind a forced command: the system's ssh, one channel, host key pinned.

What a person has arranged in ``~/.ssh/config`` (ProxyJump, agents, certificates) holds. What would give the
other side something, or would ask a person something, is switched off on the command line, which comes first.
"""

import fcntl
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from slidegate.sites import errors
from slidegate.sites.errors import LinkDown, LinkNoise, SiteError
from slidegate.sites.link import Frame
from slidegate.sites.pipe import PLAIN, PipeLink, quoted

CONNECT_SECONDS = 15
_CHANNELS = 4
_WAIT_SECONDS = 30.0  # longer than the pause between two questions of who follows a Run
_HELD_SECONDS = 5.0
_WANTED_SECONDS = 1.0
_STEADY_SECONDS = 60.0
_SSH_FAILED = 255
_NOT_FOUND = (126, 127)
_FIXED = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "KnownHostsCommand=none",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
    "CheckHostIP=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "Tunnel=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "ControlMaster=no",
    "ControlPath=none",
    "LogLevel=INFO",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
)
_NEW_HOST_KEY = (
    "It was set up anew, or somebody else answers: ask its administrator for the fingerprint, then repeat "
    "slidegate site add with --replace."
)
_ADVICE: dict[type[LinkDown], str] = {
    errors.HostUnknown: "Check its spelling (slidegate site show) and the network.",
    errors.HostUnreachable: "Ask whether it is up, and reachable from here.",
    errors.HostBusy: "It is asked again, less and less often.",
    errors.HostKeyChanged: _NEW_HOST_KEY,
    errors.HostKeyUnknown: f"{_NEW_HOST_KEY} (For a host on the way, your own known_hosts counts.)",
    errors.KeyRefused: (
        "It is not authorised there (gatectl authorize), has expired, or may not be used from this "
        "computer's address."
    ),
    errors.GateMissing: "Ask for gatectl install and gatectl authorize there.",
}
# Looked for in this order: what a host on the way says comes before what its silence makes of the rest.
_MEANINGS: tuple[tuple[str, type[LinkDown]], ...] = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed", errors.HostKeyChanged),
    ("No [A-Za-z0-9-]+ host key is known|Host key verification failed", errors.HostKeyUnknown),
    ("Permission denied|Too many authentication failures|unprotected private key", errors.KeyRefused),
    ("Could not resolve hostname", errors.HostUnknown),
    (
        "connect to host|Connection (timed out|refused)|Operation timed out|No route to",
        errors.HostUnreachable,
    ),
    ("kex_exchange_identification|ssh_exchange_identification|Not allowed at this time", errors.HostBusy),
    ("Connection (reset|closed) by .* port", errors.HostBusy),
)
# A person has to do something about these: asking often is of no use, and some hosts shut out who does.
_FOR_A_PERSON = (errors.HostKeyChanged, errors.HostKeyUnknown, errors.KeyRefused, errors.GateMissing)
_SHELL_NOISE = (
    "Usually a file that the account's shell reads there (~/.bashrc, ~/.profile) prints it: "
    "let it print for people only, by `case $- in *i*) ;; *) return;; esac` at its top."
)


@dataclass(frozen=True, slots=True)
class SshHost:
    """How a site's host is reached.

    Attributes
    ----------
    site
        The site's name; the pinned host keys are filed under it.
    host
        A host's name, its address, or an alias from the ssh configuration.
    known_hosts
        The pinned host keys.
    config
        An ssh configuration to be read instead of ``~/.ssh/config``.
    identity
        The only private key that may be offered; None leaves it to the ssh configuration and its agents.
    """

    site: str
    host: str
    known_hosts: Path
    user: str | None = None
    port: int | None = None
    config: Path | None = None
    identity: Path | None = None

    def argv(self) -> list[str]:
        """Return the argument list that opens a channel to the gate."""
        options = [
            *_FIXED,
            f"ConnectTimeout={CONNECT_SECONDS}",
            f"HostKeyAlias={self.site}",
            f"UserKnownHostsFile={_path(self.known_hosts)}",
        ]
        if self.identity is not None:
            options += ["IdentitiesOnly=yes", "IdentityAgent=none", f"IdentityFile={_path(self.identity)}"]
        return ["ssh", *self.where(), *(f"-o{option}" for option in options), "--", self.host, "slidegate"]

    def where(self) -> list[str]:
        """Return the arguments that say where, but for the host."""
        return [
            *(["-F", str(self.config)] if self.config is not None else []),
            *(["-l", self.user] if self.user is not None else []),
            *(["-p", str(self.port)] if self.port is not None else []),
        ]

    def environment(self) -> dict[str, str]:
        """Return the whole environment of ssh; the agent's socket only where no key is named."""
        names = ["HOME"] if self.identity is not None else ["HOME", "SSH_AUTH_SOCK"]
        return PLAIN | {"LANG": "C"} | {name: os.environ[name] for name in names if name in os.environ}


def _path(path: Path) -> str:
    """Write a path so that ssh takes every sign of it as it stands."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


class Patience:
    """When a site may be asked again: each failure in a row doubles the pause, for all channels together.

    A pause is at least as long as the failure kept everybody waiting, so that a site that swallows what it is
    asked leaves time for the others.

    Parameters
    ----------
    first_seconds, most_seconds
        The pause after the first failure, and the longest; up to half of it is left out by chance.
    """

    def __init__(
        self,
        first_seconds: float = 1.0,
        most_seconds: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = first_seconds
        self._most = most_seconds
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._not_before = 0.0
        self._reason: SiteError | None = None

    def check(self) -> None:
        """Raise what went wrong last, when it is too early to try again."""
        with self._lock:
            if self._reason is not None and self._clock() < self._not_before:
                raise type(self._reason)(self._reason.message)
            # one at a time: who comes while this one is trying hears what was the matter
            self._not_before = self._clock() + self._pause()

    def failed(self, reason: SiteError, lasted: float, waited: float = 0.0) -> None:
        """Note that a channel failed that had lasted for so long, and how long was waited for it in vain."""
        with self._lock:
            self._failures = 1 if lasted > _STEADY_SECONDS else self._failures + 1
            self._reason = reason
            pause = self._most if isinstance(reason, _FOR_A_PERSON) else self._pause()
            pause *= random.uniform(0.5, 1.0)  # noqa: S311  (no secret)
            self._not_before = self._clock() + max(pause, min(self._most, waited))

    def succeeded(self) -> None:
        """Note that the site answered."""
        with self._lock:
            self._failures, self._reason = 0, None

    def _pause(self) -> float:
        return float(min(self._most, self._first * 2 ** min(max(0, self._failures - 1), 30)))


class SshGate:
    """Opens channels to the gate of one site, as one key; call it for a Link.

    Parameters
    ----------
    channels
        A folder for the locks that limit how many channels this computer has open.
    key
        Whose channels they are.
    patience
        Shared by all that connect to the site.
    """

    def __init__(
        self, host: SshHost, channels: Path, key: str, patience: Patience, idle_seconds: float = 120.0
    ) -> None:
        self._host = host
        self._channels = channels
        self._key = key
        self._patience = patience
        self._idle_seconds = idle_seconds
        self._wanted = channels / f"{key}.wanted"

    def __call__(self) -> "SshLink":
        """Open a channel.

        Raises
        ------
        ChannelsTaken
            All channels are in use, and stayed so for some seconds.
        LinkDown
            The site did not answer just now; what was wrong is told again, and nothing is sent.
        """
        slot = self._take()
        try:
            self._patience.check()
            return SshLink(self._host, self._patience, slot, self._idle_seconds, self._wanted)
        except BaseException:
            os.close(slot)
            raise

    def _take(self) -> int:
        """Take one of the channels; killed, a process gives it back."""
        self._channels.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            for number in range(_CHANNELS):
                path = self._channels / f"{self._key}.{number}"
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return handle
                except BlockingIOError:
                    os.close(handle)
            if time.monotonic() > deadline:
                raise errors.ChannelsTaken
            self._wanted.touch(0o600)  # who has one leaves it after the next question
            time.sleep(0.1)


class SshLink(PipeLink):
    """One channel; made by :class:`SshGate`. After a while it makes room for whoever waits for one."""

    def __init__(
        self, host: SshHost, patience: Patience, slot: int, idle_seconds: float, wanted: Path
    ) -> None:
        self._wanted = wanted
        self._patience = patience
        self._began = time.monotonic()
        self._answered = False
        super().__init__(host.argv(), idle_seconds, host.environment())
        self._slot: int | None = slot

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        """See Link.stream."""
        yield from super().stream(requests)
        if time.monotonic() - self._began > _HELD_SECONDS and self._is_wanted():
            self.close()

    def _is_wanted(self) -> bool:
        try:
            return abs(time.time() - self._wanted.stat().st_mtime) < _WANTED_SECONDS
        except FileNotFoundError:
            return False

    def _read(self) -> Frame:
        asked = time.monotonic()
        try:
            frame = super()._read()
        except SiteError as error:
            now = time.monotonic()
            self._patience.failed(error, now - self._began if self._answered else 0.0, now - asked)
            raise
        if not self._answered:
            self._answered = True
            self._patience.succeeded()
        return frame

    def ended(self, code: int | None, words: str) -> LinkDown:
        """See PipeLink.ended: say what the words of ssh mean."""
        said = quoted(words)
        if code == _SSH_FAILED:
            if self._answered:
                return LinkDown(f"The connection to the site broke. ssh says: {said}")
            return meaning_of(words)
        if self._answered:
            return super().ended(code, words)
        if code in _NOT_FOUND or "can't open file" in words:
            return _told(errors.GateMissing, "The host", said)
        return errors.GateRefused(f"The gate ended before it answered. Its last words: {said or 'none'}")

    def noise(self, words: str) -> LinkNoise:
        """See PipeLink.noise; before the first answer it comes from the shell."""
        found = super().noise(words)
        return found if self._answered else LinkNoise(f"{found.message} {_SHELL_NOISE}")

    def close(self) -> None:
        """See Link.close."""
        super().close()
        slot, self._slot = self._slot, None
        if slot is not None:
            os.close(slot)


def meaning_of(words: str) -> LinkDown:
    """Return the error that the words of an ssh mean that did not connect."""
    for pattern, kind in _MEANINGS:
        for line in words.splitlines():
            if re.search(pattern, line, re.IGNORECASE):
                return _told(kind, "ssh", quoted(line.strip("@ ")))
    return LinkDown(f"ssh cannot connect to the site. It says: {quoted(words)}")


def _told(kind: type[LinkDown], who: str, words: str) -> LinkDown:
    return kind(f"{kind().message} {_ADVICE[kind]} {who} says: {words}")
