# SPDX-License-Identifier: BSD-3-Clause
"""What is said in requests and answers, with examples: the OpenAPI document is made from these."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

_MOST_DEPTH = 8
_MOST_WHOLE = 2**53


def readable(text: str) -> str:
    """Return a text that every program can read; a ValueError for another."""
    text.encode("utf-8")  # raises a ValueError for half a letter
    if "\0" in text:
        raise ValueError("it must not hold zero bytes")
    return text


def _tag(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError("a tag begins and ends with a letter, and can be read")
    return text


def _plain_json(value: Any, depth: int = 0) -> Any:
    """Refuse what JSON readers understand differently: NaN, half letters, giant numbers, deep nesting."""
    if depth > _MOST_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        readable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number must be finite")
    elif isinstance(value, int) and abs(value) > _MOST_WHOLE:
        raise ValueError("a number is too large")
    elif isinstance(value, dict):
        for name, one in value.items():
            readable(name)
            _plain_json(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _plain_json(one, depth + 1)
    return value


Text = Annotated[str, StringConstraints(max_length=200), AfterValidator(readable)]
Image = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(readable)]
Place = Annotated[str, StringConstraints(max_length=4096), AfterValidator(readable)]
Parameters = Annotated[dict[str, Any], AfterValidator(_plain_json)]
Role = Literal["viewer", "researcher", "lead", "administrator"]
AT = Field(description="Seconds since 1970, UTC.", examples=[1790000000.0])
IMAGE = "A:tumour-block-7/slide 3.ome.tiff"
RUN = "3f9a1c0b72de"


class Shape(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid")


class Said(BaseModel):
    """A part of an answer."""


# problems


class ProblemField(Said):
    """What is wrong with one field."""

    name: str
    message: str


class Problem(Said):
    """RFC 9457; ``code`` never changes."""

    type: str = Field(examples=["urn:slidegate:problem:not-allowed"])
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request: str = Field(description="Stands in the log beside what happened.")
    errors: list[ProblemField] | None = None


# signing in


class SignInAsked(Shape):
    """Who signs in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"person": "ada", "password": "a long sentence"}]}
    )
    person: Text
    password: Text


class PasswordChange(Shape):
    """The password that one has, and the one to have."""

    current: Text
    new: Text = Field(examples=["another long sentence"])


class SessionSaid(Said):
    """Who is signed in, and what they may do."""

    person: str = Field(examples=["ada"])
    role: Role
    group: str
    csrf: str | None = Field(description="Goes into X-CSRF-Token; null where a token was used.")
    ends_at: float | None = AT
    has_password: bool = Field(description="Whether there is one here that the person can change.")
    may: list[str] = Field(examples=[["runs.see", "runs.launch"]])
    embedded: bool
    omero: str | None = Field(description="The login name in OMERO of who has come from there.")


# sites and workflows


class WorkflowSaid(Said):
    """A workflow as one site offers it."""

    site: str = Field(examples=["local"])
    name: str = Field(examples=["nuclei"])
    version: str = Field(examples=["0.1.0"])
    title: str
    description: str
    release: str
    schema_: dict[str, Any] = Field(alias="schema", description="The form: a subset of JSON Schema.")
    each: list[str]
    outputs: dict[str, Any]
    heard_at: float = AT
    trouble: str | None


class WorkflowsSaid(Said):
    """All workflows that may be launched."""

    items: list[WorkflowSaid]


class SiteSaid(Said):
    """A site, as last heard."""

    site: str
    title: str
    heard_at: float | None = AT
    trouble: str | None
    queued: int
    running: int


class SitesSaid(Said):
    """The sites that this person can launch at."""

    items: list[SiteSaid]


# wishes


class WishProblem(Said):
    """Why a worker refused."""

    code: str
    message: str


class WishSaid(Said):
    """Something that a worker was asked for."""

    id: str = Field(examples=["0f3b1c9e5d7a4e0a9c1f2b3d4e5f6a7b"])
    kind: str = Field(examples=["launch"])
    state: Literal["open", "granted", "refused"]
    step: str | None = Field(examples=["reading images"])
    done: int | None
    total: int | None
    trouble: str | None
    answer: dict[str, Any] | None
    problem: WishProblem | None
    asked_at: float = AT
    ended_at: float | None = AT


