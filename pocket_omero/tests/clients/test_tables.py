# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO.tables through omero-py, unmodified: columns, rows, conditions, metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import omero
import omero.grid
import pytest
from omero.gateway import BlitzGateway
from omero.rtypes import rfloat, rint, rlong, rstring, unwrap
from pocket_omero.testing import Omero

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.needs("tables"),
    pytest.mark.client("omero-py tables"),
]


@pytest.fixture(scope="module")
def conn(place: Omero) -> Iterator[BlitzGateway]:
    with place.gateway() as opened:
        yield opened


def _mask(values: list[int]) -> omero.grid.MaskColumn:
    count = len(values)
    return omero.grid.MaskColumn(
        "Mask", "", values, [0] * count, [0] * count,
        [1.0] * count, [2.0] * count, [8.0] * count, [8.0] * count,
        [bytes([value] * 8) for value in values],
    )  # fmt: skip


def _columns() -> list[Any]:
    grid = omero.grid
    return [
        grid.ImageColumn("Image", "where", [1, 1, 2]),
        grid.RoiColumn("Roi", "", [11, 12, 13]),
        grid.WellColumn("Well", "", [0, 0, 0]),
        grid.PlateColumn("Plate", "", [0, 0, 0]),
        grid.DatasetColumn("Dataset", "", [5, 5, 5]),
        grid.FileColumn("File", "", [7, 8, 9]),
        grid.LongColumn("Count", "", [-1, 2**40, 3]),
        grid.DoubleColumn("Area", "in square um", [1.5, float("inf"), -0.25]),
        grid.BoolColumn("Good", "", [True, False, True]),
        grid.StringColumn("Name", "", 16, ["a", "ü µ", "sixteen letters!"]),
        grid.FloatArrayColumn("Box", "", 4, [[1, 2, 3, 4]] * 3),
        grid.DoubleArrayColumn("Doubles", "", 2, [[0.5, 0.25]] * 3),
        grid.LongArrayColumn("Longs", "", 2, [[1, 2**40]] * 3),
    ]


@pytest.fixture
def table(conn: BlitzGateway) -> Iterator[Any]:
    made = conn.c.sf.sharedResources().newTable(1, "numbers.h5")
    yield made
    made.close()


@pytest.fixture
def filled(table: Any) -> Any:
    table.initialize([type(one)(*_empty(one)) for one in _columns()])
    table.addData(_columns())
    return table


def _empty(column: Any) -> list[Any]:
    size = [column.size] if hasattr(column, "size") else []
    return [column.name, column.description, *size, []]


def test_tables_are_there(conn: BlitzGateway) -> None:
    assert conn.c.sf.sharedResources().areTablesEnabled()


def test_a_repository_is_named(conn: BlitzGateway) -> None:
    assert conn.c.sf.sharedResources().repositories().descriptions[0].getId().val > 0


def test_every_kind_of_column_comes_back_as_it_was(filled: Any) -> None:
    got = filled.read(list(range(len(_columns()))), 0, 3)
    for column, back in zip(_columns(), got.columns, strict=True):
        assert back.ice_staticId() == column.ice_staticId()
        assert (back.name, back.description) == (column.name, column.description)
        assert [_plain(value) for value in back.values] == [_plain(value) for value in column.values]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def test_masks_come_back_with_their_bytes(table: Any) -> None:
    table.initialize([_mask([])])
    table.addData([_mask([1, 2, 3])])
    [back] = table.read([0], 0, 3).columns
    assert [bytes(value) for value in back.bytes] == [bytes([value] * 8) for value in (1, 2, 3)]
    assert list(back.imageId) == [1, 2, 3]


def test_headers_tell_names_and_sizes(filled: Any) -> None:
    headers = {header.name: header for header in filled.getHeaders()}
    assert headers["Name"].size == 16
    assert headers["Box"].size == 4
    assert headers["Area"].description == "in square um"


def test_rows_are_counted(filled: Any) -> None:
    assert filled.getNumberOfRows() == 3


@pytest.mark.parametrize(
    ("condition", "variables", "rows"),
    [
        ("Image == 1", {}, [0, 1]),
        ("(Image == 1) & (Count > 0)", {}, [1]),
        ("(Area < 0) | ~Good", {}, [1, 2]),
        ("Area * 2 >= limit", {"limit": rfloat(3)}, [0, 1]),
        ("Count != n", {"n": rlong(3)}, [0, 1]),
        ("Image == 99", {}, []),
    ],
)
def test_conditions_find_rows(
    filled: Any, condition: str, variables: dict[str, Any], rows: list[int]
) -> None:
    assert filled.getWhereList(condition, variables, 0, 0, 1) == rows


def test_a_condition_looks_at_a_part_of_the_rows(filled: Any) -> None:
    assert filled.getWhereList("Count > -5", {}, 1, 3, 1) == [1, 2]


@pytest.mark.parametrize("condition", ["Image ==", "Nothing == 1", "__import__('os')", "Name + 1"])
def test_a_condition_that_makes_no_sense_is_refused(filled: Any, condition: str) -> None:
    with pytest.raises(omero.ServerError):
        filled.getWhereList(condition, {}, 0, 0, 1)


