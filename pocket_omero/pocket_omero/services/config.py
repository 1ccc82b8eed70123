# SPDX-License-Identifier: GPL-2.0-or-later
"""What the server says about itself."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path
from typing import Any

import omero
from omero.rtypes import rtime

from pocket_omero.errors import Forbidden, WrongUse
from pocket_omero.ice.dispatch import Service

__all__ = ["DATABASE", "VERSION", "Config", "defaults"]

# Clients compare these digits with their own.
VERSION = "5.6.15-ice36"
DATABASE = "omero.db.uuid"
_CLIENT = "omero.client."
_HIDDEN = re.compile(r"pass(word)?$", re.IGNORECASE)

# Names and values as in etc/omero.properties of OMERO 5.6, those that clients ask for.
_CLIENT_DEFAULTS = {
    "omero.client.browser.thumb_default_size": "96",
    "omero.client.download_as.max_size": "144000000",
    "omero.client.icetransports": "ssl,tcp",
    "omero.client.scripts_to_ignore": (
        "/omero/figure_scripts/Movie_Figure.py,/omero/figure_scripts/Split_View_Figure.py,"
        "/omero/figure_scripts/Thumbnail_Figure.py,/omero/figure_scripts/ROI_Split_Figure.py,"
        "/omero/export_scripts/Make_Movie.py,/omero/import_scripts/Populate_ROI.py"
    ),
    "omero.client.ui.menu.dropdown.colleagues.enabled": "true",
    "omero.client.ui.menu.dropdown.colleagues.label": "Members",
    "omero.client.ui.menu.dropdown.everyone.enabled": "true",
    "omero.client.ui.menu.dropdown.everyone.label": "All Members",
    "omero.client.ui.menu.dropdown.leaders.enabled": "true",
    "omero.client.ui.menu.dropdown.leaders.label": "Owners",
    "omero.client.ui.tree.orphans.description": (
        "This is a virtual container with orphaned images. These images are not linked anywhere. "
        "Just drag them to the selected container."
    ),
    "omero.client.ui.tree.orphans.enabled": "true",
    "omero.client.ui.tree.orphans.name": "Orphaned Images",
    "omero.client.ui.tree.type_order": "tagset,tag,project,dataset,screen,plate,acquisition,image",
    "omero.client.viewer.initial_zoom_level": "0",
    "omero.client.viewer.interpolate_pixels": "true",
    "omero.client.viewer.roi_limit": "2000",
    "omero.client.web.host": "",
}
_DEFAULTS = {
    **_CLIENT_DEFAULTS,
    "omero.mail.config": "false",
    "omero.pixeldata.max_plane_height": "3192",
    "omero.pixeldata.max_plane_width": "3192",
    "omero.pixeldata.max_projection_bytes": "268435456",
    "omero.policy.binary_access": "+read,+write,+image",
    "omero.router.insecure": "",  # no port without TLS: clients stay where they are
    "omero.scripts.timeout": "3600000",
    "omero.security.password_required": "true",
    "omero.server.nodedescriptors": "",
    "omero.sessions.timeout": "600000",
    "omero.threads.max_threads": "50",
    "omero.upgrades.url": "",
    "omero.version": VERSION,
}


def defaults(folder: Path) -> dict[str, str]:
    """What the server in `folder` answers for each name; its database's id is made there once.

    Parameters
    ----------
    folder
        The server's own folder.
    """
    known = folder / "database-uuid"
    if not known.exists():
        known.write_text(str(uuid.uuid4()))
    return {**_DEFAULTS, DATABASE: known.read_text()}


class Config(Service, omero.api.IConfig, name="omero.api.IConfig"):
    """Settings, version and time. What is set lasts until the server ends."""

    def _change(self, current: Any) -> dict[str, str]:
        if not self.caller(current).admin:
            raise Forbidden("Only administrators may change settings")
        return self.house.config

    def _seen(self, current: Any) -> dict[str, str]:
        """What the caller may see: all, or all without secrets."""
        if self.caller(current).admin:
            return self.house.config
        return {key: value for key, value in self.house.config.items() if not _HIDDEN.search(key)}

    def do_getVersion(self, current: Any) -> str:
        return VERSION.partition("-")[0]

    def do_getConfigValue(self, key: str, current: Any) -> str:
        """The value, or nothing where there is none or the caller may not see it."""
        return self._seen(current).get(key, "")

    def do_getConfigValues(self, pattern: str, current: Any) -> dict[str, str]:
        """All that the caller may see in whose names a regular expression is found."""
        try:
            wanted = re.compile(pattern)
        except re.error as error:
            raise WrongUse(f"This is no regular expression: {error}") from error
        return {key: value for key, value in self._seen(current).items() if wanted.search(key)}

    def do_getConfigDefaults(self, current: Any) -> dict[str, str]:
        if not self.caller(current).admin:
            raise Forbidden("Only administrators may list settings")
        return dict(_DEFAULTS)

    def do_getClientConfigValues(self, current: Any) -> dict[str, str]:
        return {key: value for key, value in self.house.config.items() if key.startswith(_CLIENT)}

    def do_getClientConfigDefaults(self, current: Any) -> dict[str, str]:
        return dict(_CLIENT_DEFAULTS)

    def do_setConfigValue(self, key: str, value: str, current: Any) -> None:
        self._change(current)[key] = value

    def do_setConfigValueIfEquals(self, key: str, value: str, test: str, current: Any) -> bool:
        config = self._change(current)
        if config.get(key, "") != test:
            return False
        config[key] = value
        return True

    def do_getDatabaseUuid(self, current: Any) -> str:
        return self.house.config[DATABASE]

    def do_getDatabaseTime(self, current: Any) -> Any:
        return rtime(int(time.time() * 1000))

    def do_getServerTime(self, current: Any) -> Any:
        return self.do_getDatabaseTime(current)
