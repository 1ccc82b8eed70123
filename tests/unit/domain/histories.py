# SPDX-License-Identifier: BSD-3-Clause
"""Random histories that follow the rules, for the tests of the domain and of the store."""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from slidegate.domain import events
from slidegate.domain.run import run_id, task_id
from slidegate.domain.states import MOVES, State
from slidegate.domain.values import Digest, RunId, SubmissionId, TaskId, digest_of


def request(identity: str = "one", tasks: int = 3, generation: int = 0) -> events.RunRequested:
    digest = digest_of(identity)
    run = run_id(digest, generation)
    return events.RunRequested(
        run=run,
        identity=digest,
        generation=generation,
        person="ada",
        site="local",
        workflow="count",
        version="1.0",
        release=digest_of("release"),
        parameters={"size": 8.0, "channel": "0"},
        out="folder:/out",
        tasks=tuple(
            events.NewTask(
                task_id(run, n), "folder", f"/images/{n}.tif", f"{n}", f"f{n}", digest_of([identity, n])
            )
            for n in range(1, tasks + 1)
        ),
    )


@dataclass
class Walker:
    """Knows the state that each Task should be in, by a second, simpler account than the code's own."""

    run: RunId
    state: dict[TaskId, State]
    attempt: dict[TaskId, int] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: events.RunRequested) -> "Walker":
        tasks = [new.task for new in asked.tasks]
        return cls(asked.run, dict.fromkeys(tasks, State.WAITING), dict.fromkeys(tasks, 1))

    def next_event(self, draw: st.DataObject) -> events.Event:
        task = draw.draw(st.sampled_from(sorted(self.state)))
        frm = self.state[task]
        beside = draw.draw(st.integers(0, 9))
        if beside == 0:
            return events.CancelWanted(task)
        if beside == 1:
            return events.OutChosen(draw.draw(st.sampled_from(["folder:/a", "folder:/b"])))
        if beside == 2:
            ready = tuple(sorted(t for t in self.state if self.state[t] == State.SUBMITTING))
            plan = digest_of([ready, [self.attempt[t] for t in ready]])
            if ready:
                return events.Sealed(SubmissionId(plan[:32]), plan, ready)
        to = draw.draw(st.sampled_from(sorted(MOVES[frm])))
        return self.move(task, frm, to, draw)

    def move(self, task: TaskId, frm: State, to: State, draw: st.DataObject) -> events.Move:
        match to:
            case State.WAITING:
                self.attempt[task] += 1
                return events.Retried(task, frm, self.run, self.attempt[task])
            case State.STAGING if frm == State.WAITING:
                return events.StagingBegan(task, frm)
            case State.STAGING:
                self.attempt[task] += draw.draw(st.integers(0, 1))
                return events.StagedDataLost(task, frm, self.run, self.attempt[task], "gone")
            case State.SUBMITTING if frm == State.STAGING:
                return events.Staged(task, frm, digest_of("tree"))
            case State.SUBMITTING:
                return events.Forgotten(task, frm)
            case State.QUEUED:
                return events.Submitted(task, frm)
            case State.RUNNING:
                return events.Started(task, frm)
            case State.COLLECTING if frm in (State.QUEUED, State.RUNNING):
                return events.Computed(task, frm, digest_of("result"), {"seconds": 1.5})
            case State.COLLECTING:
                return events.CollectAgain(task, frm)
            case State.PUBLISHING:
                parts = (events.Artifact("labels", "labels", Digest(digest_of("part"))),)
                return events.Collected(task, frm, parts)
            case State.SUCCEEDED:
                return events.Published(task, frm, "/out/1")
            case State.FAILED:
                return events.Failed(task, frm, "bad-image", "The image is bad.")
            case _:
                return events.Cancelled(task, frm)

    def done(self, event: events.Event) -> None:
        if isinstance(event, events.Move):
            self.state[event.task] = event.to
