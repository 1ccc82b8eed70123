# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can be configured by `omero config set`. OMERO.web reads it when it starts; the values stand here."""

from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["CA", "CUSTOM_SETTINGS_MAPPINGS", "KEY_FILE", "NAME", "SERVER", "URL"]

URL: str
CA: str
NAME: str
KEY_FILE: str
SERVER: str


def address(said: str) -> str:
    """Return the address of slidegate, without a slash at its end.

    Raises
    ------
    ValueError
        It is none, or what is said there could be read on the way.
    """
    parts = urlsplit(said)
    try:
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("It is written as https://slidegate.example.org")
    if parts.scheme == "http" and not _is_this_computer(str(parts.hostname)):
        raise ValueError("To another computer it is https://, or images and results could be read on the way")
    return said.rstrip("/")


def _is_this_computer(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


CUSTOM_SETTINGS_MAPPINGS = {
    "omero.web.slidegate.url": [
        "URL",
        "http://127.0.0.1:8765",
        address,
        "Where slidegate answers OMERO.web: what `slidegate api` listens at on this computer, or "
        "https://slidegate.example.org. Browsers of users never go there.",
    ],
    "omero.web.slidegate.ca": [
        "CA",
        "",
        str,
        "A file with the certificate of the authority that signed slidegate's, where your institution signs "
        "its own. Without it, the authorities that this computer trusts.",
    ],
    "omero.web.slidegate.name": [
        "NAME",
        "omero-web",
        str,
        "The name under which slidegate knows this OMERO.web, of `slidegate omero web add NAME FILE`: small "
        "letters, digits, - and _.",
    ],
    "omero.web.slidegate.key_file": [
        "KEY_FILE",
        "",
        str,
        "The key with which this OMERO.web tells slidegate who its users are. Make it, as the account that "
        "OMERO.web runs in, with `python -m omero_slidegate key FILE`; only that account may read it.",
    ],
    "omero.web.slidegate.server": [
        "SERVER",
        "",
        str,
        "Only where omero.web.server_list names several: the host, as it is written there, of the OMERO that "
        "slidegate works with. Users of another one have other numbers, and are shut out.",
    ],
}
