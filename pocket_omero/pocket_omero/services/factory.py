# SPDX-License-Identifier: GPL-2.0-or-later
"""The session as clients hold it: gives them all other services."""

from __future__ import annotations

import uuid
from typing import Any

import Ice
import omero.all

from pocket_omero.commands.handle import submit
from pocket_omero.errors import Forbidden, WrongUse
from pocket_omero.ice.dispatch import Service, stateful, stateless
from pocket_omero.people import levels, roster

__all__ = ["Factory"]

_SERVICES = (
    "Admin",
    "Config",
    "Container",
    "Ldap",
    "Metadata",
    "Pixels",
    "Projection",
    "Query",
    "RenderingSettings",
    "RepositoryInfo",
    "Roi",
    "Script",
    "Session",
    "Share",
    "Timeline",
    "Types",
    "Update",
)
_CREATES = {
    "createExporter": "Exporter",
    "createJobHandle": "JobHandle",
    "createRawFileStore": "RawFileStore",
    "createRawPixelsStore": "RawPixelsStore",
    "createRenderingEngine": "RenderingEngine",
    "createSearchService": "Search",
    "createThumbnailStore": "ThumbnailStore",
}


class Factory(Service, omero.api.ServiceFactory, name="omero.api.ServiceFactory"):
    """Gives services, keeps them alive, changes the group, submits requests, ends the session."""

    def _proxy(self, name: str, proxy: Any, current: Any) -> Any:
        identity = Ice.Identity(name, self.house.connections.of(current).category)
        return proxy.uncheckedCast(current.adapter.createProxy(identity))

    def _create(self, name: str, current: Any) -> Any:
        kind = stateful(name)
        if kind is None:
            raise WrongUse(f"there is no service {name} with a state of its own")
        servant = kind(self.house, self.session, f"{uuid.uuid4()}/{name}")
        return self.offer(servant, current, getattr(omero.api, name + "Prx"))

    def do_getByName(self, name: str, current: Any) -> Any:
        held = name in self.house.connections.of(current).servants
        if not held and stateless(name) is None:
            raise WrongUse(f"there is no service {name}")
        return self._proxy(name, omero.api.ServiceInterfacePrx, current)

    def do_createByName(self, name: str, current: Any) -> Any:
        return self._create(name.removeprefix("omero.api."), current)

    def do_sharedResources(self, current: Any) -> Any:
        return self._proxy("omero.grid.SharedResources", omero.grid.SharedResourcesPrx, current)

    def do_submit(self, request: Any, current: Any) -> Any:
        return submit(self, request, current)

    # The session itself

    def do_getSecurityContexts(self, current: Any) -> list[Any]:
        reply = self.reply(current)
        maps = roster.memberships(self.house.state, self.session.person)
        return [reply.load(m["parent"]) for m in maps if m["parent"].id != levels.USER_GROUP]

    def do_setSecurityContext(self, wanted: Any, current: Any) -> Any:
        if not isinstance(wanted, omero.model.ExperimenterGroup) or wanted.id is None:
            raise WrongUse("only a group can be the context of a session")
        state, number = self.house.state, wanted.id.val
        group = state.get("ExperimenterGroup", number)
        mine = [m["parent"].id for m in roster.memberships(state, self.session.person)]
        if group is None or not (number in mine or levels.SYSTEM_GROUP in mine):
            raise Forbidden(f"User {self.session.person.id} is not a member of group {number}")
        if self.session.sudoer is not None and not self._is_admin(self.session.sudoer):
            raise Forbidden("Group-sudo session cannot change context!")
        before, self.session.group = self.session.group, group
        return omero.model.ExperimenterGroupI(before.id, False)

    def _is_admin(self, person: Any) -> bool:
        groups = roster.memberships(self.house.state, person)
        return any(m["parent"].id == levels.SYSTEM_GROUP for m in groups)

    def do_setSecurityPassword(self, password: str, current: Any) -> None:
        if not self.house.passwords.check(self.session.person.id, password):
            raise Forbidden("Bad password for " + self.session.person["omeName"])
        self.house.connections.of(current).has_password = True

    def do_setCallback(self, callback: Any, current: Any) -> None:
        raw = current.con.createProxy(callback.ice_getIdentity())
        proxy = omero.api.ClientCallbackPrx.uncheckedCast(raw)
        self.house.connections.of(current).callback = proxy

    def do_closeOnDestroy(self, current: Any) -> None:
        self.house.connections.of(current).detach = False

    def do_detachOnDestroy(self, current: Any) -> None:
        self.house.connections.of(current).detach = True

    def do_activeServices(self, current: Any) -> list[str]:
        return self.house.connections.stateful(current)

    def do_keepAllAlive(self, proxies: list[Any], current: Any) -> int:
        """One bit for each proxy whose service is gone."""
        servants = self.house.connections.of(current).servants
        bits = 0
        for place, proxy in enumerate(proxies):
            if proxy is not None and proxy.ice_getIdentity().name not in servants:
                bits |= 1 << place
        return bits

    def do_keepAlive(self, proxy: Any, current: Any) -> bool:
        if proxy is None:
            return False
        return proxy.ice_getIdentity().name in self.house.connections.of(current).servants

    def do_destroy(self, current: Any) -> None:
        self.house.connections.end(self.house.connections.of(current))


def _give_services() -> None:
    """Write the methods that only hand out a service, of which there are two dozen."""
    for short in _SERVICES:
        name = "I" + short

        def get(self: Factory, current: Any, name: str = name) -> Any:
            return self._proxy("omero.api." + name, getattr(omero.api, name + "Prx"), current)

        setattr(Factory, f"do_get{short}Service", get)
    for operation, name in _CREATES.items():

        def create(self: Factory, current: Any, name: str = name) -> Any:
            return self._create(name, current)

        setattr(Factory, "do_" + operation, create)


_give_services()
