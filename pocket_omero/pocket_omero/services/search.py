# SPDX-License-Identifier: GPL-2.0-or-later
"""Search over names, descriptions and annotations: word by word, in the order of ids.

OMERO asks Lucene; here a search looks at every row that the caller sees. It understands words, ``*``
and ``?``, "words in quotes", AND, OR, NOT, + and -. It knows no fields before a colon and no ranks.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import omero
from omero.rtypes import rlist, rlong

from pocket_omero.errors import NotReady, Unsupported, WrongUse
from pocket_omero.ice.dispatch import Stateful
from pocket_omero.ice.entities import entity

__all__ = ["Query", "Search"]

_WORD = re.compile(r"[0-9a-z*?]+")
_TERM = re.compile(r'([+-]?)(?:"([^"]*)"|(\S+))')
_FIELDS = ("name", "description")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes
    ----------
    must, may, never
        Phrases, each of one word or more: all of the first are there (where there is none, one of the
        second), and none of the third.
    """

    must: tuple[tuple[str, ...], ...]
    may: tuple[tuple[str, ...], ...]
    never: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Query:
        """Understand what a person typed.

        Raises
        ------
        WrongUse
            If there is nothing to look for, or a colon, which asks for one field only.
        """
        groups: dict[str, list[tuple[str, ...]]] = {"+": [], "": [], "-": []}
        mark = ""
        both = False
        for sign, quoted, word in _TERM.findall(text):
            if word in {"AND", "OR", "NOT"}:
                both = both or word == "AND"
                mark = "-" if word == "NOT" else ""
                continue
            if ":" in word:
                raise WrongUse("Pocket OMERO's search knows no fields (a colon)")
            phrase = tuple(_WORD.findall((quoted or word).lower()))
            if phrase:
                groups[sign or mark].append(phrase)
            mark = ""
        must, may = groups["+"], groups[""]
        if both:
            must, may = must + may, []
        if not must and not may:
            raise WrongUse("There is nothing to look for")
        return cls(tuple(must), tuple(may), tuple(groups["-"]))

    def fits(self, text: str) -> bool:
        """Whether a text is found."""
        words = _WORD.findall(text.lower())
        if any(_has(words, phrase) for phrase in self.never):
            return False
        if self.must:
            return all(_has(words, phrase) for phrase in self.must)
        return any(_has(words, phrase) for phrase in self.may)


def _has(words: list[str], phrase: tuple[str, ...]) -> bool:
    starts = range(len(words) - len(phrase) + 1)
    return any(all(map(fnmatch.fnmatchcase, words[at:], phrase)) for at in starts)


