# SPDX-License-Identifier: BSD-3-Clause
"""The real code of submit, claim and commit, one system call at a time, in orders that hypothesis finds.

Two servers with one key, one of which may be restored from an old backup, ask gates; a scheduler loses,
repeats, delays, forgets and lies; gates and members are killed anywhere. Whatever happens on the way: what
was created exclusively never changes, nobody computes who should not, and nobody is told two different
ends. When all has come to rest, each Attempt has one end, which is true.
"""

import copy
import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from slidegate_gate.errors import SchedulerError, SchedulerUnknown
from slidegate_gate.protocol.canonical import canonical
from slidegate_gate.runner import main as runner
from slidegate_gate.runner.step_process import StepCrashed
from slidegate_gate.serve import files, trees

from tests.models import stage as staging

sys.path.insert(0, str(Path(__file__).parents[2] / "gate" / "tests"))
from support import RELEASE, Site, key_of

pytestmark = pytest.mark.slow

PACKINGS = ((1, 2), (3,), (1, 2, 3), (2,))  # the first two are one server's, the others another's
CREATE = files.create_json
ENDS = ("succeeded", "failed", "cancelled")
MOODS = ("well", "well", "well", "fails", "fails after", "late", "late after", "silent")
REFUSALS = {
    "scheduler-unknown",
    "scheduler-refused",
    "round-too-early",
    "bad-request",
    "not-finished",
}
STEPS = st.sampled_from([1, 1, 2, 3, 5, 8, 13, 40, 200])


class Scheduler:
    """Starts members on the stage; what it tells, and when, is up to its mood."""

    def __init__(self, machine: "OneEffect") -> None:
        self.machine = machine
        self.arrays: dict[str, dict[str, Any]] = {}
        self.mood = "well"

    def submit(self, name: str, argv: list[str], count: int, resources: dict[str, Any]) -> str:
        staging.stop()
        mood = self.mood
        if mood == "fails":
            raise SchedulerError("it did not start")
        number = str(1 + len(self.arrays))
        state = "late" if mood.startswith("late") else "listed"
        self.arrays[number] = {"name": name, "argv": argv, "count": count, "state": state, "members": []}
        if state == "listed":
            self.start(number)
        staging.stop()
        if mood.endswith("after"):
            raise SchedulerUnknown("it cannot be told whether it started")
        return number

    def start(self, number: str) -> None:
        array = self.arrays[number]
        array["state"] = "listed"
        array["members"] += [self.machine.member(number, array["argv"]) for _ in range(array["count"])]

    def find(self, name: str) -> list[str]:
        staging.stop()
        self._answer()
        return [one for one, array in self.arrays.items() if array["name"] == name and self.shows(one)]

    def states(self, arrays: list[str]) -> dict[str, dict[str, Any]]:
        staging.stop()
        self._answer()
        return {one: {"state": "running" if self.lives(one) else "ended"} for one in arrays}

    def cancel(self, array: str) -> None:
        staging.stop()
        self._answer()
        self.end(array)

    def _answer(self) -> None:
        if self.mood == "silent":
            raise SchedulerUnknown("it does not answer")

    def shows(self, array: str) -> bool:
        """An array that comes up late, or was forgotten, is not shown."""
        return self.arrays[array]["state"] in ("listed", "ended")

    def lives(self, array: str) -> bool:
        """What is not shown is said to have ended, also if that is a lie."""
        members = self.arrays[array]["members"]
        return self.arrays[array]["state"] == "listed" and not all(member.over for member in members)

    def end(self, array: str) -> None:
        """Kill all members; one that is on the stage right now is left."""
        if self.arrays[array]["state"] == "listed":
            for member in self.arrays[array]["members"]:
                if not member.over and member is not threading.current_thread():
                    member.kill()
            self.arrays[array]["state"] = "ended"


