# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""The line that lets a public key into the gate, and nowhere else (broken here, one line in the file)::

    restrict,from="...",expiry-time="...",
    command="exec PYTHON -IS HOME/current serve --key NAME" TYPE KEY slidegate:NAME

``restrict`` takes away everything that sshd offers besides the command, also what later versions of it may
offer.  ``from`` and ``expiry-time`` stand there where they were asked for.
"""

import base64
import binascii
import os
import re
from typing import Optional, Tuple

from ..errors import GateError

__all__ = ["MOST", "BadKey", "command_of", "is_exact", "make", "name_in", "public_key", "split"]

TYPES = "(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh.com)"
MOST = 8000  # sshd reads lines of up to 8 KiB
PLAIN = "/[A-Za-z0-9_./+@~=-]+"  # a path that needs no quotes: not in this file, not in a shell
COMMAND = r"exec {0} -IS ({0})/current serve --key ([a-z0-9][a-z0-9_-]*)".format(PLAIN)
OPTIONS = r'restrict(,from="[0-9A-Fa-f.:/,]+")?(,expiry-time="[0-9]{8}")?'
EXACT = re.compile(
    r'{},command="{}" [a-z0-9@.-]+ [A-Za-z0-9+/=]+ slidegate:\4'.format(OPTIONS, COMMAND).encode()
)
# whatever starts something of a gate, also where somebody has changed it
OURS = re.compile(rb"""(/[^\s"'\\]+)/(?:current|versions/)(?:(?=.*?--key[\s"'\\=]*([a-z0-9][a-z0-9_-]*)))?""")


class BadKey(GateError):
    """What was given is not one plain public key, or cannot stand in such a line."""

    code = "bad-key"


def public_key(data: bytes) -> Tuple[str, bytes]:
    """Return type and contents of the one public key in a file; raise BadKey for everything else."""
    if b"PRIVATE KEY" in data:
        raise BadKey("That is a private key, which must never leave its place: give the .pub file beside it.")
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    if len(lines) != 1:
        raise BadKey("The file must have one line, with one public key; it has {}.".format(len(lines)))
    words = lines[0].split(None, 2)
    if not re.fullmatch(TYPES, words[0]):
        raise BadKey("The line must begin with the type of a plain key: no options, and no certificate.")
    blob = _contents(words[0].encode("ascii"), "".join(words[1:2]).encode("utf-8"))
    if blob is None:
        raise BadKey("What follows {} is not a key of that type: copy the file once more.".format(words[0]))
    return words[0], blob


def command_of(home: str, python: str, name: str) -> str:
    """Return what sshd starts for a key; raise BadKey where a path would need quotes."""
    for path in (home, python):
        if not re.fullmatch(PLAIN, path):
            raise BadKey("A shell could misread {!r}: move it to a path of letters and digits.".format(path))
    return "exec {} -IS {}/current serve --key {}".format(python, home, name)


def make(key: Tuple[str, bytes], command: str, name: str, source: str = "", until: str = "") -> bytes:
    """Return the line, without its end; raise BadKey where sshd would not read all of it."""
    options = ["restrict"] + (['from="{}"'.format(source)] if source else [])
    options += ['expiry-time="{}"'.format(until)] if until else []
    encoded = base64.b64encode(key[1]).decode("ascii")
    line = '{},command="{}" {} {} slidegate:{}'.format(",".join(options), command, key[0], encoded, name)
    if len(line) > MOST:
        raise BadKey("sshd reads lines of {} bytes, this has {}: name networks.".format(MOST, len(line)))
    return line.encode("ascii")


def split(line: bytes) -> Tuple[bytes, Optional[bytes]]:
    """Return options and key of a line of ``authorized_keys`` as sshd takes it; no key where it has none."""
    line = line.strip()
    for at in (0, _past_options(line)):
        words = line[at:].split(None, 2)
        blob = _contents(*words[:2]) if len(words) > 1 and line[:1] != b"#" else None
        if blob is not None:
            return line[:at], blob
    return b"", None


def name_in(line: bytes, home: str) -> str:
    """Return the name under which a line lets a key into the gate at `home`, "" for every other line.

    It is "?" where a line starts something of the gate without the name of a key.
    """
    here = os.path.realpath(home).encode("utf-8")
    names = [name or b"?" for at, name in OURS.findall(split(line)[0]) if os.path.realpath(at) == here]
    return names[0].decode("ascii") if names else ""


def is_exact(line: bytes) -> bool:
    """Say whether a line is one that ``make`` makes, to the letter."""
    return EXACT.fullmatch(line) is not None


def _past_options(line: bytes) -> int:
    at, quoted = 0, False
    while at < len(line) and (quoted or line[at] not in b" \t"):
        escaped = line[at : at + 2] == b'\\"'
        quoted ^= line[at] in b'"' and not escaped
        at += 2 if escaped else 1
    return at


def _contents(kind: bytes, text: bytes) -> Optional[bytes]:
    # What is encoded begins with its own type, and that is the one that counts.
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return blob if blob.startswith(len(kind).to_bytes(4, "big") + kind) else None
