# SPDX-License-Identifier: BSD-3-Clause
"""The verbs for keys: what each may start and how much, and the line that lets one in."""

import ipaddress
import os
import re
import sys
import time
from argparse import Namespace
from typing import Any, Dict, Tuple

from slidegate_gate.door import keyfile
from slidegate_gate.door import line as lines
from slidegate_gate.home.config import UnknownName, check_word, locked_home, open_home, write_config
from slidegate_gate.serve import files
from slidegate_gate.serve.limits import DEFAULTS
from slidegate_gate.workflows.releases import find_releases


def add(asked: Namespace) -> None:
    """Let a key start the workflows that are named; say what else it could start before, and can no more."""
    check_word(asked.name)
    with locked_home(asked.home) as config:
        settings = config.setdefault("keys", {}).setdefault(asked.name, {})
        before, settings["workflows"] = settings.get("workflows", []), sorted(set(asked.workflow))
        if asked.cores is not None:
            settings["cores"] = max(0, asked.cores)
        write_config(asked.home, config)
    for name in sorted(set(before) - set(asked.workflow)):
        print("{} can no longer start {}: name all that it may start".format(asked.name, name))
    for name in sorted(set(asked.workflow) - {"*"} - {one["name"] for one in find_releases(asked.home)}):
        print("{} is not installed yet: see `gatectl workflow list`".format(name))


def list_all(asked: Namespace) -> None:
    """Print each key and what it may start."""
    for name, stated in sorted(open_home(asked.home).get("keys", {}).items()):
        print("{}  {}".format(name, " ".join(stated["workflows"])))


def remove(asked: Namespace) -> None:
    """Take a key off the list; what is recorded of it, and unfinished work, stays."""
    with locked_home(asked.home) as config:
        _settings(config, asked.name)
        del config["keys"][asked.name]
        write_config(asked.home, config)


def limits(asked: Namespace) -> None:
    """Give a key limits of its own, ``name=number``; ``name=`` takes one back.  Print those that hold."""
    with locked_home(asked.home) as config:
        settings = _settings(config, asked.name)
        own: Dict[str, int] = settings.setdefault("limits", {})
        for name, _, value in [text.partition("=") for text in asked.limit]:
            if name not in DEFAULTS:
                raise UnknownName("There is no limit {!r}; there are: {}.".format(name, ", ".join(DEFAULTS)))
            if value and not (value.isdigit() and len(value) < 16):
                raise UnknownName("{!r} is no limit: write {}=NUMBER.".format(value, name))
            own.pop(name, None)
            own.update({name: int(value)} if value else {})
        write_config(asked.home, config)
    for name, value in sorted(dict(DEFAULTS, **dict(config.get("limits", {}), **own)).items()):
        print("{}={}{}".format(name, value, "" if name in own else "  (for all keys)"))


def authorize(asked: Namespace) -> None:
    """Let a public key in under a name that ``key add`` made; print the line.  A repeat changes nothing."""
    with locked_home(asked.home) as config:
        _settings(config, asked.key)
        source = _addresses(asked.source) if asked.source else ""
        until = _expiry(asked.until) if asked.until else ""
        command = lines.command_of(asked.home, sys.executable, asked.key)
        line = lines.make(_public_key(asked.public_key), command, asked.key, source, until)
        done = keyfile.add(line, asked.home)
    print(line.decode("ascii"))
    print("The key is in {} ({}).".format(keyfile.path(), done))
    print("A portal that manages keys ignores that file: register the key there as a command key, for:")
    print(command)


def deauthorize(asked: Namespace) -> None:
    """Let a public key, or all keys of a name, in no more; print the lines that went."""
    wanted = _public_key(asked.public_key)[1] if asked.public_key else None
    if not (wanted or asked.key):
        raise UnknownName("Say which: KEY.pub, or --key NAME for all keys of a name.")

    def chosen(line: bytes) -> bool:
        return wanted in (None, lines.split(line)[1]) and asked.key in (None, lines.name_in(line, asked.home))

    with files.locked(os.path.join(asked.home, ".lock")):  # also where config.json has a mistake
        gone = keyfile.remove(asked.home, chosen)
    if not gone:
        raise UnknownName("No such key is let in here: see {}.".format(keyfile.path()))
    for line in gone:
        print("removed: {}".format(line.decode("ascii", "backslashreplace")))
        place = keyfile.rival(line, asked.home)
        if place:
            raise keyfile.KeyInUse("Remove {}, too: it lets the same key in.".format(place))
    print("Connections that are open end by themselves, at the latest when they are idle for too long.")


def _public_key(path: str) -> Tuple[str, bytes]:
    with open(path, "rb") as file:
        return lines.public_key(file.read(2 * lines.MOST))


def _addresses(text: str) -> str:
    try:
        found = [str(ipaddress.ip_network(word)) for word in text.split(",")]
    except ValueError as error:
        raise lines.BadKey("{}: give numeric addresses or networks, with commas between them.".format(error))
    return ",".join(re.sub("/(32|128)$", "", word) for word in found)


def _expiry(date: str) -> str:
    try:
        day = time.strptime(date, "%Y-%m-%d")
    except ValueError:
        raise lines.BadKey("{!r} is no date: write it as in 2027-12-31.".format(date))
    if time.mktime(day) <= time.time():
        raise lines.BadKey("{} is past: the key would never be let in.".format(date))
    return time.strftime("%Y%m%d", day)


def _settings(config: Dict[str, Any], name: str) -> Dict[str, Any]:
    settings: Dict[str, Any] = config.get("keys", {}).get(name)
    if settings is None:
        words = "There is no key {0!r}: see `gatectl key list`, or `gatectl key add {0} --workflow W` first."
        raise UnknownName(words.format(name))
    return settings
