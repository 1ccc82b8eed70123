# SPDX-License-Identifier: BSD-3-Clause
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import IntegrityError

from slidegate.domain.events import fold
from slidegate.domain.states import FINISHED, State, run_state
from slidegate.store import Store, queue, tables
from slidegate.store.database import HEAD, Database, StoreTooNew, StoreUnusable
from slidegate.store.leases import CANCEL, STEPS
from tests.postgres import Postgres, running
from tests.unit.domain.histories import request

pytestmark = pytest.mark.slow

EARLIER = Path(__file__).parents[2] / "data" / "store"
"""Rows as slidegate wrote them when its tables were those of an earlier version."""


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(store: Store) -> None:
    with store.database.write() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []


def test_the_last_migration_is_the_one_that_the_code_expects() -> None:
    assert ScriptDirectory("src/slidegate/store/migrations").get_current_head() == HEAD


def written_by(version: str, url: str) -> dict[str, list[dict[str, object]]]:
    """Make a store of an earlier version with rows in it; return them."""
    database = Database(url)
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", "slidegate.store:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        for statement in (EARLIER / version / "rows.sql").read_text().splitlines():
            connection.exec_driver_sql(statement)
    before = content_of(database)
    database.close()
    return before


def kept_of(before: dict[str, list[dict[str, object]]], store: Store) -> None:
    """Fail unless a store still holds all that was there."""
    after = content_of(store.database)
    for table, rows in before.items():
        if table != "alembic_version":
            names = list(rows[0]) if rows else []
            kept = [{name: row[name] for name in names} for row in after[table]]
            assert sorted(kept, key=repr) == sorted(rows, key=repr), table


def test_a_store_of_the_first_version_keeps_all_that_it_holds_when_it_is_brought_up_to_date(
    empty_url: str,
) -> None:
    before = written_by("0001", empty_url)
    store = Store.open(empty_url)
    kept_of(before, store)
    (run,) = store.runs.all()
    assert store.runs.view(run["id"]) == fold(run["id"], store.history.of(run["id"]))
    assert store.sites.row("local")["tries"] == 0
    submission = store.runs.submission(store.runs.tasks(run["id"])[0]["submission"])
    assert submission is not None
    assert (submission["effort"], submission["crews"]["cpu"]["state"]) == (None, "ended")
    assert store.people.add("ada", 1.0)
    store.close()


def test_a_store_of_the_third_version_is_brought_up_to_date_with_what_its_rows_say(empty_url: str) -> None:
    before = written_by("0003", empty_url)
    store = Store.open(empty_url)
    kept_of(before, store)
    found, _none = store.pages.runs_page()
    assert len(found) == 6
    for row in found:
        dated = store.history.dated(row.run)
        tasks = store.runs.tasks(row.run)
        states = [State(task["state"]) for task in tasks]
        assert store.runs.view(row.run) == fold(row.run, [event for _at, event in dated])
        assert row.counts == Counter(states)
        assert row.state == run_state(states)
        assert row.changed_at == dated[-1][0]
        assert (row.ended_at is not None) == (row.state in FINISHED)
        for task in tasks:
            assert task["person"] == row.person
            step = STEPS.get(State(task["state"]), 0)
            assert task["claimable"] == (CANCEL if step and task["wanted"] == "cancel" else step)
    assert sorted(row.state for row in found) == [
        "active", "cancelled", "failed", "succeeded", "waiting", "waiting",
    ]  # fmt: skip
    one = next(row.run for row in found if row.state == "succeeded")
    assert store.pages.costs(one).core_hours == pytest.approx(8.5 / 3600)
    assert store.pages.costs(one).bytes_moved == 103
    taken = []
    while claim := store.queue.claim("w", 1800000000.0, 60.0):
        taken.append(claim.row["person"])
    assert Counter(taken) == {"ada": 3, "Zoë": 3}
    assert taken[:4] in (["ada", "Zoë", "ada", "Zoë"], ["Zoë", "ada", "Zoë", "ada"])
    store.close()


