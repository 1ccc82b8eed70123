# SPDX-License-Identifier: BSD-3-Clause
"""The gate's home: its own files in a folder for each version, its configuration, its keys.

``<home>/versions/<version>+<digest>`` holds the gate's sources as plain files and never changes: Submissions
run to their end with the version that accepted them.  ``<home>/current`` points to what new calls use.
"""

import compileall
import contextlib
import json
import os
import re
import stat
from argparse import Namespace
from typing import Any, Dict, Iterator, List

import slidegate_gate
from slidegate_gate import folders
from slidegate_gate.schedulers import adapter
from slidegate_gate.serve import files, layout

from .errors import NoHome, UnknownName, UnsafePermissions

WORD = re.compile("[a-z0-9][a-z0-9_-]{0,39}")


def open_home(home: str) -> Dict[str, Any]:
    """Return the configuration of the gate at `home`; raise NoHome where there is none."""
    try:
        return layout.load_config(home)
    except ValueError as error:
        words = "{}: run `gatectl install --home {}` first, or mend config.json."
        raise NoHome(words.format(error, home)) from error


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


def check_alone(path: str) -> None:
    """Raise UnsafePermissions where another account could write to `path` or replace it."""
    info = os.stat(path)
    if info.st_uid != os.getuid():
        raise UnsafePermissions(
            "{} belongs to account {}, this is account {}: choose your own.".format(
                path, info.st_uid, os.getuid()
            )
        )
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafePermissions("Other accounts can write to {}: run `chmod go-w {}`.".format(path, path))
    above = os.path.realpath(path)
    while above != os.path.dirname(above):
        above = os.path.dirname(above)
        mode = os.stat(above).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise UnsafePermissions(
                "Everybody can rename what lies in {}: choose another place than {}.".format(above, path)
            )


def install(asked: Namespace) -> None:
    """Copy this gate to its home, make it the current one, and write ``config.json`` if there is none.

    A repeat changes nothing; a newer gate is put beside the older ones.
    """
    home = asked.home
    versions = os.path.join(home, "versions")
    if os.path.isdir(home) and os.listdir(home) and not os.path.isdir(versions):
        raise NoHome("{} holds other things: choose a new or empty folder for the gate.".format(home))
    installed = os.path.exists(os.path.join(home, "config.json"))
    config = open_home(home) if installed else _first_config(home, asked)
    open_scheduler(config)
    for path in (home, versions, config["state"], config["data"]):
        files.make_dirs(path)
        check_alone(path)
        os.chmod(path, 0o700)
    version = _copy_program(versions)
    link = files.temporary(home)
    os.symlink(os.path.join("versions", version), link)
    os.replace(link, os.path.join(home, "current"))
    files.fsync_dir(home)
    if not installed:
        _write_config(home, config)
    print("gate {} is current in {}".format(version, home))


def add_key(asked: Namespace) -> None:
    """Let a key start the workflows that are named; what it could start before is replaced."""
    _check_word(asked.name)
    with locked_home(asked.home) as config:
        keys = config.setdefault("keys", {})
        keys[asked.name] = dict(keys.get(asked.name, {}), workflows=sorted(set(asked.workflow)))
        _write_config(asked.home, config)


def list_keys(asked: Namespace) -> None:
    """Print each key and what it may start."""
    for name, stated in sorted(open_home(asked.home).get("keys", {}).items()):
        print("{}  {}".format(name, " ".join(stated["workflows"])))


def remove_key(asked: Namespace) -> None:
    """Take a key off the list; what is recorded of it, and unfinished work, stays."""
    with locked_home(asked.home) as config:
        if config.get("keys", {}).pop(asked.name, None) is None:
            raise UnknownName("There is no key {!r}: see `gatectl key list`.".format(asked.name))
        _write_config(asked.home, config)


def _check_word(name: str) -> None:
    if not WORD.fullmatch(name):
        raise UnknownName("{!r} cannot be a name here: use 1 to 40 of a-z, 0-9, - and _.".format(name))


def _first_config(home: str, asked: Namespace) -> Dict[str, Any]:
    _check_word(asked.site)
    cores = asked.cores or os.cpu_count() or 1
    return {
        "format": layout.CONFIG_FORMAT,
        "site": asked.site,
        "state": os.path.abspath(asked.state or os.path.join(home, "state")),
        "data": os.path.abspath(asked.data or os.path.join(home, "data")),
        "scheduler": {"name": asked.scheduler, "cores": cores},
        "classes": {"small": {"as": "cpu"}, "cpu": {"members": cores, "memory_mb": 4000, "minutes": 720}},
        "keys": {},
        "limits": {},
        "lease_seconds": 10,
    }


def _write_config(home: str, config: Dict[str, Any]) -> None:
    # People read and edit this file, so it is not written in the one-line form of the gate's own records.
    name = files.temporary(home)
    folders.write(
        home, {os.path.basename(name): (json.dumps(config, indent=2, sort_keys=True) + "\n").encode("ascii")}
    )
    os.replace(name, os.path.join(home, "config.json"))
    files.fsync_dir(home)


def _copy_program(versions: str) -> str:
    source = os.path.dirname(os.path.abspath(slidegate_gate.__file__))
    contents = {}
    for folder, _, names in os.walk(source):
        for path in [os.path.join(folder, name) for name in names if name.endswith(".py")]:
            with open(path, "rb") as file:
                contents[os.path.join("slidegate_gate", os.path.relpath(path, source))] = file.read()
    contents["__main__.py"] = contents["slidegate_gate/__main__.py"]
    named = sorted((name, files.digest_of(data)) for name, data in contents.items())
    digest = files.digest_of(files.canonical(named))
    version = "{}+{}".format(slidegate_gate.__version__, digest[:12])
    target = os.path.join(versions, version)
    if not os.path.isdir(target):
        made = files.temporary(versions)
        folders.write(made, contents)
        compileall.compile_dir(made, ddir=target, quiet=1)
        folders.publish(made, target)
    return version
