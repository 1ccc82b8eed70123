# SPDX-License-Identifier: BSD-3-Clause
"""What every Link can do."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

Message = dict[str, Any]
Frame = tuple[Message, bytes]


class Link(Protocol):
    """A channel to one gate, as one key.

    A Link carries frames and knows nothing of what they mean. It is used by one thread at a time.
    """

    @property
    def closed(self) -> bool:
        """Whether it was closed: by :meth:`close`, or by itself after a stream, to make room for others."""
        ...

    def exchange(self, request: Message, body: bytes = b"") -> Frame:
        """Send one request and return its answer with the answer's body.

        Raises
        ------
        LinkDown
            The channel ended or nothing came for too long. Whether the request was carried out is not known.
        LinkNoise
            Something arrived that is not a frame.
        """
        ...

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        """Send requests without waiting for each answer; yield the answers in the order of the requests.

        Requests are drawn from ``requests`` a few ahead of the answers, in another thread. What that iterable
        raises is raised here, after the answers to what was sent. A stream that is not read to its end closes
        the Link.
        """
        ...

    def close(self) -> None:
        """End the channel. A closed Link raises LinkDown."""
        ...
