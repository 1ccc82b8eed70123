# SPDX-License-Identifier: BSD-3-Clause
"""The only place where concrete objects are built from settings.

``house`` builds what one command needs that is everything at once, ``service`` the worker that serves many
people, ``api`` the api; each is loaded only by who needs it, so that the api never loads what opens a site.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slidegate.wiring.gateways import LOCAL_PACE, SSH_PACE, KeptHeads, NotLinked
    from slidegate.wiring.house import House, open_house
    from slidegate.wiring.log import HomeUnusable, Log

_WHERE = {
    "LOCAL_PACE": "gateways",
    "SSH_PACE": "gateways",
    "House": "house",
    "HomeUnusable": "log",
    "KeptHeads": "gateways",
    "Log": "log",
    "NotLinked": "gateways",
    "open_house": "house",
}
__all__ = ["LOCAL_PACE", "SSH_PACE", "HomeUnusable", "House", "KeptHeads", "Log", "NotLinked", "open_house"]


def __getattr__(name: str) -> Any:
    """Load what is asked for, when it is asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
