# SPDX-License-Identifier: BSD-3-Clause
"""Who may do what: one table. Every route names its action, and tests try all of them.

Whose Runs an action reaches: ``none``, ``own``, ``group`` (those of people of the same group, and one's own),
``all``. What somebody may not see does not exist for them (404); what they see and may not do is refused
(403).
"""

from collections.abc import Mapping
from enum import StrEnum


class Scope(StrEnum):
    """Whose things an action reaches."""

    NONE = "none"
    OWN = "own"
    GROUP = "group"
    ALL = "all"


ROLES = ("viewer", "researcher", "lead", "administrator")

_NONE, _OWN, _GROUP, _ALL = Scope.NONE, Scope.OWN, Scope.GROUP, Scope.ALL

PUBLIC = "public"
"""The action of what everybody may do, also without having signed in."""

_TABLE: dict[str, tuple[Scope, Scope, Scope, Scope]] = {
    # action            viewer  researcher  lead    administrator
    "session.see":     (_OWN,   _OWN,       _OWN,   _OWN),
    "session.end":     (_OWN,   _OWN,       _OWN,   _OWN),
    "password.change": (_OWN,   _OWN,       _OWN,   _OWN),
    "workflows.see":   (_ALL,   _ALL,       _ALL,   _ALL),
    "images.see":      (_NONE,  _OWN,       _OWN,   _OWN),
    "wishes.see":      (_OWN,   _OWN,       _OWN,   _OWN),
    "runs.launch":     (_NONE,  _OWN,       _OWN,   _OWN),
    "runs.see":        (_GROUP, _GROUP,     _GROUP, _ALL),
    "runs.cancel":     (_NONE,  _OWN,       _GROUP, _ALL),
    "runs.retry":      (_NONE,  _OWN,       _GROUP, _ALL),
    "runs.delete":     (_NONE,  _OWN,       _GROUP, _ALL),
    "results.see":     (_GROUP, _GROUP,     _GROUP, _ALL),
    "tokens.use":      (_OWN,   _OWN,       _OWN,   _OWN),
    "omero.grant":     (_NONE,  _OWN,       _OWN,   _OWN),
    "webhooks.use":    (_NONE,  _OWN,       _OWN,   _OWN),
    "people.see":      (_NONE,  _NONE,      _GROUP, _ALL),
    "people.change":   (_NONE,  _NONE,      _NONE,  _ALL),
    "audit.see":       (_NONE,  _NONE,      _NONE,  _ALL),
    "metrics.see":     (_NONE,  _NONE,      _NONE,  _ALL),
}  # fmt: skip

RIGHTS: Mapping[str, Mapping[str, Scope]] = {
    action: dict(zip(ROLES, scopes, strict=True)) for action, scopes in _TABLE.items()
}


def scope(role: str, action: str) -> Scope:
    """Return whose things a role reaches by an action; nothing for what the table does not have."""
    return RIGHTS.get(action, {}).get(role, Scope.NONE)


def reaches(found: Scope, person: str, group: str, owner: str, owners_group: str) -> bool:
    """Say whether a scope of a person covers what belongs to an owner; no group is nobody's group."""
    if found == Scope.ALL:
        return True
    if found == Scope.NONE:
        return False
    if person == owner:
        return True
    return found == Scope.GROUP and bool(group) and group == owners_group


def may(role: str) -> list[str]:
    """Return the actions that a role has at all."""
    return [action for action in RIGHTS if scope(role, action) != Scope.NONE]
