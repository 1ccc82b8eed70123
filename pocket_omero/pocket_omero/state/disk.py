# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows on disk: one SQLite file, one line of JSON per row."""

import base64
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pocket_omero.ice.entities import Field, entity
from pocket_omero.state.rows import NAMED_VALUES, Row, field_of

__all__ = ["Disk"]

_TABLES = """
CREATE TABLE IF NOT EXISTS rows (root TEXT, id INTEGER, kind TEXT NOT NULL, body TEXT NOT NULL,
                                 PRIMARY KEY (root, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ids (root TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""


class Disk:
    """The file. A commit survives the death of the process; a loss of power may lose the last ones, whole.

    Parameters
    ----------
    folder
        Where ``state.db`` is, or is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "state.db", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Let go of the file. Safe to repeat."""
        self._db.close()

    def next_ids(self) -> dict[str, int]:
        """Of each table, the id that its next row gets: none is ever given twice."""
        return dict(self._db.execute("SELECT root, next FROM ids"))

    def notes(self) -> dict[str, Any]:
        """What was kept beside the rows."""
        return {name: json.loads(body) for name, body in self._db.execute("SELECT name, body FROM notes")}

    def rows(self) -> list[Row]:
        """All rows, with their references."""
        found: dict[tuple[str, int], tuple[Row, str]] = {}
        for root, row_id, kind, body in self._db.execute("SELECT root, id, kind, body FROM rows"):
            found[root, row_id] = (Row(kind, row_id), body)
        for row, body in found.values():
            for name, value in json.loads(body).items():
                if name.startswith("#"):
                    row.values[name] = value
                    continue
                field = field_of(row.entity, name)
                if field.kind == "one":
                    row.values[name] = found[entity(field.of).root, value][0]
                else:
                    row.values[name] = _decoded(field, value)
        return [row for row, _ in found.values()]

    def write(
        self,
        rows: Mapping[tuple[str, int], Row | None],
        notes: Mapping[str, Any],
        next_ids: Mapping[str, int],
    ) -> None:
        """Write, and delete what is None, in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            gone = [key for key, row in rows.items() if row is None]
            self._db.executemany("DELETE FROM rows WHERE root = ? AND id = ?", gone)
            self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", _lines(rows))
            tables = {root for root, _ in rows}
            self._db.executemany(
                "INSERT OR REPLACE INTO ids VALUES (?, ?)",
                [(t, next_ids[t]) for t in tables if t in next_ids],
            )
            self._db.executemany(
                "DELETE FROM notes WHERE name = ?", [(n,) for n, v in notes.items() if v is None]
            )
            kept = [(n, json.dumps(v)) for n, v in notes.items() if v is not None]
            self._db.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", kept)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _lines(rows: Mapping[tuple[str, int], Row | None]) -> Iterator[tuple[str, int, str, str]]:
    for (root, row_id), row in rows.items():
        if row is not None:
            yield root, row_id, row.kind, json.dumps({n: _encoded(v) for n, v in row.values.items()})


def _encoded(value: Any) -> Any:
    if isinstance(value, Row):
        return value.id
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _decoded(field: Field, value: Any) -> Any:
    if field.of == "internal:ByteSeq":
        return base64.b64decode(value)
    if field.of == NAMED_VALUES:
        return [tuple(pair) for pair in value]
    if field.of == "internal:StringArray":
        return value
    return tuple(value) if isinstance(value, list) else value