class WishesSaid(Said):
    """Several of them."""

    items: list[WishSaid]


# choosing and launching


class DescribeAsked(Shape):
    """Which images to describe."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"images": [IMAGE]}]})
    images: list[Image] = Field(min_length=1, max_length=500)


class PublishAsked(Shape):
    """What is written into OMERO besides tables and files."""

    objects: Literal["sample", "all-on-duplicate"] = Field(
        default="sample",
        description="Some of the outlines as ROIs; or all of them, on a duplicate of the image.",
    )
    labels: Literal["none", "attachment", "image"] = Field(
        default="none", description="Whether label images are attached, or become images."
    )
    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_tag)]] = Field(
        default=[], max_length=10
    )


class LaunchAsked(Shape):
    """A workflow, images, and parameters. Those that are left out have their defaults."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"workflow": "nuclei", "site": "local", "images": [IMAGE], "parameters": {"diameter_um": 9}}
            ]
        },
    )
    workflow: Text = Field(min_length=1)
    version: Text | None = None
    site: Text = Field(default="local", min_length=1)
    images: list[Image] = Field(max_length=100_000)
    parameters: Parameters = Field(default_factory=dict)
    again: bool = Field(default=False, description="Make another run even if there is an equal one.")
    regions: bool = Field(
        default=True,
        description="Whether regions that people drew on the images are taken along, where the workflow "
        "takes any.",
    )
    publish: PublishAsked | None = Field(
        default=None, description="How results are written into OMERO; for images of OMERO only."
    )


class EstimateAsked(Shape):
    """What is about to be launched."""

    workflow: Text = Field(min_length=1)
    version: Text | None = None
    site: Text = Field(default="local", min_length=1)
    images: list[Image] = Field(max_length=100_000)
    parameters: Parameters = Field(default_factory=dict)


class QueueSaid(Said):
    """What is before it."""

    queued: int
    running: int


class EstimateSaid(Said):
    """How much it is and how long it may take; null for what nobody can know yet."""

    images: int
    known_images: int = Field(description="Of how many images the size is known.")
    bytes: int | None
    pixels: int | None
    staging_seconds: float | None
    computing_seconds: float | None
    queue: QueueSaid
    basis: str = Field(examples=["from 12 earlier images of this workflow at this site"])


class PreviewAsked(Shape):
    """A rectangle of one image: y0, x0, y1, x1 in full-resolution pixels, at most 2048 on a side."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"workflow": "nuclei", "image": IMAGE, "region": [0, 0, 1024, 1024], "parameters": {}}
            ]
        },
    )
    workflow: Text = Field(min_length=1)
    version: Text | None = None
    image: Image
    region: list[Annotated[int, Field(ge=0, le=2**31)]] = Field(min_length=4, max_length=4)
    parameters: Parameters = Field(default_factory=dict)


class LastUsedSaid(Said):
    """What a person launched a workflow with the last time; null when they never did."""

    parameters: dict[str, Any] | None
    site: str | None


# runs


class RunSaid(Said):
    """A run, as a row of a list."""

    run: str = Field(examples=[RUN])
    state: Literal["waiting", "active", "succeeded", "failed", "cancelled"]
    counts: dict[str, int] = Field(examples=[{"running": 2, "succeeded": 8}])
    tasks: int
    person: str
    group: str
    site: str
    workflow: str
    version: str
    title: str
    first: str = Field(description="The name of its first image.", examples=["slide 3.ome.tiff"])
    created_at: float = AT
    changed_at: float = AT
    heard_at: float | None = AT
    trouble: str | None
    progress: float = Field(ge=0, le=1)
    left_seconds: float | None
    may: list[Literal["cancel", "retry", "delete", "again"]]


class RunsSaid(Said):
    """A page of runs, newest first; ``next`` goes into ``cursor``."""

    items: list[RunSaid]
    next: str | None


class PublishSaid(Said):
    """What is written into OMERO besides tables and files."""

    objects: Literal["sample", "all-on-duplicate"]
    labels: Literal["none", "attachment", "image"]
    tags: list[str]


class RunWholeSaid(RunSaid):
    """A run with what it was launched with."""

    publish: PublishSaid | None = Field(description="How results are written into OMERO; null elsewhere.")

    parameters: dict[str, Any]
    release: str
    runtime: str | None
    schema_: dict[str, Any] | None = Field(alias="schema")
    outputs: dict[str, Any]


class TaskError(Said):
    """Why an image failed."""

    code: str
    message: str
    log: list[str] = Field(description="The last lines that its steps wrote.")


class TaskSaid(Said):
    """One image of a run."""

    task: str
    number: int
    name: str
    image: str
    state: str
    wanted: Literal["run", "cancel"]
    words: str = Field(examples=["computing"])
    attempt: int
    step: str | None
    done: int | None
    total: int | None
    left_seconds: float | None
    confirmed_at: float | None = AT
    trouble: str | None
    waits: str | None
    error: TaskError | None
    published: bool
    usage: dict[str, Any] | None
    summary: dict[str, Any] | None


class TasksSaid(Said):
    """A page of a run's images, by number; ``next`` goes into ``after``."""

    items: list[TaskSaid]
    next: int | None


