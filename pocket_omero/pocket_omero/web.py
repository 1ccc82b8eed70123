# SPDX-License-Identifier: GPL-2.0-or-later
"""An unmodified OMERO.web beside a server: configured, started and ended.

It has a folder of its own, from which nothing leaks: settings, static files, browser sessions, logs. It is
configured with OMERO's own `ConfigXml`, because the `omero` command refuses to run as root, as in containers.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from omero.config import ConfigXml

from pocket_omero.errors import PocketError

__all__ = ["APPS", "Address", "Web", "WebFailed", "running_web"]

_START_S = 90.0
_END_S = 10.0
_SERVES = "/webclient/login/"

# What well-known apps want to be set for them. A list is added to what OMERO.web has.
APPS: Mapping[str, Mapping[str, Any]] = {
    "omero_iviewer": {
        "omero.web.viewer.view": "omero_iviewer.views.index",
        "omero.web.open_with": [
            [
                "omero_iviewer",
                "omero_iviewer_index",
                {
                    "supported_objects": ["images", "dataset", "well"],
                    "script_url": "omero_iviewer/openwith.js",
                    "label": "OMERO.iviewer",
                },
            ]
        ],
    },
    "omero_figure": {
        "omero.web.ui.top_links": [
            ["Figure", "figure_index", {"title": "Open Figure in new tab", "target": "_blank"}]
        ],
        "omero.web.open_with": [
            [
                "omero_figure",
                "new_figure",
                {"supported_objects": ["images"], "target": "_blank", "label": "OMERO.figure"},
            ]
        ],
    },
    "omero_autotag": {
        "omero.web.ui.center_plugins": [["Auto Tag", "omero_autotag/auto_tag_init.js.html", "auto_tag_panel"]]
    },
    "omero_tagsearch": {"omero.web.ui.top_links": [["Tag Search", "tagsearch"]]},
    "omero_parade": {
        "omero.web.ui.center_plugins": [["Parade", "omero_parade/init.js.html", "omero_parade"]]
    },
}


class WebFailed(PocketError):  # noqa: N818  (a situation is named as what it is)
    """OMERO.web did not start."""


class Address(Protocol):
    """Where a server is."""

    @property
    def host(self) -> str:
        """Its name or number."""

    @property
    def port(self) -> int:
        """Where it listens for Ice."""


@dataclass(frozen=True, slots=True)
class Web:
    """An OMERO.web that runs.

    Attributes
    ----------
    url
        Where it is: ``http://127.0.0.1:4080``, with its prefix if it has one, without a slash at its end.
    folder
        What is its own.
    process
        What serves it. It ends when this process ends, in whatever way.
    """

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """What it has written to its logs."""
        files = [self.folder / "gunicorn.log", *sorted((self.folder / "omero/var/log").glob("*.log"))]
        return "\n".join(file.read_text("utf-8", "replace") for file in files if file.exists())

    def stop(self) -> None:
        """End it. A repeat is harmless."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @classmethod
    def start(
        cls,
        server: Address,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        apps: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        added: Mapping[str, Sequence[Any]] | None = None,
        workers: int = 1,
        name: str = "pocket",
    ) -> Web:
        """Configure and start OMERO.web, and wait until it answers.

        Parameters
        ----------
        server
            The server that people log in to.
        folder
            A folder of its own; a later start in it is faster.
        host, port
            Where it listens; port 0: one that is free.
        apps
            Packages of web apps, beside those of `APPS` that are installed.
        settings
            More settings by name. Values that are no strings become JSON; they replace what is there. With
            ``omero.web.prefix`` it answers below that, as behind a proxy.
        added
            More entries of settings that are lists, behind what OMERO.web has there.
        workers
            How many processes serve it.
        name
            What the login page calls the server.

        Raises
        ------
        WebFailed
            With the end of its log.
        """
        known = [app for app in APPS if importlib.util.find_spec(app) is not None]
        apps = [*known, *(app for app in apps if app not in known)]
        _configure(folder, server, apps, dict(settings or {}), added or {}, name)
        prefix = str((settings or {}).get("omero.web.prefix", ""))
        environment = _environment(folder) | ({"SCRIPT_NAME": prefix} if prefix else {})
        _collect(folder, environment, apps)
        listening = socket.create_server((host, port))
        with listening, (folder / "gunicorn.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pocket_omero.web_process", str(listening.fileno()), str(workers)],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listening.fileno()],
            )
            web = cls(f"http://{host}:{listening.getsockname()[1]}{prefix}", folder, process)
        web._answering()
        return web

    def _answering(self) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + _SERVES, timeout=10) as page:  # noqa: S310  (our own)
                    page.read()
                    return
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise WebFailed(f"OMERO.web did not start. Its log ends with:\n{self.log[-4000:]}")


