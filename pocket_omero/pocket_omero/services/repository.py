# SPDX-License-Identifier: GPL-2.0-or-later
"""How full the disk is."""

from __future__ import annotations

import shutil
from typing import Any

import omero

from pocket_omero.ice.dispatch import Service

__all__ = ["RepositoryInfo"]


class RepositoryInfo(Service, omero.api.IRepositoryInfo, name="omero.api.IRepositoryInfo"):
    """Space on the disk that the server's own folder is on."""

    def do_getUsedSpaceInKilobytes(self, current: Any) -> int:
        return shutil.disk_usage(self.house.folder).used // 1024

    def do_getFreeSpaceInKilobytes(self, current: Any) -> int:
        return shutil.disk_usage(self.house.folder).free // 1024

    def do_getUsageFraction(self, current: Any) -> float:
        """The part of the disk that is used, from 0 to 1."""
        usage = shutil.disk_usage(self.house.folder)
        return usage.used / usage.total
