# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can be answered instead of an answer: problems as RFC 9457 has them, with codes that never change."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from slidegate.domain.errors import BadParameter, BadRequest, SlidegateError, trace_of

log = logging.getLogger("slidegate.api")
MEDIA_TYPE = "application/problem+json"


class ApiProblem(SlidegateError):
    """The request was not carried out."""

    code = "problem"

    def __init__(
        self,
        message: str | None = None,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.errors = [dict(error) for error in errors]
        self.retry_after = retry_after
        if code is not None:
            self.code = code


class NotSignedIn(ApiProblem):
    """You are not signed in, or no longer."""

    code = "not-signed-in"


class WrongPassword(ApiProblem):
    """The name or the password is not right."""

    code = "wrong-password"


class WrongCurrentPassword(ApiProblem):
    """The password that you have now is not right; nothing was changed."""

    code = "wrong-current-password"


class LinkUsed(ApiProblem):
    """The sign-in link was used already, or is too old: ask for a new one with slidegate login."""

    code = "link-used"


class NotAllowed(ApiProblem):
    """You may see this, but you may not do it."""

    code = "not-allowed"


class NoCsrfToken(ApiProblem):
    """The request does not show that it comes from slidegate's own page: reload the page."""

    code = "no-csrf-token"


class WrongOrigin(ApiProblem):
    """The request comes from another page."""

    code = "wrong-origin"


class WrongHost(ApiProblem):
    """The service is not known by the name that it was asked by."""

    code = "wrong-host"


class NotFound(ApiProblem):
    """There is nothing at this address."""

    code = "not-found"


class WrongMethod(ApiProblem):
    """The address does not take such a request."""

    code = "wrong-method"


class UnknownTask(ApiProblem):
    """The run has no image of that number."""

    code = "unknown-task"


class UnknownToken(ApiProblem):
    """There is no token of yours with that name."""

    code = "unknown-token"


class UnknownWebhook(ApiProblem):
    """There is no webhook of yours with that name."""

    code = "unknown-webhook"


class PersonExists(ApiProblem):
    """There is a person of that name already."""

    code = "person-exists"


class LastAdministrator(ApiProblem):
    """Somebody must stay administrator: make another person administrator first."""

    code = "last-administrator"


class BadPassword(ApiProblem):
    """A password has at least ten letters, and at most two hundred."""

    code = "bad-password"
    exit_code = 2


class NoKey(ApiProblem):
    """A launch needs an Idempotency-Key, so that a repeat is not a second run."""

    code = "no-idempotency-key"


class BodyTooLong(ApiProblem):
    """The request is too long."""

    code = "body-too-long"


class TooSlow(ApiProblem):
    """The request took too long to arrive."""

    code = "too-slow"


class WrongMediaType(ApiProblem):
    """The body of a request must be JSON (Content-Type: application/json)."""

    code = "wrong-media-type"


class TooManyRequests(ApiProblem):
    """You ask too often: wait a moment."""

    code = "too-many-requests"
    transient = True


class TooManySignIns(ApiProblem):
    """Too many sign-ins failed from your address: wait a while."""

    code = "too-many-sign-ins"
    transient = True


class TooManyStreams(ApiProblem):
    """Too many live views are open: close some windows."""

    code = "too-many-streams"
    transient = True


class PictureGone(ApiProblem):
    """The picture is not kept any more: ask for it again."""

    code = "picture-not-kept"


class StatementRefused(ApiProblem):
    """What OMERO.web says of you is not believed."""

    code = "omero-statement-refused"

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"What OMERO.web says of you is not believed. {reason}".strip())


class OmeroPersonRefused(ApiProblem):
    """You cannot sign in here by OMERO."""

    code = "omero-person-refused"


class OmeroNotConfigured(ApiProblem):
    """No OMERO is known here: whoever looks after slidegate names one in the setting omero_host."""

    code = "omero-not-configured"


class NotOfOmero(ApiProblem):
    """Who a person is in OMERO is not known here: open OMERO.web, and come from there."""

    code = "not-of-omero"


class GrantNotNeeded(ApiProblem):
    """Here slidegate acts for people in OMERO by an account of its own: no password is needed."""

    code = "omero-grant-not-needed"


