# SPDX-License-Identifier: GPL-2.0-or-later
"""Permission levels of groups and the single privileges of administrators, as OMERO has them."""

from pocket_omero.errors import WrongUse

__all__ = [
    "ALL_PRIVILEGES",
    "GUEST",
    "GUEST_GROUP",
    "LEVELS",
    "PRIVATE",
    "PRIVILEGES",
    "READ_ANNOTATE",
    "READ_ONLY",
    "READ_WRITE",
    "ROOT",
    "SYSTEM_GROUP",
    "USER_GROUP",
    "WORLD_READABLE",
    "level",
    "members_may",
]

PRIVATE = "rw----"
READ_ONLY = "rwr---"
READ_ANNOTATE = "rwra--"
READ_WRITE = "rwrw--"
WORLD_READABLE = "rwr-r-"  # of the group user alone
LEVELS = {
    "private": PRIVATE,
    "read-only": READ_ONLY,
    "read-annotate": READ_ANNOTATE,
    "read-write": READ_WRITE,
}
_MEMBERS = {PRIVATE: "", READ_ONLY: "r", READ_ANNOTATE: "ra", READ_WRITE: "raw"}

PRIVILEGES = (
    "Chgrp",
    "Chown",
    "DeleteFile",
    "DeleteManagedRepo",
    "DeleteOwned",
    "DeleteScriptRepo",
    "ModifyGroup",
    "ModifyGroupMembership",
    "ModifyUser",
    "ReadSession",
    "Sudo",
    "WriteFile",
    "WriteManagedRepo",
    "WriteOwned",
    "WriteScriptRepo",
)
ALL_PRIVILEGES = frozenset(PRIVILEGES)

SYSTEM_GROUP, USER_GROUP, GUEST_GROUP = 0, 1, 2  # ids
ROOT, GUEST = 0, 1  # ids of the two people who always exist


def level(text: str) -> str:
    """The level that `text` names, as OMERO writes it: ``"read-only"`` and ``"rwr---"`` give ``"rwr---"``.

    Raises
    ------
    WrongUse
        It names no level.
    """
    if text in LEVELS:
        return LEVELS[text]
    if text in LEVELS.values():
        return text
    raise WrongUse(f"{text!r} is no permission level; there are {', '.join(LEVELS)}")


def members_may(text: str, right: str) -> bool:
    """Whether a level lets members ``r`` (read), ``a`` (annotate) or ``w`` (write) what others own."""
    return right in _MEMBERS.get(text, "")
