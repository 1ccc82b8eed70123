# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of Tasks whose crews end, wait, or are ended; and what a person is told."""

from dataclasses import replace

import pytest

from slidegate.domain.values import RunId
from slidegate.sites.errors import AuditBroken, LinkDown
from slidegate.store import Store
from slidegate.worker import Runs
from slidegate.worker.tools import Pace, Tools
from slidegate.worker.views import RunView, TaskView
from slidegate.worker.watching import watch_site
from tests.unit.worker.conftest import Clock
from tests.unit.worker.site import SUBMISSION, Said, at_site

pytestmark = pytest.mark.slow


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def desk(tools: Tools, said: Said) -> "Desk":
    return Desk(replace(tools, gates={"local": said}))


class Desk:
    """Looks at the site as a worker does, and at the Run as a person does."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.clock = tools.clock
        self.runs = Runs(tools)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.tools.store.sites.hurry("local")
            watch_site(self.tools, "local", "me")

    def run(self) -> RunView:
        return self.runs.show(RunId(self.tools.store.runs.all()[0]["id"]))

    def task(self) -> TaskView:
        return self.run().tasks[0]


@pytest.mark.parametrize(
    ("cause", "code", "rounds", "words"),
    [
        ("time-limit", "time-limit", 1, "more minutes"),
        ("out-of-memory", "out-of-memory", 1, "more memory"),
        ("cancelled", "cancelled-outside", 1, "it was not slidegate"),
        ("node-lost", "node-lost", 3, "Computers of the site failed"),
        ("preempted", "preempted", 3, "More urgent work"),
        ("failed", "crews-ended", 3, "gatectl selftest"),
        (None, "crews-ended", 3, "gatectl selftest"),
    ],
)
def test_crews_that_achieve_nothing_are_given_up_with_the_cause_and_what_to_do(
    desk: Desk, said: Said, store: Store, cause: str | None, code: str, rounds: int, words: str
) -> None:
    at_site(store, said)
    for number in range(1, 9):
        said.crew(number, "ended", **({"causes": {cause: 2}} if cause else {}))
        desk.look(3)
        if desk.task().state == "failed":
            break
    task = desk.task()
    assert (task.state, task.error_code) == ("failed", code)
    assert words in str(task.error)
    assert str(task.error).endswith(f"Then: slidegate retry {desk.run().run[:8]}")
    assert said.submitted == list(range(2, rounds + 1))
    assert number == rounds


def test_rounds_go_on_as_long_as_they_achieve_something_also_under_a_time_limit(
    desk: Desk, said: Said, store: Store
) -> None:
    (key,) = at_site(store, said)
    for number in range(1, 8):
        said.progress(key, "detect", done=number)
        said.crew(number, "ended", causes={"time-limit": 4})
        desk.look(3)
    assert desk.task().state == "running"
    assert said.submitted == list(range(2, 9))
    said.crew(8, "ended", causes={"time-limit": 4})  # and nothing was done
    desk.look(3)
    assert desk.task().error_code == "time-limit"
    assert said.submitted == list(range(2, 9))


def test_a_step_that_is_complete_counts_though_the_next_one_has_nothing_done_yet(
    desk: Desk, said: Said, store: Store
) -> None:
    (key,) = at_site(store, said)
    said.progress(key, "detect", done=0)
    said.crew(1, "ended", causes={"time-limit": 1})
    desk.look(3)
    assert said.submitted == [2]


def test_an_attempt_that_has_ended_counts_for_the_others(desk: Desk, said: Said, store: Store) -> None:
    done, left = at_site(store, said, tasks=2)
    said.progress(done, "finish", 1, state="succeeded", tree="e" * 64, usage={})
    said.crew(1, "ended", causes={"time-limit": 1})
    desk.look(3)
    assert said.submitted == [2]
    said.progress(left, state="running")
    said.crew(2, "ended", causes={"time-limit": 1})
    desk.look(3)
    assert [task.error_code for task in desk.run().tasks] == [None, "time-limit"]


def test_work_that_vanishes_and_is_done_again_does_not_count_twice(
    desk: Desk, said: Said, store: Store
) -> None:
    (key,) = at_site(store, said)
    for number in range(1, 6):
        said.progress(key, "detect", done=3)
        said.crew(number, "ended", causes={"node-lost": 1})
        desk.look(2)
        said.progress(key, "plan", done=0)
        desk.look(2)
    assert desk.task().error_code == "node-lost"
    assert said.submitted == [2, 3, 4]


def test_a_worker_that_dies_between_judging_and_starting_judges_the_same_again(
    desk: Desk, said: Said, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_site(store, said)
    said.crew(1, "ended")
    desk.look()
    with monkeypatch.context() as patched:
        patched.setattr(said, "submit", lambda *_: 1 / 0)
        desk.look(5)
    assert (store.runs.submission(SUBMISSION) or {})["effort"]["vain"] == 1
    desk.look()
    assert said.submitted == [2]


def test_what_a_person_wants_cancelled_is_not_said_to_be_cancelled_by_others(
    desk: Desk, said: Said, store: Store
) -> None:
    at_site(store, said)
    said.crew(1, "ended", causes={"cancelled": 1})
    desk.look()
    desk.runs.cancel(desk.run().run)
    desk.look()
    assert (desk.task().state, desk.task().error_code) == ("cancelled", None)


def test_another_try_after_a_failure_begins_with_a_clean_slate(desk: Desk, said: Said, store: Store) -> None:
    at_site(store, said)
    said.crew(1, "ended", causes={"time-limit": 1})
    desk.look(3)
    assert desk.runs.retry(desk.run().run) == 1
    task = desk.task()
    assert (task.state, task.attempt, task.log_end, task.error_code) == ("waiting", 2, (), None)


# the scheduler has forgotten


@pytest.mark.parametrize("away", [3600.0, 7 * 86400.0])
@pytest.mark.parametrize("epoch", ["a", "b"])
@pytest.mark.parametrize("progress", [("plan", 0), ("detect", 5)])
def test_a_server_that_was_away_takes_up_what_ended_meanwhile_and_the_scheduler_has_forgotten(
    desk: Desk,
    said: Said,
    store: Store,
    clock: Clock,
    away: float,
    epoch: str,
    progress: tuple[str, int],
) -> None:
    done, left, cancelled = at_site(store, said, tasks=3)
    said.crew(1, "running")
    for key in (done, left, cancelled):
        said.progress(key, "plan", 0)
    desk.look(2)
    clock.now += away
    said.epoch = epoch  # the gate may also have lost what it had told
    said.progress(done, "finish", 1, state="succeeded", tree="e" * 64, usage={})
    said.progress(left, *progress)
    said.progress(cancelled, state="cancelled")
    said.crew(1, "ended")  # forgotten: no cause is known
    desk.look(2)
    states = [task.state for task in desk.run().tasks]
    assert states == ["collecting", "running", "cancelled"]
    assert said.submitted == [2]
    said.crew(2, "running")
    said.progress(left, "finish", 1, state="succeeded", tree="f" * 64, usage={})
    desk.look(2)
    assert [task.state for task in desk.run().tasks] == ["collecting", "collecting", "cancelled"]
    assert said.submitted == [2]


def test_what_a_site_has_forgotten_altogether_is_handed_in_again_under_the_same_key(
    desk: Desk, said: Said, store: Store, clock: Clock
) -> None:
    (key,) = at_site(store, said)
    said.crew(1, "running")
    desk.look()
    clock.now += 7 * 86400.0
    said.attempts, said.crews, said.epoch = {}, {}, "b"
    desk.look()
    assert (desk.task().state, desk.task().attempt_key) == ("submitting", key)


def test_work_that_a_lost_submission_has_begun_and_cannot_end_is_begun_anew(
    desk: Desk, said: Said, store: Store
) -> None:
    (key,) = at_site(store, said)
    said.progress(key, submission="0" * 32)  # sealed after the backup that this database was restored from
    said.crew(1, "running", submission="0" * 32)
    desk.look()
    assert (desk.task().state, desk.task().attempt_key) == ("running", key)
    said.crew(1, "ended", submission="0" * 32)
    said.epoch = "b"
    desk.look()
    task = desk.task()
    assert task.state == "staging"
    assert task.attempt_key != key
    assert said.submitted == []


def test_while_the_scheduler_cannot_tell_nothing_is_started(
    desk: Desk, said: Said, store: Store, clock: Clock
) -> None:
    at_site(store, said)
    for _ in range(20):
        said.crew(1, "unknown")
        clock.now += 86400
        desk.look()
    assert (desk.task().state, said.submitted) == ("queued", [])


# words


def test_why_the_site_has_not_started_it_is_told_while_it_waits(desk: Desk, said: Said, store: Store) -> None:
    (key,) = at_site(store, said)
    said.crew(1, "queued", reason="Resources")
    desk.look()
    assert desk.task().waits == "waits for a free computer (Resources)"
    said.crew(1, "queued", reason="\x1b[2JPriority")
    desk.look()
    assert desk.task().waits is None
    said.crew(1, "queued", reason="SomethingNew")
    desk.look()
    assert desk.task().waits == "waits (SomethingNew)"
    said.crew(1, "running")
    said.progress(key)
    desk.look()
    assert (desk.task().state, desk.task().waits) == ("running", None)


def test_the_log_of_what_failed_is_fetched_before_the_site_lets_go_of_it(
    desk: Desk, said: Said, store: Store
) -> None:
    (key,) = at_site(store, said)
    said.logs[key] = b"".join(b"\x1b[31mline %d\x1b]0;owned\x07\r\n" % number for number in range(300))
    error = {"code": "no-nuclei", "message": "Nothing \x1b[2Jthere.\nAt all.", "transient": False}
    said.progress(key, "detect", state="failed", error=error)
    desk.look(2)
    assert said.released == [key]
    task = desk.task()
    assert (task.error_code, task.error) == ("no-nuclei", "Nothing there. At all.")
    assert task.log_end == tuple(f"line {number}" for number in range(280, 300))
    assert b"".join(piece for _name, piece in desk.runs.log(desk.run().run)).count(b"\n") == 300


def test_a_result_that_had_no_space_at_a_site_is_computed_again_only_after_a_while(
    tools: Tools, said: Said, store: Store, clock: Clock
) -> None:
    paces = {"local": Pace(space_seconds=300.0)}
    desk = Desk(replace(tools, gates={"local": said}, paces=paces))
    (key,) = at_site(store, said)
    error = {"code": "no-space", "message": "The site has no space left for this.", "transient": True}
    said.progress(key, state="failed", error=error)
    desk.look()
    assert (desk.task().state, desk.task().attempt, desk.task().trouble) == (
        "staging",
        2,
        "The site has no space left for this. [no-space]",
    )
    assert store.queue.claim("me", clock.now + 299.0, 30.0) is None
    assert store.queue.claim("me", clock.now + 300.0, 30.0) is not None


@pytest.mark.parametrize("code", ["", "Not A Code", "\x1b[2J", "x" * 61])
def test_a_code_that_a_workflow_made_up_is_not_taken_for_one(
    desk: Desk, said: Said, store: Store, code: str
) -> None:
    (key,) = at_site(store, said)
    said.progress(key, state="failed", error={"code": code, "message": "No."})
    desk.look()
    assert (desk.task().state, desk.task().error_code) == ("failed", "failed")


def test_a_failure_is_told_though_its_log_cannot_be_kept(
    desk: Desk, said: Said, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    (key,) = at_site(store, said)
    monkeypatch.setattr(said, "log", full)
    said.progress(key, state="failed", error={"code": "bad", "message": "No."})
    desk.look()
    assert (desk.task().state, desk.task().log_end) == ("failed", ())


@pytest.mark.parametrize(
    ("causes", "code", "words"),
    [
        ({"out-of-memory": 3}, "out-of-memory", "more memory"),
        ({"time-limit": 3}, "time-limit", "more minutes"),
        ({}, "step-crashed", "most often because its memory was used up"),
    ],
)
def test_a_process_that_was_killed_is_explained_by_what_the_scheduler_says(
    desk: Desk, said: Said, store: Store, causes: dict[str, int], code: str, words: str
) -> None:
    (key,) = at_site(store, said)
    said.crew(1, "running")
    said.progress(key, "detect", state="failed", error=KILLED)
    desk.look(2)
    assert desk.task().state == "queued"  # the job has not ended: the scheduler says nothing of it yet
    said.crew(1, "ended", causes=causes)
    desk.look()
    assert desk.task().error_code == code
    assert words in str(desk.task().error)
    assert said.submitted == []


def test_what_the_site_says_of_memory_is_told_with_what_to_do(desk: Desk, said: Said, store: Store) -> None:
    (key,) = at_site(store, said)
    error = {"code": "out-of-memory", "message": "Memory was used up: the class of this job has memory_mb 9."}
    said.progress(key, "detect", state="failed", error=error)
    desk.look()
    assert str(desk.task().error).startswith(error["message"] + " The administrator of the site can")
    assert str(desk.task().error).endswith(f"Then: slidegate retry {desk.run().run[:8]}")


def test_for_a_scheduler_that_says_nothing_a_killed_process_does_not_wait_for_long(
    desk: Desk, said: Said, store: Store, clock: Clock
) -> None:
    (key,) = at_site(store, said)
    said.crew(1, "running")
    said.progress(key, "detect", state="failed", error=KILLED)
    desk.look()
    clock.now += desk.tools.pace.cause_seconds
    desk.look()
    assert desk.task().error_code == "step-crashed"


KILLED = {"code": "step-crashed", "message": "The process of step detect failed: it ended with signal 9."}


# a site that does not answer


def test_a_site_that_does_not_answer_is_asked_less_and_less_often_and_says_when_it_was_heard_last(
    desk: Desk, said: Said, store: Store, clock: Clock
) -> None:
    at_site(store, said)
    desk.look()
    heard = clock.now
    clock.now += 100
    said.error = LinkDown()
    pauses = pauses_of(desk, clock, 8)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0, 15.0]
    assert (desk.run().heard_at, str(desk.run().trouble)[:24]) == (heard, "The site does not answer")
    said.error = None
    desk.look()
    assert desk.run().trouble is None
    assert store.sites.row("local")["tries"] == 0


def test_what_only_a_person_can_mend_is_asked_about_every_few_minutes_and_at_once_when_somebody_waits(
    desk: Desk, said: Said, store: Store, clock: Clock
) -> None:
    at_site(store, said)
    said.error = AuditBroken()
    assert pauses_of(desk, clock, 12)[-3:] == [300.0, 300.0, 300.0]
    assert "record" in str(desk.run().trouble)
    store.sites.hurry("local")
    said.error = None
    watch_site(desk.tools, "local", "me")
    assert desk.run().trouble is None


def pauses_of(desk: Desk, clock: Clock, times: int) -> list[float]:
    found = []
    for _ in range(times):
        watch_site(desk.tools, "local", "me")
        found.append(desk.tools.store.sites.row("local")["poll_at"] - clock.now)
        clock.now += found[-1]
    return found


@pytest.mark.parametrize("array", ["", "7"])
def test_work_of_an_unknown_submission_is_begun_anew_once_nobody_can_be_at_it(
    desk: Desk, said: Said, store: Store, array: str
) -> None:
    (key,) = at_site(store, said)
    desk.look()
    said.progress(key, submission="6" * 32)  # so says a site to a store from an old backup
    said.crew(1, "unknown", submission="6" * 32, array=array)
    desk.look(2)
    assert (desk.task().attempt, set(said.cancelled)) == ((1, set()) if array else (2, {key}))
    said.crew(1, "ended", submission="6" * 32, array=array)
    desk.look(2)
    assert (desk.task().attempt, set(said.cancelled)) == (2, {key})
