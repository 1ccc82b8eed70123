# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO.scripts: what clients ask about them, and running them."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from typing import Any

import Ice
import omero
import omero.grid
import omero.scripts
from omero.rtypes import rint, robject

from pocket_omero.commands import delete
from pocket_omero.errors import Forbidden, Invalid, NotReady, WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.scripts import PYTHON, Job, Runner, is_official, new_script

__all__ = ["ScriptProcess", "Scripts", "Shelf"]

log = logging.getLogger(__name__)

_PARSE = "omero.scripts.parse"  # where a script leaves what parameters it takes
_PARSE_S = 60.0
_CANCEL_S = 2.0  # how long a caller waits for an end that it asked for


class Shelf:
    """What all callers of scripts share.

    Parameters
    ----------
    runner
        What starts them.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.params: dict[str, Any] = {}  # by the hash of a script's text


class Scripts(Service, omero.api.IScript, name="omero.api.IScript"):
    """Lists, keeps, describes and runs scripts."""

    def _rows(self, mimetype: str, current: Any) -> list[Any]:
        state, caller = self.house.state, self.caller(current)
        with state.lock:
            rows = state.where("OriginalFile", "mimetype", mimetype)
            return [row for row in rows if is_official(row) or self.house.rights.can_read(caller, row)]

    def _row(self, number: int, current: Any) -> Any:
        row = self.house.state.get("OriginalFile", number)
        if row is None or row not in self._rows(PYTHON, current):
            raise WrongUse(f"There is no script {number}, or it may not be read")
        return row

    def _text(self, row: Any) -> bytes:
        path = self.house.files.path(row)
        return path.read_bytes() if path.exists() else b""

    def _loaded(self, rows: list[Any], current: Any) -> list[Any]:
        reply = self.reply(current)
        return [reply.load(row) for row in rows]

    def do_getScripts(self, current: Any) -> list[Any]:
        return self._loaded([row for row in self._rows(PYTHON, current) if is_official(row)], current)

    def do_getScriptsByMimetype(self, mimetype: str, current: Any) -> list[Any]:
        return self._loaded(self._rows(mimetype, current), current)

    def do_getUserScripts(self, accepts: list[Any], current: Any) -> list[Any]:
        """Scripts that people uploaded for themselves: the caller's, or those of people and groups named."""
        people = {one.id.val for one in accepts or [] if isinstance(one, omero.model.Experimenter)}
        groups = {one.id.val for one in accepts or [] if isinstance(one, omero.model.ExperimenterGroup)}
        if not accepts:
            people = {self.caller(current).person.id}
        rows = [row for row in self._rows(PYTHON, current) if not is_official(row)]
        return self._loaded([row for row in rows if row.owner in people or row.group in groups], current)

    def do_getScriptID(self, path: str, current: Any) -> int:
        for row in self._rows(PYTHON, current):
            if is_official(row) and row["path"] + row["name"] == path:
                return int(row.id)
        return -1

    def do_getScriptText(self, number: int, current: Any) -> str:
        return self._text(self._row(number, current)).decode("utf-8", "replace")

    def do_canRunScript(self, number: int, current: Any) -> bool:
        return is_official(self._row(number, current))

    def do_uploadScript(self, path: str, text: str, current: Any) -> int:
        caller = self.caller(current)
        row = new_script(self.house.state, path, caller.person, self.house.rights.writable_group(caller))
        return self._written(row, text)

    def do_uploadOfficialScript(self, path: str, text: str, current: Any) -> int:
        if not self.house.rights.privilege(self.caller(current), "WriteScriptRepo"):
            raise Forbidden("Only administrators may add scripts for everybody (privilege WriteScriptRepo)")
        if self.do_getScriptID("/" + path.lstrip("/"), current) >= 0:
            raise WrongUse(f"There is a script {path}; use editScript")
        return self._written(new_script(self.house.state, path, None, None), text)

    def _written(self, row: Any, text: str) -> int:
        self.house.files.path(row).write_text(text, encoding="utf-8")
        with self.house.state.change():
            self.house.files.seal(row)
        return int(row.id)

    def do_editScript(self, file: Any, text: str, current: Any) -> None:
        row = self._row(file.id.val, current)
        self._allowed(row, current, "edit")
        self._written(row, text)

    def do_deleteScript(self, number: int, current: Any) -> None:
        row = self._row(number, current)
        self._allowed(row, current, "delete")
        delete(self, {"OriginalFile": [row.id]}, current)

    def _allowed(self, row: Any, current: Any, what: str) -> None:
        caller, rights = self.caller(current), self.house.rights
        if is_official(row):
            may = rights.privilege(caller, "WriteScriptRepo" if what == "edit" else "DeleteScriptRepo")
        else:
            may = rights.can_edit(caller, row) if what == "edit" else rights.can_delete(caller, row)
        if not may:
            raise Forbidden(f"You may not {what} the script {row['path']}{row['name']}")

    # running

    def _open(self, current: Any) -> Any:
        """A session for a script: of the caller, in the group of the call, for as long as scripts may run."""
        caller = self.caller(current)
        group = caller.group
        if caller.scope >= 0:
            group = self.house.state.get("ExperimenterGroup", caller.scope) or group
        live = int(self.house.scripts.runner.timeout * 1000)
        return self.house.sessions.open(
            caller.person, group, idle=0, live=live, agent="OMERO.scripts", sudoer=self.session.sudoer
        )

    def _login(self, session: Any) -> dict[str, str]:
        """What a script is told about where and as whom to log in."""
        return {
            "omero.host": self.house.host,
            "omero.port": str(self.house.port),
            "omero.user": session.uuid,
            "omero.pass": session.uuid,
        }

    def _official(self, number: int, current: Any) -> Any:
        row = self._row(number, current)
        if not is_official(row):
            raise NotReady(f"No processor available! [script {number} is for its owner's own processor]")
        return row

    def do_getParams(self, number: int, current: Any) -> Any:
        """What the script takes; it says so itself, when it is run to be asked."""
        row = self._official(number, current)
        text = self._text(row)
        key = hashlib.sha256(text).hexdigest()
        known = self.house.scripts.params
        if key not in known:
            known[key] = self._parsed(text, current)
        return known[key]

    def _parsed(self, text: bytes, current: Any) -> Any:
        session = self._open(current)
        try:
            login = self._login(session) | {_PARSE: "true"}
            job = self.house.scripts.runner.start(text, login, lambda job, code: None, timeout=_PARSE_S)
            job.wait()
            said = job.stderr.read_text("utf-8", "replace")
            job.forget()
            found = session.outputs.get(_PARSE)
        finally:
            self.house.sessions.close(session)
        if found is None:
            raise Invalid(f"The script did not say what parameters it takes: {said[-2000:]}")
        return found.val

    def do_runScript(self, number: int, inputs: dict[str, Any], wait: Any, current: Any) -> Any:
        """Start a script; the proxy that is returned outlives the caller's connection."""
        row = self._official(number, current)
        params = self.do_getParams(number, current)
        session = self._open(current)
        session.inputs.update(inputs or {})
        wrong = omero.scripts.validate_inputs(params, inputs or {}, _Inputs(session), None)
        if wrong:
            self.house.sessions.close(session)
            raise Invalid(wrong)
        process = ScriptProcess(self.house, self.session, str(uuid.uuid4()), row, session)
        process.start(self._text(row), self._login(session), self.caller(current))
        return self.offer(process, current, omero.grid.ScriptProcessPrx, category="ProcessCallback")


