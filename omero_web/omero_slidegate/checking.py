# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether OMERO.web and slidegate can work together, in a line each. Nothing is changed, nobody signed in."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omero_slidegate import __version__, keys, settings, signin
from omero_slidegate.problems import KeyUnusable, NotLetIn, SignInRefused, SlidegateNotTrusted, Trouble
from omero_slidegate.remote import ask

__all__ = ["Line", "add_verb", "check"]

_APP = "omero_slidegate"
_GUEST = 1
_MENUS = {
    "OPEN_WITH": ("slidegate", "Open with > Run on cluster"),
    "RIGHT_PLUGINS": (f"{_APP}/right_plugin.js.html", "the tab Cluster of the right panel"),
    "TOP_LINKS": ("slidegate_index", "the link Runs in the header"),
}


@dataclass(frozen=True)
class Line:
    """What was looked at, how it is (good, warning, bad), and in words what to do."""

    what: str
    state: str
    words: str


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``check`` to the words of the command."""
    verb = verbs.add_parser(
        "check",
        help="say whether OMERO.web and slidegate can work together",
        description="Say in a line each how things are. Run it as the account that OMERO.web runs in, with "
        "OMERODIR set as for the omero command. Ends with 1 where something is bad.",
    )
    verb.add_argument("--json", action="store_true", help="for programs")
    verb.set_defaults(call=_called)


def _called(asked: argparse.Namespace) -> int:
    lines = list(check())
    bad = any(line.state == "bad" for line in lines)
    if asked.json:
        sys.stdout.write(json.dumps({"good": not bad, "lines": [asdict(line) for line in lines]}) + "\n")
    else:
        sys.stdout.writelines(f"{line.state:8} {line.what:12} {line.words}\n" for line in lines)
    return int(bad)


def check() -> Iterator[Line]:
    """Look at one thing after the other; what can only be looked at later is left out where that is bad."""
    yield _pages()
    web = _web_settings()
    if isinstance(web, Line):
        yield web
        return
    yield Line("OMERO.web", "good", f"OMERO.web {_web_version()} has omero-slidegate {__version__}.")
    yield _menus(web)
    yield _omero(web)
    key = _key()
    yield key
    server = _server()
    yield server
    if server.state != "good":
        return
    yield _versions()
    if key.state == "good":
        yield _known()


def _pages() -> Line:
    built = Path(__file__).with_name("static") / _APP / "slidegate.js"
    if built.is_file():
        return Line("pages", "good", "The pages are there.")
    return Line("pages", "bad", f"{built} is missing: this was not installed from a whole wheel.")


def _web_settings() -> Any:
    """Return OMERO.web's settings, or what is wrong with them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omeroweb.settings")
    if not os.environ.get("OMERODIR"):
        return Line("OMERO.web", "bad", "OMERODIR is not set: it names the folder of OMERO.web.")
    try:
        web = importlib.import_module("omeroweb.settings")
    except Exception as error:  # noqa: BLE001 (whatever OMERO.web says of its configuration)
        return Line("OMERO.web", "bad", f"OMERO.web does not take its configuration: {error}")
    if _APP not in web.ADDITIONAL_APPS:
        return Line(
            "OMERO.web",
            "bad",
            f"{_APP} is not among omero.web.apps: slidegate omero config apply "
            '"$(python -m omero_slidegate desired)"',
        )
    return web


def _web_version() -> str:
    return str(importlib.import_module("omeroweb.version").omeroweb_version)


def _menus(web: Any) -> Line:
    missing = [
        words
        for name, (mark, words) in _MENUS.items()
        if not any(mark in entry for entry in getattr(web, name, ()))
    ]
    if missing:
        return Line("menus", "warning", f"Not configured: {', '.join(missing)}.")
    return Line("menus", "good", "Open with, right panel and header are configured.")


def _omero(web: Any) -> Line:
    """Say whether it is clear whose numbers of users are meant."""
    hosts = [str(server[0]) for server in web.SERVER_LIST]
    if settings.SERVER and settings.SERVER not in hosts:
        words = f"omero.web.slidegate.server {settings.SERVER} is none of them"
    elif not settings.SERVER and len(hosts) > 1:
        words = "omero.web.slidegate.server does not say which OMERO slidegate works with"
    else:
        return Line("OMERO", "good", f"Users are those of {settings.SERVER or ', '.join(hosts)}.")
    return Line("OMERO", "bad", f"{words}: {', '.join(hosts)}.")


def _key() -> Line:
    if not settings.KEY_FILE:
        return Line(
            "key", "bad", "omero.web.slidegate.key_file is not set: python -m omero_slidegate key FILE."
        )
    try:
        keys.read_key(Path(settings.KEY_FILE))
    except KeyUnusable as error:
        return Line("key", "bad", error.detail)
    return Line("key", "good", f"{settings.KEY_FILE} can be read by this account alone.")


def _server() -> Line:
    try:
        answer = ask("GET", "/healthz")
        try:
            alive = answer.json().get("state") == "alive"
        finally:
            answer.close()
    except SlidegateNotTrusted:
        return Line(
            "slidegate",
            "bad",
            f"The certificate of {settings.URL} is not trusted: it has run out, is for another name, or "
            "nobody known signed it. omero.web.slidegate.ca names your institution's authority.",
        )
    except Trouble as error:
        return Line("slidegate", "bad", f"{settings.URL} (omero.web.slidegate.url): {error.detail}")
    if not alive:
        return Line("slidegate", "bad", f"What answers at {settings.URL} is not slidegate.")
    how = "its certificate is trusted" if settings.URL.startswith("https://") else "on this computer"
    return Line("slidegate", "good", f"{settings.URL} answers; {how}.")


def _versions() -> Line:
    try:
        answer = ask("GET", "/v1/openapi.json")
        try:
            theirs = str(answer.json().get("info", {}).get("version", ""))
        finally:
            answer.close()
    except Trouble as error:
        return Line("versions", "bad", error.detail)
    words = f"slidegate {theirs}, omero-slidegate {__version__}"
    if theirs.split(".")[:2] != __version__.split(".")[:2]:
        return Line("versions", "warning", f"{words}: install the same version of both.")
    return Line("versions", "good", f"{words}.")


def _known() -> Line:
    """Say whether slidegate believes this OMERO.web: it is asked to sign in a guest, which it never does."""
    try:
        signin.begun(keys.Person(_GUEST, "guest"))
    except NotLetIn:
        return Line("trust", "good", f"slidegate believes this OMERO.web, by the name {settings.NAME}.")
    except SignInRefused as error:
        public = keys.public_key(keys.read_key(Path(settings.KEY_FILE)))
        return Line(
            "trust",
            "bad",
            f"{error.detail} Put this into a file there and type "
            f"slidegate omero web add {settings.NAME} FILE:\n{public}",
        )
    except Trouble as error:
        return Line("trust", "bad", error.detail)
    return Line("trust", "bad", "slidegate lets guests in: it is too old, or something else.")
