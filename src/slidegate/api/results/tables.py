# SPDX-License-Identifier: BSD-3-Clause
"""Columns of a table of objects, as plain octets of numbers."""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slidegate.api.results.errors import NoSuchColumn, TableUnusable

MAX_ROWS = 10_000_000
MAX_COLUMNS = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, unit (``""`` without), meaning in words, and the type of its numbers when sent."""

    name: str
    unit: str
    about: str
    dtype: str


def columns_of(file: BinaryIO) -> tuple[int, list[Column]]:
    """Return how many rows a Parquet file has, and its columns of numbers.

    Raises
    ------
    TableUnusable
        It cannot be read, or has more rows or columns than can be shown.
    """
    try:
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise TableUnusable("The table cannot be read: it is not a Parquet file.") from error
    rows = parquet.metadata.num_rows
    if rows > MAX_ROWS or len(schema) > MAX_COLUMNS:
        raise TableUnusable(
            f"The table has {rows:,} rows: it can be downloaded, but is too large to be shown."
        )
    return rows, [_column(field) for field in schema if _dtype(field.type)]


def read_column(file: BinaryIO, name: str) -> bytes:
    """Return all values of a column, little-endian, of the type that :func:`columns_of` says.

    Numbers with a fraction are given with about seven digits. Values that are missing are NaN, or 0 for whole
    numbers.

    Raises
    ------
    NoSuchColumn, TableUnusable
        There is no column of numbers with that name; the file cannot be read.
    """
    _, columns = columns_of(file)
    column = next((column for column in columns if column.name == name), None)
    if column is None:
        raise NoSuchColumn
    file.seek(0)
    try:
        values = pq.read_table(file, columns=[name]).column(name)
        if values.null_count and column.dtype != "float32":
            values = values.fill_null(False if pa.types.is_boolean(values.type) else 0)
        return np.asarray(values).astype(np.dtype(column.dtype).newbyteorder("<")).tobytes()
    except (pa.ArrowException, OSError) as error:
        raise TableUnusable(f"The column {name} cannot be read: the file is damaged.") from error


def _column(field: pa.Field) -> Column:
    words = {key.decode(): value.decode("utf-8", "replace") for key, value in (field.metadata or {}).items()}
    return Column(field.name, words.get("unit", ""), words.get("about", ""), _dtype(field.type) or "")


def _dtype(kind: pa.DataType) -> str | None:
    if pa.types.is_floating(kind):
        return "float32"
    if pa.types.is_unsigned_integer(kind) and kind.bit_width <= 32:
        return "uint32"
    if pa.types.is_boolean(kind) or (pa.types.is_signed_integer(kind) and kind.bit_width <= 32):
        return "int32"
    return None