def content_of(database: Database) -> dict[str, list[dict[str, object]]]:
    """All rows of all tables."""
    with database.read() as connection:
        return {
            name: [dict(row) for row in connection.execute(text(f"SELECT * FROM {name}")).mappings()]
            for name in inspect(connection).get_table_names()
        }


def test_a_store_of_a_later_version_is_refused_in_words(url: str) -> None:
    Store.open(url).close()
    database = Database(url)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew):
        database.migrate()
    database.close()


def test_opening_again_changes_nothing(url: str) -> None:
    for _ in range(2):
        store = Store.open(url)
        assert store.runs.all() == []
        store.close()


@pytest.mark.slow
def test_four_processes_may_open_a_new_store_at_the_same_time(empty_url: str) -> None:
    code = f"from slidegate.store import Store; Store.open({empty_url!r}).sites.audit_head('local')"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]


def test_a_transaction_that_raises_leaves_nothing_behind(store: Store) -> None:
    def interrupted() -> None:
        with store.database.write() as connection:
            connection.execute(
                tables.content.insert().values(source="s", image="i", fingerprint="f", digest="d")
            )
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with store.database.read() as connection:
        assert connection.execute(tables.content.select()).all() == []


def test_no_construct_of_one_database_alone_is_used() -> None:
    for path in Path(queue.__file__).parent.rglob("*.py"):
        names = re.findall(r"sqlalchemy\.dialects|on_conflict|INSERT OR|rowid|julianday", path.read_text())
        assert names == [], path


def test_a_full_disk_is_said_in_words_and_nothing_is_half_written(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/s.db")
    with store.database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnusable, match="disk is full"):
        store.history.request(request(tasks=5000), 1.0)
    assert store.runs.all() == []
    store.close()


def test_a_database_that_cannot_be_opened_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="unable to open"):
        Store.open(f"sqlite:///{tmp_path}/nowhere/s.db")


def test_a_file_that_is_no_database_or_a_damaged_one_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "slidegate.db"
    path.write_bytes(b"Not what it should be. " * 1000)
    with pytest.raises(StoreUnusable, match="not a database"):
        Store.open(f"sqlite:///{path}")


def test_a_fault_in_a_statement_is_not_laid_on_the_database(store: Store) -> None:
    with pytest.raises(IntegrityError), store.database.write() as connection:
        for _ in range(2):
            connection.execute(
                insert(tables.content).values(source="s", image="i", fingerprint="f", digest="d")
            )


@pytest.mark.postgres
def test_a_server_that_was_killed_is_said_in_words_and_used_again_when_it_is_back() -> None:
    with running() as server:
        store = Store.open(server.create())
        assert store.history.request(request(), 1.0)
        server.kill()
        with pytest.raises(StoreUnusable):
            store.runs.all()
        with pytest.raises(StoreUnusable):
            store.history.request(request("two"), 1.0)
        server.start()
        assert [row["id"] for row in store.runs.all()] == [request().run]
        store.close()


@pytest.mark.postgres
def test_a_connection_that_the_server_ended_is_replaced(postgres: Postgres, migrated: str) -> None:
    url = postgres.create(like=migrated)
    store = Store.open(url)
    assert store.runs.all() == []
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert store.runs.all() == []
    store.close()
    postgres.drop(url)


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be used"):
        Store.open(f"postgresql+psycopg://slidegate@/nothing?host={tmp_path}")


@pytest.mark.postgres
def test_each_statement_is_planned_for_its_own_values(postgres: Postgres, migrated: str) -> None:
    url = postgres.create(like=migrated)
    store = Store.open(url)
    for _ in range(12):  # a plan for all values would read the whole of a long history for the rare ones
        assert store.queue.claim("w", 1.0, 1.0) is None
    with store.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar() == 0
    store.close()
    postgres.drop(url)
