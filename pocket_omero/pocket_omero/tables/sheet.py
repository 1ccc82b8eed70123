# SPDX-License-Identifier: GPL-2.0-or-later
"""One client's hold on the HDF5 file of an OMERO.table."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import omero
import omero.columns
import tables
from omero.hdfstorageV2 import HDFLIST
from omero.rtypes import unwrap

from pocket_omero.errors import Invalid, WrongUse

__all__ = ["Sheet"]


@contextmanager
def _understood() -> Iterator[None]:
    """Say what was wrong in the words of OMERO, whatever the library below raised."""
    with HDFLIST._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about column names that are no Python names, and about wide tables
        try:
            yield
        except (tables.HDF5ExtError, IndexError) as error:
            raise WrongUse(f"Error reading coordinates. Most likely out of range: {error}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Invalid(f"The table does not take this: {error}") from error


class Sheet:
    """A table that is open; several may be open on one file, and see what the others write.

    All HDF5 calls of the process wait for each other, as in a real OMERO.tables server.

    Parameters
    ----------
    path
        The HDF5 file; one that is missing or empty becomes a table with `initialize`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _understood():
            self._storage = HDFLIST.getOrCreate(str(path), self)
        self._stamp = time.time()
        self._modified = False

    @property
    def open(self) -> bool:
        """Whether it has not been closed."""
        return self._storage is not None

    def close(self) -> bool:
        """Let go of the file.

        Returns
        -------
        bool
            Whether something was written through this hold. A repeat answers False.
        """
        storage, self._storage = self._storage, None
        if storage is None:
            return False
        with _understood():
            storage.decr(self)
        return self._modified

    def _live(self) -> Any:
        if self._storage is None:
            raise WrongUse("The table is closed")
        return self._storage

    def initialize(self, columns: Sequence[Any], metadata: dict[str, Any] | None = None) -> None:
        """Give an empty file its columns.

        Raises
        ------
        omero.ValidationException
            If it has columns.
        omero.ApiUsageException
            If there is no column, or one without a name, with a reserved or with a repeated name.
        """
        with _understood():
            self._live().initialize(columns, metadata)
        self._modified = True

    def append(self, columns: Sequence[Any]) -> None:
        """Add rows: each column holds as many values, and all columns are there."""
        with _understood():
            self._live().append(columns)
        self._modified = True

    def update(self, data: Any) -> None:
        """Write the values of `data` (omero.grid.Data) into the rows that it names."""
        with _understood():
            self._live().update(self._stamp, data)
        self._modified = True

    def rows(self) -> int:
        """How many rows there are."""
        with _understood():
            return int(self._live().rows())

    def headers(self, current: Any) -> list[Any]:
        """The columns, without values."""
        with _understood():
            columns: list[Any] = self._live().cols(None, current)
            return columns

    def where(self, condition: str, variables: Any, start: int, stop: int, step: int) -> list[int]:
        """The numbers of rows for which `condition` holds.

        The language is that of PyTables: column names, numbers, variables, ``& | ~ < <= == != >= > + - * /``.

        Raises
        ------
        omero.ApiUsageException
            If the condition cannot be understood.
        """
        with _understood():
            found: list[int] = self._live().getWhereList(
                self._stamp, condition, unwrap(variables), None, start, stop or None, step or None
            )
            return found

    def read(self, columns: Sequence[int], start: int, stop: int, current: Any) -> Any:
        """Rows from `start` up to, without, `stop` of the columns with these numbers; 0 and 0: all rows."""
        with _understood():
            return self._live().read(
                self._stamp, columns, start, None if start == stop == 0 else stop, current
            )

    def coordinates(self, rows: Sequence[int], current: Any) -> Any:
        """These rows, all columns."""
        with _understood():
            return self._live().readCoordinates(self._stamp, rows, current)

    def slice(self, columns: Sequence[int], rows: Sequence[int], current: Any) -> Any:
        """These rows of these columns; none named: all."""
        with _understood():
            return self._live().slice(self._stamp, columns, rows, current)

    def metadata(self) -> dict[str, omero.RType]:
        """What is kept beside the columns; names with two underscores in front are the engine's own."""
        with _understood():
            found: dict[str, omero.RType] = self._live().get_meta_map()
            return found

    def set_metadata(self, values: dict[str, omero.RType], *, replace: bool) -> None:
        """Keep values beside the columns; `replace` forgets all others."""
        with _understood():
            self._live().add_meta_map(values, replace=replace)
        self._modified = True
