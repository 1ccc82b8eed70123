# SPDX-License-Identifier: BSD-3-Clause
"""A gate that says what a test lets it say, in the form of the real one, and keeps what it was asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from slidegate.domain import events
from slidegate.domain.states import State
from slidegate.domain.values import AttemptKey, Digest, Release, SubmissionId
from slidegate.sites.errors import Gone
from slidegate.sites.gate import News
from slidegate.store import Store
from tests.unit.domain.histories import request

SUBMISSION = SubmissionId("5" * 32)
STEPS = ("plan", "detect", "finish")


@dataclass
class Said:
    """A gate of which the crews and the progress are set by hand."""

    attempts: dict[str, dict[str, Any]] = field(default_factory=dict)
    crews: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    submitted: list[int] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    epoch: str = "a"
    error: Exception | None = None
    _told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def status(self, cursor: str) -> News:
        if self.error is not None:
            raise self.error
        complete = cursor.partition(".")[0] != self.epoch
        told = {} if complete else self._told
        attempts = tuple(
            dict(said, attempt=key) for key, said in self.attempts.items() if told.get(key) != said
        )
        self._told = dict(self.attempts)
        crews = tuple(
            {"submission": SUBMISSION, "class": name, "round": number, "array": f"{number}", **said}
            for (name, number), said in self.crews.items()
        )
        return News(f"{self.epoch}.1", attempts, crews, complete)

    def submit(self, plan: Digest, crew_round: int = 1) -> dict[str, Any]:
        self.submitted.append(crew_round)
        return {"submission": SUBMISSION, "attempts": {}, "crews": []}

    def cancel(self, attempts: Sequence[AttemptKey]) -> dict[AttemptKey, str]:
        self.cancelled += attempts
        return dict.fromkeys(attempts, "cancelled")

    def release(self, attempts: Sequence[AttemptKey]) -> None:
        self.released += attempts
        for attempt in attempts:
            self.attempts.pop(attempt, None)
            self.logs.pop(attempt, None)

    def log(self, attempt: AttemptKey) -> Iterator[bytes]:
        if attempt not in self.logs:
            raise Gone("There is no log.", "not-found")
        yield self.logs[attempt]

    def close(self) -> None:
        return

    # what a test says

    def progress(
        self, key: str, step: str = "plan", done: int = 0, state: str = "running", **more: Any
    ) -> None:
        self.attempts[key] = {
            "submission": SUBMISSION,
            "state": state,
            "step": step,
            "done": done,
            "total": 9,
            "note": {},
            **more,
        }

    def crew(self, number: int, state: str, name: str = "cpu", **more: Any) -> None:
        self.crews[name, number] = {"state": state, **more}


def at_site(store: Store, said: Said, tasks: int = 1) -> list[str]:
    """Bring a Run's Tasks to the site, in one Submission; return the keys of their Attempts."""
    asked = request(tasks=tasks)
    store.history.request(asked, 1.0)
    store.releases.remember(
        Release(asked.release, "count", "1.0", {"steps": [{"do": step} for step in STEPS]}, {}, "r")
    )
    names = tuple(new.task for new in asked.tasks)
    for name in names:
        store.history.append(asked.run, events.StagingBegan(name, State.WAITING), 2.0)
        store.history.append(asked.run, events.Staged(name, State.STAGING, Digest("7" * 64)), 2.0)
    store.history.append(asked.run, events.Sealed(SUBMISSION, Digest("5" * 64), names), 2.0)
    for name in names:
        store.history.append(asked.run, events.Submitted(name, State.SUBMITTING), 2.0)
    keys = [str(row["attempt_key"]) for row in store.runs.tasks(asked.run)]
    for key in keys:
        said.progress(key, state="queued")
    return keys
