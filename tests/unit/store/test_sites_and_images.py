# SPDX-License-Identifier: BSD-3-Clause
from slidegate.domain import events
from slidegate.domain.states import State
from slidegate.domain.values import Digest, ImageRef, SubmissionId
from slidegate.store import Store
from slidegate.store.sites import AuditHead
from tests.unit.domain.histories import request

REF = ImageRef("folder", "/a.tif")


def at_site(store: Store, name: str = "one", tasks: int = 1) -> events.RunRequested:
    asked = request(name, tasks=tasks)
    store.history.request(asked, 1.0)
    for new in asked.tasks:
        for event in (
            events.StagingBegan(new.task, State.WAITING),
            events.Staged(new.task, State.STAGING, Digest("t" * 64)),
        ):
            store.history.append(asked.run, event, 2.0)
    names = tuple(new.task for new in asked.tasks)
    store.history.append(asked.run, events.Sealed(SubmissionId(asked.run[:32]), Digest("p" * 64), names), 2.0)
    for task in names:
        store.history.append(asked.run, events.Submitted(task, State.SUBMITTING), 2.0)
    return asked


def test_a_site_is_watched_by_one_worker_at_a_time_and_not_before_it_is_due(store: Store) -> None:
    watch = store.sites.claim("local", "a", 10.0, 5.0)
    assert watch is not None
    assert store.sites.claim("local", "b", 11.0, 5.0) is None
    store.sites.release(watch, poll_at=20.0)
    assert store.sites.claim("local", "b", 19.0, 5.0) is None
    assert store.sites.claim("local", "b", 20.0, 5.0) is not None


def test_a_site_that_was_put_off_before_the_clock_was_set_back_is_due(store: Store) -> None:
    watch = store.sites.claim("local", "a", 100_000.0, 5.0)
    assert watch is not None
    store.sites.release(watch, poll_at=100_001.0)
    assert store.sites.claim("local", "b", 1000.0, 5.0) is not None


def test_news_reach_a_task_that_comes_to_the_site_later(store: Store) -> None:
    watch = store.sites.claim("local", "a", 10.0, 5.0)
    assert watch is not None
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    key = store.runs.task(asked.tasks[0].task)["attempt_key"]
    assert store.sites.hear(watch, "c1", [{"attempt": key, "state": "running"}], False, 10.5)
    assert store.sites.news("local") == []
    for event in (
        events.StagingBegan(asked.tasks[0].task, State.WAITING),
        events.Staged(asked.tasks[0].task, State.STAGING, Digest("t" * 64)),
        events.Submitted(asked.tasks[0].task, State.SUBMITTING),
    ):
        store.history.append(asked.run, event, 11.0)
    assert [row["said"]["state"] for row in store.sites.news("local")] == ["running"]
    assert store.sites.news("elsewhere") == []


def test_who_lost_the_site_moves_neither_cursor_nor_news(store: Store) -> None:
    late = store.sites.claim("local", "a", 10.0, 5.0)
    now = store.sites.claim("local", "b", 20.0, 5.0)
    assert late is not None
    assert now is not None
    assert not store.sites.hear(late, "late", [{"attempt": "k", "state": "running"}], False, 20.0)
    assert store.sites.row("local")["cursor"] == ""
    assert store.sites.hear(now, "right", [], False, 20.0)
    assert store.sites.row("local")["cursor"] == "right"


