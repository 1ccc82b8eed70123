# SPDX-License-Identifier: BSD-3-Clause
"""What is shown of a value: never a secret."""

import json
import re

from slidegate.omero_config.values import Json

MASK = "********"
_SECRET_NAME = re.compile(r"(?i).*(pass|passwd|password|passphrase|pwd|secret|token|key|credentials?)")
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s]+(?=@)")


def is_secret_name(name: str) -> bool:
    """Say whether what has this name is a secret: it ends in *password*, *key* and the like."""
    return _SECRET_NAME.fullmatch(name) is not None


def shown(text: str, secret: bool) -> list[str]:
    """Return the lines that show a value: a list with one line for each entry, and no secret.

    Parameters
    ----------
    text
        The value as it stands in config.xml.
    secret
        Whether nothing of it may be shown.
    """
    if secret:
        return [MASK]
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, list) and value:
        return ["[", *(f"  {json.dumps(masked(each), ensure_ascii=False)}" for each in value), "]"]
    if isinstance(value, dict):
        return [json.dumps(masked(value), ensure_ascii=False)]
    return _without_password(text).splitlines() or [""]


def masked(value: Json) -> Json:
    """Return a JSON value without what is secret in it, however deep.

    Secret is what a mapping has under a secret's name, what follows a secret's name in a list (as in Django's
    settings: ``["EMAIL_HOST_PASSWORD", "..."]``), and name and password in an address.
    """
    if isinstance(value, dict):
        return {name: MASK if is_secret_name(name) else masked(each) for name, each in value.items()}
    if isinstance(value, list):
        if len(value) > 1 and isinstance(value[0], str) and is_secret_name(value[0]):
            return [value[0], *(MASK for _ in value[1:])]
        return [masked(each) for each in value]
    return _without_password(value) if isinstance(value, str) else value


def _without_password(text: str) -> str:
    return _IN_ADDRESS.sub(MASK, text)
