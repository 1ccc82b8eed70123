# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a Run's images as one table on each of their datasets, as OMERO.parade reads them.

An image's figures are key-values that are saved together with what completes its result. The table is made
of these, and of nothing else: whoever publishes last, in whatever order, makes the same one. Its content's
digest is in its mark, so that everybody can tell an old table from the right one.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import omero.grid

from slidegate.domain.values import AttemptKey, Digest, RunId, TaskId, digest_of

from .annotations import NS_TABLE, Mark, hang_file, place_of
from .connection import Connection
from .datasets import Dataset
from .errors import OmeroBusyError, OmeroError
from .table import save_table
from .undo import Found, is_ours, links_to, pieces_of, remove

NS_FIGURES = "slidegate/figures"
FIGURES = "figures"
"""Part of an image's figures."""

SUMMARY = "summary"
"""Part of a dataset's table."""

_EVERY = "-"  # in the place of a task and an attempt
_MOST_FIGURES = 100
_TRIES = 20
_NAMES = re.compile(r"(?!Image$)[A-Za-z][A-Za-z0-9_ .()-]{0,63}")
_MOST = 1e300
_WHOLE = 2**53  # whole numbers below it are exact


@dataclass(frozen=True, slots=True)
class Summary:
    """What a table says.

    Attributes
    ----------
    images
        Their ids, sorted; one twice where two of its planes were analysed.
    columns
        Name to one value for each of them; NaN where there is none.
    """

    images: tuple[int, ...]
    columns: Mapping[str, tuple[float, ...]]

    @property
    def digest(self) -> Digest:
        """A SHA-256 (64 hex) of it."""
        columns = {name: [repr(value) for value in values] for name, values in self.columns.items()}
        return digest_of({"images": list(self.images), "columns": columns})


