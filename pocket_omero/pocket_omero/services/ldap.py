# SPDX-License-Identifier: GPL-2.0-or-later
"""ILdap of a server that knows no LDAP."""

from typing import Any

import omero.all

from pocket_omero.errors import Forbidden, WrongUse
from pocket_omero.ice.dispatch import Service

__all__ = ["Ldap"]


class Ldap(Service, omero.api.ILdap, name="omero.api.ILdap"):
    """Says that LDAP is off, as an OMERO does that was not told of one."""

    def do_getSetting(self, current: Any) -> bool:
        """Whether LDAP is on."""
        return False

    def _off(self, current: Any) -> None:
        if not self.caller(current).admin:
            raise Forbidden("only administrators ask LDAP")
        raise WrongUse("LDAP is not configured on this server")

    def do_createUser(self, name: str, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_discover(self, current: Any) -> list[Any]:
        """Nobody: no LDAP knows anybody."""
        return []

    def do_discoverGroups(self, current: Any) -> list[Any]:
        """No group: no LDAP knows any."""
        return []

    def do_findDN(self, name: str, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_findExperimenter(self, name: str, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_findGroup(self, name: str, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_findGroupDN(self, name: str, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_searchAll(self, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_searchByAttribute(self, dn: str, attribute: str, value: str, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_searchByAttributes(self, dn: str, attributes: Any, values: Any, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_searchByDN(self, dn: str, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_searchDnInGroups(self, attribute: str, value: str, current: Any) -> None:
        """Refuse."""
        self._off(current)

    def do_setDN(self, person: Any, dn: str, current: Any) -> None:
        """Refuse."""
        self._off(current)
