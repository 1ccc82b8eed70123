# SPDX-License-Identifier: BSD-3-Clause
"""A Parquet table of objects as an OMERO.table: read by batches, in little memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import omero.grid
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from omero.rtypes import unwrap

from slidegate.sources.errors import ResultDamagedError

from .connection import Connection, speaking
from .errors import OmeroBusyError

ID = "id"
"""The column that says which object a row is; ROIs are joined to rows by it."""

_MOST_COLUMNS = 512  # what OMERO.tables takes
_BATCH_BYTES = 8 * 2**20
_NO_ROI = -1
_RESERVED = ("Image", "Roi")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how OMERO's is made, of a batch's values as Arrow gives them."""

    source: str
    make: Callable[[list[Any]], Any]
    values: Callable[[pa.ChunkedArray | pa.Array], list[Any]]


def write_table(
    connection: Connection, path: Path, name: str, image: int, group: int, rois: dict[int, int]
) -> tuple[int, str]:
    """Write a table into OMERO: `Image` and `Roi` first, then the table's own columns.

    Whole numbers and truth values become Long, other numbers Double, the rest String; a null becomes NaN, or
    an empty text. A column's description says its unit. Columns of any other type are left out.

    Parameters
    ----------
    path
        The Parquet file.
    name
        Path of the table in OMERO.
    rois
        Id of an object to id of its ROI, or where the table has no ids the number of a row, from 0; rows
        without one have -1.

    Returns
    -------
    The id of the table's file, and its SHA-1 as OMERO holds it (empty where OMERO knows none).

    Raises
    ------
    ResultDamagedError
        The file is no Parquet table.
    OmeroError
        It failed. A repeat writes another table; what was begun is found by its path.
    """
    with _opened(path) as parquet:
        columns = _columns(parquet)
        empty = pa.RecordBatch.from_pylist([], schema=parquet.schema_arrow)
        batches = _all_filled(parquet, columns, image, rois)
        return save_table(connection, name, group, _filled(columns, empty, image, rois), batches)


def save_table(
    connection: Connection, name: str, group: int, headers: list[Any], batches: Iterable[list[Any]]
) -> tuple[int, str]:
    """Write columns into a new table; returns and raises as `write_table`.

    Parameters
    ----------
    headers
        The columns, without values.
    batches
        The same columns, some rows at a time.
    """
    context = connection.context(group)
    with speaking():
        resources = connection.client.getSession().sharedResources()
        repository = unwrap(resources.repositories().descriptions[0].id)
        table = resources.newTable(repository, name, context)
        try:
            file = table.getOriginalFile(context).id.val
            table.initialize(headers, context)
            for batch in batches:
                table.addData(batch, context)
        finally:
            table.close(context)
        held = connection.query("select f.hash from OriginalFile f where f.id = :id", {"id": file}, group)
    if not held:
        raise OmeroBusyError("the table was removed while it was written")
    return file, held[0][0] or ""


def rows_of(path: Path) -> int:
    """Return how many rows a table has.

    Raises
    ------
    ResultDamagedError
        The file is no Parquet table.
    """
    with _opened(path) as parquet:
        return int(parquet.metadata.num_rows)


def read_columns(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Return some columns as arrays (n,); None where the table lacks one of them."""
    with _opened(path) as parquet:
        if not set(names) <= set(parquet.schema_arrow.names):
            return None
        read = parquet.read(columns=list(names))
    return {name: read[name].to_numpy() for name in names}


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ResultDamagedError("a table cannot be read") from error


def _batches(parquet: pq.ParquetFile, columns: list[Column]) -> Iterator[pa.RecordBatch]:
    rows = max(1, _BATCH_BYTES // (8 * (len(columns) + 2)))
    yield from parquet.iter_batches(rows, columns=[column.source for column in columns])


def _all_filled(
    parquet: pq.ParquetFile, columns: list[Column], image: int, rois: dict[int, int]
) -> Iterator[list[Any]]:
    first = 0
    for batch in _batches(parquet, columns):
        yield _filled(columns, batch, image, rois, first)
        first += batch.num_rows


def _filled(
    columns: list[Column], batch: pa.RecordBatch, image: int, rois: dict[int, int], first: int = 0
) -> list[Any]:
    rows = batch.num_rows
    joined = [_NO_ROI] * rows
    if rois:
        numbers = batch.column(ID).to_pylist() if ID in batch.schema.names else range(first, first + rows)
        joined = [rois.get(number, _NO_ROI) for number in numbers]
    filled = [
        omero.grid.ImageColumn("Image", "the image that was analysed", [image] * rows),
        omero.grid.RoiColumn("Roi", f"the object's ROI; {_NO_ROI}: it has none", joined),
    ]
    return filled + [column.make(column.values(batch.column(column.source))) for column in columns]


def _columns(parquet: pq.ParquetFile) -> list[Column]:
    found: list[Column] = []
    for field in parquet.schema_arrow:
        name = field.name.lstrip("_") or "column"
        while name in _RESERVED or name in {one.make([]).name for one in found}:
            name += "_"
        column = _column(field, name, _about(field), parquet)
        if column is not None:
            found.append(column)
    return found[: _MOST_COLUMNS - len(_RESERVED)]


def _column(field: pa.Field, name: str, about: str, parquet: pq.ParquetFile) -> Column | None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    whole = pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and kind != pa.uint64())
    if whole and not (field.nullable and _has_nulls(parquet, field.name)):
        return Column(field.name, lambda v: omero.grid.LongColumn(name, about, v), _longs)
    if whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or kind == pa.uint64():
        return Column(field.name, lambda v: omero.grid.DoubleColumn(name, about, v), _doubles)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        width = _width(parquet, field.name)
        return Column(field.name, lambda v: omero.grid.StringColumn(name, about, width, v), _texts)
    return None


def _about(field: pa.Field) -> str:
    known = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    unit = f"[{known['unit']}]" if known.get("unit") else ""
    return " ".join(part for part in (known.get("about", ""), unit) if part)


def _has_nulls(parquet: pq.ParquetFile, name: str) -> bool:
    return any(batch.column(0).null_count for batch in parquet.iter_batches(columns=[name]))


def _width(parquet: pq.ParquetFile, name: str) -> int:
    widths = [1]
    for batch in parquet.iter_batches(columns=[name]):
        texts = batch.column(0).cast(pa.large_string())
        widths.append(pc.max(pc.binary_length(texts)).as_py() or 1)
    return max(widths)


def _longs(array: pa.Array) -> list[Any]:
    return list(array.cast(pa.int64()).to_numpy(zero_copy_only=False).tolist())


def _doubles(array: pa.Array) -> list[Any]:
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    return list(array.cast(pa.float64()).to_numpy(zero_copy_only=False).tolist())


def _texts(array: pa.Array) -> list[Any]:
    return list(array.cast(pa.large_string()).fill_null("").to_pylist())
