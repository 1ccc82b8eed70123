# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands (omero.cmd): what clients submit, and watch through a handle."""

from collections.abc import Mapping, Sequence
from typing import Any

from omero.cmd import Delete2

from pocket_omero.commands import copies, graphs, look, others
from pocket_omero.commands.handle import Handle, do, submit
from pocket_omero.ice.dispatch import Service

__all__ = ["Handle", "copies", "delete", "do", "graphs", "look", "others", "submit"]


def delete(by: Service, named: Mapping[str, Sequence[int]], current: Any) -> dict[str, list[int]]:
    """Delete rows at once as the caller, with their parts and what nothing else holds.

    Parameters
    ----------
    by
        The service whose client asks.
    named
        Ids by entity: ``{"OriginalFile": [5]}``.

    Returns
    -------
    dict
        The ids of all that was deleted, by the Java name of the class.

    Raises
    ------
    GraphRefused
        The caller may not, or something that stays needs it.
    """
    response = do(by, Delete2(targetObjects={k: list(v) for k, v in named.items()}, dryRun=False), current)
    return dict(response.deletedObjects)
