# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Connections, transactions, and bringing the tables up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    TimeoutError,
)

from slidegate.domain.errors import SlidegateError

HEAD = "0008"
FAR_SECONDS = 600.0
"""Nobody puts anything off for longer; what is due later was put off before the clock was set back."""
_BUSY_SECONDS = 60
_MIGRATING = 7_265_140_004
_POOL: dict[str, Any] = {"pool_size": 20, "max_overflow": 20}
_CONNECT: dict[str, Any] = {
    "connect_timeout": 10,
    "application_name": "slidegate",
    # each statement is planned for its own values: which states are rare is what plans depend on
    "prepare_threshold": None,
    # who is stopped inside a transaction, or waits for one who is, holds nobody up for ever
    "options": f"-c idle_in_transaction_session_timeout={_BUSY_SECONDS}s -c lock_timeout={_BUSY_SECONDS}s",
}


class StoreTooNew(SlidegateError):
    """The store was written by a later version of slidegate: install that version, or use another home."""

    code = "store-too-new"


class StoreUnusable(SlidegateError):
    """The database of slidegate cannot be used."""

    code = "store-unusable"
    transient = True
    exit_code = 5


class Database:
    """One database, with transactions that write and transactions that only read.

    Parameters
    ----------
    url
        A SQLAlchemy URL: ``sqlite:////abs/slidegate.db``, or ``postgresql+psycopg://account@host/name``.
    """

    def __init__(self, url: str) -> None:
        self._reading: dict[str, Any] = {"only_reads": True}
        if make_url(url).get_backend_name() == "sqlite":
            self.engine = create_engine(url, **_POOL)
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self._reading |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            self.engine = create_engine(url, pool_pre_ping=True, connect_args=_CONNECT, **_POOL)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write; what it did is undone when the block raises.

        Raises
        ------
        StoreUnusable
            The disk is full, or the database is damaged or cannot be reached or written. Nothing was written.
        """
        with _in_words(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database and holds nobody up."""
        with _in_words(), self.engine.connect() as connection:
            connection = connection.execution_options(**self._reading)
            with connection.begin():
                yield connection

    def migrate(self) -> None:
        """Bring the tables up to date; does nothing, cheaply, when they are."""
        with self.read() as connection:
            if version_of(connection) == HEAD:
                return
        with self.write() as connection:
            if self.engine.dialect.name == "postgresql":  # one after the other; SQLite has them wait anyway
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            if version_of(connection) != HEAD:
                upgrade(connection)

    def begins_with(self, column: ColumnElement[str], beginning: str) -> ColumnElement[bool]:
        """Return the condition that a text begins so, in the form that an index of this database answers."""
        if self.engine.dialect.name == "postgresql":
            return column.startswith(beginning, autoescape=True)
        return and_(column >= beginning, column < beginning + "\U0010ffff")

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn what the database itself refuses into a sentence; what a statement did wrong stays what it is."""
    try:
        yield
    except TimeoutError as error:
        raise StoreUnusable("The database of slidegate cannot be used: too many ask it just now.") from error
    except DBAPIError as error:
        if type(error) not in (DatabaseError, OperationalError, InterfaceError, InternalError):
            raise
        raise StoreUnusable(f"The database of slidegate cannot be used: {error.orig}.") from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Let SQLAlchemy begin transactions itself, wait for others, check references.

    ``synchronous = NORMAL`` keeps what is committed when a process is killed. A power cut may take the last
    moments of history; what was done in them can be done again, under the same names, with no second effect.
    """
    connection.isolation_level = None
    cursor = connection.cursor()
    for setting in (
        f"busy_timeout = {_BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: a transaction that begins by reading could not get it later."""
    only_reads = connection.get_execution_options().get("only_reads", False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def version_of(connection: Connection) -> str | None:
    """Return the version of the tables; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(connection: Connection) -> None:
    """Bring the tables up to date, whatever their version is.

    Raises
    ------
    StoreTooNew
        A later version of slidegate has changed them.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "slidegate.store:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise StoreTooNew from error
