# SPDX-License-Identifier: BSD-3-Clause
"""A copy of the store, a store made of it, and what it then does first."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from slidegate.domain import events
from slidegate.domain.events import fold
from slidegate.domain.states import State
from slidegate.domain.values import Digest, RunId, SubmissionId, TaskId, digest_of
from slidegate.store import Store
from slidegate.store import backup as backups
from slidegate.store.asking import Reconciling
from slidegate.store.backup import BackupFailed, BadBackup, StoreNotEmpty, back_up, restore
from slidegate.store.database import HEAD, StoreTooNew
from slidegate.store.queue import Claim
from tests.unit.domain.histories import request


def lost(url: str) -> None:
    """Take all that is in a store away."""
    if url.startswith("sqlite"):
        for path in Path(url.removeprefix("sqlite:///")).parent.glob("slidegate.db*"):
            path.unlink()
        return
    store = Store.open(url)
    with store.database.write() as connection:
        backups._drop_all(connection)
    store.close()


def test_a_restored_store_holds_what_was_there_and_first_hears_from_the_sites(
    store: Store, url: str, tmp_path: Path
) -> None:
    asked = request()
    store.history.request(asked, 1.0)
    store.accounts.set("ada", "lead", "lab", 1.0)
    store.sites.audit_head("local")
    store.close()
    assert back_up(url, tmp_path / "b") > 1000
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    lost(url)
    assert restore(url, tmp_path / "b", 50.0) == ["local"]

    again = Store.open(url)
    assert again.runs.view(asked.run) == fold(asked.run, again.history.of(asked.run))
    assert again.accounts.get("ada").group == "lab"
    assert again.sites.reconciling() == {"local": 50.0}
    assert again.queue.claim("w", 60.0, 5.0) is None
    with pytest.raises(Reconciling):
        again.asking.retry(asked.run, 60.0)
    launch = again.wishes.ask("launch", "ada", {}, 60.0)
    browse = again.wishes.ask("browse", "ada", {}, 60.0)
    held = again.wishes.claim("w", 60.0, 5.0, ["launch", "browse"])
    assert held is not None
    assert held.wish.id == browse.id
    assert again.wishes.claim("w", 60.0, 5.0, ["launch", "browse"]) is None
    assert again.sites.reconciled("local")
    assert not again.sites.reconciled("local")
    assert again.queue.claim("w", 60.0, 5.0) is not None
    held = again.wishes.claim("w", 60.0, 5.0, ["launch", "browse"])
    assert held is not None
    assert held.wish.id == launch.id
    again.close()


def test_a_backup_is_taken_while_others_write_and_is_of_one_moment(
    store: Store, url: str, tmp_path: Path
) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    with store.database.write() as connection:
        connection.execute(text("UPDATE run SET out = 'half done'"))
        back_up(url, tmp_path / "b")
    store.close()
    lost(url)
    restore(url, tmp_path / "b", 2.0)
    again = Store.open(url)
    assert again.runs.run(asked.run)["out"] == "folder:/out"
    again.close()


def test_nothing_that_is_there_is_overwritten(store: Store, url: str, tmp_path: Path) -> None:
    back_up(url, tmp_path / "b")
    with pytest.raises(BackupFailed, match="not overwritten"):
        back_up(url, tmp_path / "b")
    store.history.request(request(), 1.0)
    store.close()
    with pytest.raises(StoreNotEmpty, match="in use"):
        restore(url, tmp_path / "b", 2.0)
    again = Store.open(url)
    assert len(again.runs.all()) == 1
    again.close()


def test_a_backup_that_cannot_be_written_leaves_nothing(store: Store, url: str, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="No such file"):
        back_up(url, tmp_path / "nowhere" / "b")
    assert list(tmp_path.glob("*b*")) == list(tmp_path.glob("slidegate.db*"))


def test_what_is_no_backup_is_refused_in_words(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"Not what it should be. " * 1000)
    with pytest.raises(BadBackup):
        restore(empty_url, tmp_path / "b", 1.0)
    with pytest.raises(BadBackup, match="no file"):
        restore(empty_url, tmp_path / "c", 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


def test_a_backup_of_a_later_version_is_refused(store: Store, url: str, tmp_path: Path) -> None:
    with store.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    back_up(url, tmp_path / "b")
    lost_of_any_version(url)
    with pytest.raises(StoreTooNew):
        restore(url, tmp_path / "b", 1.0)


def lost_of_any_version(url: str) -> None:
    if not url.startswith("sqlite"):
        store = Store(backups.Database(url))
        with store.database.write() as connection:
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{HEAD}'"))
        store.close()
    lost(url)


def test_a_restore_that_was_interrupted_leaves_no_store_that_opens_and_can_be_repeated(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request()
    store.history.request(asked, 1.0)
    store.close()
    back_up(url, tmp_path / "b")
    lost(url)

    def killed(*_of: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(backups, "begin", killed)
        restore(url, tmp_path / "b", 2.0)
    if not url.startswith("sqlite"):
        with pytest.raises(Exception, match=r"exists|cannot be used"):
            Store.open(url)
    restore(url, tmp_path / "b", 3.0)
    again = Store.open(url)
    assert [row["id"] for row in again.runs.all()] == [asked.run]
    assert again.sites.reconciling() == {"local": 3.0}
    again.close()


def test_a_missing_program_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "_program", lambda name: "/nowhere/" + name)
    with pytest.raises(BackupFailed, match="pg_dump did not do it"):
        back_up("postgresql+psycopg://slidegate@/nothing", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@dataclass
class Site:
    """What a gate promises: of one Attempt at most one effect, kept however often it is asked for."""

    effects: dict[str, int] = field(default_factory=dict)

    def submit(self, attempt: str) -> None:
        if attempt not in self.effects:
            self.effects[attempt] = len(self.effects) + 1

    def status(self) -> list[dict[str, object]]:
        return [{"attempt": name, "state": "succeeded"} for name in self.effects]


@dataclass
class Service:
    """Moves Tasks as a worker does: first the site's news, then whatever the queue hands out."""

    store: Store
    site: Site
    published: dict[str, list[int]]
    now: float = 1000.0

    def run(self, steps: int) -> int:
        done = 0
        for _ in range(steps):
            self.now += 1.0
            self._watch()
            claim = self.store.queue.claim("w", self.now, 60.0)
            if claim is None:
                continue
            self._step(claim)
            self.store.queue.finish([claim])
            done += 1
        return done

    def _watch(self) -> None:
        watch = self.store.sites.claim("local", "w", self.now, 60.0)
        assert watch is not None
        self.store.sites.hear(watch, "c", self.site.status(), True, self.now)
        for row in self.store.sites.news("local"):
            task, state = TaskId(row["id"]), State(row["state"])
            event: events.Move = events.Forgotten(task, state)
            if row["said"] is not None:
                event = events.Computed(task, state, Digest("r" * 64), {})
            self.store.history.append(RunId(row["run"]), event, self.now)
        self.store.sites.release(watch, self.now)
        self.store.sites.reconciled("local")

    def _step(self, claim: Claim) -> None:
        state = State(claim.row["state"])
        steps: list[events.Event] = []
        match state:
            case State.WAITING:
                steps = [events.StagingBegan(claim.task, state)]
            case State.STAGING:
                steps = [events.Staged(claim.task, state, Digest("t" * 64))]
            case State.SUBMITTING:
                plan = digest_of(claim.row["attempt_key"])
                steps = [events.Sealed(SubmissionId(plan[:32]), plan, (claim.task,))]
                self.site.submit(claim.row["attempt_key"])
                steps.append(events.Submitted(claim.task, state))
            case State.COLLECTING:
                steps = [events.Collected(claim.task, state, ())]
            case State.PUBLISHING:
                effect = self.site.effects[claim.row["attempt_key"]]
                written = self.published.setdefault(claim.task, [])
                if effect not in written:
                    written.append(effect)
                steps = [events.Published(claim.task, state, f"/out/{claim.task}")]
        for event in steps:
            self.store.history.append(claim.run, event, self.now, claim.held)


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 7, 23])
def test_the_drill_loses_and_doubles_nothing(store: Store, url: str, tmp_path: Path, before: int) -> None:
    site, published = Site(), {}
    first, second = request("one", tasks=4), request("two", tasks=3)
    service = Service(store, site, published)
    store.history.request(first, 1.0)
    service.run(before)
    back_up(url, tmp_path / "b")
    service.run(20)  # which the backup knows nothing of
    store.history.request(second, 2.0)
    service.run(40)
    store.close()
    lost(url)

    began = time.monotonic()
    restore(url, tmp_path / "b", service.now)
    again = Store.open(url)
    service = Service(again, site, published, service.now)
    assert again.queue.claim("w", service.now, 60.0) is None
    service.run(60)
    took = time.monotonic() - began

    again.history.request(second, 2.0)  # the same is asked for again, and is the same Run
    service.run(60)
    for asked in (first, second):
        assert again.pages.run_row(asked.run).state == "succeeded"
        assert again.runs.view(asked.run) == fold(asked.run, again.history.of(asked.run))
        assert all(len(published[new.task]) == 1 for new in asked.tasks)
    assert len(site.effects) == 7
    again.close()
    print(f"restored and reconciled in {took:.1f} s")
    assert took < 60.0
