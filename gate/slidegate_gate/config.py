# SPDX-License-Identifier: BSD-3-Clause
"""The administrator's words, as every program of the gate reads them; ``home`` is what writes them."""

import os
from typing import Any, Dict

from .serve import files

__all__ = ["CONFIG_FORMAT", "load_config"]

CONFIG_FORMAT = 1


def load_config(home: str) -> Dict[str, Any]:
    """Return ``<home>/config.json`` with the defaults of ``state`` and ``data`` filled in.

    Raises ``ValueError`` where the file is missing, is no object, or has a format that this version cannot
    read.
    """
    config = files.read_json(os.path.join(home, "config.json"))
    if not isinstance(config, dict) or config.get("format") != CONFIG_FORMAT:
        raise ValueError("no config.json of format {} in {}".format(CONFIG_FORMAT, home))
    roots = {root: config.get(root) or os.path.join(home, root) for root in ("state", "data")}
    return dict(config, **{root: os.path.abspath(path) for root, path in roots.items()})
