# SPDX-License-Identifier: GPL-2.0-or-later
"""Servants: how a call that arrives becomes a call of a method, and how its error becomes OMERO's.

The classes that slice generates have a method that does nothing for every operation. Left alone, an
operation that nobody wrote would answer None, which is worse than an error. So each class of `Service` gets
a method for every operation of its interface, from the slice modules: it calls `do_<operation>`, and where
there is none, it refuses, says so in the log and counts it.
"""

import logging
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import Ice
import omero.all

from pocket_omero.errors import PocketError
from pocket_omero.faults import ConnectionDropped
from pocket_omero.ice.slices import Operation, slices

if TYPE_CHECKING:
    from pocket_omero import hql
    from pocket_omero.faults import Faults
    from pocket_omero.ice.router import Connections
    from pocket_omero.images import Files, Images
    from pocket_omero.people.caller import Caller
    from pocket_omero.people.passwords import Passwords
    from pocket_omero.people.rights import Rights
    from pocket_omero.people.sessions import Session, Sessions
    from pocket_omero.state import Row, State
    from pocket_omero.state.graph import Reply

__all__ = [
    "STATEFUL",
    "STATELESS",
    "Calls",
    "House",
    "Service",
    "Stateful",
    "operations",
    "stateful",
    "stateless",
    "translated",
]

log = logging.getLogger("pocket_omero.calls")

# Servants by the name that clients ask for: "omero.api.IQuery"; "RawPixelsStore".
STATELESS: "dict[str, type[Service]]" = {}
STATEFUL: "dict[str, type[Stateful]]" = {}


class Calls:
    """What was called, how often, and what was refused because it does not exist here. Thread-safe."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, label: str, refused: bool = False) -> None:
        """Note one call of "IQuery.findByQuery"."""
        with self._lock:
            self.made[label] += 1
            if refused:
                self.refused[label] += 1


@dataclass(slots=True)
class House:
    """Everything that servants work with. Made by `pocket_omero.server`.

    Parameters
    ----------
    folder
        Where the server keeps what is its own (state, files, tables, certificates).
    host, port
        Where clients find it (the port is known once it listens).
    images, files
        Where pixels and the bytes of original files are.
    scripts
        What all callers of scripts share (`pocket_omero.services.scripts.Shelf`).
    config
        What IConfig answers.
    """

    folder: Path
    host: str
    port: int
    state: "State"
    rights: "Rights"
    passwords: "Passwords"
    sessions: "Sessions"
    faults: "Faults"
    config: dict[str, str]
    connections: "Connections"
    images: "Images"
    files: "Files"
    scripts: Any
    calls: Calls = field(default_factory=Calls)


def operations(interface: type) -> dict[str, Operation]:
    """The operations of a generated interface (omero.api.IQuery), by name."""
    return dict(slices().operations(interface.ice_staticId()))  # type: ignore[attr-defined]


def translated(error: Exception, label: str) -> Exception:
    """What goes over the wire for an error: OMERO's own exceptions as they are, others as the one they name.

    What nobody foresaw goes to the log with its trace, and to the client as omero.InternalException.
    """
    known: type[Exception] = Ice.Exception  # those of OMERO are such
    if isinstance(error, known):
        return error
    if isinstance(error, PocketError):
        log.info("%s: %s: %s", label, type(error).__name__, error)
        return _raised(error.raised, "", error, str(error))
    log.error("%s failed", label, exc_info=error)
    trace = "".join(traceback.format_exception(error))
    return _raised("InternalException", trace, error, f"{label}: {error!r}")


def _raised(name: str, trace: str, error: Exception, words: str) -> Exception:
    made: Exception = getattr(omero, name)(trace, type(error).__name__, words)
    return made


def _method(operation: Operation, interface: str) -> Callable[..., Any]:
    """The method that Ice calls for one operation."""
    label = f"{interface}.{operation.name}"

    def answer(self: "Service", *args: Any) -> Any:
        try:
            return self.call(operation, label, args[:-1], args[-1])
        except Exception as error:  # noqa: BLE001  (the edge: everything becomes an answer)
            raise translated(error, label) from None

    def answer_later(self: "Service", callback: Any, *args: Any) -> None:
        try:
            value = self.call(operation, label, args[:-1], args[-1])
        except Exception as error:  # noqa: BLE001
            callback.ice_exception(translated(error, label))
            return
        if operation.answers == 0:
            callback.ice_response()
        elif operation.answers == 1:
            callback.ice_response(value)
        else:
            callback.ice_response(*value)

    return answer_later if operation.asynchronous else answer


class Service:
    """An interface of OMERO, with `do_<operation>(self, *args, current)` for each operation that it supports.

    A subclass names the generated interface as its second base, and itself for clients::

        class Query(Service, omero.api.IQuery, name="omero.api.IQuery"): ...

    Parameters
    ----------
    house
        What the server wired.
    session
        Whose calls these are.
    identity
        The name of the servant on its connection.
    """

    interface: ClassVar[str] = ""

    def __init__(self, house: House, session: "Session", identity: str) -> None:
        self.house, self.session, self.identity = house, session, identity

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        """Give the class the methods that Ice calls, and make it known by its name."""
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "ice_staticId"):
            return
        cls.interface = cls.ice_staticId().rpartition("::")[2]
        for operation in operations(cls).values():
            method = operation.name + ("_async" if operation.asynchronous else "")
            setattr(cls, method, _method(operation, cls.interface))
        if name:
            cls._register(name)

    @classmethod
    def _register(cls, name: str) -> None:
        STATELESS[name] = cls

    @classmethod
    def supported(cls) -> dict[str, bool]:
        """Of each operation of the interface: whether it is supported."""
        return {name: hasattr(cls, "do_" + name) for name in operations(cls)}

    def call(self, operation: Operation, label: str, args: tuple[Any, ...], current: Any) -> Any:
        """Carry out one operation, or refuse it."""
        method = getattr(self, "do_" + operation.name, None)
        self.house.calls.count(label, refused=method is None)
        try:
            self.house.faults.before(label, operation, current)
        except ConnectionDropped:
            current.con.close(True)
            raise Ice.ConnectionLostException from None
        self.house.sessions.touch(self.session)
        if method is None:
            log.warning("%s is not supported", label)
            raise omero.InternalException("", "Unsupported", f"pocket OMERO does not support {label}")
        with self.turn():
            return method(*args, current=current)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold while an operation runs; a servant with a state of its own lets in one at a time."""
        yield

    def caller(self, current: Any) -> "Caller":
        """Who calls, in which groups (`omero.group` and `omero.user` of the call)."""
        return self.house.rights.caller(self.session, current.ctx)

    def reply(self, current: Any) -> "Reply":
        """What makes model objects out of rows for this caller."""
        from pocket_omero.state.graph import Reply

        caller = self.caller(current)
        return Reply(self.house.state, lambda row: self.house.rights.permissions(caller, row))

    def query(self, text: str, params: Any, current: Any) -> "hql.Result":
        """Run a query as this caller.

        Parameters
        ----------
        text
            HQL.
        params
            omero.sys.Parameters, or None.
        """
        from pocket_omero import hql

        visible = self.house.rights.visible(self.caller(current))
        return hql.run(self.house.state, text, params, self.reply(current), visible)

    def event(self, current: Any) -> "Row":
        """A new row Event of this call, in the group that it writes to.

        Raises
        ------
        Forbidden
            The call names no group that the caller may write to.
        """
        caller = self.caller(current)
        group = self.house.rights.writable_group(caller)
        return self.house.state.event(caller.person, group, caller.session)

    def offer(self, servant: Any, current: Any, proxy: Any, category: str = "") -> Any:
        """Give the client a proxy of a new servant.

        Parameters
        ----------
        servant
            Lives as long as the connection, or until `withdraw`.
        proxy
            Its generated proxy class (omero.grid.TablePrx).
        category
            "ProcessCallback" for one that outlives the connection, and that all sessions of its person reach.
        """
        return self.house.connections.offer(servant, current, proxy, category)

    def withdraw(self, servant: Any, current: Any) -> None:
        """Take back what was offered; a repeat changes nothing."""
        self.house.connections.withdraw(servant, current)


