# SPDX-License-Identifier: BSD-3-Clause
import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from slidegate.store import Store, queue, tables
from slidegate.store.database import HEAD, Database, StoreTooNew, StoreUnusable
from tests.unit.domain.histories import request


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(store: Store) -> None:
    with store.database.write() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []


def test_the_last_migration_is_the_one_that_the_code_expects() -> None:
    assert ScriptDirectory("src/slidegate/store/migrations").get_current_head() == HEAD


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