class Program:
    """In place of the process that computes: a try of the last step writes a number of its own."""

    def __init__(self, *arguments: Any) -> None:
        self.scratch, self.process = "", None

    def ask(self, request: dict[str, Any], log: str, wanted: Any) -> dict[str, Any]:
        actor = threading.current_thread()
        assert isinstance(actor, staging.Actor)
        actor.part["machine"].check_may_compute(actor, request)
        staging.stop()
        try:
            (Path(request["shared"]) / "labels").write_text("the same")
            if request["step"] == "finish":
                effect = {"of": request["attempt"]["key"], "try": request["out"]}
                (Path(request["out"]) / "effect.json").write_text(json.dumps(effect))
        except OSError as error:  # the Attempt was released meanwhile
            raise StepCrashed(str(error)) from error
        staging.stop()
        return {"result": {}, "units": ["first", "second"] if request["step"] == "plan" else []}

    def usage(self) -> tuple[float, int]:
        return 0.0, 0

    def close(self) -> None:
        pass


class OneEffect(RuleBasedStateMachine):
    """The rules are what may happen; the invariants hold after each."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(
            prefix="one-effect-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
        )
        self.patches = [
            mock.patch.object(runner, "StepProcess", Program),
            mock.patch.object(runner, "signal", mock.MagicMock()),
            mock.patch.object(runner, "adapter", lambda config: Scheduler_),
            mock.patch.object(tempfile, "tempdir", self.folder),
        ]
        for patch in self.patches:
            patch.start()
        self.stage = staging.Stage(self.folder)
        self.directed = staging.directed(self.stage)
        self.directed.__enter__()
        self.scheduler = Scheduler(self)
        self.site = Site(f"{self.folder}/home", {"requests_per_minute": 10**6})
        self.site.config.update(lease_seconds=1, idle_seconds=2)
        self.site.write_config()
        self.site.release["manifest"].update(
            command=["python", "./steps.py"],
            outputs={"labels": {"path": "labels"}, "effect": {"path": "effect.json"}},
        )
        files.write_json(self.site.layout().release(RELEASE), self.site.release)
        self.site.scheduler = self.scheduler
        self.plans = [self.site.plan(numbers) for numbers in PACKINGS]
        self.site.reconnect()
        self.layout = self.site.layout()
        self.rounds = dict.fromkeys(range(len(PACKINGS)), 1)
        self.kept: dict[Path, bytes] = {}
        self.told: dict[str, str] = {}
        self.wanted: set[int] = set()
        self.released = False

    # what may be asked

    def ask(self, verb: str, **fields: Any) -> staging.Actor:
        """Let a new gate, on a connection of its own, answer one request."""

        def act() -> Any:
            self.site.count += 1
            connection = copy.copy(self.site)
            connection.gates = {}
            return connection.say(dict(fields, id=f"{self.site.count:x}", verb=verb))[0]

        return self.stage.enter(act, verb=verb, **fields)

    def member(self, array: str, argv: list[str]) -> staging.Actor:
        """Let a member stand ready; it runs the argument list that the gate gave to the scheduler."""
        return self.stage.enter(
            lambda: runner.main(argv[argv.index("runner") + 1 :]), verb="member", array=array, machine=self
        )

    @rule(packing=st.integers(0, 3), ahead=st.booleans(), steps=STEPS)
    def submit(self, packing: int, ahead: bool, steps: int) -> None:
        self.wanted.add(packing)
        self.rounds[packing] += ahead and self.rounds[packing] < 6
        actor = self.ask("submit", plan=self.plans[packing], round=self.rounds[packing])
        actor.part["packing"] = packing
        actor.go_on(steps)

    @rule(packing=st.sampled_from([0, 1]), steps=STEPS)
    def restore_a_server_from_an_old_backup(self, packing: int, steps: int) -> None:
        self.rounds[packing] = 1
        self.ask("submit", plan=self.plans[packing], round=1).go_on(steps)

    @rule(steps=STEPS)
    def look(self, steps: int) -> None:
        self.ask("status", cursor="").go_on(steps)

    @rule(number=st.integers(1, 3), steps=STEPS)
    def cancel(self, number: int, steps: int) -> None:
        self.ask("cancel", attempts=[key_of(number)]).go_on(steps)

    @precondition(lambda self: self.told)
    @rule(steps=STEPS)
    def release(self, steps: int) -> None:
        self.released = True
        self.ask("release", attempts=sorted(self.told)[:1]).go_on(steps)

    # how it goes on

    @precondition(lambda self: self.stage.actors)
    @rule(choice=st.integers(0, 50), steps=STEPS)
    def go_on(self, choice: int, steps: int) -> None:
        self.stage.actors[choice % len(self.stage.actors)].go_on(steps)

    @precondition(lambda self: self.stage.actors)
    @rule(steps=st.integers(1, 60))
    def all_go_on(self, steps: int) -> None:
        for _ in range(steps):
            for actor in list(self.stage.actors):
                actor.go_on()

    @precondition(lambda self: self.stage.actors)
    @rule(choice=st.integers(0, 50))
    def kill(self, choice: int) -> None:
        self.stage.actors[choice % len(self.stage.actors)].kill()

    @rule(mood=st.sampled_from(MOODS))
    def the_scheduler_changes_its_mood(self, mood: str) -> None:
        self.scheduler.mood = mood

    @precondition(lambda self: self.scheduler.arrays)
    @rule(choice=st.integers(0, 20), what=st.sampled_from(["come up", "end", "forget", "start again"]))
    def something_happens_to_an_array(self, choice: int, what: str) -> None:
        number = sorted(self.scheduler.arrays)[choice % len(self.scheduler.arrays)]
        array = self.scheduler.arrays[number]
        if what == "come up" and array["state"] == "late":
            self.scheduler.start(number)
        if what == "end":
            self.scheduler.end(number)
        if what == "forget" and array["state"] == "ended":
            array["state"] = "forgotten"
        if what == "start again" and array["state"] == "listed":  # while its former life may go on
            array["members"].append(self.member(number, array["argv"]))

    # what has to hold

    @invariant()
    def nothing_that_was_created_exclusively_changes(self) -> None:
        for actor in self.stage.clear():
            self._hear(actor)
        found = {}
        for pattern in ("attempts/*/[!.]*.json", "submissions/*/[!.]*.json"):
            for path in Path(self.layout.state).glob(pattern):
                found[path] = path.read_bytes()
        for path, data in self.kept.items():
            assert found.get(path) == data, f"{path} changed"
        self.kept = found

    def _hear(self, actor: staging.Actor) -> None:
        if isinstance(actor.error, FileNotFoundError) and actor.part["verb"] == "member" and self.released:
            return  # it died of a folder that was let go of while it worked there
        if actor.error is not None:
            raise actor.error
        answer = actor.answer
        if actor.part["verb"] == "member" or answer is None:  # it was killed
            return
        if not answer["ok"]:
            assert answer["error"]["code"] in REFUSALS, (actor.part, answer)
            return
        if actor.part["verb"] == "cancel":
            for attempt, state in answer["attempts"].items():
                self._tell(attempt, state)
        if actor.part["verb"] == "status":
            for view in answer["attempts"]:
                if view["state"] in ENDS:
                    self._tell(view["attempt"], view["state"], view.get("tree", ""))

    def _tell(self, attempt: str, state: str, tree: str | None = None) -> None:
        """Nobody may be told anything but what anybody was told before, and what stands in the result."""
        result = files.read_json(self.layout.result(attempt))
        assert (state, tree) in ((result["state"], result.get("tree", "")), (result["state"], None))
        assert self.told.setdefault(attempt, canonical(result).decode()) == canonical(result).decode()

    def check_may_compute(self, actor: staging.Actor, request: dict[str, Any]) -> None:
        """A member computes for the crew that its array has the claim of, and for Attempts of its own."""
        submission = request["attempt"]["submission"]
        argv = self.scheduler.arrays[actor.part["array"]]["argv"]
        named = dict(zip(argv[4::2], argv[5::2], strict=False))
        claim = self.layout.crew("claim", submission, named["--class"], int(named["--round"]))
        assert (files.read_json(claim) or {}).get("array") == actor.part["array"]
        assert named["--submission"] == submission
        owner = json.loads(Path(self.layout.owner(request["attempt"]["key"])).read_bytes())
        assert owner["submission"] == submission

    # the end

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.come_to_rest()
        finally:
            self.stage.kill_all()
            self.directed.__exit__(None, None, None)
            for patch in self.patches:
                patch.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def come_to_rest(self) -> None:
        """Let all go on undisturbed, with one server that repeats what was asked for until all has ended."""
        self.scheduler.mood = "well"
        for number, array in list(self.scheduler.arrays.items()):
            if array["state"] == "late":
                self.scheduler.start(number)
        self.settle()
        for _ in range(8):
            left = {
                number for packing in self.wanted for number in PACKINGS[packing] if not self.result(number)
            }
            owners = [files.read_json(self.layout.owner(key_of(number))) for number in left]
            theirs = {owner["submission"] for owner in owners if owner}
            for packing, plan in enumerate(self.plans):
                if (packing in self.wanted and left & set(PACKINGS[packing])) or plan[:32] in theirs:
                    for ahead in (0, 1):  # the last round may not have been confirmed
                        self.ask("submit", plan=plan, round=max(1, self.last_round(plan[:32]) + ahead))
                        self.settle()
        self.ask("status", cursor="")
        self.settle()
        for packing in self.wanted:
            for number in PACKINGS[packing]:
                self.check_end(number)

    def last_round(self, submission: str) -> int:
        names = files.names_in(self.layout.submission_dir(submission))
        return max([int(name.split(".")[1]) for name in names if name.endswith("intent.json")] or [0])

    def settle(self) -> None:
        self.stage.play_to_the_end()
        self.nothing_that_was_created_exclusively_changes()

    def result(self, number: int) -> Any:
        return files.read_json(self.layout.result(key_of(number)))

    def check_end(self, number: int) -> None:
        result = self.result(number)
        assert result, f"Attempt {number} has no end"
        if result["state"] == "failed":
            assert result["error"]["code"] == "step-crashed", result
        if result["state"] == "succeeded":
            entries = {name: blob for name, _, blob in trees.load_tree(self.layout, result["tree"])}
            assert sorted(entries) == ["effect.json", "labels"]
            effect = json.loads(Path(self.layout.blob(entries["effect.json"])).read_bytes())
            assert effect["of"] == key_of(number)


class Scheduler_:  # noqa: N801 - what a member asks its scheduler
    """Tells a member who it is."""

    @staticmethod
    def identity(environ: Any) -> tuple[str, str]:
        actor = threading.current_thread()
        assert isinstance(actor, staging.Actor)
        return actor.part["array"], "0"


def play(orders: int) -> None:
    """Try so many orders of everything."""
    phases = [Phase.generate] + [Phase.shrink] * ("SLIDEGATE_SHRINK" in os.environ)
    chosen = settings(max_examples=orders, stateful_step_count=50, deadline=None, derandomize=True)
    run_state_machine_as_test(
        OneEffect, settings=settings(chosen, phases=phases, suppress_health_check=list(HealthCheck))
    )


def test_each_attempt_has_one_end_in_whatever_order_the_steps_are_taken_and_whoever_dies() -> None:
    play(int(os.environ.get("SLIDEGATE_ORDERS", "100")))


def replaced(path: str, record: Any) -> bool:
    """What files.create_json would be if it did not look, for results."""
    if path.endswith("result.json"):
        files.write_json(path, record)
        return True
    return CREATE(path, record)


def claimed(path: str, record: Any) -> bool:
    """What files.create_json would be if every claim were the first."""
    return CREATE(path, record) or path.endswith("claim.json")


@pytest.mark.parametrize(
    ("room", "name", "carelessly"),
    [
        (files, "create_json", replaced),
        (files, "create_json", claimed),
        (runner, "owned", lambda layout, submission, plan: plan["attempts"]),
    ],
    ids=["results are not created exclusively", "nobody looks at the claim", "nobody looks at the owner"],
)
def test_a_precaution_left_out_is_noticed(room: Any, name: str, carelessly: Any) -> None:
    with mock.patch.object(room, name, carelessly), pytest.raises((AssertionError, ExceptionGroup)):
        play(400)
