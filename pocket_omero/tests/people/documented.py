# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO's documented permission matrix: what people may do with what others own.

The tables are those of the page *Groups and permissions system* of OMERO's documentation for system
administrators (section *Permissions tables*), row by row. They rest on reading, not on a real server.
"""

LEVELS = ("private", "read-only", "read-annotate", "read-write")

# Role → action → allowed in a private, read-only, read-annotate and read-write group.
DOCUMENTED = {
    "administrator": {
        "view": "YYYY",
        "annotate": "NYYY",
        "delete": "YYYY",
        "edit": "YYYY",
        "move": "YYYY",
        "remove annotations": "YYYY",
        "mix": "NYYY",
        "change ownership": "YYYY",
    },
    "owner of the group": {
        "view": "YYYY",
        "annotate": "NYYY",
        "delete": "YYYY",
        "edit": "YYYY",
        "move": "NNNN",
        "remove annotations": "YYYY",
        "mix": "NYYY",
        "change ownership": "YYYY",
    },
    "member": {
        "view": "NYYY",
        "annotate": "NNYY",
        "delete": "NNNY",
        "edit": "NNNY",
        "move": "NNNN",
        "remove annotations": "NNNY",
        "mix": "NNNY",
        "change ownership": "NNNN",
    },
}
# "All OMERO users in all groups can perform all actions on their own data (with the exception of changing the
# ownership of the data)."
OWN = {action: "NNNN" if action == "change ownership" else "YYYY" for action in DOCUMENTED["member"]}
WHO = {"administrator": "root", "owner of the group": "olga", "member": "ben", "themselves": "anna"}
CASES = [
    (role, action, level, answers[LEVELS.index(level)] == "Y")
    for role, actions in (DOCUMENTED | {"themselves": OWN}).items()
    for action, answers in actions.items()
    for level in LEVELS
]