class Stateful(Service):
    """A service with a state of its own, one per client that asks: `dispose` lets go of it."""

    def __init__(self, house: House, session: "Session", identity: str) -> None:
        super().__init__(house, session, identity)
        self._turn = threading.RLock()
        self._released = False

    @classmethod
    def _register(cls, name: str) -> None:
        STATEFUL[name] = cls

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let in one call at a time."""
        with self._turn:
            yield

    def dispose(self) -> None:
        """Let go of files and the like. Called once, when the client closes the service or goes away."""

    def release(self) -> None:
        """Wait for the call that runs, and `dispose`. A repeat changes nothing."""
        with self._turn:
            if not self._released:
                self._released = True
                self.dispose()

    def do_close(self, current: Any) -> None:
        """End it: the proxy is dead from now on."""
        self.withdraw(self, current)

    def do_activate(self, current: Any) -> None:
        """Do nothing: nothing here is ever put to sleep."""

    def do_passivate(self, current: Any) -> None:
        """Do nothing."""

    def do_getCurrentEventContext(self, current: Any) -> Any:
        """Who calls, as the client's own objects say it."""
        admin = STATELESS["omero.api.IAdmin"](self.house, self.session, "omero.api.IAdmin")
        return admin.do_getEventContext(current)  # type: ignore[attr-defined]


def stateless(name: str) -> type[Service] | None:
    """The class that answers to a name ("omero.api.IQuery").

    For an interface of OMERO that nobody wrote: one that refuses every operation. None: OMERO has none such.
    """
    if name not in STATELESS and (unwritten := _unwritten(name, Service)):
        STATELESS[name] = unwritten
    return STATELESS.get(name)


def stateful(name: str) -> type[Stateful] | None:
    """The same for services with a state of their own ("RawPixelsStore")."""
    if name not in STATEFUL and (unwritten := _unwritten("omero.api." + name, Stateful)):
        STATEFUL[name] = unwritten
    return STATEFUL.get(name)


def _unwritten(name: str, base: type[Service]) -> Any:
    module, _, last = name.rpartition(".")
    interface = getattr({"omero.api": omero.api, "omero.grid": omero.grid}.get(module), last, None)
    plain, kept = omero.api.ServiceInterface, omero.api.StatefulServiceInterface
    if not isinstance(interface, type) or interface in (plain, kept):
        return None
    if issubclass(interface, kept if base is Stateful else plain):
        return type(last, (base, interface), {})
    return None
