# SPDX-License-Identifier: BSD-3-Clause
"""What a server tells of. Times are seconds since 1970; fields that are not known here are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

ENDED = ("succeeded", "failed", "cancelled")


class _Told:
    """Something that is made from what a server says."""

    __slots__ = ()

    @classmethod
    def told(cls, body: Mapping[str, Any]) -> Self:
        """Make it of JSON values, as far as they are known here."""
        known = {each.name for each in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in body.items() if name in known})


@dataclass(frozen=True, slots=True)
class Session(_Told):
    """Who you are there, and what you may do."""

    person: str
    role: str = ""
    group: str = ""
    may: list[str] = field(default_factory=list)
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class Workflow(_Told):
    """What can be run at a site.

    Attributes
    ----------
    schema
        That of its parameters.
    outputs
        What it makes, by role.
    trouble
        Why the site cannot be reached now, in words; None when it answers.
    """

    site: str
    name: str
    version: str
    title: str = ""
    description: str = ""
    release: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    heard_at: float | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Entry(_Told):
    """A folder, or an image in one: `at` names the first, `image` the second."""

    name: str
    at: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """What lies in a folder of a shelf; `truncated` where it holds too much to tell all."""

    at: str
    folders: tuple[Entry, ...]
    images: tuple[Entry, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Run(_Told):
    """A Run as it was known when it was asked for.

    Attributes
    ----------
    state
        waiting, active, succeeded, failed or cancelled.
    counts
        How many of its images are in each state.
    progress
        From 0 to 1.
    first
        The name of its first image.
    heard_at
        When its site was last heard; None when it never was.
    trouble
        Why nothing is heard of it, in words; None when it answers.
    parameters, release
        Only where one Run was asked for, and not in lists.
    """

    run: str
    state: str
    person: str
    workflow: str
    version: str
    site: str
    created_at: float
    changed_at: float
    counts: Mapping[str, int] = field(default_factory=dict)
    tasks: int = 0
    group: str | None = None
    title: str = ""
    first: str | None = None
    heard_at: float | None = None
    trouble: str | None = None
    progress: float = 0.0
    left_seconds: float | None = None
    may: list[str] = field(default_factory=list)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    release: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing of it goes on."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Task(_Told):
    """One image of a Run.

    Attributes
    ----------
    number
        From 1, in the order in which the images were given.
    words
        Its state as a person reads it.
    error
        ``code``, ``message`` and the end of its ``log``, of one that failed.
    published
        Whether there are results to fetch.
    summary
        What the workflow summed up; None before.
    """

    task: str
    number: int
    name: str
    state: str
    image: str = ""
    wanted: str = "run"
    words: str = ""
    attempt: int = 1
    step: str | None = None
    done: int | None = None
    total: int | None = None
    left_seconds: float | None = None
    confirmed_at: float | None = None
    trouble: str | None = None
    waits: str | None = None
    error: Mapping[str, Any] | None = None
    published: bool = False
    usage: Mapping[str, Any] | None = None
    summary: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Event(_Told):
    """One fact about a Run, never changed."""

    seq: int
    at: float
    kind: str
    words: str = ""
    task: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launched(_Told):
    """What became of a launch: the Run, and ``created``, ``resumed``, ``retried`` or ``finished``."""

    run: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Estimate(_Told):
    """What a launch would take; None where nobody can know yet. `basis` says what it rests on."""

    images: int = 0
    known_images: int = 0
    bytes: int | None = None
    pixels: int | None = None
    staging_seconds: float | None = None
    computing_seconds: float | None = None
    queue: Mapping[str, int] = field(default_factory=dict)
    basis: str = ""


@dataclass(frozen=True, slots=True)
class File(_Told):
    """One file of a result, named as it lies in the folder of its image."""

    name: str
    bytes: int
    type: str = ""


@dataclass(frozen=True, slots=True)
class Wish(_Told):
    """Something that the server was asked for and that takes a while.

    Attributes
    ----------
    state
        open, granted or refused.
    trouble
        Why it is still open, in words.
    problem
        ``code`` and ``message`` of one that was refused.
    """

    id: str
    kind: str
    state: str
    step: str | None = None
    done: int | None = None
    total: int | None = None
    trouble: str | None = None
    answer: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What the server says by itself.

    Attributes
    ----------
    kind
        ``hello`` (it begins: look at what you show), ``run`` (one has changed), ``gone`` (one was deleted).
    body
        As it came: of ``run`` that of a `Run`.
    """

    kind: str
    body: Mapping[str, Any]
