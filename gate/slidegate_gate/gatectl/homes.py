# SPDX-License-Identifier: BSD-3-Clause
"""The gate's home: its own files in a folder for each version, its configuration, its keys.

``<home>/versions/<version>+<digest>`` holds the gate's sources as plain files and never changes: Submissions
run to their end with the version that accepted them.  ``<home>/current`` points to what new calls use.
"""

import compileall
import json
import os
import re
import shutil
import stat
from typing import Any, Callable, Dict, List

import slidegate_gate
from slidegate_gate.serve import files, layout

from .errors import NoHome, UnknownName, UnsafePermissions

__all__ = ["add_key", "check_alone", "install_gate", "open_home", "remove_key", "rename_folder", "write_file"]

KEY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
SITE_NAME = KEY_NAME


def open_home(home: str) -> Dict[str, Any]:
    """Return the configuration of the gate at `home`; raise NoHome where there is none."""
    try:
        return layout.load_config(home)
    except ValueError as error:
        raise NoHome("{}: run `gatectl install --home {}` first.".format(error, home)) from error


def check_alone(path: str) -> None:
    """Raise UnsafePermissions where another account could write to `path` or replace it."""
    info = os.stat(path)
    if info.st_uid != os.getuid():
        raise UnsafePermissions(
            "{} belongs to account {}, but this is account {}: choose a folder of your own.".format(
                path, info.st_uid, os.getuid()
            )
        )
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafePermissions("Other accounts can write to {}: run `chmod go-w {}`.".format(path, path))
    above = os.path.dirname(os.path.realpath(path))
    while above != os.path.dirname(above):
        mode = os.stat(above).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise UnsafePermissions(
                "Everybody can rename what lies in {}, so {} is not safe there: choose another place.".format(
                    above, path
                )
            )
        above = os.path.dirname(above)


def install_gate(home: str, settings: Dict[str, Any]) -> str:
    """Copy this gate to `home`, make it the current one, and write ``config.json`` if there is none.

    Returns the name of the version. A repeat changes nothing; a newer gate is put beside the older ones.
    """
    home = os.path.abspath(home)
    if os.path.isdir(home) and os.listdir(home) and not os.path.isdir(os.path.join(home, "versions")):
        raise NoHome("{} holds other things: choose a new or empty folder for the gate.".format(home))
    installed = os.path.exists(os.path.join(home, "config.json"))
    config = open_home(home) if installed else _first_config(home, settings)
    for path in (home, config["state"], config["data"], os.path.join(home, "versions")):
        files.make_dirs(path)
        check_alone(path)
        os.chmod(path, 0o700)
    version = _copy_program(os.path.join(home, "versions"))
    link = files.temporary(home)
    os.symlink(os.path.join("versions", version), link)
    os.replace(link, os.path.join(home, "current"))
    files.fsync_dir(home)
    if not installed:
        _write_config(home, config)
    return version


def add_key(home: str, name: str, workflows: List[str]) -> None:
    """Let the key `name` start the workflows of these names (``*``: all); what it had before is replaced."""
    if not KEY_NAME.fullmatch(name):
        raise UnknownName(
            "{!r} cannot name a key: use 1 to 40 of a-z, 0-9, - and _; the first is a letter or digit.".format(
                name
            )
        )

    def change(keys: Dict[str, Any]) -> None:
        keys[name] = dict(keys.get(name, {}), workflows=sorted(set(workflows)))

    _change_keys(home, change)


def remove_key(home: str, name: str) -> None:
    """Take a key off the list; its records and results stay where they are."""

    def change(keys: Dict[str, Any]) -> None:
        if keys.pop(name, None) is None:
            raise UnknownName("There is no key {!r}: see `gatectl key list`.".format(name))

    _change_keys(home, change)


def _change_keys(home: str, change: Callable[[Dict[str, Any]], None]) -> None:
    open_home(home)
    with files.locked(os.path.join(home, ".lock-config")):
        config = files.read_json(os.path.join(home, "config.json"))
        change(config.setdefault("keys", {}))
        _write_config(home, config)


def _first_config(home: str, settings: Dict[str, Any]) -> Dict[str, Any]:
    site = settings.get("site") or "local"
    if not SITE_NAME.fullmatch(site):
        raise UnknownName("{!r} cannot name a site: use 1 to 40 of a-z, 0-9, - and _.".format(site))
    cores = settings.get("cores") or os.cpu_count() or 1
    return {
        "format": layout.CONFIG_FORMAT,
        "site": site,
        "state": os.path.abspath(settings.get("state") or os.path.join(home, "state")),
        "data": os.path.abspath(settings.get("data") or os.path.join(home, "data")),
        "scheduler": {"name": settings.get("scheduler") or "local", "cores": cores},
        "classes": {"small": {"as": "cpu"}, "cpu": {"members": cores, "memory_mb": 4000, "minutes": 720}},
        "keys": {},
        "limits": {},
        "lease_seconds": 10,
    }


def _write_config(home: str, config: Dict[str, Any]) -> None:
    # People read and edit this file, so it is not written in the one-line form of the gate's own records.
    name = files.temporary(home)
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(name, os.path.join(home, "config.json"))
    files.fsync_dir(home)


def _copy_program(versions: str) -> str:
    source = os.path.dirname(os.path.abspath(slidegate_gate.__file__))
    contents = {}
    for folder, _, names in os.walk(source):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".py"):
                with open(path, "rb") as file:
                    contents[os.path.join("slidegate_gate", os.path.relpath(path, source))] = file.read()
    contents["__main__.py"] = contents["slidegate_gate/__main__.py"]
    named = sorted((name, files.digest_of(data)) for name, data in contents.items())
    version = "{}+{}".format(slidegate_gate.__version__, files.digest_of(files.canonical(named))[:12])
    target = os.path.join(versions, version)
    if not os.path.isdir(target):
        made = files.temporary(versions)
        for name, data in contents.items():
            write_file(os.path.join(made, name), data)
        compileall.compile_dir(made, ddir=target, quiet=1)
        rename_folder(made, target)
    return version


def write_file(path: str, data: bytes) -> None:
    """Write a new file that only this account can read, and flush it."""
    files.make_dirs(os.path.dirname(path))
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def rename_folder(made: str, target: str) -> None:
    """Give a finished folder its name; where another process was faster, its equal folder stays."""
    try:
        os.rename(made, target)
    except OSError:
        shutil.rmtree(made)
        if not os.path.isdir(target):
            raise
    files.fsync_dir(os.path.dirname(target))