class NoOmeroWorker(ApiProblem):
    """No worker of slidegate has started yet that could act for you in OMERO. Try again soon."""

    code = "omero-no-worker"
    transient = True


class OmeroBusy(ApiProblem):
    """OMERO could not answer at that moment."""

    code = "omero-busy"
    transient = True


class NotBesideFolders(ApiProblem):
    """How results are written into OMERO can be chosen for images of OMERO only."""

    code = "publish-not-in-omero"


class Refused(ApiProblem):
    """A worker could not do what was asked."""

    code = "wish-refused"


class Broken(ApiProblem):
    """Something went wrong in slidegate; the log tells more under this request's id."""

    code = "internal"


class Kind(NamedTuple):
    """How a code is answered: its HTTP status, and its short name."""

    status: int
    title: str


PROBLEMS: dict[str, Kind] = {
    "bad-request": Kind(400, "Cannot be carried out"),
    "no-idempotency-key": Kind(400, "No Idempotency-Key"),
    "not-signed-in": Kind(401, "Not signed in"),
    "wrong-password": Kind(401, "Wrong name or password"),
    "omero-statement-refused": Kind(401, "OMERO.web is not believed"),
    "omero-session-gone": Kind(401, "Session in OMERO has ended"),
    "omero-person-refused": Kind(403, "Not by OMERO"),
    "not-allowed": Kind(403, "Not allowed"),
    "no-csrf-token": Kind(403, "Not from our page"),
    "wrong-origin": Kind(403, "From another page"),
    "wrong-current-password": Kind(403, "Wrong password"),
    "not-found": Kind(404, "Not found"),
    "unknown-run": Kind(404, "No such run"),
    "unknown-task": Kind(404, "No such image in the run"),
    "unknown-wish": Kind(404, "No such request"),
    "unknown-person": Kind(404, "No such person"),
    "unknown-token": Kind(404, "No such token"),
    "unknown-webhook": Kind(404, "No such webhook"),
    "no-labels": Kind(404, "No outlines"),
    "no-such-column": Kind(404, "No such column"),
    "no-such-file": Kind(404, "No such file"),
    "no-such-tile": Kind(404, "No such tile"),
    "no-table": Kind(404, "No table"),
    "picture-not-at-hand": Kind(404, "Picture not at hand"),
    "wrong-method": Kind(405, "Wrong method"),
    "last-administrator": Kind(409, "The last administrator"),
    "too-many-webhooks": Kind(409, "Too many webhooks"),
    "run-still-active": Kind(409, "Still active"),
    "no-result-yet": Kind(409, "No result yet"),
    "picture-damaged": Kind(409, "Picture damaged"),
    "result-changed": Kind(409, "Result changed"),
    "table-unusable": Kind(409, "Table unusable"),
    "too-slow": Kind(408, "Too slow"),
    "person-exists": Kind(409, "Person exists"),
    "omero-not-configured": Kind(409, "No OMERO"),
    "omero-not-installed": Kind(409, "OMERO's client is missing"),
    "omero-grant-not-needed": Kind(409, "Not needed"),
    "not-of-omero": Kind(409, "Not of OMERO"),
    "link-used": Kind(410, "Link used"),
    "picture-not-kept": Kind(410, "Picture gone"),
    "result-gone": Kind(410, "Result gone"),
    "body-too-long": Kind(413, "Too long"),
    "wrong-media-type": Kind(415, "Not JSON"),
    "wrong-host": Kind(421, "Wrong name of the service"),
    "bad-hook-url": Kind(422, "No address for a webhook"),
    "bad-image-name": Kind(422, "No name of an image"),
    "bad-parameter": Kind(422, "Parameter does not fit"),
    "bad-password": Kind(422, "No good password"),
    "invalid": Kind(422, "Request does not fit"),
    "key-reused": Kind(422, "Idempotency-Key used for something else"),
    "nothing-selected": Kind(422, "Nothing selected"),
    "omero-mixed": Kind(422, "Images of OMERO and of folders"),
    "publish-not-in-omero": Kind(422, "Not for folders"),
    "wish-refused": Kind(422, "Refused"),
    "unknown-site": Kind(422, "No such site"),
    "unknown-workflow": Kind(422, "No such workflow"),
    "too-many-requests": Kind(429, "Too many requests"),
    "too-many-sign-ins": Kind(429, "Too many sign-ins"),
    "too-many-streams": Kind(429, "Too many live views"),
    "too-many-wishes": Kind(429, "Too much is waited for"),
    "internal": Kind(500, "Internal error"),
    "reconciling": Kind(503, "Restoring from a backup"),
    "omero-unreachable": Kind(503, "OMERO away"),
    "omero-busy": Kind(503, "OMERO busy"),
    "omero-interrupted": Kind(503, "OMERO away"),
    "omero-certificate": Kind(503, "OMERO not trusted"),
    "omero-failed": Kind(503, "OMERO failed"),
    "omero-no-worker": Kind(503, "No worker"),
    "store-unusable": Kind(503, "Database away"),
}
"""Every code that the service itself answers with. A worker's own codes have that of ``wish-refused``."""

