# SPDX-License-Identifier: BSD-3-Clause
"""What the HTTP service is made with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slidegate.api.limits import Limits
from slidegate.cache import Cache
from slidegate.store import Store
from slidegate.store.omero import OmeroPerson

if TYPE_CHECKING:
    from slidegate.api.known import Releases
    from slidegate.api.metrics import Metrics
    from slidegate.api.signin import LocalAccounts, SignIn
    from slidegate.api.stream import Stream
    from slidegate.api.waiting import Waiting

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the service behaves.

    Attributes
    ----------
    embedded
        One person on their own computer: the page says nothing of accounts.
    public_url
        What people type: scheme, name and port; None on this computer alone. Cookies are marked ``Secure``
        unless it is http on loopback, and requests that came from other pages are refused.
    pages
        The folder of the built pages; None for a service without pages.
    shelves
        The folder of each shelf that images are chosen from.
    allow_private_webhooks
        Whether webhooks may lead into this network.
    session_seconds
        How long a session lives that nobody uses.
    wait_seconds, short_wait_seconds
        How long a request waits for an answer of a worker before it says 202.
    body_bytes, body_seconds
        The longest body of a request, and how long it may take to arrive.
    person_burst, person_per_second
        How many requests a person may make at once, and goes on to make each second.
    address_burst, address_per_second
        The same for everybody who has not signed in, by address.
    change_burst, change_per_second
        The same for requests of a person that change something.
    streams_per_person, stream_seconds
        How many live views a person may have open, and how long one lasts before it is opened anew.
    poll_seconds
        How often runs are looked at for those who watch.
    most_images
        How many images a launch may name.
    omero_host
        The OMERO whose people use this service; None where there is none.
    omero_role
        What its people may do here when they come for the first time.
    omero_grants
        Whether slidegate acts in OMERO for those only who have permitted it by their password.
    """

    embedded: bool = False
    public_url: str | None = None
    pages: Path | None = None
    shelves: Mapping[str, Path] = field(default_factory=dict)
    allow_private_webhooks: bool = False
    session_seconds: float = 12 * 3600.0
    wait_seconds: float = 10.0
    short_wait_seconds: float = 5.0
    body_bytes: int = 1 << 20
    body_seconds: float = 30.0
    person_burst: int = 600
    person_per_second: float = 100.0
    address_burst: int = 200
    address_per_second: float = 20.0
    change_burst: int = 60
    change_per_second: float = 2.0
    streams_per_person: int = 20
    stream_seconds: float = 120.0
    poll_seconds: float = 0.5
    most_images: int = 5000
    omero_host: str | None = None
    omero_role: str = "researcher"
    omero_grants: bool = False

    @property
    def origin(self) -> str | None:
        """Scheme, name and port of the public URL, as browsers write them in ``Origin``."""
        parts = urlsplit(self.public_url or "")
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None

    @property
    def secure(self) -> bool:
        """Whether cookies travel over TLS only."""
        parts = urlsplit(self.public_url or "")
        return parts.scheme == "https" or parts.hostname not in LOOPBACK | {None}

    @property
    def hosts(self) -> frozenset[str]:
        """The names by which the service may be asked for."""
        name = urlsplit(self.public_url or "").hostname
        return LOOPBACK | ({name} if name else set())


@dataclass(slots=True)
class ApiParts:
    """What the service is made of; the caller closes the store.

    Attributes
    ----------
    store
        Everything that is remembered.
    cache
        What workers have made ready to be read: pictures, trees. None where there is none.
    clock
        Seconds since 1970.
    sign_in
        Who says whether a password is right; local accounts by default.
    omero
        Says whose the session in OMERO is that has a key; None where OMERO is not asked.
    """

    store: Store
    cache: Cache | None
    clock: Callable[[], float]
    settings: ApiSettings
    sign_in: SignIn | None = None
    omero: Callable[[str], OmeroPerson] | None = None
    # made by create_app
    omero_turns: asyncio.Semaphore = field(init=False)
    accounts: LocalAccounts = field(init=False)
    waiting: Waiting = field(init=False)
    stream: Stream = field(init=False)
    limits: Limits = field(init=False)
    metrics: Metrics = field(init=False)
    releases: Releases = field(init=False)
