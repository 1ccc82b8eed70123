# SPDX-License-Identifier: BSD-3-Clause
"""Setting up the embedded site: its gate, its keys, and the workflows that came with this installation.

It is done by ``gatectl``, as an administrator of a cluster would do it, in processes of its own. A note
beside the site says what was installed from what, so that a start that finds nothing changed costs a few
milliseconds. Killed at any moment, the next start goes on; two starts at once wait for each other.
"""

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slidegate_gate

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import digest_of
from slidegate.settings import Settings
from slidegate.sites.notes import write_note

PREVIEW = "preview"  # the key of what is only looked at: its work is neither watched nor published
# A preview does not wait for Runs: it has cores of its own, which are few and used for seconds.
_KEYS = [["local"], [PREVIEW, "--cores", "2"]]
_MINUTES = 30
_RELEASE = re.compile(r"release ([0-9a-f]{64}) ")


class LocalSiteBroken(SlidegateError):  # noqa: N818  (a situation is named as what it is)
    """The embedded site cannot be set up."""

    code = "local-site"
    exit_code = 4


def ensure_local_site(
    settings: Settings, say: Callable[[str], None], on_new: Callable[[], None]
) -> dict[str, str]:
    """Set up what is missing of the embedded site.

    Parameters
    ----------
    say
        Told in words what takes long.
    on_new
        Called when there was no site: what was known of an earlier one does not hold for it.

    Returns
    -------
    The Release of each workflow that came with this installation, by name.

    Raises
    ------
    LocalSiteBroken
        gatectl refused, or this computer did; its words are in the message.
    """
    try:
        return _ensured(settings, say, on_new)
    except OSError as error:
        raise LocalSiteBroken(f"The embedded site cannot be set up: {error.strerror or error}.") from error


def _ensured(settings: Settings, say: Callable[[str], None], on_new: Callable[[], None]) -> dict[str, str]:
    home = settings.local_site
    home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(home.parent / ".lock"):
        note_path = home.parent / "local.json"
        note = _read_note(note_path)
        is_new = not (home / "current").is_symlink()
        if is_new:
            note = {}
            on_new()
        if note.get("gate") != (version := _marks(Path(slidegate_gate.__file__).parent, "*.py")):
            say("Setting up the embedded site")
            _install_gate(settings, home)
            note["gate"] = version
            _write_note(note_path, note)
        if note.get("keys") != _KEYS:
            for key in _KEYS:
                _gatectl(settings, ["key", "add", *key, "--workflow", "*", "--home", str(home)])
            note["keys"] = _KEYS
            _write_note(note_path, note)
        for folder in _workflows(settings.workflows_dir):
            marks = _marks(folder, "*")
            if note.get("workflows", {}).get(folder.name, {}).get("marks") != marks:
                say(f"Installing the workflow {folder.name}, once")
                release = _install_workflow(settings, home, folder)
                note.setdefault("workflows", {})[folder.name] = {"marks": marks, "release": release}
                _write_note(note_path, note)
        return {name: one["release"] for name, one in note.get("workflows", {}).items()}


def _workflows(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/workflow.json"))


def _install_gate(settings: Settings, home: Path) -> None:
    argv = ["install", "--home", str(home), "--site", "local", "--cores", str(settings.cores)]
    _gatectl(settings, argv)


def _install_workflow(settings: Settings, home: Path, folder: Path) -> str:
    argv = ["workflow", "install", str(folder), "--home", str(home), "--python", str(settings.python)]
    said = _gatectl(settings, argv)
    found = _RELEASE.search(said)
    if found is None:
        raise LocalSiteBroken("gatectl did not say which Release it made.")
    return found.group(1)


def _gatectl(settings: Settings, argv: list[str]) -> str:
    try:
        done = subprocess.run(
            [str(settings.python), "-m", "slidegate_gate", "ctl", *argv],
            cwd=Path(slidegate_gate.__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=60 * _MINUTES,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalSiteBroken(f"The embedded site cannot be set up: {error}.") from error
    if done.returncode != 0:
        words = " ".join(done.stderr.split()) or f"gatectl ended with {done.returncode}"
        raise LocalSiteBroken(f"The embedded site cannot be set up. {words}")
    return done.stdout


def _marks(folder: Path, pattern: str) -> str:
    """Return what changes when a file below a folder changes; reads no file."""
    found = sorted(
        path for path in folder.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts
    )
    states = [(path, path.stat()) for path in found]
    return digest_of([[str(path), state.st_size, state.st_mtime_ns] for path, state in states])


def _read_note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _write_note(path: Path, note: dict[str, Any]) -> None:
    write_note(path, json.dumps(note, indent=2, sort_keys=True))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
