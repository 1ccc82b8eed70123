# SPDX-License-Identifier: BSD-3-Clause
"""What is known of images that were read before: nothing needs to be read or sent twice."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

from slidegate.domain.values import Digest, ImageRef
from slidegate.store import tables
from slidegate.store.database import Database

Entry = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class StagedImage:
    """The Tree that an image became: its digest and its entries (name, bytes, SHA-256)."""

    tree: Digest
    entries: tuple[Entry, ...]


class KnownImages:
    """Remembers (image, fingerprint, converter) → Tree and (image, fingerprint) → content digest.

    Both are functions of their keys, so writing one twice is harmless.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def staged(self, ref: ImageRef, fingerprint: str, converter: str) -> StagedImage | None:
        """Return what an image became when it was staged, None when it never was."""
        t = tables.staged.c
        query = select(t.tree, t.entries).where(
            t.source == ref.source,
            t.image == ref.image,
            t.fingerprint == fingerprint,
            t.converter == converter,
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return StagedImage(row.tree, tuple((name, size, sha) for name, size, sha in row.entries))

    def remember_staged(
        self, ref: ImageRef, fingerprint: str, converter: str, tree: Digest, entries: Sequence[Entry]
    ) -> None:
        """Remember what an image became."""
        t = tables.staged
        key = {"source": ref.source, "image": ref.image, "fingerprint": fingerprint, "converter": converter}
        _put(self._database, t, key, {"tree": tree, "entries": [list(entry) for entry in entries]})

    def content(self, ref: ImageRef, fingerprint: str) -> Digest | None:
        """Return the content digest of an image that was read before, None when it never was."""
        t = tables.content.c
        query = select(t.digest).where(
            t.source == ref.source, t.image == ref.image, t.fingerprint == fingerprint
        )
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
        return None if found is None else Digest(found)

    def remember_content(self, ref: ImageRef, fingerprint: str, digest: Digest) -> None:
        """Remember an image's content digest."""
        t = tables.content
        key = {"source": ref.source, "image": ref.image, "fingerprint": fingerprint}
        _put(self._database, t, key, {"digest": digest})


def _put(database: Database, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Write a row, in place of the one of this key; who writes the same at the same time has written it."""
    with suppress(IntegrityError), database.write() as connection:
        connection.execute(delete(table).where(*(table.c[name] == value for name, value in key.items())))
        connection.execute(insert(table).values(**key, **values))