def test_rows_are_read_by_number(filled: Any) -> None:
    got = filled.readCoordinates([2, 0])
    assert list(got.rowNumbers) == [2, 0]
    assert list(got.columns[6].values) == [3, -1]


def test_rows_and_columns_are_cut_out(filled: Any) -> None:
    got = filled.slice([6, 0], [1])
    assert [(column.name, list(column.values)) for column in got.columns] == [
        ("Count", [2**40]),
        ("Image", [1]),
    ]
    assert len(filled.slice([], []).columns) == len(_columns())


def test_reading_outside_is_refused(filled: Any) -> None:
    with pytest.raises(omero.ApiUsageException):
        filled.readCoordinates([7])
    with pytest.raises(omero.ApiUsageException):
        filled.read([99], 0, 1)


def test_values_are_changed(filled: Any) -> None:
    data = filled.slice([6], [0, 2])
    data.columns[0].values = [10, 30]
    filled.update(data)
    assert list(filled.read([6], 0, 3).columns[0].values) == [10, 2**40, 30]


def test_columns_of_different_length_are_refused(filled: Any) -> None:
    columns = _columns()
    columns[0].values = [1]
    with pytest.raises(omero.ServerError):
        filled.addData(columns)
    assert filled.getNumberOfRows() == 3


def test_a_column_may_have_a_name_that_is_no_python_name(table: Any) -> None:
    table.initialize([omero.grid.LongColumn("Cells per field", "", [])])
    table.addData([omero.grid.LongColumn("Cells per field", "", [4])])
    assert table.getHeaders()[0].name == "Cells per field"


def test_two_columns_of_one_name_are_refused(table: Any) -> None:
    with pytest.raises(omero.ApiUsageException):
        table.initialize([omero.grid.LongColumn("A", "", []), omero.grid.LongColumn("A", "", [])])


def test_a_table_is_initialized_once(filled: Any) -> None:
    with pytest.raises(omero.ValidationException):
        filled.initialize([omero.grid.LongColumn("A", "", [])])


def test_nothing_is_read_from_a_table_without_columns(table: Any) -> None:
    with pytest.raises(omero.ApiUsageException):
        table.getNumberOfRows()


def test_metadata_are_kept_beside_the_columns(filled: Any) -> None:
    filled.setMetadata("method", rstring("otsu"))
    filled.setAllMetadata({"n": rint(3), "version": rstring("2")})
    assert unwrap(filled.getMetadata("n")) == 3
    assert filled.getMetadata("method") is None
    assert {"n", "version", "__version"} <= set(filled.getAllMetadata())
    with pytest.raises(omero.ApiUsageException):
        filled.setMetadata("__version", rstring("9"))


def test_many_rows_are_kept_and_found(table: Any) -> None:
    rows = 100_000
    table.initialize([omero.grid.LongColumn("n", "", []), omero.grid.DoubleColumn("x", "", [])])
    numbers = list(range(rows))
    table.addData(
        [omero.grid.LongColumn("n", "", numbers), omero.grid.DoubleColumn("x", "", [n / 2 for n in numbers])]
    )
    assert table.getNumberOfRows() == rows
    assert table.getWhereList("(x > 49990) & (n % 2 == 0)", {}, 0, 0, 1) == list(range(99_982, rows, 2))


def test_a_table_is_kept_and_opened_again(conn: BlitzGateway, place: Omero) -> None:
    made = conn.c.sf.sharedResources().newTable(1, "kept.h5")
    made.initialize([omero.grid.LongColumn("n", "", [])])
    made.addData([omero.grid.LongColumn("n", "", [1, 2, 3])])
    file = made.getOriginalFile().id.val
    made.close()
    known = conn.getObject("OriginalFile", file)
    assert (known.getName(), known.getMimetype()) == ("kept.h5", "OMERO.tables")
    assert known.getSize() > 0
    assert b"".join(known.getFileInChunks())[:8] == b"\x89HDF\r\n\x1a\n"
    with place.gateway("colleague") as other:
        opened = other.c.sf.sharedResources().openTable(omero.model.OriginalFileI(file, False))
        assert list(opened.read([0], 0, 3).columns[0].values) == [1, 2, 3]
        with pytest.raises(omero.SecurityViolation):
            opened.addData([omero.grid.LongColumn("n", "", [4])])
        opened.close()


def test_two_clients_see_what_the_other_writes(conn: BlitzGateway, filled: Any) -> None:
    again = conn.c.sf.sharedResources().openTable(filled.getOriginalFile())
    filled.addData(_columns())
    assert again.getNumberOfRows() == 6
    again.close()
    assert filled.getNumberOfRows() == 6


def test_a_table_is_deleted(conn: BlitzGateway) -> None:
    made = conn.c.sf.sharedResources().newTable(1, "gone.h5")
    made.initialize([omero.grid.LongColumn("n", "", [])])
    file = made.getOriginalFile().id.val
    made.delete()
    assert conn.getObject("OriginalFile", file) is None


def test_what_is_no_table_is_not_opened(conn: BlitzGateway, tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("no table")
    note = conn.createFileAnnfromLocalFile(str(tmp_path / "a.txt"), mimetype="text/plain")
    assert conn.c.sf.sharedResources().openTable(note.getFile()._obj) is None
