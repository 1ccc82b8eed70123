# SPDX-License-Identifier: BSD-3-Clause
"""OMERO's configuration as desired: what ``omero config`` does, but again and again with the same end.

`read_desired` reads what is desired, `plan` says what has to change (and reads nothing), `apply` writes it
into OMERO's config.xml: under OMERO's own lock, all keys at once, or nothing.
"""

from slidegate.omero_config.apply import apply
from slidegate.omero_config.desired import read_desired
from slidegate.omero_config.errors import OmeroConfigError
from slidegate.omero_config.plan import Change, plan
from slidegate.omero_config.values import Identity, State, Wish
from slidegate.omero_config.web import WebDefaults

__all__ = [
    "Change",
    "Identity",
    "OmeroConfigError",
    "State",
    "WebDefaults",
    "Wish",
    "apply",
    "plan",
    "read_desired",
]
