# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""The facts about a Run, and what each of them does to the rows that show it.

An Event says what happened; :func:`changes` says which columns of which row it sets. The store applies the
same changes to its tables in the transaction that appends the Event, so folding a Run's Events gives its
rows again: history is the truth, rows are a view. What is *not* history (leases, progress, when a site was
last heard) is kept beside these columns and is never written by an Event.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from slidegate.domain.errors import SlidegateError
from slidegate.domain.states import FINISHED, State, Wanted
from slidegate.domain.values import AttemptKey, Digest, RunId, SubmissionId, TaskId, attempt_key


class BadHistory(SlidegateError):
    """The history of a run cannot be read."""

    code = "bad-history"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about a Run, never changed."""

    kind: ClassVar[str] = ""

    def body(self) -> dict[str, Any]:
        """The fact's particulars, as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class NewTask:
    """One Task of a Run that is asked for.

    Attributes
    ----------
    source, image
        The ImageRef.
    name
        What results of this image are filed under.
    fingerprint, content
        What the source said of the image when the Run was asked for.
    regions
        The Tree that the regions make that were drawn on it then; None where nobody drew any, or where the
        workflow takes none.
    """

    task: TaskId
    source: str
    image: str
    name: str
    fingerprint: str
    content: Digest
    regions: Digest | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """One part of a Task's result: its role and type from the workflow's manifest, and its Tree."""

    role: str
    type: str
    tree: Digest


@dataclass(frozen=True, slots=True)
class RunRequested(Event):
    """A person asked for a Run."""

    kind: ClassVar[str] = "run-requested"
    run: RunId
    identity: Digest
    generation: int
    person: str
    site: str
    workflow: str
    version: str
    release: Digest
    parameters: Mapping[str, Any]
    out: str
    tasks: tuple[NewTask, ...]


@dataclass(frozen=True, slots=True)
class OutChosen(Event):
    """A person chose where results go from now on."""

    kind: ClassVar[str] = "out-chosen"
    out: str


@dataclass(frozen=True, slots=True)
class Sealed(Event):
    """Tasks that are ready were put into one Submission, named by its plan."""

    kind: ClassVar[str] = "sealed"
    submission: SubmissionId
    plan: Digest
    tasks: tuple[TaskId, ...]


@dataclass(frozen=True, slots=True)
class CrewStarted(Event):
    """A site was asked for another crew for a Submission."""

    kind: ClassVar[str] = "crew-started"
    submission: SubmissionId
    round: int


