# SPDX-License-Identifier: BSD-3-Clause
"""The small values that everything else is made of."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NewType

RunId = NewType("RunId", str)
TaskId = NewType("TaskId", str)
AttemptKey = NewType("AttemptKey", str)
SubmissionId = NewType("SubmissionId", str)
Digest = NewType("Digest", str)


@dataclass(frozen=True, slots=True, order=True)
class ImageRef:
    """One image: the source that it is read from, and its name there.

    Attributes
    ----------
    source
        The name of an ImageSource, for example ``folder``.
    image
        What that source calls the image; for a folder, an absolute path. Opaque to everyone else.
    """

    source: str
    image: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The images that a person chose, in the order of choosing, each once."""

    images: tuple[ImageRef, ...]

    @classmethod
    def of(cls, images: list[ImageRef]) -> "Selection":
        """Make a Selection, leaving out repeated images."""
        return cls(tuple(dict.fromkeys(images)))

    def __iter__(self) -> Iterator[ImageRef]:
        return iter(self.images)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class Release:
    """A workflow as it is installed at a site; ``manifest`` and ``schema`` are its own."""

    digest: Digest
    name: str
    version: str
    manifest: Mapping[str, Any]
    schema: Mapping[str, Any]
    runtime: str


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII; digests are of it."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def digest_of(value: Any) -> Digest:
    """Return the SHA-256 (64 hex) of a value's canonical JSON."""
    return Digest(hashlib.sha256(canonical_json(value)).hexdigest())


def attempt_key(run: RunId, task: TaskId, attempt: int) -> AttemptKey:
    """Return the key that "one effect" hangs on: 64 hex, the same for the same run, task and attempt number.

    Parameters
    ----------
    run, task
        Whose attempt it is.
    attempt
        Counted from 1.
    """
    return AttemptKey(digest_of(["attempt", run, task, attempt]))