@contextmanager
def running_web(server: Address, folder: Path, **options: Any) -> Iterator[Web]:
    """An OMERO.web for a while; parameters as of `Web.start`."""
    web = Web.start(server, folder, **options)
    try:
        yield web
    finally:
        web.stop()


def _environment(folder: Path) -> dict[str, str]:
    kept = {
        key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV") if key in os.environ
    }
    return kept | {
        "DJANGO_SETTINGS_MODULE": "omeroweb.settings",
        "HOME": str(folder),
        "OMERODIR": str(folder / "omero"),
        "OMERO_USERDIR": str(folder / "user"),
        "TMPDIR": str(folder / "tmp"),
    }


def _configure(
    folder: Path,
    server: Address,
    apps: Sequence[str],
    settings: dict[str, Any],
    more: Mapping[str, Sequence[Any]],
    name: str,
) -> None:
    """Write OMERO.web's configuration, from nothing each time."""
    for place in ("omero/etc/grid", "omero/var", "user", "tmp"):
        (folder / place).mkdir(parents=True, exist_ok=True, mode=0o700)
    chosen: dict[str, Any] = {
        "omero.web.server_list": [[server.host, server.port, name]],
        "omero.web.secure": "true",
        "omero.web.application_server": "wsgi-tcp",
        "omero.web.session_engine": "django.contrib.sessions.backends.file",
        "omero.web.caches": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        "omero.web.middleware": [
            *default("omero.web.middleware"),
            {"index": 0, "class": "whitenoise.middleware.WhiteNoiseMiddleware"},
        ],
        "omero.web.apps": list(apps),
    }
    for app in apps:
        for key, added in APPS.get(app, {}).items():
            if isinstance(added, list):
                added = [*(chosen[key] if key in chosen else default(key)), *added]
            chosen[key] = added
    for key, entries in more.items():
        chosen[key] = [*(chosen[key] if key in chosen else default(key)), *entries]
    chosen |= settings
    file = folder / "omero/etc/grid/config.xml"
    file.unlink(missing_ok=True)
    config = ConfigXml(str(file))
    try:
        for key, value in chosen.items():
            config[key] = value if isinstance(value, str) else json.dumps(value)
    finally:
        config.close()


def default(key: str) -> list[Any]:
    """What OMERO.web has for a setting that is a list: its settings are read, not run.

    Raises
    ------
    WebFailed
        If OMERO.web is not installed, or knows no such setting.
    """
    found = importlib.util.find_spec("omeroweb")
    if found is None or found.origin is None:
        raise WebFailed("OMERO.web is not installed: pip install 'pocket-omero[web]'")
    text = Path(found.origin).with_name("settings.py").read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Dict):
            continue
        for name, value in zip(node.keys, node.values, strict=True):
            if isinstance(name, ast.Constant) and name.value == key and isinstance(value, ast.List):
                had: list[Any] = json.loads(ast.literal_eval(value.elts[1]))
                return had
    raise WebFailed(f"This OMERO.web knows no setting {key}")


def _collect(folder: Path, environment: Mapping[str, str], apps: Sequence[str]) -> None:
    """Bring the files that browsers load to one place, unless the same have been brought there."""
    installed = sorted(f"{one.name} {one.version}" for one in importlib.metadata.distributions())
    own = [str(file) for app in apps for file in _static(app)]  # an app that is being worked on changes them
    wanted = hashlib.sha256("\n".join([*apps, *installed, *own]).encode()).hexdigest()
    note = folder / "static-files"
    if note.exists() and note.read_text() == wanted:
        return
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "django",
            "collectstatic",
            "--noinput",
            "--clear",
            "--link",
            "--verbosity",
            "0",
        ],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise WebFailed(f"OMERO.web's files could not be collected: {(done.stdout + done.stderr)[-4000:]}")
    note.write_text(wanted)


def _static(app: str) -> list[Path]:
    """The files of an app that browsers load."""
    found = importlib.util.find_spec(app)
    if found is None or found.origin is None:
        return []
    return sorted((Path(found.origin).parent / "static").rglob("*"))