def test_what_is_heard_of_crews_is_kept_with_the_cursor_and_an_earlier_round_is_not(store: Store) -> None:
    asked = at_site(store)
    sealed = events.Sealed(SubmissionId("s" * 32), Digest("p" * 64), ())
    store.history.append(asked.run, sealed, 3.0)
    watch = store.sites.claim("local", "a", 10.0, 5.0)
    assert watch is not None
    crew = {"submission": sealed.submission, "class": "cpu", "round": 2, "state": "ended", "array": "7"}
    unknown = {**crew, "submission": "u" * 32}
    earlier = {**crew, "round": 1, "state": "running"}
    assert store.sites.hear(watch, "c1", [], False, 10.5, [unknown, crew, earlier])
    row = store.runs.submission(sealed.submission)
    assert row is not None
    assert row["crews"] == {"cpu": {"round": 2, "state": "ended", "array": "7"}}
    late = store.sites.claim("local", "b", 20.0, 5.0)
    assert late is not None
    assert not store.sites.hear(watch, "c2", [], False, 20.5, [{**crew, "round": 3}])
    assert store.runs.submission(sealed.submission) == row


def test_a_full_answer_replaces_what_was_heard_before(store: Store) -> None:
    asked = at_site(store)
    key = store.runs.task(asked.tasks[0].task)["attempt_key"]
    watch = store.sites.claim("local", "a", 10.0, 5.0)
    assert watch is not None
    store.sites.hear(watch, "c", [{"attempt": key, "state": "running"}], False, 10.0)
    store.sites.hear(watch, "d", [], True, 11.0)
    assert store.sites.news("local")[0]["said"] is None


def test_attempts_that_no_unfinished_task_needs_are_let_go_of(store: Store) -> None:
    asked = at_site(store, tasks=2)
    keys = [row["attempt_key"] for row in store.runs.tasks(asked.run)]
    watch = store.sites.claim("local", "a", 10.0, 5.0)
    assert watch is not None
    store.sites.hear(watch, "c", [{"attempt": key, "state": "running"} for key in keys], False, 10.0)
    assert store.sites.done_with("local") == []
    store.history.append(asked.run, events.Cancelled(asked.tasks[0].task, State.QUEUED), 11.0)
    assert [said["attempt"] for said in store.sites.done_with("local")] == [keys[0]]
    store.sites.forget("local", [keys[0]])
    assert store.sites.done_with("local") == []
    assert [row["said"]["attempt"] for row in store.sites.news("local")] == [keys[1]]


def test_attempts_of_another_server_are_never_let_go_of_but_those_of_a_deleted_run_are(store: Store) -> None:
    asked = at_site(store)
    key = store.runs.task(asked.tasks[0].task)["attempt_key"]
    store.history.append(asked.run, events.Cancelled(asked.tasks[0].task, State.QUEUED), 9.0)
    store.runs.delete(asked.run)
    watch = store.sites.claim("local", "a", 10.0, 5.0)
    assert watch is not None
    said = [{"attempt": name, "state": "running"} for name in (key, "f" * 64)]
    store.sites.hear(watch, "c", said, True, 10.0)
    assert [said["attempt"] for said in store.sites.done_with("local")] == [key]


def test_the_audit_head_only_goes_forward(store: Store) -> None:
    store.sites.audit_head("local")
    store.sites.advance_head("local", AuditHead(5, "e" * 64))
    store.sites.advance_head("local", AuditHead(4, "d" * 64))
    assert store.sites.audit_head("local") == AuditHead(5, "e" * 64)
    store.sites.reset("local")
    assert store.sites.audit_head("local").seq == 0


def test_an_image_is_known_by_source_image_fingerprint_and_converter(store: Store) -> None:
    entries = [("zarr.json", 3, "a" * 64)]
    for _ in range(2):
        store.images.remember_staged(REF, "f", "1", Digest("t" * 64), entries)
    known = store.images.staged(REF, "f", "1")
    assert known is not None
    assert (known.tree, known.entries) == ("t" * 64, (("zarr.json", 3, "a" * 64),))
    assert store.images.staged(REF, "g", "1") is None
    assert store.images.staged(REF, "f", "2") is None


def test_a_content_digest_is_remembered_for_one_fingerprint(store: Store) -> None:
    for _ in range(2):
        store.images.remember_content(REF, "f", Digest("c"))
    assert store.images.content(REF, "f") == "c"
    assert store.images.content(REF, "g") is None
