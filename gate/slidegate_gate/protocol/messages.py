# SPDX-License-Identifier: BSD-3-Clause
"""What may be said.

This is the only description of the messages; the gate refuses what it does not describe, and a client may
use it too.  A request is ``{"id":..., "verb":..., field:...}`` with exactly the fields of its verb in
``REQUESTS``.  The answer is ``{"id":..., "ok":true, field:..., "head":...}`` with the fields below, or
``{"id":..., "ok":false, "error":{"code","message","transient","detail"}, "head":...}``.  ``head`` is the end
of the audit chain (see ``audit``).

=======  =========================================================  ========================================
verb     asks                                                       answer
=======  =========================================================  ========================================
hello    who are you, what may I start?                             protocol gate site key releases limits
have     what of this is missing, and where do uploads continue?    missing partial
put      take the next piece of a content (the body)                next committed
submit   start a plan's Attempts, or one more crew (round) for it   submission attempts crews
status   what changed since this cursor? (more: ask again at once)  cursor more attempts crews
cancel   these Attempts, known or not, shall have no effect         attempts
read     a piece of a content, or of an Attempt's log (the body);   size
         or how far its Units are (JSON, the body)
release  these Attempts were collected, their folders may go        released
audit    the records after this number, and what was used           records usage
=======  =========================================================  ========================================

No field holds a command, a path or a host name.  Requests are handled in order; all of them may be repeated.
"""

import base64
import re
from typing import Any, Callable, Dict, List, Tuple

from ..errors import BadRequest
from .frames import MAX_BODY

Check = Callable[[Any], bool]

DIGEST = re.compile("[0-9a-f]{64}")
REQUEST_ID = re.compile("[0-9a-f]{1,64}")
NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,11}")
CURSOR = re.compile("|[0-9a-f]{16}[.][0-9]{1,15}")
MAX_BYTES = 1 << 50
MAX_NAME = 512


def text(pattern: "re.Pattern[str]") -> Check:
    """A string that matches `pattern` from end to end."""
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def integer(low: int, high: int) -> Check:
    """A whole number from `low` to `high`; true and false are none."""
    return lambda value: type(value) is int and low <= value <= high


def some(check: Check, most: int) -> Check:
    """A list of at most `most` values of one kind, none twice."""

    def holds(value: Any) -> bool:
        if not isinstance(value, list) or len(value) > most:
            return False
        return all(map(check, value)) and len(set(map(str, value))) == len(value)

    return holds


def yes(value: Any) -> bool:
    """The word true."""
    return value is True


def pair(first: Check, second: Check) -> Check:
    """A list of two values."""
    return lambda value: isinstance(value, list) and len(value) == 2 and first(value[0]) and second(value[1])


def is_name(name: Any) -> bool:
    """Say whether `name` may stand in a Tree: relative, no part begins with a dot, plain characters only."""
    return isinstance(name, str) and len(name) <= MAX_NAME and NAME.fullmatch(name) is not None


def is_entry(entry: Tuple[str, int, str]) -> bool:
    """Say whether (name, size, digest) may stand in a Tree: a safe name, a size, a digest."""
    return is_name(entry[0]) and offset(entry[1]) and digest(entry[2])


def grid(value: Any) -> bool:
    """How Units cover an image of (y, x) pixels: ``{"shape":[y,x],"side":s}``, squares, row by row."""
    good = isinstance(value, dict) and set(value) == {"shape", "side"}
    return good and pair(size, size)(value["shape"]) and size(value["side"])


def bitmap(flags: List[bool]) -> str:
    """Return flags in base64: flag ``i`` is bit ``i % 8``, counted from the lowest, of byte ``i // 8``."""
    number = int("0" + "".join("01"[flag] for flag in reversed(flags)), 2)
    return base64.b64encode(number.to_bytes((len(flags) + 7) // 8, "little")).decode("ascii")


digest = text(DIGEST)
attempts = some(digest, 1000)
offset = integer(0, MAX_BYTES)
size = integer(1, MAX_BYTES)
piece = {"offset": offset, "length": integer(0, MAX_BODY)}

# verb -> the sets of fields that it may have (only ``read`` has three)
REQUESTS: Dict[str, List[Dict[str, Check]]] = {
    "hello": [{}],
    "have": [{"blobs": some(pair(digest, offset), 5000)}],
    "put": [{"digest": digest, "size": offset, "offset": offset}],
    "submit": [{"plan": digest, "round": integer(1, 1000)}],
    "status": [{"cursor": text(CURSOR)}],
    "cancel": [{"attempts": attempts}],
    "read": [
        dict(piece, digest=digest),
        dict(piece, attempt=digest, log=yes),
        {"attempt": digest, "units": yes},
    ],
    "release": [{"attempts": attempts}],
    "audit": [{"since": integer(0, MAX_BYTES)}],
}


def request_id(message: Dict[str, Any]) -> str:
    """Return the id of a request, or '' where it has none that may be repeated in an answer."""
    name = message.get("id")
    return name if isinstance(name, str) and REQUEST_ID.fullmatch(name) else ""


def check_request(message: Dict[str, Any], body_bytes: int) -> Tuple[str, Dict[str, Any]]:
    """Return verb and fields of a request; raise BadRequest, naming the field, where it is malformed."""
    verb = message.get("verb")
    if not request_id(message):
        raise BadRequest("A request needs an id of 1 to 64 hexadecimal digits.", field="id")
    if not isinstance(verb, str) or verb not in REQUESTS:
        raise BadRequest("There is no such verb.", field="verb")
    if body_bytes and verb != "put":
        raise BadRequest("Only put has a body.", field="body")
    fields = {name: value for name, value in message.items() if name not in ("id", "verb")}
    for shape in REQUESTS[verb]:
        if set(shape) == set(fields):
            for field in sorted(shape):
                if not shape[field](fields[field]):
                    raise BadRequest("{} is not as {} needs it.".format(field, verb), field=field)
            return verb, fields
    shapes = " or ".join(", ".join(sorted(shape)) for shape in REQUESTS[verb])
    raise BadRequest("The fields of {} are: {}.".format(verb, shapes or "none"))
