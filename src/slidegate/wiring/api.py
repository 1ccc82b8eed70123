# SPDX-License-Identifier: BSD-3-Clause
"""The api, built from settings and served. Nothing is loaded here that opens a site or a source."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from slidegate.domain.errors import BadRequest
from slidegate.settings import Settings
from slidegate.wiring.log import make_home, told_in_lines

if TYPE_CHECKING:
    from slidegate.api.app import ApiParts

PAGES = Path(__file__).parents[1] / "api" / "pages"
_GRACE_SECONDS = 5


class NotForTheNetwork(BadRequest):
    """The api cannot be offered to other computers as it is set up."""

    code = "not-for-the-network"


class PortTaken(BadRequest):
    """The api cannot listen there."""

    code = "port-taken"


def listening(host: str, port: int, settings: Settings) -> socket.socket:
    """Return a socket that the api will be asked at.

    Parameters
    ----------
    port
        0 for one that is free.

    Raises
    ------
    NotForTheNetwork
        Other computers could ask, and nothing says that what they say is kept secret on the way.
    PortTaken
    """
    has_proxy = (settings.public_url or "").startswith("https://") and settings.trusted_proxies
    if not is_loopback(host) and not has_proxy:
        raise NotForTheNetwork(
            f"{host} can be reached by other computers, and passwords and images would travel readably. "
            "Put a proxy that speaks TLS in front, and name it in the settings public_url (https://…) and "
            "trusted_proxies; or stay with 127.0.0.1. The page Install it for a facility shows how."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # said to be TCP, so that asyncio does not let small answers wait for larger ones
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
    except OSError as error:
        made.close()
        raise PortTaken(f"Nothing can listen at {host}, port {port}: {error.strerror}.") from error
    return made


def is_loopback(host: str) -> bool:
    """Say whether only this computer can ask there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def open_api(settings: Settings, embedded: bool) -> Iterator["ApiParts"]:
    """Open what the api is made of.

    Parameters
    ----------
    embedded
        One person on this computer, who comes by a link that works once.
    """
    from slidegate.api.app import ApiParts, ApiSettings
    from slidegate.cache import Cache
    from slidegate.store import Store
    from slidegate.wiring.omero_people import asking

    make_home(settings)
    store = Store.open(settings.database)
    host = settings.omero_host
    try:
        yield ApiParts(
            store=store,
            cache=Cache(settings.cache, int(settings.cache_gb * 1e9)),
            clock=time.time,
            omero=None if host is None else asking(host, settings.omero_port, settings.omero_ca),
            settings=ApiSettings(
                embedded=embedded,
                public_url=None if embedded else settings.public_url,
                pages=PAGES,
                shelves={name: folder.resolve() for name, folder in settings.shelves.items()},
                allow_private_webhooks=settings.allow_private_webhooks,
                omero_host=host,
                omero_role=settings.omero_role,
                omero_grants=settings.omero_account is None,
            ),
        )
    finally:
        store.close()


def serve_api(settings: Settings, listener: socket.socket, embedded: bool) -> None:
    """Answer requests until the process is told to end; what is being answered is finished."""
    import uvicorn

    from slidegate.api.app import create_app

    with told_in_lines("api"), open_api(settings, embedded) as parts:
        config = uvicorn.Config(
            create_app(parts),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])
