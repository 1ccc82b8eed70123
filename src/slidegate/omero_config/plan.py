# SPDX-License-Identifier: BSD-3-Clause
"""What has to change so that a configuration is as desired. Nothing is read or written here."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from slidegate.omero_config.errors import BadConfig
from slidegate.omero_config.values import Json, State, Wish, canonical

# Returns the list that OMERO has under a key while it is not set.
Defaults = Callable[[str], list[Json]]


@dataclass(frozen=True)
class Change:
    """What becomes of one key.

    Parameters
    ----------
    key
        Name of the key.
    before, after
        The texts in config.xml, None where the key is not set.
    secret
        Whether neither may be shown.
    """

    key: str
    before: str | None
    after: str | None
    secret: bool = False


def plan(current: Mapping[str, str], wishes: Iterable[Wish], defaults: Defaults) -> tuple[Change, ...]:
    """Return what has to change, in the order of the wishes; nothing where all is as desired.

    A configuration to which the changes were applied needs none any more. Keys of which nothing is desired
    are never among them.

    Parameters
    ----------
    current
        The configuration: the text of every key that is set.
    wishes
        What is desired; no key twice.
    defaults
        Is asked only for a list that is not set and of which entries are desired to be there or not.

    Raises
    ------
    BadConfig
        A key of which entries are desired holds something that is no list.
    """
    changes = []
    for wish in wishes:
        before = current.get(wish.key)
        after = _after(wish, before, defaults)
        if after != before:
            changes.append(Change(wish.key, before, after, wish.secret))
    return tuple(changes)


def _after(wish: Wish, before: str | None, defaults: Defaults) -> str | None:
    """Return the text that a key shall have."""
    if wish.value is None:
        return None
    if isinstance(wish.value, str):
        return wish.value
    if isinstance(wish.value, list) and wish.state is not State.EXACT:
        entries = defaults(wish.key) if before is None else _entries(wish.key, before)
        better = _without(entries, wish) if wish.state is State.ABSENT else _with(entries, wish)
        return before if canonical(better) == canonical(entries) else json.dumps(better)
    return before if before is not None and _says(before, wish.value) else json.dumps(wish.value)


def _entries(key: str, text: str) -> list[Json]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise BadConfig(
            f"{key} holds something that is no list in JSON, so no entry can be put into it or taken out. "
            "State what it shall be as a whole, with state: exact."
        )
    return value


def _with(entries: list[Json], wish: Wish) -> list[Json]:
    """Put each desired entry where one of the same identity stands, or else at the end; each stands once."""
    desired = {wish.identity.of(entry): entry for entry in wish.value}
    left = dict(desired)
    result = []
    for entry in entries:
        known = wish.identity.of(entry)
        if known is None or known not in desired:
            result.append(entry)
        elif known in left:
            result.append(left.pop(known))
    return [*result, *left.values()]


def _without(entries: list[Json], wish: Wish) -> list[Json]:
    unwanted = {wish.identity.of(entry) for entry in wish.value}
    return [entry for entry in entries if wish.identity.of(entry) not in unwanted]


def _says(text: str, value: Json) -> bool:
    """Say whether a text is this value in JSON, however it is spaced."""
    try:
        return canonical(json.loads(text)) == canonical(value)
    except ValueError:
        return False
