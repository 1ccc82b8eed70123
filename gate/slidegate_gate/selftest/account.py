# SPDX-License-Identifier: BSD-3-Clause
"""What lets people in, and what greets them: the account's key file and its login shell."""

import os
import pwd
import socket
import subprocess
from subprocess import PIPE, STDOUT
from typing import Any, Dict

from ..door import keyfile, line
from .places import Unfit, demand

__all__ = ["lines_are_exact", "shell_is_silent"]

SHELL_SECONDS = 20
CLIENT = "192.0.2.1 50000 192.0.2.2 22"
SILENCE = "{} says {!a}: begin what it reads (such as ~/.bashrc) with `case $- in *i*) ;; *) return ;; esac`"


def shell_is_silent(home: str, config: Dict[str, Any]) -> None:
    """Raise Unfit where the login shell, started as sshd starts it for the gate, says anything by itself.

    Whatever it says would stand before the gate's first frame.  On a computer of its own, to which no key
    leads, the gate is spoken to without a shell.
    """
    if config["scheduler"]["name"] == "local" and not keyfile.lines_into(home):
        return
    account = pwd.getpwuid(os.getuid())
    shell = account.pw_shell or "/bin/sh"
    variables = {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name, "SHELL": shell}
    variables.update(PATH="/usr/bin:/bin", SSH_CLIENT=CLIENT, SSH_CONNECTION=CLIENT)
    ours, its = socket.socketpair()  # as from sshd; bash looks at it
    ours.close()
    settings: Any = {"env": variables, "cwd": account.pw_dir, "stdin": its, "stdout": PIPE, "stderr": STDOUT}
    with its:
        try:
            done = subprocess.run([shell, "-c", "true"], timeout=SHELL_SECONDS, **settings)
        except subprocess.TimeoutExpired:
            raise Unfit("{} took over {} s: look at what it reads".format(shell, SHELL_SECONDS))
    said = done.stdout.decode("utf-8", "replace").strip()
    demand(not said, SILENCE.format(shell, said[:200]))
    demand(done.returncode == 0, "{} starts no commands, it ends with {}".format(shell, done.returncode))


def lines_are_exact(home: str, config: Dict[str, Any]) -> None:
    """Raise Unfit where a line that leads to this gate is not just what ``authorize`` writes."""
    for each in keyfile.lines_into(home):
        name = line.name_in(each, home)
        words = "{0!r} is no key here, but a line lets it in: run `gatectl deauthorize --key {0}`"
        demand(name in config.get("keys", {}), words.format(name))
        words = "a line for {0!r} was changed by hand: run `gatectl deauthorize --key {0}`, then `authorize`"
        demand(line.is_exact(each), words.format(name))
        python = each.partition(b'="exec ')[2].partition(b" ")[0].decode("ascii")
        demand(os.access(python, os.X_OK), "{} is gone: run `authorize` for {!r} again".format(python, name))
        words = "the key of {!r} is let in with other rights by {}: remove that line"
        demand(not keyfile.rival(each, home), words.format(name, keyfile.rival(each, home)))