_RETRY_SECONDS = 2.0
TOO_MANY = 429
_ASK_AGAIN = frozenset({TOO_MANY, 503})


class InvalidRequest(ApiProblem):
    """The request does not have the form that is documented."""

    code = "invalid"


class ParameterProblem(BadParameter):
    """Parameters do not fit the workflow; ``errors`` says which and why."""

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__(" ".join(error["message"] for error in errors))
        self.errors = [dict(error) for error in errors]


def kind_of(error: SlidegateError) -> Kind:
    """Return how an error is answered: by its code, or as what a worker refused."""
    known = PROBLEMS.get(error.code)
    if known is not None and not isinstance(error, Refused):
        return known
    asked_wrongly = isinstance(error, BadRequest | Refused)
    like = "wish-refused" if asked_wrongly else "store-unusable" if error.transient else "internal"
    title = error.code.replace("-", " ").capitalize() if known is None else known.title
    return Kind(PROBLEMS[like].status, title)


def problem(error: SlidegateError, instance: str, request_id: str) -> Response:
    """Return an error as a response."""
    kind = kind_of(error)
    body: dict[str, Any] = {
        "type": f"urn:slidegate:problem:{error.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": error.message,
        "code": error.code,
        "instance": instance,
        "request": request_id,
    }
    errors = getattr(error, "errors", None)
    if errors:
        body["errors"] = errors
    headers = {"Cache-Control": "no-store"}
    wait = getattr(error, "retry_after", None)
    if wait is None and kind.status in _ASK_AGAIN:
        wait = _RETRY_SECONDS
    if wait is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    if kind.status == PROBLEMS["not-signed-in"].status:
        headers["WWW-Authenticate"] = 'Bearer realm="slidegate"'
    return JSONResponse(body, kind.status, headers, MEDIA_TYPE)


def request_id(request: Request) -> str:
    """Return the id of a request, which its log lines and its answer have."""
    return str(request.scope.get("state", {}).get("request_id") or uuid.uuid4().hex)


def _of(request: Request, error: SlidegateError) -> Response:
    return problem(error, request.url.path, request_id(request))


def _known(request: Request, error: Exception) -> Response:
    known = error if isinstance(error, SlidegateError) else Broken()
    if kind_of(known).status >= PROBLEMS["internal"].status:
        log.error("%s %s", request_id(request), trace_of(error), extra={"action": "request"})
    return _of(request, known)


def _invalid(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if any(one["type"] == "json_invalid" for one in found):
        return _of(request, BadRequest("The body of the request is not JSON."))
    errors = [
        {"name": ".".join(str(part) for part in one["loc"][1:]), "message": str(one["msg"])} for one in found
    ]
    words = "; ".join(f"{one['name']}: {one['message']}" for one in errors[:5])
    return _of(request, InvalidRequest(f"The request does not fit: {words}.", errors=errors[:50]))


def http_problem(request: Request, error: Exception) -> Response:
    """Return what the framework itself refused as a problem."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    found: dict[int, type[SlidegateError]] = {404: NotFound, 405: WrongMethod, 400: BadRequest}
    answer = _of(request, found.get(status, Broken)())
    for name, value in (getattr(error, "headers", None) or {}).items():
        answer.headers[name] = value
    return answer


def install(app: FastAPI) -> None:
    """Have an application answer every error as a problem."""
    app.add_exception_handler(SlidegateError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
