# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who asks: somebody who is logged in at OMERO.web as themselves, never a guest and never the public user."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import Ice
import omero
from django.conf import settings as web_settings
from django.http import HttpResponse
from django.shortcuts import render
from omeroweb.connector import Connector, Server
from omeroweb.decorators import is_public_user
from omeroweb.webclient.decorators import login_required

from omero_slidegate import settings
from omero_slidegate.keys import Person
from omero_slidegate.problems import Broken, NotForGuests, NotLoggedIn, OmeroFailed, OtherOmero, Trouble

__all__ = ["for_pages", "for_programs"]

log = logging.getLogger("omero_slidegate")
_GUEST = "guest"

View = Callable[..., Any]


class _Login(login_required):
    """OMERO.web's own login, without the public user, who never has runs."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(allowPublic=False)
        self._as_json = as_json

    def on_not_logged_in(self, request: Any, url: str, error: Any = None) -> HttpResponse:
        """Say so in words, or lead to the login."""
        guest = is_public_user(request)
        if self._as_json:
            return (NotForGuests() if guest else NotLoggedIn()).as_json()
        if guest:
            return _page_of(request, NotForGuests())
        answer: HttpResponse = super().on_not_logged_in(request, url, error)
        return answer


def for_programs(view: View) -> View:
    """Let a view answer people only, and say in JSON what goes wrong."""

    def told(request: Any, trouble: Trouble) -> HttpResponse:
        return trouble.as_json()

    return functools.wraps(view)(_Login(as_json=True)(_with_person(view, told)))


def for_pages(view: View) -> View:
    """Let a view answer people only, and say on a page what goes wrong."""
    return functools.wraps(view)(_Login(as_json=False)(_with_person(view, _page_of)))


def _page_of(request: Any, trouble: Trouble) -> HttpResponse:
    return render(request, "omero_slidegate/trouble.html", {"trouble": trouble}, status=trouble.status)


def _with_person(view: View, told: Callable[[Any, Trouble], HttpResponse]) -> View:
    """Hand the view who asks as `who`."""

    def wrapped(request: Any, *parts: Any, conn: Any = None, **named: Any) -> HttpResponse:
        try:
            answer: HttpResponse = view(request, *parts, conn=conn, who=_person(request, conn), **named)
        except Trouble as trouble:
            answer = told(request, trouble)
        except (Ice.Exception, omero.CmdError) as error:  # of the network, or of OMERO
            log.error("OMERO did not answer: %s", type(error).__name__)
            answer = told(request, OmeroFailed())
        except Exception:  # the edge of the app
            log.exception("%s failed", request.path)
            answer = told(request, Broken())
        return answer

    return wrapped


def _person(request: Any, conn: Any) -> Person:
    """Return who is logged in.

    Raises
    ------
    NotForGuests, OtherOmero
    """
    context = conn.getEventContext()
    shared = {_GUEST, web_settings.PUBLIC_USER if web_settings.PUBLIC_ENABLED else _GUEST}
    if conn.isAnonymous() or context.userName in shared:
        raise NotForGuests
    _check_server(request)
    return Person(int(context.userId), str(context.userName))


def _check_server(request: Any) -> None:
    """Make sure that the number of a user is one of the OMERO that slidegate works with.

    Raises
    ------
    OtherOmero
    """
    if not settings.SERVER and len(list(Server)) > 1:
        raise OtherOmero(
            "Here are several OMEROs, and it is not configured which of them slidegate works with: an "
            "administrator of OMERO.web has to set omero.web.slidegate.server."
        )
    connector = Connector.from_session(request)
    host = connector.lookup_host_and_port()[0] if connector else None
    if settings.SERVER and host != settings.SERVER:
        raise OtherOmero(
            f"Images of {settings.SERVER} can be analysed here; you are logged in at {host}. Log in there."
        )