class _Inputs:
    """Takes the defaults that `omero.scripts.validate_inputs` fills in."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def setInput(self, _: Any, key: str, value: Any) -> None:
        self._session.inputs[key] = value


class ScriptProcess(Service, omero.grid.ScriptProcess):
    """One run of a script.

    Parameters
    ----------
    row
        The script's OriginalFile.
    own
        The session that was made for it: it is told its inputs there, and leaves its outputs.
    """

    def __init__(self, house: Any, session: Any, identity: str, row: Any, own: Any) -> None:
        super().__init__(house, session, identity)
        self._script, self._own = row, own
        self._job: Job | None = None
        self._record: Any = None
        self._callbacks: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._code: int | None = None
        self._finished = threading.Event()  # and all that belongs to its end is written down

    def start(self, text: bytes, login: dict[str, str], caller: Any) -> None:
        """Start it, and write down that it has been started."""
        state, now = self.house.state, int(time.time() * 1000)
        person, group = self._own.person, self._own.group
        with state.change():
            event = state.event(person, group, caller.session)
            self._record = state.new(
                "ScriptJob",
                owner=person,
                group=group,
                event=event,
                username=person["omeName"],
                groupname=group["name"],
                type="Script",
                message="",
                status=self._status("Running"),
                description=self._script["name"],
                submitted=now,
                scheduledFor=now,
                started=now,
            )
            self._link(self._script, event)
        login = login | {"omero.job": str(self._record.id)}
        self._job = self.house.scripts.runner.start(text, login, self._ended)

    def _status(self, value: str) -> Any:
        state = self.house.state
        return next(iter(state.where("JobStatus", "value", value)), None) or state.new(
            "JobStatus", value=value
        )

    def _link(self, file: Any, event: Any) -> None:
        self.house.state.new(
            "JobOriginalFileLink",
            owner=self._own.person,
            group=self._own.group,
            event=event,
            parent=self._record,
            child=file,
        )

    def _ended(self, job: Job, code: int) -> None:
        state = self.house.state
        for name in ("stdout", "stderr"):
            self._keep(name, getattr(job, name))
        with state.change():
            status = "Cancelled" if job.cancelled else "Finished" if code == 0 else "Error"
            state.set(self._record, status=self._status(status), finished=int(time.time() * 1000))
            if job.timed_out:
                state.set(self._record, message=f"ended after {self.house.scripts.runner.timeout:.0f} s")
        self.house.sessions.close(self._own)
        job.forget()
        with self._lock:
            self._code = code
            self._finished.set()
        self._tell("processFinished", code)

    def _keep(self, name: str, file: Any) -> None:
        data = file.read_bytes()
        if not data:
            return
        state, person, group = self.house.state, self._own.person, self._own.group
        with state.change():
            event = state.event(person, group, None)
            row = state.new(
                "OriginalFile",
                owner=person,
                group=group,
                event=event,
                name=name,
                path="/",
                mimetype="text/plain",
            )
            self._link(row, event)
            self.house.files.path(row).write_bytes(data)
            self.house.files.seal(row)
        self._own.outputs[name] = robject(omero.model.OriginalFileI(row.id, False))

    def _tell(self, method: str, value: Any) -> None:
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            self._tell_one(callback, method, value)

    def _tell_one(self, callback: Any, method: str, value: Any) -> None:
        try:
            getattr(callback, f"begin_{method}")(value, lambda: None, lambda _error: None)
        except Ice.Exception as error:  # the client went away
            log.debug("nobody hears of %s any more: %s", self.identity, error)

    @property
    def _running(self) -> Job:
        if self._job is None:
            raise NotReady("The script has not been started")
        return self._job

    def do_poll(self, current: Any) -> Any:
        return None if self._code is None else rint(self._code)

    def do_wait(self, current: Any) -> int:
        self._finished.wait()
        return self._code or 0

    def do_cancel(self, current: Any) -> bool:
        """Ask it to end.

        Returns
        -------
        bool
            Whether it has ended already.
        """
        return self._stop("processCancelled", at_once=False)

    def do_kill(self, current: Any) -> bool:
        return self._stop("processKilled", at_once=True)

    def _stop(self, told: str, *, at_once: bool) -> bool:
        if self._finished.is_set():
            return True
        self._running.cancel(at_once=at_once)
        ended = self._finished.wait(_CANCEL_S)
        self._tell(told, ended)
        return ended

    def do_shutdown(self, current: Any) -> None:
        self.do_cancel(current)
        self.do_kill(current)

    def do_registerCallback(self, callback: Any, current: Any) -> None:
        if callback is None:
            raise WrongUse("There is no callback")
        identity = callback.ice_getIdentity()
        proxy = omero.grid.ProcessCallbackPrx.uncheckedCast(current.con.createProxy(identity))
        with self._lock:
            self._callbacks[identity.name] = proxy
            code = self._code
        if code is not None:
            self._tell_one(proxy, "processFinished", code)

    def do_unregisterCallback(self, callback: Any, current: Any) -> None:
        with self._lock:
            if self._callbacks.pop(callback.ice_getIdentity().name, None) is None:
                raise WrongUse("No callback is registered with this identity")

    def do_getJob(self, current: Any) -> Any:
        return self.reply(current).load(self._record)

    def do_getResults(self, seconds: int, current: Any) -> dict[str, Any]:
        """What the script left; waits up to so many seconds for its end."""
        self._finished.wait(seconds)
        return dict(self._own.outputs)

    def do_setMessage(self, message: str, current: Any) -> str:
        state = self.house.state
        with state.change():
            before = self._record["message"] or ""
            state.set(self._record, message=message)
        return str(before)

    def do_close(self, detach: bool, current: Any) -> None:
        """Let go of it; a script that still runs ends, unless `detach` says that it shall go on."""
        if not detach:
            self._running.cancel()
        if self._finished.is_set():
            self.withdraw(self, current)