class Search(Stateful, omero.api.Search, name="Search"):
    """One search of one client: what it is narrowed to, and the pages of what it found."""

    def __init__(self, house: Any, session: Any, identity: str) -> None:
        super().__init__(house, session, identity)
        self._found: list[int] = []
        self._reset()

    def _reset(self) -> None:
        self._batch, self._kind = 1000, ""
        self._owner: int | None = None
        self._created: tuple[int | None, int | None] = (None, None)

    # what it is narrowed to

    def do_setBatchSize(self, size: int, current: Any) -> None:
        self._batch = max(1, size)

    def do_getBatchSize(self, current: Any) -> int:
        return self._batch

    def do_setCaseSensitive(self, value: bool, current: Any) -> None:
        if value:
            raise Unsupported("Pocket OMERO's search does not tell large letters from small ones")

    def do_setCaseSentivice(self, value: bool, current: Any) -> None:
        self.do_setCaseSensitive(value, current)

    def do_isCaseSensitive(self, current: Any) -> bool:
        return False

    def do_setAllowLeadingWildcard(self, value: bool, current: Any) -> None:
        """Nothing: a word may begin with ``*`` in any case."""

    def do_isAllowLeadingWildcard(self, current: Any) -> bool:
        return True

    def do_onlyType(self, kind: str, current: Any) -> None:
        self._kind = entity(kind).name

    def do_onlyOwnedBy(self, details: Any, current: Any) -> None:
        owner = None if details is None else details.owner
        self._owner = None if owner is None else owner.id.val

    def do_onlyCreatedBetween(self, start: Any, stop: Any, current: Any) -> None:
        self._created = (None if start is None else start.val, None if stop is None else stop.val)

    def do_resetDefaults(self, current: Any) -> None:
        self._reset()

    # looking

    def do_byFullText(self, text: str, current: Any) -> None:
        self._look(Query.parse(text), {"name", "description", "annotation"}, self._created, current)

    def do_byLuceneQueryBuilder(
        self, fields: str, start: str, stop: str, date: str, text: str, current: Any
    ) -> None:
        """Look in some fields of what was made on some days.

        Parameters
        ----------
        fields
            "name", "description", "annotation", with commas between them; none: all.
        start, stop
            Days as "20260131", both included; nothing: no bound.
        date
            Which of its dates counts: "acquisitionDate", else when it was made.
        """
        named = {field.strip() for field in fields.split(",") if field.strip()}
        days = (_day(start, 0), _day(stop, 1))
        self._look(Query.parse(text), named or {"name", "description", "annotation"}, days, current, date)

    def _look(
        self,
        query: Query,
        fields: set[str],
        days: tuple[int | None, int | None],
        current: Any,
        date: str = "",
    ) -> None:
        if not self._kind:
            raise WrongUse("onlyType says first what is looked for")
        visible = self.house.rights.visible(self.caller(current))
        state = self.house.state
        with state.lock:
            self._found = [
                row.id
                for row in state.all(self._kind)
                if visible(row)
                and (self._owner is None or row.owner == self._owner)
                and _between(self._date(row, date), days)
                and query.fits(" . ".join(self._texts(row, fields, visible)))
            ]

    def _date(self, row: Any, date: str) -> int | None:
        if date == "acquisitionDate" and date in entity(row.kind).fields:
            taken: int | None = row[date]
            return taken
        event = row["details.creationEvent"]
        return None if event is None else event["time"]

    def _texts(self, row: Any, fields: set[str], visible: Any) -> Iterator[str]:
        known = entity(row.kind).fields
        for field in _FIELDS:
            if field in fields and field in known and row[field]:
                yield row[field]
        if "annotation" not in fields or "annotationLinks" not in known:
            return
        for link in self.house.state.many(row, "annotationLinks"):
            note = link["child"]
            if note is not None and visible(link) and visible(note):
                yield from _words(note)

    # what was found

    def do_hasNext(self, current: Any) -> bool:
        return bool(self._found)

    def do_results(self, current: Any) -> list[Any]:
        """The next page.

        Raises
        ------
        ApiUsageException
            If there is none.
        """
        return self._page(self._batch, current)

    def do_next(self, current: Any) -> Any:
        return self._page(1, current)[0]

    def _page(self, size: int, current: Any) -> list[Any]:
        if not self._found:
            raise NotReady("There are no more results")
        ids, self._found = self._found[:size], self._found[size:]
        params = omero.sys.Parameters({"ids": rlist([rlong(one) for one in ids])})
        text = (
            f"select o from {self._kind} o join fetch o.details.owner "  # noqa: S608
            "join fetch o.details.creationEvent where o.id in (:ids) order by o.id"
        )
        return [row[0] for row in self.query(text, params, current).rows]


def _words(note: Any) -> Iterator[str]:
    known = entity(note.kind).fields
    for field in ("textValue", "ns"):
        if field in known and note[field]:
            yield note[field]
    if "mapValue" in known:
        for pair in note["mapValue"] or ():
            yield " ".join(pair)
    if "file" in known and note["file"] is not None:
        yield note["file"]["name"] or ""


def _day(text: str | None, add: int) -> int | None:
    if not text:
        return None
    try:
        day = datetime.datetime.strptime(text, "%Y%m%d").replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise WrongUse(f"{text} is no day") from error
    return int((day + datetime.timedelta(days=add)).timestamp() * 1000) - add


def _between(moment: int | None, days: tuple[int | None, int | None]) -> bool:
    start, stop = days
    if start is None and stop is None:
        return True
    return moment is not None and (start is None or moment >= start) and (stop is None or moment <= stop)
