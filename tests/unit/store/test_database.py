# SPDX-License-Identifier: BSD-3-Clause
import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from slidegate.domain.events import fold
from slidegate.store import Store, queue, tables
from slidegate.store.database import HEAD, Database, StoreTooNew, StoreUnusable
from tests.unit.domain.histories import request

FIRST_VERSION = Path(__file__).parents[2] / "data" / "store" / "0001"
"""Rows as slidegate wrote them when its tables were those of the first version."""


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(store: Store) -> None:
    with store.database.write() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []


def test_the_last_migration_is_the_one_that_the_code_expects() -> None:
    assert ScriptDirectory("src/slidegate/store/migrations").get_current_head() == HEAD


def test_a_store_of_the_first_version_keeps_all_that_it_holds_when_it_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/slidegate.db"
    database = Database(url)
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", "slidegate.store:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (FIRST_VERSION / "rows.sql").read_text().splitlines():
            connection.exec_driver_sql(statement)
    before = content_of(database)
    database.close()

    store = Store.open(url)
    after = content_of(store.database)
    for table, rows in before.items():
        if table != "alembic_version":
            kept = [{name: row[name] for name in old} for old, row in zip(rows, after[table], strict=True)]
            assert kept == rows, table
    (run,) = store.runs.all()
    assert store.runs.view(run["id"]) == fold(run["id"], store.history.of(run["id"]))
    assert store.sites.row("local")["tries"] == 0
    submission = store.runs.submission(store.runs.tasks(run["id"])[0]["submission"])
    assert submission is not None
    assert (submission["effort"], submission["crews"]["cpu"]["state"]) == (None, "ended")
    assert store.people.add("ada", 1.0)
    store.close()


def content_of(database: Database) -> dict[str, list[dict[str, object]]]:
    """All rows of all tables."""
    with database.read() as connection:
        return {
            name: [dict(row) for row in connection.execute(text(f"SELECT * FROM {name}")).mappings()]
            for name in inspect(connection).get_table_names()
        }


def test_a_store_of_a_later_version_is_refused_in_words(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/slidegate.db"
    Store.open(url).close()
    database = Database(url)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew):
        database.migrate()
    database.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/slidegate.db"
    for _ in range(2):
        store = Store.open(url)
        assert store.runs.all() == []
        store.close()


@pytest.mark.slow
def test_four_processes_may_open_a_new_store_at_the_same_time(tmp_path: Path) -> None:
    code = f"from slidegate.store import Store; Store.open('sqlite:///{tmp_path}/s.db').sites.row('local')"
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


def test_the_tables_and_the_claim_compile_for_postgresql() -> None:
    dialect = postgresql.dialect()
    for table in tables.metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=dialect))
    query = tables.task.select().with_for_update(skip_locked=True)
    assert "FOR UPDATE SKIP LOCKED" in str(query.compile(dialect=dialect))


def test_no_construct_of_one_database_alone_is_used() -> None:
    for path in Path(queue.__file__).parent.rglob("*.py"):
        names = re.findall(r"sqlalchemy\.dialects|on_conflict|INSERT OR|rowid|julianday", path.read_text())
        assert names == [], path


def test_a_full_disk_is_said_in_words_and_nothing_is_half_written(store: Store) -> None:
    with store.database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnusable, match="disk is full"):
        store.history.request(request(tasks=5000), 1.0)
    assert store.runs.all() == []


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
