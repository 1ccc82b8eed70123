# SPDX-License-Identifier: AGPL-3.0-or-later
"""Asking slidegate as the person who is logged in at OMERO.web.

slidegate's cookie and its CSRF token lie in the Django session, on this computer. They are taken for nobody
but the user that they were given for, and never reach a browser. When slidegate's session has ended, a new
one is begun with a fresh statement; OMERO's own session key is shown to nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omero_slidegate import keys, settings
from omero_slidegate.keys import Person
from omero_slidegate.permitted import Ask
from omero_slidegate.problems import (
    KeyUnusable,
    NotLetIn,
    NotReady,
    SignInRefused,
    SlidegateAnsweredBadly,
    Trouble,
)
from omero_slidegate.remote import COOKIE, CSRF_HEADER, Answer, ask

__all__ = ["Held", "asked_as", "begun"]

_KEPT = "slidegate"
_OK, _NOT_SIGNED_IN, _FORBIDDEN, _CONFLICT = 200, 401, 403, 409
_WAIT = {"Prefer": "wait=1"}  # OMERO.web has few workers: slidegate answers soon, and the page asks again


@dataclass(frozen=True)
class Held:
    """A session at slidegate."""

    cookie: str
    csrf: str


def asked_as(
    request: Any, person: Person, wish: Ask, headers: Mapping[str, str], body: bytes | None
) -> Answer:
    """Ask slidegate for something as a person; close the answer.

    Parameters
    ----------
    request
        Of Django: its session remembers the one at slidegate.

    Raises
    ------
    Trouble
    """
    held = _remembered(request, person)
    for last in (False, True):
        if held is None:
            held = begun(person)
            _remember(request, person, held)
        own = {"Cookie": f"{COOKIE}={held.cookie}", **_WAIT}
        if wish.changes:
            own[CSRF_HEADER] = held.csrf
        answer = ask(wish.method, wish.path, {**headers, **own}, body)
        if answer.status != _NOT_SIGNED_IN:
            return answer
        answer.close()  # it has ended: what was asked for was not done
        held = None
        if last:
            break
    raise SlidegateAnsweredBadly("slidegate ends each session at once: an administrator has to look.")


def begun(person: Person) -> Held:
    """Begin a session of a person at slidegate.

    Raises
    ------
    KeyUnusable
        There is no key of this OMERO.web.
    SignInRefused
        slidegate does not believe this OMERO.web.
    Trouble
        It does not let the person in, or does not answer.
    """
    if not settings.KEY_FILE:
        raise KeyUnusable(
            "omero.web.slidegate.key_file is not set: an administrator of OMERO.web has to do it."
        )
    key = keys.read_key(Path(settings.KEY_FILE))
    body = json.dumps({"statement": keys.statement(key, settings.NAME, person)}).encode()
    answer = ask("POST", "/v1/session/omero", {"Content-Type": "application/json"}, body)
    try:
        said = answer.json()
        cookie = answer.cookie(COOKIE)
        if answer.status != _OK:
            raise _refusal(answer.status, said)
    finally:
        answer.close()
    csrf = said.get("csrf")
    if not cookie or not isinstance(csrf, str):
        raise SlidegateAnsweredBadly
    return Held(cookie, csrf)


def _refusal(status: int, said: Mapping[str, Any]) -> Trouble:
    words = str(said.get("detail") or "")
    if status == _FORBIDDEN:
        return NotLetIn(words)
    if status == _NOT_SIGNED_IN:
        return SignInRefused(
            f"slidegate does not believe this OMERO.web who you are ({words.rstrip('.')}). "
            "An administrator of OMERO.web can ask python -m omero_slidegate check."
        )
    return NotReady(words or f"slidegate answered {status} when you were to be signed in there.")


def _remembered(request: Any, person: Person) -> Held | None:
    kept = request.session.get(_KEPT)
    if not isinstance(kept, dict) or (kept.get("user"), kept.get("url")) != (person.user, settings.URL):
        return None
    return Held(str(kept["cookie"]), str(kept["csrf"]))


def _remember(request: Any, person: Person, held: Held) -> None:
    """Keep a session at slidegate with the login at OMERO.web.

    The session is read anew before it is written: what other requests of this browser have written meanwhile,
    such as the results of a script, stays.
    """
    kept = {"user": person.user, "url": settings.URL, "cookie": held.cookie, "csrf": held.csrf}
    newest = type(request.session)(request.session.session_key)
    newest[_KEPT] = kept
    newest.save()
    if request.session.modified:  # it is going to be written as a whole
        request.session[_KEPT] = kept
