# SPDX-License-Identifier: AGPL-3.0-or-later
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong, in words for the person at the screen, with codes that never change."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, JsonResponse

__all__ = [
    "BadAddress",
    "BadSelection",
    "Broken",
    "KeyUnusable",
    "NotForGuests",
    "NotLetIn",
    "NotLoggedIn",
    "NotReady",
    "OmeroFailed",
    "OtherOmero",
    "SignInRefused",
    "SlidegateAnsweredBadly",
    "SlidegateNotTrusted",
    "SlidegateSlow",
    "SlidegateUnreachable",
    "TooLong",
    "TooManyImages",
    "Trouble",
    "WrongMethod",
]


class Trouble(Exception):
    """The request was not carried out.

    Parameters
    ----------
    detail
        What happened, why, and what to do; without it, the first sentence of the class.
    """

    status = 500
    code = "trouble"
    title = "Not carried out"

    def __init__(self, detail: str = "") -> None:
        self.detail = detail or " ".join((type(self).__doc__ or "").split("\n\n")[0].split())
        super().__init__(self.detail)

    def as_json(self) -> HttpResponse:
        """Return it as RFC 9457 has it."""
        body: dict[str, Any] = {
            "type": f"urn:slidegate:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        response = JsonResponse(body, status=self.status, content_type="application/problem+json")
        response["Cache-Control"] = "no-store"
        return response


class NotLoggedIn(Trouble):
    """Your login at OMERO.web has ended: log in again. What was launched goes on."""

    status = 401
    code = "not-signed-in"
    title = "Not logged in"


class NotForGuests(Trouble):
    """Runs belong to a person: this is a login that everybody shares. Log in as yourself."""

    status = 403
    code = "omero-guest"
    title = "Not for guests"


class OtherOmero(Trouble):
    """You are logged in at another OMERO than the one whose images can be analysed here."""

    status = 403
    code = "other-omero"
    title = "Another OMERO"


class BadAddress(Trouble):
    """There is nothing at this address."""

    status = 404
    code = "not-found"
    title = "Not found"


class WrongMethod(Trouble):
    """The address does not take such a request."""

    status = 405
    code = "wrong-method"
    title = "Wrong method"


class TooLong(Trouble):
    """The request is too long: choose fewer images."""

    status = 413
    code = "body-too-long"
    title = "Too long"


class BadSelection(Trouble):
    """It cannot be understood what is selected: choose images, datasets or projects in OMERO.web."""

    status = 400
    code = "selection-unreadable"
    title = "Selection not understood"


class TooManyImages(Trouble):
    """More images are selected than one run takes."""

    status = 422
    code = "too-many-images"
    title = "Too many images"


class OmeroFailed(Trouble):
    """OMERO did not answer as it should. Nothing was changed: try again in a moment."""

    status = 502
    code = "omero-failed"
    title = "OMERO did not answer"


class SlidegateUnreachable(Trouble):
    """slidegate cannot be reached from OMERO.web. What was launched goes on: try again in a few minutes."""

    status = 502
    code = "slidegate-unreachable"
    title = "slidegate cannot be reached"


class SlidegateNotTrusted(Trouble):
    """slidegate's certificate is not trusted by OMERO.web: an administrator of OMERO.web has to look."""

    status = 502
    code = "slidegate-certificate"
    title = "Certificate not trusted"


class SlidegateSlow(Trouble):
    """slidegate took too long to answer. What was asked may have been done: look at your runs first."""

    status = 504
    code = "slidegate-slow"
    title = "No answer in time"


class SlidegateAnsweredBadly(Trouble):
    """What answers where slidegate should be is something else: an administrator of OMERO.web has to look."""

    status = 502
    code = "slidegate-answered-badly"
    title = "Answer not understood"


class SignInRefused(Trouble):
    """slidegate does not believe this OMERO.web who you are: an administrator of OMERO.web has to look."""

    status = 502
    code = "slidegate-refused-this-web"
    title = "This OMERO.web is not known"


class NotLetIn(Trouble):
    """slidegate does not let you in; its words say why."""

    status = 403
    code = "omero-person-refused"
    title = "Not let in"


class NotReady(Trouble):
    """slidegate cannot let anybody in just now; its words say why."""

    status = 502
    code = "slidegate-not-ready"
    title = "slidegate is not ready"


class KeyUnusable(Trouble):
    """OMERO.web has no key for slidegate that it could use: an administrator of OMERO.web has to look."""

    status = 500
    code = "key-unusable"
    title = "No key"


class Broken(Trouble):
    """Something went wrong in OMERO.web's part of slidegate; OMERO.web's log tells more."""

    code = "internal"
    title = "Internal error"