class EventSaid(Said):
    """One fact of a run."""

    seq: int
    at: float = AT
    kind: str
    task: str | None
    words: str
    body: dict[str, Any]


class EventsSaid(Said):
    """A page of a run's facts; ``next`` goes into ``after``."""

    items: list[EventSaid]
    next: int | None


class CostsSaid(Said):
    """What a run took."""

    core_hours: float
    gpu_hours: float
    bytes_moved: int
    bytes_at_site: int
    images: int


class AskedSaid(Said):
    """How many images a wish to cancel or to retry reached."""

    images: int


# tokens, webhooks, people, the record


class TokenAsked(Shape):
    """A new token."""

    name: Text = Field(min_length=1, max_length=100, examples=["my notebook"])
    days: int | None = Field(default=90, ge=1, le=3650)


class TokenSaid(Said):
    """A token without its secret."""

    id: int
    name: str
    at: float = AT
    ends_at: float | None = AT
    used_at: float | None = AT


class TokenMade(Said):
    """The secret: it is shown this once."""

    token: str


class TokensSaid(Said):
    """A person's tokens."""

    items: list[TokenSaid]


class WebhookAsked(Shape):
    """Where the end of one's runs is told."""

    url: Annotated[str, StringConstraints(max_length=2000), AfterValidator(readable)] = Field(
        examples=["https://lab.example.org/slidegate"]
    )


class WebhookMade(Said):
    """The secret that deliveries are signed with: it is shown this once."""

    id: int
    secret: str


class WebhookSaid(Said):
    """A webhook without its secret."""

    id: int
    url: str
    at: float = AT


class WebhooksSaid(Said):
    """A person's webhooks."""

    items: list[WebhookSaid]


class PersonAsked(Shape):
    """A new account."""

    person: Text = Field(min_length=1, max_length=100)
    role: Role = "researcher"
    group: Text = Field(default="", max_length=100)
    password: Text | None = None


class PersonChange(Shape):
    """What changes of an account; what is left out stays."""

    role: Role | None = None
    group: Text | None = Field(default=None, max_length=100)
    password: Text | None = None
    active: bool | None = None


class PersonSaid(Said):
    """An account."""

    person: str
    role: Role
    group: str
    active: bool
    has_password: bool
    omero: str | None = Field(description="The login name in OMERO of who has come from there.")


class PeopleSaid(Said):
    """Accounts."""

    items: list[PersonSaid]


class AuditSaid(Said):
    """Who changed what."""

    id: int
    at: float = AT
    person: str | None
    action: str
    target: str | None
    outcome: str
    request: str | None
    address: str | None


class AuditsSaid(Said):
    """A page of the record, newest first; ``next`` goes into ``before``."""

    items: list[AuditSaid]
    next: int | None


class HealthSaid(Said):
    """Whether the service can work."""

    state: Literal["ready", "alive"]
