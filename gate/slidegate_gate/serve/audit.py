# SPDX-License-Identifier: BSD-3-Clause
"""What was asked and what was decided, in a chain that cannot be altered unnoticed.

One line per record, canonical JSON, with the SHA-256 of the line before it (``prev``; 64 zeros before the
first).  Whoever holds the digest of one line, the *head*, can tell whether anything up to that line was
changed, left out or put in.  The gate gives its head with every answer and the server keeps it: the chain
lies in the account of the people whom it watches, so without an anchor elsewhere it would prove nothing.

Recorded are hello, submit, cancel, release, the commit of a content, the first piece of everything read, and
every refusal; never parameters, names of images or notes.

A record is flushed before its request is answered.  A killed gate can leave half a line at the end; as nobody
was told of it, the next record takes its place.
"""

import itertools
import json
import os
import time
from typing import Any, Dict, List, Tuple

from ..protocol.canonical import canonical, digest_of
from . import files

FIRST = "0" * 64
TAIL = 1 << 14  # longer than any record


class Audit:
    """The chain of one key, as written by one connection."""

    def __init__(self, path: str, key: str, peer: str) -> None:
        self._path = path
        self._who = {"key": key, "peer": peer}
        files.make_dirs(os.path.dirname(path))
        with files.locked(path) as handle:
            self.head = _end(handle)[2]
        files.fsync_dir(os.path.dirname(path))  # so that the file itself survives a power cut

    def record(self, verb: str, request: str, what: Dict[str, Any], decision: str) -> None:
        """Append one record; afterwards it is on the disk and `head` names it."""
        with files.locked(self._path) as handle:
            end, seq, previous = _end(handle)
            os.ftruncate(handle, end)
            record = dict(self._who, seq=seq + 1, prev=previous, at=round(time.time(), 3), verb=verb)
            line = canonical(dict(record, id=request, what=what, decision=decision))
            with open(self._path, "ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self.head = digest_of(line)


def _end(handle: int) -> Tuple[int, int, str]:
    """Return where the last whole line ends, its number and its digest."""
    size = os.fstat(handle).st_size
    start = max(0, size - TAIL)
    data = os.pread(handle, TAIL, start)
    whole = data[: data.rfind(b"\n") + 1]
    if not whole and not start:
        return 0, 0, FIRST
    # With so much behind the last line this fails, and the gate with it: no record may be taken away.
    line = whole.splitlines()[-1]
    return start + len(whole), int(json.loads(line.decode("ascii"))["seq"]), digest_of(line)


def records_since(path: str, since: int, most: int = 1000) -> List[Dict[str, Any]]:
    """Return up to `most` records with numbers above `since`."""
    with open(path, "rb") as file:
        records = (json.loads(line.decode("ascii")) for line in file if line.endswith(b"\n"))
        return list(itertools.islice((record for record in records if record["seq"] > since), most))
