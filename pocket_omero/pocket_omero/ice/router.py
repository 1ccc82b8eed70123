# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections, their sessions and servants, and the Glacier2 router that clients log in to.

There is no router process: the server answers for it. A client that hears that the router has no endpoints of
its own (`getClientProxy` gives nothing) uses those that it called, so all its calls come over one connection,
and calls back to it go the same way. Each connection has a category of its own, and reaches its own servants
only.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import Glacier2
import Ice
import omero.all

from pocket_omero.errors import SessionGone
from pocket_omero.ice.dispatch import STATELESS, House, Stateful, stateless, translated
from pocket_omero.ice.slices import Operation
from pocket_omero.people import levels, roster

if TYPE_CHECKING:
    from pocket_omero.people.sessions import Session
    from pocket_omero.state import Row

__all__ = ["LASTING", "Connection", "Connections", "Locator", "Router"]

log = logging.getLogger(__name__)

# Where Glacier2 is imported before omero, it has a class of its own under this name, which Ice cannot send.
_NO_SESSION: type[Exception] = next(
    c
    for c in Ice.UserException.__subclasses__()
    if vars(c).get("_ice_name") == "Glacier2::SessionNotExistException"
)
ROUTER = ("OMERO.Glacier2", "router")
LASTING = "ProcessCallback"  # the category of servants that outlive their connection


class Connection:
    """One client's connection.

    Attributes
    ----------
    ice
        The connection as Ice has it.
    category
        Of the identities of its servants.
    session
        Who logged in over it; None: nobody, or no longer.
    has_password
        Whether they proved who they are with a password, not with a session's key.
    detach
        Whether the session goes on when the connection ends.
    is_closed
        The client is gone.
    """

    def __init__(self, key: str, ice: Any) -> None:
        self.key = key
        self.ice = ice
        self.category = str(uuid.uuid4())
        self.session: Session | None = None
        self.has_password = False
        self.detach = False
        self.is_closed = False
        self.callback: Any = None
        self.servants: dict[str, Any] = {}

    def dispose(self) -> None:
        """Let go of what its servants hold; they stay, and say that the session is gone."""
        for servant in list(self.servants.values()):
            _dispose(servant)


def _dispose(servant: Any) -> None:
    release = getattr(servant, "release", None) or getattr(servant, "dispose", None)
    if release is None:
        return
    try:
        release()
    except Exception:
        log.exception("letting go of %s", type(servant).__name__)