def figures_of(path: Path) -> dict[str, float]:
    """Return the figures that an output of type ``summary`` states, or none.

    They are the numbers under ``figures`` in its JSON; a null is NaN, and anything else is passed over, as
    are those whose names could not be columns: letters, digits, blanks and ``_.()-``, at most 64.
    """
    try:
        said = json.loads(path.read_bytes())["figures"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    known = {
        str(name): math.nan if value is None else float(value)
        for name, value in said
        if _NAMES.fullmatch(str(name))
        and (value is None or (type(value) in (int, float) and -_MOST < value < _MOST))
    }
    return dict(sorted(known.items())[:_MOST_FIGURES])


def as_pairs(figures: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return figures as key-values hold them: read again, they are the same numbers."""
    return [
        (name, repr(int(value)) if value.is_integer() else repr(value)) for name, value in figures.items()
    ]


def settle(connection: Connection, run: RunId, datasets: Iterable[Dataset]) -> None:
    """See to it that each dataset has the table that a Run's figures make, and no other.

    Safe to repeat, and beside others who do the same. Datasets on which the person may hang nothing are left
    out.

    Raises
    ------
    OmeroError
        It failed; a repeat is safe.
    """
    for dataset in datasets:
        if dataset.annotated:
            _settle(connection, run, dataset)


def _settle(connection: Connection, run: RunId, dataset: Dataset) -> None:
    part = f"{SUMMARY}:{dataset.id}"
    for tries in range(_TRIES):
        # first what is there, then what should be there: who looked later knows at least as much, so that
        # what is there and is not what should be there is old
        there = _tables(connection, run, dataset)
        wanted = _wanted(connection, run, dataset)
        right = [piece for piece in there.pieces if wanted is not None and piece.mark.tree == wanted.digest]
        old = [piece for piece in there.pieces if piece not in right[:1]]
        if right or wanted is None:
            remove(connection, Found(pieces=old, links=there.links, files=_begun(connection, run, dataset)))
            return
        on = place_of("Dataset", dataset.id)
        mark = Mark(run, TaskId(_EVERY), wanted.digest, AttemptKey(_EVERY), part, on=on)
        try:
            _write(connection, mark, dataset.group, wanted)
        except OmeroError as error:
            removed = type(error) in (OmeroError, OmeroBusyError)  # by somebody who settles the same dataset
            if not removed or tries == _TRIES - 1:
                raise


def _write(connection: Connection, mark: Mark, group: int, summary: Summary) -> None:
    headers = _columns(summary, filled=False)
    name = f"{mark.folder}{mark.part}"
    number, sha1 = save_table(connection, name, group, headers, [_columns(summary, filled=True)])
    marked = Mark(mark.run, mark.task, mark.tree, mark.attempt, mark.part, sha1, mark.on)
    hang_file(connection, group, marked, number, NS_TABLE)


def _columns(summary: Summary, *, filled: bool) -> list[Any]:
    images = list(summary.images) if filled else []
    columns = [omero.grid.ImageColumn("Image", "the image that was analysed", images)]
    for name, values in summary.columns.items():
        if all(value.is_integer() and abs(value) < _WHOLE for value in values):
            whole = [int(value) for value in values] if filled else []
            columns.append(omero.grid.LongColumn(name, "", whole))
        else:
            columns.append(omero.grid.DoubleColumn(name, "", list(values) if filled else []))
    return columns


def _tables(connection: Connection, run: RunId, dataset: Dataset) -> Found:
    """Return the tables of a Run on a dataset, the oldest first."""
    me = connection.user_id
    begins = {"me": me, "begins": f"slidegate run={run} task={_EVERY} %"}
    place = place_of("Dataset", dataset.id)
    pieces = {
        piece.id: piece for piece in pieces_of(connection, "FileAnnotation", begins) if piece.mark.on == place
    }
    links = links_to(connection, list(pieces), me)
    hanging = {link.child for link in links if is_ours(link, pieces[link.child])}
    return Found(pieces=[piece for piece in pieces.values() if piece.id in hanging], links=links)


def _begun(connection: Connection, run: RunId, dataset: Dataset) -> list[tuple[int, int]]:
    """Return id and group of files that were to be a table of a Run on a dataset, and hang nowhere."""
    rows = connection.query(
        "select f.id, f.details.group.id from OriginalFile f where f.details.owner.id = :me"
        " and f.path like :path and f.name = :name"
        " and not exists (select a.id from FileAnnotation a where a.file.id = f.id)",
        {
            "me": connection.user_id,
            "path": f"slidegate/{run}/{_EVERY}/%",
            "name": f"{SUMMARY}:{dataset.id}",
        },
    )
    return [(number, group) for number, group in rows]


def _wanted(connection: Connection, run: RunId, dataset: Dataset) -> Summary | None:
    """Return what the figures of a Run's images in a dataset make; None where there are none."""
    rows = connection.query(
        "select l.parent.id, a.description, v.name, v.value"
        " from ImageAnnotationLink l, MapAnnotation a join a.mapValue v, DatasetImageLink d"
        " where l.child.id = a.id and d.child.id = l.parent.id and d.parent.id = :dataset and a.ns = :ns"
        " and a.details.owner.id = :me and a.description like :begins",
        {
            "dataset": dataset.id,
            "ns": NS_FIGURES,
            "me": connection.user_id,
            "begins": f"slidegate run={run} %",
        },
    )
    found: dict[tuple[int, TaskId], dict[str, float]] = {}  # of a stack, several planes may be analysed
    for image, text, name, value in rows:
        mark = Mark.read(text)
        if mark is not None and mark.on == place_of("Image", image) and _NAMES.fullmatch(name or ""):
            found.setdefault((image, mark.task), {})[name] = _number(value)
    if not found:
        return None
    names = sorted({name for figures in found.values() for name in figures})
    tasks = sorted(found)
    columns = {name: tuple(found[task].get(name, math.nan) for task in tasks) for name in names}
    return Summary(tuple(image for image, _ in tasks), columns)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
