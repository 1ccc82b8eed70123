# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: N818  (a situation is named as what it is)
"""One command while it runs: for whom, with what, how far, and whether it is still wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

from pocket_omero.errors import PocketError, ReadOnlyServer

if TYPE_CHECKING:
    from pocket_omero.ice.dispatch import House
    from pocket_omero.people.caller import Caller
    from pocket_omero.people.sessions import Session
    from pocket_omero.state import Row

__all__ = ["COMMANDS", "Cancelled", "Command", "Work", "command"]


class Cancelled(PocketError):
    """The command was cancelled before it changed anything."""


class Work:
    """What a command works with.

    Parameters
    ----------
    house, session
        As of a service.
    caller
        Who submitted it; commands on graphs look at all groups, whatever the call's context says.
    context
        The context of the call.
    outer
        The command of which this one is a part.
    """

    def __init__(
        self,
        house: House,
        session: Session,
        caller: Caller,
        context: dict[str, str],
        outer: Work | None = None,
    ) -> None:
        self.house, self.session, self.caller, self.context = house, session, caller, context
        self.state, self.rights = house.state, house.rights
        self.wanted = True
        self.afterwards: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._committing = False
        self._outer = outer

    def check(self) -> None:
        """Stop here when the command is not wanted any more.

        Raises
        ------
        Cancelled
            Nothing is changed then.
        """
        if not self.wanted:
            raise Cancelled
        if self._outer is not None:
            self._outer.check()

    def cancel(self) -> bool:
        """Ask the command to stop; False when it is too late. A repeat changes nothing."""
        with self._lock:
            if not self._committing:
                self.wanted = False
            return not self.wanted

    def commit(self) -> None:
        """Say that what follows is not given up any more.

        Raises
        ------
        Cancelled
            It was cancelled before.
        ReadOnlyServer
            Nothing may be changed at the moment.
        """
        if self.rights.read_only:
            raise ReadOnlyServer
        with self._lock:
            self.check()
            self._committing = True

    def visible(self, row: Row) -> bool:
        """Whether the caller sees `row`, in any group."""
        return self._sees(row)

    @cached_property
    def _sees(self) -> Callable[[Row], bool]:
        return self.rights.visible(self.everywhere)

    @cached_property
    def everywhere(self) -> Caller:
        """The caller, in all groups."""
        return self.rights.everywhere(self.session, self.context)


Command = Callable[[Work, Any], Any]
COMMANDS: dict[str, Command] = {}


def command(request: type, *, steady: bool = True) -> Callable[[Command], Command]:
    """Make a function the answer to requests of a class of omero.cmd.

    Parameters
    ----------
    steady
        Nobody else writes to the state while it runs. False is for what has to do with sessions, which have a
        lock of their own.
    """

    def register(function: Command) -> Command:
        @wraps(function)
        def held(work: Work, asked: Any) -> Any:
            with work.state.lock:
                return function(work, asked)

        COMMANDS[request.ice_staticId()] = held if steady else function  # type: ignore[attr-defined]
        return function

    return register