class Connections:
    """All connections of a server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_key: dict[str, Connection] = {}
        self._lasting: dict[str, tuple[Any, int]] = {}  # servant and whose it is
        self.house: House | None = None

    def of(self, current: Any) -> Connection:
        """The connection that a call came over."""
        key = current.con.toString()  # both addresses: unique while it is open
        with self._lock:
            connection = self._by_key.get(key)
            if connection is None:
                connection = self._by_key[key] = Connection(key, current.con)
                current.con.setCallback(_Closed(lambda: self._closed(connection)))
            return connection

    def all(self) -> list[Connection]:
        """Those that are open."""
        with self._lock:
            return list(self._by_key.values())

    def _closed(self, connection: Connection) -> None:
        with self._lock:
            connection.is_closed = True
            self._by_key.pop(connection.key, None)
        self.end(connection)

    def begin(self, connection: Connection, session: Session) -> None:
        """Put a session to a connection, whose reference it has; if the client is gone, it is let go of."""
        with self._lock:
            connection.session = session
            gone = connection.is_closed
        if gone:
            self.end(connection)

    def end(self, connection: Connection) -> None:
        """Log out: let go of the servants and of the session. A repeat changes nothing."""
        with self._lock:
            session, connection.session = connection.session, None
        connection.dispose()
        connection.servants.clear()
        if session is not None and session.ended is None and self.house is not None:
            self.house.sessions.leave(session, detach=connection.detach)

    def session_ended(self, session: Session) -> None:
        """Let go of what servants of this session hold, and tell its clients."""
        for connection in self.all():
            if connection.session is session:
                connection.dispose()
                if connection.callback is not None:
                    _tell(connection.callback)

    def drop(self, name: str = "*") -> int:
        """Cut the connections of the person with this login name ("*": all). Returns how many."""
        cut = [c for c in self.all() if name == "*" or (c.session and c.session.person["omeName"] == name)]
        for connection in cut:
            connection.ice.close(True)
        return len(cut)

    def offer(self, servant: Any, current: Any, proxy: Any, category: str = "") -> Any:
        """See `Service.offer`."""
        connection = self.of(current)
        name = getattr(servant, "identity", "") or str(uuid.uuid4())
        if category == LASTING and connection.session is not None:
            with self._lock:
                self._lasting[name] = (servant, connection.session.person.id)
        else:
            connection.servants[name] = servant
        return proxy.uncheckedCast(
            current.adapter.createProxy(Ice.Identity(name, category or connection.category))
        )

    def withdraw(self, servant: Any, current: Any) -> None:
        """See `Service.withdraw`."""
        name = getattr(servant, "identity", "")
        connection = self.of(current)
        if connection.servants.get(name) is servant:
            del connection.servants[name]
            _dispose(servant)
        with self._lock:
            lasting = self._lasting.pop(name, None)
        if lasting is not None:
            _dispose(lasting[0])

    def servant(self, current: Any) -> Any:
        """The servant that a call is for; None: it reaches none of this name."""
        connection, identity = self.of(current), current.id
        if connection.session is None or self.house is None:
            return None
        if identity.category == LASTING:
            servant, person = self._lasting.get(identity.name, (None, None))
            return servant if person == connection.session.person.id else None
        if identity.category != connection.category:
            return None
        with self._lock:
            servant = connection.servants.get(identity.name)
            if servant is None and (known := stateless(identity.name)) is not None:
                servant = known(self.house, connection.session, identity.name)
                connection.servants[identity.name] = servant
        return servant

    def stateful(self, current: Any) -> list[str]:
        """The names of the services with a state of their own that a connection holds."""
        servants = self.of(current).servants.items()
        return [name for name, servant in list(servants) if isinstance(servant, Stateful)]


def _tell(callback: Any) -> None:
    try:
        callback.begin_sessionClosed()
    except Ice.Exception as error:
        log.info("a client could not be told that its session ended: %s", error)


class _Closed(Ice.ConnectionCallback):
    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def heartbeat(self, _connection: Any) -> None:
        pass

    def closed(self, _connection: Any) -> None:
        try:
            self._then()
        except Exception:
            log.exception("after a connection")


class Locator(Ice.ServantLocator):
    """Finds the servant of each call."""

    def __init__(self, connections: Connections, router: Router) -> None:
        self._connections, self._router = connections, router

    def locate(self, current: Any) -> Any:
        """The servant, or None: Ice answers that there is no such object, as Glacier2 would."""
        if (current.id.category, current.id.name) == ROUTER:
            return self._router
        return self._connections.servant(current)

    def finished(self, _current: Any, _servant: Any, _cookie: Any) -> None:
        """Nothing is left to do."""

    def deactivate(self, _category: str) -> None:
        """Nothing is left to do."""


class Router(Glacier2.Router):
    """What clients log in to."""

    def __init__(self, house: House) -> None:
        self._house = house

    # `current` is given by name or by place, as the Ice runtime likes.

    def getClientProxy(self, current: Any = None) -> Any:
        """Nothing: clients use the endpoints that they called."""
        return

    def getServerProxy(self, current: Any = None) -> Any:
        """Where the client's own servants are reached; calls back use the connection itself."""
        category = self._house.connections.of(current).category
        return current.adapter.createProxy(Ice.Identity("callbacks", category))

    def addProxies(self, proxies: Any, current: Any = None) -> list[Any]:
        """None is thrown out for those that are added."""
        return []

    def getCategoryForClient(self, current: Any = None) -> str:
        """The category of the identities of servants that the client has itself."""
        return self._house.connections.of(current).category

    def getSessionTimeout(self, current: Any = None) -> int:
        """Seconds."""
        session = self._house.connections.of(current).session
        return session.idle // 1000 if session else 0

    def getACMTimeout(self, current: Any = None) -> int:
        """Seconds."""
        return 60

    def createSession_async(self, callback: Any, user: str, password: str, current: Any = None) -> None:
        """Log in with a name and a password, or join the session whose key both of them are."""
        try:
            self._house.calls.count("Router.createSession")
            self._house.faults.before("Router.createSession", LOGIN, current)
            callback.ice_response(self._login(user, password, current))
        except Exception as error:  # noqa: BLE001  (the edge: everything becomes an answer)
            callback.ice_exception(_as_login_error(error))

    def createSessionFromSecureConnection_async(self, callback: Any, current: Any = None) -> None:
        """OMERO does not do this either."""
        callback.ice_exception(Glacier2.PermissionDeniedException("log in with a name and a password"))

    def refreshSession_async(self, callback: Any, current: Any = None) -> None:
        """Keep the session alive."""
        session = self._house.connections.of(current).session
        try:
            if session is None:
                raise SessionGone
            self._house.sessions.touch(session)
        except SessionGone:
            callback.ice_exception(_NO_SESSION())
            return
        callback.ice_response()

    def destroySession(self, current: Any = None) -> None:
        """Log out."""
        connection = self._house.connections.of(current)
        if connection.session is None:
            raise _NO_SESSION
        self._house.connections.end(connection)

    def _login(self, user: str, password: str, current: Any) -> Any:
        connection = self._house.connections.of(current)
        if connection.session is not None:
            if connection.session.ended is None:
                raise Glacier2.CannotCreateSessionException("this connection has a session already")
            self._house.connections.end(connection)
        try:
            session = self._house.sessions.join(user)
        except SessionGone:
            session = self._new_session(user, password, current)
            connection.has_password = True
        self._house.connections.begin(connection, session)
        factory = STATELESS["omero.api.ServiceFactory"]
        connection.servants[session.uuid] = factory(self._house, session, session.uuid)
        proxy = current.adapter.createProxy(Ice.Identity(session.uuid, connection.category))
        return omero.api.ServiceFactoryPrx.uncheckedCast(proxy)

    def _new_session(self, user: str, password: str, current: Any) -> Session:
        person = roster.person(self._house.state, user)
        refused = Glacier2.PermissionDeniedException(f"Password check failed for '{user}': []")
        if person is None:
            raise refused
        if person.id != levels.GUEST and not self._house.passwords.check(person.id, password):
            raise refused
        groups = [m["parent"] for m in roster.memberships(self._house.state, person)]
        if person.id != levels.GUEST and all(g.id != levels.USER_GROUP for g in groups):
            raise Glacier2.PermissionDeniedException(f"User {user} is not active: not in the group 'user'")
        idle = int(self._house.config.get("omero.sessions.timeout", "600000"))
        group = self._group(person, groups, current.ctx.get("omero.group", ""))
        return self._house.sessions.open(
            person,
            group,
            idle=idle,
            agent=current.ctx.get("omero.agent", ""),
            ip=current.ctx.get("omero.ip", "") or _address(current),
        )

    def _group(self, person: Row, groups: list[Row], wanted: str) -> Row:
        if not wanted:
            return roster.default_group(self._house.state, person)
        state = self._house.state
        group = roster.group(state, wanted)
        if group is None and wanted.isdecimal():
            group = state.get("ExperimenterGroup", int(wanted))
        admin = any(g.id == levels.SYSTEM_GROUP for g in groups)
        if group is None or not (admin or group in groups):
            words = f"User {person['omeName']} is not a member of group {wanted} and cannot login"
            raise omero.WrappedCreateSessionException(words, False, 0, "ome.conditions.SecurityViolation")
        return group


LOGIN = Operation("createSession", asynchronous=True, answers=1, changes=True)


def _address(current: Any) -> str:
    return str(getattr(current.con.getInfo(), "remoteAddress", ""))


def _as_login_error(error: Exception) -> Exception:
    """Slice lets the router raise these two kinds only, and what the Ice runtime raises itself."""
    known: tuple[type[Exception], ...] = (
        Glacier2.PermissionDeniedException,
        Glacier2.CannotCreateSessionException,
        Ice.LocalException,
    )
    if isinstance(error, known):
        return error
    error = translated(error, "Router.createSession")
    words = getattr(error, "message", "") or str(error)
    kind = getattr(error, "serverExceptionClass", "")
    return omero.WrappedCreateSessionException(words, False, 0, kind)  # type: ignore[no-any-return]