@dataclass(frozen=True, slots=True)
class TaskEvent(Event):
    """One fact about one Task."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class CancelWanted(TaskEvent):
    """A person wants a Task cancelled."""

    kind: ClassVar[str] = "cancel-wanted"


@dataclass(frozen=True, slots=True)
class Move(TaskEvent):
    """A Task went from one state to another.

    The class gives ``to``; ``frm`` is the state that the Task must be in for the Event to be appended.
    """

    to: ClassVar[State]
    frm: State


@dataclass(frozen=True, slots=True)
class StagingBegan(Move):
    """A worker began to bring an image to the site."""

    kind: ClassVar[str] = "staging-began"
    to: ClassVar[State] = State.STAGING


@dataclass(frozen=True, slots=True)
class Staged(Move):
    """All of an image is at the site, as the Tree ``input``; so are its regions, if it has any."""

    kind: ClassVar[str] = "staged"
    to: ClassVar[State] = State.SUBMITTING
    input: Digest


@dataclass(frozen=True, slots=True)
class StagedDataLost(Move):
    """Data at the site is gone: the image is brought again, for the try numbered ``attempt``."""

    kind: ClassVar[str] = "staged-data-lost"
    to: ClassVar[State] = State.STAGING
    run: RunId
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Submitted(Move):
    """The site has the Attempt."""

    kind: ClassVar[str] = "submitted"
    to: ClassVar[State] = State.QUEUED


@dataclass(frozen=True, slots=True)
class Forgotten(Move):
    """The site does not know the Attempt: it is submitted again, under the same key."""

    kind: ClassVar[str] = "forgotten"
    to: ClassVar[State] = State.SUBMITTING


@dataclass(frozen=True, slots=True)
class Started(Move):
    """A crew works on the Attempt."""

    kind: ClassVar[str] = "started"
    to: ClassVar[State] = State.RUNNING


@dataclass(frozen=True, slots=True)
class Computed(Move):
    """The Attempt has its one result, the Tree ``output``; ``usage`` is what the site says that it took."""

    kind: ClassVar[str] = "computed"
    to: ClassVar[State] = State.COLLECTING
    output: Digest
    usage: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Collected(Move):
    """All of the result is on this computer, verified; ``artifacts`` names its parts."""

    kind: ClassVar[str] = "collected"
    to: ClassVar[State] = State.PUBLISHING
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class CollectAgain(Move):
    """A result that exists is fetched (again), to be published."""

    kind: ClassVar[str] = "collect-again"
    to: ClassVar[State] = State.COLLECTING


@dataclass(frozen=True, slots=True)
class Published(Move):
    """The result is where the person wants it; ``where`` names the place."""

    kind: ClassVar[str] = "published"
    to: ClassVar[State] = State.SUCCEEDED
    where: str


@dataclass(frozen=True, slots=True)
class Failed(Move):
    """The Task failed, for the reason given."""

    kind: ClassVar[str] = "failed"
    to: ClassVar[State] = State.FAILED
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Cancelled(Move):
    """The Task was cancelled."""

    kind: ClassVar[str] = "cancelled"
    to: ClassVar[State] = State.CANCELLED


@dataclass(frozen=True, slots=True)
class Retried(Move):
    """A person asked for another try; ``attempt`` is its number."""

    kind: ClassVar[str] = "retried"
    to: ClassVar[State] = State.WAITING
    run: RunId
    attempt: int


_KINDS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        RunRequested, OutChosen, Sealed, CrewStarted, CancelWanted, StagingBegan, Staged, StagedDataLost,
        Submitted, Forgotten, Started, Computed, Collected, CollectAgain, Published, Failed, Cancelled,
        Retried,
    )
}  # fmt: skip
KINDS = tuple(_KINDS)


def event_of(kind: str, body: Mapping[str, Any]) -> Event:
    """Read an Event back from its kind and body.

    Raises
    ------
    BadHistory
        The kind is not known, or the body does not fit it.
    """
    cls = _KINDS.get(kind)
    if cls is None or set(body) != {field.name for field in fields(cls)}:
        raise BadHistory(f"The history holds a fact of the unknown form {kind!r}.")
    values = dict(body)
    if "frm" in values:
        values["frm"] = State(values["frm"])
    if kind == RunRequested.kind:
        values["tasks"] = tuple(NewTask(**task) for task in values["tasks"])
    elif kind == Collected.kind:
        values["artifacts"] = tuple(Artifact(**artifact) for artifact in values["artifacts"])
    elif kind == Sealed.kind:
        values["tasks"] = tuple(values["tasks"])
    return cls(**values)


@dataclass(frozen=True, slots=True)
class Change:
    """Columns that one row gets, or is made with; ``table`` is run, task, submission or artifact."""

    table: str
    key: str
    values: Mapping[str, Any]


def _new_attempt(run: RunId, task: TaskId, number: int) -> dict[str, Any]:
    key: AttemptKey = attempt_key(run, task, number)
    return {"attempt": number, "attempt_key": key, "submission": None, "output": None, "usage": None}


_CLEARED = {"error_code": None, "error": None}


def _run_changes(event: RunRequested) -> list[Change]:
    run = {
        name: getattr(event, name)
        for name in ("identity", "generation", "person", "site", "workflow", "version", "release", "out")
    }
    run["parameters"] = dict(event.parameters)
    rows = [Change("run", event.run, run)]
    for number, new in enumerate(event.tasks, start=1):
        names = ("source", "image", "name", "fingerprint", "content", "regions")
        values = {name: getattr(new, name) for name in names}
        values |= {"run": event.run, "number": number, "state": State.WAITING, "wanted": Wanted.RUN}
        values |= {"input": None, "published": None} | _CLEARED | _new_attempt(event.run, new.task, 1)
        rows.append(Change("task", new.task, values))
    return rows


def _move_values(event: Move) -> dict[str, Any]:
    values: dict[str, Any] = {"state": event.to}
    match event:
        case Staged():
            values |= {"input": event.input, "submission": None}
        case StagedDataLost():
            values |= _new_attempt(event.run, event.task, event.attempt)
        case Retried():
            values |= _new_attempt(event.run, event.task, event.attempt) | _CLEARED | {"wanted": Wanted.RUN}
        case Forgotten():
            values |= {"submission": None}
        case Computed():
            values |= {"output": event.output, "usage": dict(event.usage)}
        case CollectAgain():
            values |= _CLEARED | ({"wanted": Wanted.RUN} if event.frm in FINISHED else {})
        case Published():
            values |= {"published": event.where}
        case Failed():
            values |= {"error_code": event.code, "error": event.message}
    return values


def _artifact_changes(event: Collected) -> list[Change]:
    return [
        Change("artifact", f"{event.task}/{artifact.role}", {"task": event.task, **asdict(artifact)})
        for artifact in event.artifacts
    ]


def changes(run: RunId, event: Event) -> list[Change]:
    """Return what an Event of a Run does to the rows: pure, the only place that says so."""
    match event:
        case RunRequested():
            return _run_changes(event)
        case OutChosen():
            return [Change("run", run, {"out": event.out})]
        case Sealed():
            sealed = {"run": run, "plan": event.plan, "round": 1}
            rows = [Change("submission", event.submission, sealed)]
            return rows + [Change("task", task, {"submission": event.submission}) for task in event.tasks]
        case CrewStarted():
            return [Change("submission", event.submission, {"round": event.round})]
        case CancelWanted():
            return [Change("task", event.task, {"wanted": Wanted.CANCEL})]
        case Collected():
            return [Change("task", event.task, _move_values(event)), *_artifact_changes(event)]
        case Move():
            return [Change("task", event.task, _move_values(event))]
        case _:
            raise BadHistory(f"The history holds a fact of the unknown form {event.kind!r}.")


Rows = dict[str, dict[str, dict[str, Any]]]


def fold(run: RunId, events: Iterable[Event]) -> Rows:
    """Rebuild a Run's rows from its history.

    Returns
    -------
    ``{"run": {id: columns}, "task": {...}, "submission": {...}, "artifact": {...}}``
    """
    rows: Rows = {"run": {}, "task": {}, "submission": {}, "artifact": {}}
    for event in events:
        for change in changes(run, event):
            rows[change.table].setdefault(change.key, {}).update(change.values)
    return rows
