# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong between here and a site."""

import re
from typing import Any

from slidegate.domain.errors import SlidegateError

_CODE = re.compile("[a-z0-9-]{1,60}")
_MESSAGE_MOST = 2000


class SiteError(SlidegateError):
    """The site cannot be used."""

    code = "site-error"
    exit_code = 4


class LinkDown(SiteError):
    """The site does not answer. What runs there goes on; it is heard of when the site answers again."""

    code = "site-unreachable"
    transient = True


class HostUnknown(LinkDown):
    """The name of the site's host has no address."""

    code = "host-unknown"


class HostUnreachable(LinkDown):
    """The site's host does not answer: it is down, it listens elsewhere, or a firewall is between."""

    code = "host-unreachable"


class HostBusy(LinkDown):
    """The site's host hung up before it let anybody in: it is busy, or shuts this computer out for now."""

    code = "host-busy"


class HostKeyChanged(LinkDown):
    """The host shows another key than the pinned one; nothing was sent."""

    code = "host-key-changed"


class HostKeyUnknown(LinkDown):
    """The host shows a key that was never pinned; nothing was sent."""

    code = "host-key-unknown"


class KeyRefused(LinkDown):
    """The host does not accept the key."""

    code = "key-refused"


class GateMissing(LinkDown):
    """The key is accepted, but no gate is behind it."""

    code = "gate-missing"


class GateRefused(LinkDown):
    """The gate ended before it answered."""

    code = "gate-refused"


class GateSilent(LinkDown):
    """The gate has said nothing for too long."""

    code = "gate-silent"


class ChannelsTaken(LinkDown):
    """All channels from this computer to the site are in use; one will be free soon."""

    code = "channels-taken"


class LinkNoise(SiteError):
    """Something else than a gate answered."""

    code = "site-noise"


class AuditBroken(SiteError):
    """The site's record does not contain what it had recorded before: it was replaced or set back."""

    code = "audit-broken"


class BadAnswer(SiteError):
    """The site's answer does not make sense."""

    code = "site-bad-answer"


class DamagedResult(SiteError):
    """What the site sent is not what it had promised; it is fetched again."""

    code = "damaged-result"
    transient = True


class DamagedOnTheWay(SiteError):
    """What was sent arrived damaged several times; it is made again and sent again."""

    code = "damaged-on-the-way"
    transient = True


class Refused(SiteError):
    """The site refused.

    Attributes
    ----------
    code, transient
        As the gate says them.
    detail
        Particulars, by code.
    """

    code = "refused"

    def __init__(
        self,
        message: str | None = None,
        code: str | None = None,
        transient: bool = False,
        detail: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.transient = transient
        self.detail = detail or {}

    @classmethod
    def of(cls, error: dict[str, Any]) -> "Refused":
        """Make the error that an answer names."""
        code = str(error.get("code"))
        if not _CODE.fullmatch(code):
            code = cls.code
        kind = {"missing-blobs": MissingBlobs, "gone": Gone, "not-found": Gone}.get(code, Refused)
        detail = error.get("detail")
        found = detail if isinstance(detail, dict) else {}
        message = str(error.get("message", ""))[:_MESSAGE_MOST]
        return kind(message, code, error.get("transient") is True, found)


class MissingBlobs(Refused):
    """Contents that the plan needs are not at the site."""

    code = "missing-blobs"


class Gone(Refused):
    """What was asked for is not at the site any more."""

    code = "gone"
