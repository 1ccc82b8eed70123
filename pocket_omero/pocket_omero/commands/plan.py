# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: N818  (a situation is named as what it is)
"""Which rows a command takes along: those that were named, their parts, and what is left without a holder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pocket_omero.commands.edges import contents, holders, links_of, parts
from pocket_omero.errors import PocketError
from pocket_omero.ice.entities import entity, is_a, java_name
from pocket_omero.people.kinds import is_system

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

__all__ = ["GraphRefused", "Moving", "Options", "Plan", "by_name", "shown", "targets"]

_COMPANION = "openmicroscopy.org/omero/import/companionFile"
_ALWAYS = (
    "BasicAnnotation",
    "CommentAnnotation",
    "OriginalFile",
    "StatsInfo",
    "Fileset",
)  # without asking rights
_OWN_ONLY = ("FileAnnotation", "TagAnnotation")  # go along only with what their owner owns


class GraphRefused(PocketError):
    """The command would break a rule of OMERO's graphs, or needs a right that the caller has not."""

    raised = "InternalException"


def shown(row: Row) -> str:
    """A row as OMERO's messages write it: ``Image[5]``."""
    return f"{row.kind}[{row.id}]"


def by_name(rows: Iterable[Row]) -> dict[str, list[int]]:
    """Ids by the Java name of the class, as responses give them."""
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(java_name(row.kind), []).append(row.id)
    return {name: sorted(ids) for name, ids in sorted(found.items())}


def targets(
    state: State, visible: Callable[[Row], bool], named: Mapping[str, Sequence[int]] | None
) -> list[Row]:
    """The rows that a request names.

    Raises
    ------
    GraphRefused
        One is not there, or not for this caller.
    """
    found = []
    for name, ids in (named or {}).items():
        kind = entity(name).name
        for each in ids:
            row = state.get(kind, each)
            if row is None or not visible(row):
                raise GraphRefused(f"no {kind}[{each}] is there for you")
            found.append(row)
    return found


class Options:
    """What omero.cmd.graphs.ChildOption says: kinds of contents that always or never go along.

    Parameters
    ----------
    options
        The list in a request, or None.
    """

    def __init__(self, options: Sequence[Any] | None) -> None:
        self._options = [o for o in options or () if o is not None]

    def of(self, row: Row) -> bool | None:
        """True: it goes along; False: it stays; None: nothing was said."""
        answers = [self._one(o, row) for o in self._options]
        return True if True in answers else False if False in answers else None

    @staticmethod
    def _one(option: Any, row: Row) -> bool | None:
        if is_a(row.kind, "Annotation") and not _namespace_meant(option, row["ns"]):
            return None
        for names, answer in ((option.includeType, True), (option.excludeType, False)):
            if any(is_a(row.kind, entity(name).name) for name in names or ()):
                return answer
        return None


def _namespace_meant(option: Any, ns: str | None) -> bool:
    if option.includeNs:
        return ns in option.includeNs
    if option.excludeNs:
        return ns not in option.excludeNs
    return ns != _COMPANION


