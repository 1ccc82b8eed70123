# SPDX-License-Identifier: GPL-2.0-or-later
"""Permission levels of groups and the single privileges of administrators, as OMERO has them."""

PRIVATE = "rw----"
READ_ONLY = "rwr---"
READ_ANNOTATE = "rwra--"
READ_WRITE = "rwrw--"
LEVELS = {
    "private": PRIVATE,
    "read-only": READ_ONLY,
    "read-annotate": READ_ANNOTATE,
    "read-write": READ_WRITE,
}

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

SYSTEM_GROUP, USER_GROUP, GUEST_GROUP = 0, 1, 2  # ids
ROOT, GUEST = 0, 1  # ids of the two people who always exist


def level(text: str) -> str:
    """The level that `text` names, as OMERO writes it: ``"read-only"`` and ``"rwr---"`` give ``"rwr---"``.

    Raises
    ------
    ValueError
        If it names no level.
    """
    if text in LEVELS:
        return LEVELS[text]
    if text in LEVELS.values():
        return text
    raise ValueError(f"{text!r} is no permission level; there are {', '.join(LEVELS)}")
