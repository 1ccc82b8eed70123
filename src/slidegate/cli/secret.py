# SPDX-License-Identifier: BSD-3-Clause
"""Secrets, from a terminal or an open file: never from the words of a command, which all processes see."""

import os
import sys

from slidegate.domain.errors import BadRequest

_MOST = 4096


class NoSecret(BadRequest):
    """A secret is needed, and there is no terminal to ask at: hand it over with --fd."""

    code = "no-secret"


def secret(prompt: str, fd: int | None, twice: bool = False) -> str:
    """Return a secret: the first line of an open file, or what is typed at the terminal, unseen.

    Parameters
    ----------
    fd
        The number of the open file; None to ask.
    twice
        Ask a second time, to be sure.

    Raises
    ------
    NoSecret
    BadRequest
        The two differ, or the file cannot be read.
    """
    if fd is not None:
        return _from_file(fd)
    if not sys.stdin.isatty():
        raise NoSecret
    from getpass import getpass

    given = getpass(f"{prompt}: ")
    if twice and getpass("Once more: ") != given:
        raise BadRequest("The two differ; nothing was changed.")
    return given


def _from_file(fd: int) -> str:
    found = b""
    try:
        while b"\n" not in found and len(found) < _MOST and (piece := os.read(fd, _MOST)):
            found += piece
        text = found.partition(b"\n")[0].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"The open file {fd} cannot be read.") from error
    if not text:
        raise NoSecret(f"The open file {fd} holds nothing.")
    return text.rstrip("\r")