class Plan:
    """The rows that go, for one command.

    Parameters
    ----------
    state
        Where the rows are.
    may
        Whether the caller has the right that the command needs on a row.
    options
        What the request says of contents.
    stop
        Entities at which to stop: their rows go along, what belongs to them is not looked at.
    check
        Called now and then; raises when the command was cancelled.
    """

    def __init__(
        self,
        state: State,
        may: Callable[[Row], bool],
        options: Options,
        *,
        stop: Iterable[str] = (),
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._state, self._may, self._options, self._check = state, may, options, check
        self._stop = tuple(entity(name).name for name in stop)
        self._taken: dict[tuple[str, int], Row] = {}
        self._free: set[tuple[str, int]] = set()
        self._maybe: dict[tuple[str, int], Row] = {}

    @property
    def rows(self) -> list[Row]:
        """All that goes, in the order in which it was found."""
        return list(self._taken.values())

    def has(self, row: Row) -> bool:
        """Whether `row` goes."""
        return _key(row) in self._taken

    def of_kinds(self, kinds: Iterable[str]) -> list[Row]:
        """Those of the rows that are of certain entities."""
        wanted = [entity(name).name for name in kinds]
        return [row for row in self.rows if any(is_a(row.kind, name) for name in wanted)]

    def forbidden(self) -> Row | None:
        """A row that goes although the caller has no right to that; None where all is well."""
        for key, row in self._taken.items():
            if key not in self._free and not self._may(row):
                return row
        return None

    def take(self, rows: Iterable[Row]) -> None:
        """Take rows, and all that goes along with them."""
        for row in rows:
            self._take(row, free=False)
        while orphans := self._orphans():
            for row in orphans:
                self._take(row, free=self.unasked(row))

    def _take(self, first: Row, *, free: bool) -> None:
        waiting = [(first, free)]
        while waiting:
            row, free = waiting.pop()
            key = _key(row)
            self._maybe.pop(key, None)
            if key in self._taken or is_system(row.kind):
                continue
            self._check()
            self._taken[key] = row
            if free:
                self._free.add(key)
            if any(is_a(row.kind, name) for name in self._stop):
                continue
            waiting += [
                (part, free or part.kind in ("RenderingDef", "Thumbnail")) for part in parts(self._state, row)
            ]
            waiting += [(link, True) for link in links_of(self._state, row)]
            if row.kind == "OriginalFile":
                waiting += [(note, True) for note in self._state.where("FileAnnotation", "file", row)]
            for content in contents(self._state, row):
                self._consider(content, row)

    def _consider(self, row: Row, holder: Row) -> None:
        key, said = _key(row), self._options.of(row)
        if key in self._taken or said is False or is_system(row.kind):
            return
        if said is None and not self.along(row, holder):
            return
        self._maybe[key] = row
        if row.kind == "Image" and row["fileset"] is not None:
            self._consider(row["fileset"], row)

    def along(self, row: Row, holder: Row) -> bool:
        """Whether `row`, which `holder` holds, goes along when nothing that stays holds it."""
        if any(is_a(row.kind, name) for name in _ALWAYS):
            return True
        if row.kind in _OWN_ONLY and holder.kind.endswith("AnnotationLink"):
            annotated = holder["parent"]
            if not self.has(annotated) or annotated.owner != row.owner:
                return False
        return self._may(row)

    def unasked(self, row: Row) -> bool:
        """Whether `row`, when nothing that stays holds it, goes along without a right to that."""
        return any(is_a(row.kind, name) for name in _ALWAYS)

    def _orphans(self) -> list[Row]:
        """Of what may go along: all that nothing holds but what goes, and what goes with that."""
        maybe = dict(self._maybe)
        while held := [key for key, row in maybe.items() if self._held(row, maybe)]:
            for key in held:
                del maybe[key]
        return list(maybe.values())

    def _held(self, row: Row, maybe: Mapping[tuple[str, int], Row]) -> bool:
        if self._options.of(row) is True:
            return False
        around = list(holders(self._state, row))
        if row.kind == "Image" and row["fileset"] is not None:
            around.append(row["fileset"])
        return any(_key(h) not in self._taken and _key(h) not in maybe for h in around)


class Moving(Plan):
    """The rows that go to another group.

    Parameters
    ----------
    private
        Whether the group is private: what others own does not go there.
    deletable
        Whether the caller may delete a row; such rows of others move with what they are in.
    """

    def __init__(self, *args: Any, private: bool, deletable: Callable[[Row], bool], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._private, self._deletable = private, deletable

    def along(self, row: Row, holder: Row) -> bool:
        """Whether `row` goes along, as for deleting, but for containers and annotations of several people."""
        if holder.kind.endswith("Link"):
            same = holder["parent"].owner == row.owner
            if row.kind in _OWN_ONLY:
                return same and self.has(holder["parent"])
            if any(is_a(row.kind, name) for name in _ALWAYS):
                return True
            return same or (not self._private and (self._deletable(row) or self._may(row)))
        return True

    def unasked(self, row: Row) -> bool:
        """Whether `row` needs no right: all but the caller's own data in a private group."""
        return not self._private or row.kind not in ("Dataset", "Folder", "Image", "Plate")


def _key(row: Row) -> tuple[str, int]:
    return row.entity.root, row.id
