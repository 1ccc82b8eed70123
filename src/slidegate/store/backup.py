# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Keeping a copy of the store, and making a store of one.

A backup is taken while the service runs, and is of one moment. A store that was made of one knows less than
the sites do: it is not used for anything but asking them until each was read completely, and the note that
says so is written before the store can be opened.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from sqlalchemy import Connection, inspect, literal, make_url, select, text
from sqlalchemy.exc import DatabaseError

from slidegate.domain.errors import BadRequest, SlidegateError
from slidegate.store import tables
from slidegate.store.database import HEAD, Database, StoreTooNew, StoreUnusable, upgrade, version_of
from slidegate.store.reconciling import begin

_NOT_OURS = "It holds no backup of slidegate, or a damaged one."
_KEPT = ("PATH", "HOME", "PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "LANG")
_SECONDS = 6 * 3600.0


class BackupFailed(SlidegateError):
    """The backup could not be written."""

    code = "backup-failed"


class BadBackup(BadRequest):
    """The file holds no backup of slidegate that could be restored."""

    code = "bad-backup"


class StoreNotEmpty(BadRequest):
    """A backup is restored only where nothing is: what is in the store would be lost."""

    code = "store-not-empty"


def back_up(url: str, file: Path) -> int:
    """Write the store at a URL to a file that does not exist yet; returns its size in bytes.

    Nobody has to stop for it, and nobody else can read the file. What is interrupted leaves no file.

    Raises
    ------
    BackupFailed
        There is such a file, there is no store, or the disk or the database refuses.
    """
    if file.exists():
        raise BackupFailed(f"{file} is there already, and is not overwritten.")
    part = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if make_url(url).get_backend_name() == "sqlite":
            _copy(_path(url), part)
        else:
            _run(BackupFailed, "pg_dump", "--format=custom", "--no-owner", "--no-privileges",
                 f"--file={part}", f"--dbname={_address(url)}")  # fmt: skip
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.link(part, file)  # unlike a rename, this never replaces anything
        return file.stat().st_size
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BackupFailed(f"{file} could not be written: {reason}.") from error
    finally:
        part.unlink(missing_ok=True)


def restore(url: str, file: Path, now: float) -> list[str]:
    """Make a store at a URL of a backup, bring its tables up to date, and note that sites must be read.

    What is interrupted leaves a store that cannot be opened; repeating it completes it.

    Parameters
    ----------
    now
        Seconds since 1970, UTC.

    Returns
    -------
    The sites that are to be read completely before anything else is done.

    Raises
    ------
    StoreNotEmpty
        The store at the URL holds Runs or accounts.
    BadBackup
        The file is none, or one of the other kind of database.
    StoreTooNew
        A later version of slidegate has written it.
    """
    if not file.is_file():
        raise BadBackup(f"There is no file {file}.")
    _refuse_if_used(url)
    if make_url(url).get_backend_name() == "sqlite":
        return _restore_sqlite(url, file, now)
    return _restore_postgres(url, file, now)


def _restore_sqlite(url: str, file: Path, now: float) -> list[str]:
    """Make the whole store beside its place, then put it there."""
    target = _path(url)
    part = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        try:
            _copy(file, part)
        except sqlite3.DatabaseError as error:
            raise BadBackup(f"{file} cannot be restored. {_NOT_OURS}") from error
        database = Database(f"sqlite:///{part}")
        try:
            with _in_words(file), database.write() as connection:
                sites = _finish(connection, version_of(connection), now)
        finally:
            database.close()
        with closing(sqlite3.connect(part)) as connection:  # all of it in one file, without a log beside it
            connection.execute("PRAGMA journal_mode = DELETE")
        for beside in ("-wal", "-shm"):
            target.with_name(target.name + beside).unlink(missing_ok=True)
        part.replace(target)
    finally:
        for left in part.parent.glob(f"{part.name}*"):
            left.unlink(missing_ok=True)
    return sites


def _restore_postgres(url: str, file: Path, now: float) -> list[str]:
    """Restore all but the version, without which no store can be opened; then write it with the note."""
    entries = _run(BadBackup, "pg_restore", "--list", str(file)).splitlines()
    if not any(" TABLE DATA " in entry and " alembic_version " in entry for entry in entries):
        raise BadBackup(f"{file} cannot be restored. {_NOT_OURS}")
    kept = [e for e in entries if not (" TABLE DATA " in e and " alembic_version " in e)]
    rows = _run(BadBackup, "pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(file))
    version = _version_in(rows)
    database = Database(url)
    try:
        with database.write() as connection:
            _drop_all(connection)
        with TemporaryDirectory() as folder:
            listed = Path(folder) / "list"
            listed.write_text("\n".join(kept) + "\n")
            _run(
                BadBackup, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner",
                "--no-privileges", f"--use-list={listed}", f"--dbname={_address(url)}", str(file),
            )  # fmt: skip
        with _in_words(file), database.write() as connection:
            written = text("INSERT INTO alembic_version (version_num) VALUES (:version)")
            connection.execute(written, {"version": version})
            sites = _finish(connection, version, now)
            connection.execute(text("ANALYZE"))
    finally:
        database.close()
    return sites


def _finish(connection: Connection, version: str | None, now: float) -> list[str]:
    """Bring what was restored up to date, and note what is to be asked; all of it in one transaction."""
    if version is None:
        raise BadBackup(f"It cannot be restored. {_NOT_OURS}")
    if version != HEAD:
        upgrade(connection)
    return begin(connection, now)


def _refuse_if_used(url: str) -> None:
    if make_url(url).get_backend_name() == "sqlite" and not _path(url).exists():
        return
    database = Database(url)
    try:
        with database.read() as connection:
            there = set(inspect(connection).get_table_names())
            if "alembic_version" not in there or version_of(connection) is None:
                return  # nothing, or what an interrupted restore has left
            used = any(
                connection.execute(select(literal(1)).select_from(table).limit(1)).first() is not None
                for table in (tables.run, tables.account)
                if table.name in there
            )
    finally:
        database.close()
    if used:
        raise StoreNotEmpty(
            f"The store at {make_url(url).render_as_string()} is in use, and a backup is restored only where "
            "nothing is. Move the file away, or name another, empty database."
        )


def _drop_all(connection: Connection) -> None:
    tables.metadata.drop_all(connection)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _version_in(rows: str) -> str | None:
    """Return the version of the tables from the text of a dump."""
    lines = rows.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("COPY ") and "alembic_version" in line]
    return lines[starts[0] + 1].strip() if starts else None


def _copy(source: Path, target: Path) -> None:
    """Copy a database of SQLite as it is at one moment, and check the copy."""
    if not source.is_file():
        raise FileNotFoundError(2, "there is no store yet", str(source))
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        target.chmod(0o600)
        reading.backup(writing)
        if writing.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the copy is damaged")


def _path(url: str) -> Path:
    return Path(make_url(url).database or "")


def _address(url: str) -> str:
    """Return a URL as the programs of PostgreSQL take it. It holds no password: they have a file for that."""
    return make_url(url).set(drivername="postgresql", password=None).render_as_string()


def _program(name: str) -> str:
    """Return the newest of the programs of that name: it reads what older servers hold."""
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    found = sorted(installed, key=lambda path: [int(n) for n in path.parts[-3].split(".") if n.isdigit()])
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        raise StoreUnusable(f"{name} is missing: install the client programs of PostgreSQL.")
    return program


def _run(failed: type[SlidegateError], name: str, *words: str) -> str:
    """Run a program of PostgreSQL; return what it prints. It gets a few names of the environment only."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        done = subprocess.run(
            [_program(name), *_quiet(words), *words],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise failed(f"{name} did not do it: {type(error).__name__}.") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise failed(f"{name} did not do it: {last}")
    return done.stdout


def _quiet(words: Sequence[str]) -> list[str]:
    """Never ask for a password, where a database is asked at all."""
    return ["--no-password"] if any(word.startswith("--dbname=") for word in words) else []


@contextmanager
def _in_words(file: Path) -> Iterator[None]:
    try:
        yield
    except StoreTooNew:
        raise
    except (DatabaseError, StoreUnusable) as error:
        raise BadBackup(f"{file} cannot be restored. {_NOT_OURS}") from error
