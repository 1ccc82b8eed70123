# SPDX-License-Identifier: BSD-3-Clause
"""Text that others wrote, made harmless for a terminal."""

import re
import unicodedata

_SEQUENCE = re.compile(
    r"\x1b\][^\x07\x1b]*(\x07|\x1b\\)?"  # titles, links, the clipboard
    r"|\x1b[PX^_].*?\x1b\\"  # strings for the device
    r"|(\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, the cursor, what is erased
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """Return a text as one line, without what could move a cursor, change a colour or turn letters round."""
    return "".join(_seen(sign) for sign in _SEQUENCE.sub("", text))


def harmless(data: bytes) -> bytes:
    """Return a piece of a log line by line as :func:`plain` makes it, with its ends of lines."""
    return "\n".join(plain(line) for line in data.decode("utf-8", "replace").split("\n")).encode()


def last_lines(data: bytes, lines: int, most: int) -> tuple[str, ...]:
    """Return the last lines of a log that say something, made harmless; at most so many lines and letters.

    Parameters
    ----------
    data
        The end of the log, in UTF-8; it may begin anywhere.
    """
    found: list[str] = []
    room = most
    for line in reversed(data.decode("utf-8", "replace").replace("\r", "\n").split("\n")):
        words = plain(line).rstrip()
        if not words:
            continue
        if len(found) == lines or room <= 0:
            break
        found.append(words[-room:])
        room -= len(words)
    return tuple(reversed(found))


def _seen(sign: str) -> str:
    if sign in "\t\n\r\x0b\x0c\x85\u2028\u2029":
        return " "
    return "" if unicodedata.category(sign) in _UNSEEN else sign
