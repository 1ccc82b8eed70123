# SPDX-License-Identifier: GPL-2.0-or-later
"""omero.cmd.Handle: a command that was submitted, its state, its answer, and whom to tell about it."""

from __future__ import annotations

import logging
import threading
import time
import traceback
import uuid
from typing import TYPE_CHECKING, Any

import Ice
import omero.all
from omero.cmd import ERR, DoAll, DoAllRsp, GraphException, State, Status, Unknown

from pocket_omero.commands.plan import GraphRefused
from pocket_omero.commands.work import COMMANDS, Cancelled, Work
from pocket_omero.errors import PocketError
from pocket_omero.ice.dispatch import Service

if TYPE_CHECKING:
    from pocket_omero.people.caller import Caller

__all__ = ["Handle", "do", "submit"]

log = logging.getLogger(__name__)


class Handle(Service, omero.cmd.Handle):
    """One submitted command. It runs in a thread of its own, all or nothing.

    Parameters
    ----------
    by
        The service through which it was submitted.
    request
        What to do.
    current
        Of the call.
    """

    def __init__(self, by: Service, request: Any, current: Any) -> None:
        super().__init__(by.house, by.session, f"{uuid.uuid4()}/Handle")
        self._request = request
        self._response: Any = None
        self._callbacks: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._status = Status(None, "", "", [], {}, 0, 1, _now(), [], [], 0)
        self._work = _work(by, by.caller(current), current)

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=self.identity, daemon=True).start()

    def _run(self) -> None:
        self.house.calls.count(f"omero.cmd.{type(self._request).__name__}")
        response = _answer(self._work, self._request)
        with self._lock:
            if isinstance(response, ERR):
                self._status.flags.append(State.FAILURE)
                if not self._work.wanted:
                    self._status.flags.append(State.CANCELLED)
                log.info("%s failed: %s", self._request.ice_id(), response.parameters.get("message"))
            self._status.currentStep = self._status.steps
            self._status.stopTime = _now()
            self._response = response
            told = list(self._callbacks.values())
            self._done.set()
        for proxy in told:
            self._tell(proxy)

    def _tell(self, proxy: Any) -> None:
        try:
            proxy.begin_finished(self._response, self._status, lambda: None, lambda _error: None)
        except Ice.Exception as error:  # the client went away
            log.debug("nobody hears of %s any more: %s", self.identity, error)

    def do_getRequest(self, current: Any) -> Any:
        """What was submitted."""
        return self._request

    def do_getResponse(self, current: Any) -> Any:
        """The answer; None until there is one."""
        return self._response

    def do_getStatus(self, current: Any) -> Any:
        """How far it is."""
        with self._lock:
            return self._status

    def do_addCallback(self, callback: Any, current: Any) -> None:
        """Tell the client, through its own connection, when the command is over; at once where it is."""
        identity = callback.ice_getIdentity()
        proxy = omero.cmd.CmdCallbackPrx.uncheckedCast(current.con.createProxy(identity))
        with self._lock:
            self._callbacks[identity.name] = proxy
            over = self._done.is_set()
        if over:
            self._tell(proxy)

    def do_removeCallback(self, callback: Any, current: Any) -> None:
        """Tell the client nothing; a repeat changes nothing."""
        with self._lock:
            self._callbacks.pop(callback.ice_getIdentity().name, None)

    def do_cancel(self, current: Any) -> bool:
        """Stop it before it changes anything; False when it is too late."""
        return not self._done.is_set() and self._work.cancel()

    def do_close(self, current: Any) -> None:
        """Let go of the handle; a command that runs is cancelled if that is still possible."""
        self._work.cancel()
        self.withdraw(self, current)

    def dispose(self) -> None:
        """Nothing is to be let go of: a running command goes on to its end."""


def submit(by: Service, request: Any, current: Any) -> Any:
    """Begin a command for a client and return the proxy of its handle (omero.cmd.HandlePrx).

    Parameters
    ----------
    by
        The service that was asked (omero.cmd.Session.submit).
    request
        An omero.cmd.Request. What is not supported answers ``omero.cmd.Unknown``, as OMERO does.
    """
    handle = Handle(by, request, current)
    proxy = by.offer(handle, current, omero.cmd.HandlePrx)
    handle.start()
    return proxy


def do(by: Service, request: Any, current: Any) -> Any:
    """Carry out a command at once, for a service that needs it, and return its response.

    Raises
    ------
    PocketError
        As the command does.
    """
    return _carry_out(_work(by, by.caller(current), current), request)


def _work(by: Service, caller: Caller, current: Any) -> Work:
    return Work(by.house, by.session, caller, dict(current.ctx))


def _carry_out(work: Work, request: Any) -> Any:
    response = _one(work, request)
    for action in work.afterwards:
        action()
    return response


def _one(work: Work, request: Any) -> Any:
    if isinstance(request, DoAll):
        return _all(work, request)
    function = COMMANDS.get(request.ice_id())
    if function is None:
        work.house.calls.count(f"omero.cmd.{type(request).__name__}", refused=True)
        log.warning("the command %s is not supported", request.ice_id())
        return Unknown(request.ice_id(), "unknown-request", {"message": f"not supported: {request.ice_id()}"})
    return function(work, request)


def _all(work: Work, request: Any) -> Any:
    """Do several, all or none."""
    responses = []
    contexts = request.contexts or []
    with work.state.change():
        for number, each in enumerate(request.requests):
            context = contexts[number] if number < len(contexts) and contexts[number] else {}
            context = {**work.context, **context}
            caller = work.rights.caller(work.session, context)
            inner = Work(work.house, work.session, caller, context, outer=work)
            work.check()
            response = _one(inner, each)
            if isinstance(response, ERR):
                raise GraphRefused(response.parameters.get("message", response.name))
            responses.append(response)
            work.afterwards += inner.afterwards
        work.commit()
    return DoAllRsp(responses, [])


def _answer(work: Work, request: Any) -> Any:
    """The response to a request: what went wrong becomes ERR or GraphException."""
    try:
        return _carry_out(work, request)
    except Cancelled as error:
        return _failed(ERR(), request, "cancelled", error)
    except GraphRefused as error:
        return _failed(GraphException(message=str(error)), request, "graph-fail", error)
    except (PocketError, Ice.UserException) as error:
        return _failed(ERR(), request, "graph-fail", error)
    except Exception as error:  # the edge of a thread: everything becomes an answer
        log.exception("%s failed", request.ice_id())
        return _failed(ERR(), request, "graph-fail", error)


def _failed(err: Any, request: Any, name: str, error: BaseException) -> Any:
    err.category, err.name = request.ice_id(), name
    message = getattr(error, "message", "") or str(error)
    trace = "".join(traceback.format_exception(error))
    err.parameters = {"message": message, "stacktrace": trace}
    return err


def _now() -> int:
    return int(time.time() * 1000)
