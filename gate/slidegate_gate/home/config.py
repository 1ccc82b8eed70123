# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""``config.json``, and one hand at a time that changes a home."""

import contextlib
import json
import os
import re
from typing import Any, Dict, Iterator, List

from .. import folders
from ..config import load_config
from ..errors import GateError
from ..schedulers import adapter
from ..serve import files, layout
from ..serve.limits import DEFAULTS

__all__ = [
    "NoHome",
    "UnknownName",
    "check_word",
    "key_layouts",
    "locked_home",
    "open_home",
    "open_scheduler",
    "write_config",
]

WHOLE = set(DEFAULTS) | {"members", "memory_mb", "minutes", "cpus", "gpus", "cores", "max_array"}
WORD = re.compile("[a-z0-9][a-z0-9_-]{0,39}")


class NoHome(GateError):
    """The folder is not the home of a gate, or holds other things."""

    code = "no-home"


class UnknownName(GateError):
    """No key, Release, workflow, scheduler or limit has that name, or the name cannot be one."""

    code = "unknown-name"


def open_home(home: str) -> Dict[str, Any]:
    """Return the configuration of the gate at `home`; raise NoHome where there is none, or a wrong one."""
    found = os.path.exists(os.path.join(home, "config.json"))
    words = "{}: mend {}/config.json." if found else "{}: run `gatectl install --home {}` first."
    try:
        return _checked(load_config(home))
    except (ValueError, TypeError, AttributeError) as error:
        raise NoHome(words.format(error, home)) from error


def _checked(config: Dict[str, Any]) -> Dict[str, Any]:
    """Raise ValueError for what people who edit the file may get wrong, and nobody would notice at once."""
    parts = dict({"keys": {}, "limits": {}, "scheduler": {}}, **config)
    for name in ("classes", "keys", "limits", "scheduler"):
        if not isinstance(parts.get(name), dict):
            raise ValueError("{} must be there, in braces".format(name))
    keys, classes = list(parts["keys"].values()), list(parts["classes"].values())
    if not all(isinstance(key.get("workflows"), list) for key in keys):
        raise ValueError("each of the keys needs its list of workflows")
    limits = [parts["limits"]] + [key.get("limits", {}) for key in keys]
    for name in sorted({name for part in limits for name in part} - set(DEFAULTS)):
        raise ValueError("there is no limit {!r}".format(name))
    tables = limits + classes + keys + [config, parts["scheduler"]]
    for field, value in [each for table in tables for each in table.items()]:
        kinds = (int, float) if field.endswith("_seconds") else (int,) if field in WHOLE else ()
        if kinds and not (type(value) in kinds and value >= 0):
            raise ValueError("{} is {!r}, which is no number for it".format(field, value))
    return config


def open_scheduler(config: Dict[str, Any]) -> Any:
    """Return the scheduler of a configuration; raise UnknownName where there is no adapter for it."""
    try:
        return adapter(config)(config, os.path.join(config["state"], "scheduler"))
    except ValueError as error:
        raise UnknownName("{}: choose another in config.json.".format(error)) from error


@contextlib.contextmanager
def locked_home(home: str) -> Iterator[Dict[str, Any]]:
    """Keep other calls of gatectl from changing this home, and give its configuration."""
    open_home(home)
    with files.locked(os.path.join(home, ".lock")):
        yield open_home(home)


def key_layouts(home: str) -> List[layout.Layout]:
    """Return the paths of each key that ever left something here."""
    config = open_home(home)
    roots = [os.path.join(config[name], "keys") for name in ("state", "data")]
    keys = {key for root in roots for key in files.names_in(root)}
    return [layout.Layout(home, config, key) for key in sorted(keys)]


def check_word(name: str) -> None:
    if not WORD.fullmatch(name):
        raise UnknownName("{!r} cannot be a name here: use 1 to 40 of a-z, 0-9, - and _.".format(name))


def write_config(home: str, config: Dict[str, Any]) -> None:
    # People read and edit this file, so it is not written in the one-line form of the gate's own records.
    name = files.temporary(home)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    folders.write(home, {os.path.basename(name): text.encode("ascii")})
    os.replace(name, os.path.join(home, "config.json"))
    files.fsync_dir(home)
