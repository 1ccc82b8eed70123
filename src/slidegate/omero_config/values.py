# SPDX-License-Identifier: BSD-3-Clause
"""What may be desired of a key of OMERO's configuration, and how the entries of a list are told apart."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Strings, numbers, true, false, null, lists and objects, as ``json`` has them.
Json = Any

# OMERO's own rule for names, and what ConfigXml writes for itself.
KEY = re.compile(r"[A-Za-z0-9._-]+")
OF_THE_FILE = frozenset({"omero.config.version", "omero.config.profile"})


class State(StrEnum):
    """What is desired of a key.

    ``present``: it has this value; of a list, these entries are in it. ``absent``: it is not set; of a list,
    these entries are not in it. ``exact``: it has this value; of a list, these entries alone, in this order.
    """

    PRESENT = "present"
    ABSENT = "absent"
    EXACT = "exact"


class Identity(StrEnum):
    """What makes two entries of a list the same entry, so that the one takes the other's place."""

    WHOLE = "whole"  # the whole entry
    FIRST = "first"  # its first element, such as the label of a link
    NAME = "name"  # what its "name" says
    CLASS = "class"  # what its "class" says

    def of(self, entry: Json) -> str | None:
        """Return what an entry is known by, None where it has another shape."""
        if self is Identity.WHOLE:
            return canonical(entry)
        if self is Identity.FIRST:
            known = entry[0] if isinstance(entry, list) and entry else None
        else:
            known = entry.get(self.value) if isinstance(entry, dict) else None
        return known if isinstance(known, str) else None

    def shape(self) -> str:
        """Say how an entry is written."""
        if self is Identity.WHOLE:
            return "anything"
        if self is Identity.FIRST:
            return "a list that begins with its name, such as [Name, view]"
        return f"a mapping that says its {self.value}, such as {{{self.value}: ...}}"


# The lists of OMERO.web. Other lists are compared by whole entries, unless it is said otherwise.
LISTS: Mapping[str, Identity] = {
    "omero.web.apps": Identity.WHOLE,
    "omero.web.django_additional_settings": Identity.FIRST,
    "omero.web.middleware": Identity.CLASS,
    "omero.web.open_with": Identity.FIRST,
    "omero.web.server_list": Identity.WHOLE,
    "omero.web.ui.center_plugins": Identity.FIRST,
    "omero.web.ui.metadata_panes": Identity.NAME,
    "omero.web.ui.right_plugins": Identity.FIRST,
    "omero.web.ui.top_links": Identity.FIRST,
}


@dataclass(frozen=True)
class Wish:
    """What is desired of one key.

    Parameters
    ----------
    key
        Name of the key, such as ``omero.web.apps``.
    state
        See `State`.
    value
        A text, a list or a mapping; None where the key is not to be set at all.
    identity
        What tells the entries of a list apart.
    secret
        Whether the value is never shown.
    """

    key: str
    state: State
    value: Json
    identity: Identity = Identity.WHOLE
    secret: bool = False


def canonical(value: Json) -> str:
    """Return a text that is the same for equal JSON values only: in Python, 1, 1.0 and True are equal."""
    return json.dumps(value, sort_keys=True)
