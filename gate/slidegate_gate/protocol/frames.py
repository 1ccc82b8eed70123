# SPDX-License-Identifier: BSD-3-Clause
"""How bytes become messages.

A frame is one ASCII line, a JSON object, and possibly a body of raw bytes::

    SLIDEGATE/1 <bytes of JSON> <bytes of body> <SHA-256 of the JSON>\\n
    {"id":"1f","verb":"put",...,"body":"<SHA-256 of the body>"}
    <body>

The body of a ``put`` has no digest of its own: it is a piece of a content that the message names by digest,
and is hashed with that content, once.

Nothing else may stand on the channel.  A shell that greets, a length that lies, a JSON key that comes twice:
the reader stops at once with ``BadFrame``, because from there on it could only guess where the next frame
begins.  Every length is limited before anything of that length is read, and a peer that stops sending is left
after a time.  Both ends of the channel use this module; it knows nothing of what the messages mean.

While one frame is handled the next is read by one other thread (``read_ahead``), so that a long upload keeps
reading, hashing and writing at the same time.  New memory for each body would take as long as hashing it.
"""

import hashlib
import itertools
import json
import math
import mmap
import os
import re
import select
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from ..errors import BadFrame, Idle
from .canonical import canonical, digest_of

MAX_JSON = 1 << 20
MAX_BODY = 8 << 20
MAX_HEADER = 128
HEADER = re.compile(rb"SLIDEGATE/1 (0|[1-9][0-9]{0,7}) (0|[1-9][0-9]{0,7}) ([0-9a-f]{64})\n")

# a message and its body (empty where there is none)
Frame = NamedTuple("Frame", [("message", Dict[str, Any]), ("body", memoryview)])


def parse_object(data: Union[bytes, bytearray]) -> Dict[str, Any]:
    """Return the JSON object in `data`; raise ``ValueError`` where readers could understand it differently.

    Refused beside what is no JSON: a key that comes twice, numbers that are no numbers or longer than 20
    digits, and nesting deeper than the interpreter's stack.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_object, **NUMBERS)
    except RecursionError:
        raise ValueError("nested too deeply")
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)


def _integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError("a number is too long")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large or none")
    return value


NUMBERS: Dict[str, Any] = {"parse_int": _integer, "parse_float": _number, "parse_constant": _number}


class FrameReader:
    """Frames from a file descriptor: a pipe, a socket or a file."""

    def __init__(self, handle: int, idle: float) -> None:
        """Read from `handle`; give up when nothing arrives for `idle` seconds."""
        self._handle = handle
        self._ready = select.poll()
        self._ready.register(handle, select.POLLIN)
        self._idle = int(idle * 1000)

    def read(self, room: Optional[memoryview] = None) -> Optional[Frame]:
        """Return the next frame, or None where the channel ended between two frames.

        Its body lies in `room`, where there is one.
        """
        header = self._header()
        if not header:
            return None
        found = HEADER.fullmatch(header)
        if not found:
            raise BadFrame("This is not the beginning of a frame: {!r}".format(header[:60]))
        json_bytes, body_bytes = int(found.group(1)), int(found.group(2))
        if json_bytes > MAX_JSON or body_bytes > MAX_BODY:
            raise BadFrame("The frame announces more than a frame may hold.")
        data = memoryview(bytearray(json_bytes))
        if self._fill(data) != found.group(3).decode("ascii"):
            raise BadFrame("The JSON of the frame does not have the digest that its header names.")
        try:
            message = parse_object(bytes(data))
        except ValueError as error:
            raise BadFrame("The JSON of the frame cannot be read: {}.".format(error))
        body = (room or memoryview(bytearray(body_bytes)))[:body_bytes]
        bare = message.get("verb") == "put" and "body" not in message
        named = message.pop("body", None)
        hashed = self._fill(body, not bare)
        if named != (hashed if body_bytes else None):
            raise BadFrame("The body of the frame does not have the digest that its JSON names.")
        return Frame(message, body)

    def _header(self) -> bytes:
        # one byte at a time, so that nothing behind the line is taken from the channel
        line = b""
        while not line.endswith(b"\n") and len(line) < MAX_HEADER:
            self._wait()
            sign = os.read(self._handle, 1)
            if not sign:
                break
            line += sign
        return line

    def _fill(self, view: memoryview, hashed: bool = True) -> Optional[str]:
        # hashed piece by piece, while the pieces are still in the processor's cache
        digest = hashlib.sha256()
        done = 0
        while done < len(view):
            self._wait()
            got = os.readv(self._handle, [view[done:]])
            if not got:
                raise BadFrame("The channel ended inside a frame.")
            if hashed:
                digest.update(view[done : done + got])
            done += got
        return digest.hexdigest() if hashed else None

    def _wait(self) -> None:
        if not self._ready.poll(self._idle):
            raise Idle()


def read_ahead(reader: FrameReader) -> Iterator[Frame]:
    """Yield the frames of `reader` in order, reading one ahead in another thread.

    The body of each is there until the next frame is asked for; then others take its place.
    """
    rooms = itertools.cycle([memoryview(mmap.mmap(-1, MAX_BODY, mmap.MAP_PRIVATE)) for _ in range(2)])
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(reader.read, next(rooms))
        while True:
            frame = coming.result()
            if frame is None:
                return
            coming = thread.submit(reader.read, next(rooms))
            yield frame


def write_frame(handle: int, message: Dict[str, Any], body: Union[bytes, memoryview] = b"") -> None:
    """Write one frame wholly; ``BrokenPipeError`` where nobody reads any more."""
    if len(body) and message.get("verb") != "put":
        message = dict(message, body=hashlib.sha256(body).hexdigest())
    data = canonical(message)
    header = "SLIDEGATE/1 {} {} {}\n".format(len(data), len(body), digest_of(data))
    for part in (header.encode("ascii") + data, body):
        view = memoryview(part)
        while len(view):
            view = view[os.write(handle, view) :]
