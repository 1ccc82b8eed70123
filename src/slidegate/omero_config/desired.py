# SPDX-License-Identifier: BSD-3-Clause
"""Reads what is desired of OMERO's configuration, and says in words what cannot be understood."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from slidegate.omero_config.errors import BadDesired
from slidegate.omero_config.masking import is_secret_name
from slidegate.omero_config.strict_yaml import read_yaml
from slidegate.omero_config.values import KEY, LISTS, OF_THE_FILE, Identity, Json, State, Wish

MAXIMUM_BYTES = 1_000_000
_SOURCES = ("value", "from_env", "from_file")
_WORDS = ("state", *_SOURCES, "identity", "secret")
_DEPTH = 20
_Word = TypeVar("_Word", State, Identity)
# what cannot stand in XML 1.0, however it is written: with it, OMERO could not read its file again
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_desired(text: str, folder: Path, environment: Mapping[str, str]) -> tuple[Wish, ...]:
    """Return what a YAML text desires, in its order.

    Parameters
    ----------
    text
        YAML (or JSON): a mapping of keys to a value, or to a mapping of ``state``, ``value``, ``from_env``,
        ``from_file``, ``identity`` and ``secret``.
    folder
        Where the names of files (``from_file``) begin.
    environment
        Where the names of variables (``from_env``) are looked up.

    Raises
    ------
    BadDesired
        Something cannot be understood, or what it names is missing. No value is repeated in the words.
    """
    desired = read_yaml(text)
    if not isinstance(desired, dict) or not desired:
        raise BadDesired(
            "What is desired is a mapping of OMERO's keys to values, such as: omero.web.apps: [omero_figure]"
        )
    return tuple(_Said(key, said, folder, environment).wish() for key, said in desired.items())


@dataclass(frozen=True)
class _Said:
    """What stands under one key of the file."""

    key: str
    what: Json
    folder: Path
    environment: Mapping[str, str]

    def wish(self) -> Wish:
        """Return what is desired of the key."""
        self._check_key()
        said = self.what if isinstance(self.what, dict) else {"value": self.what}
        unknown = [word for word in said if word not in _WORDS]
        if unknown:
            self._refuse(
                f"has words that are not known ({', '.join(unknown)}): {', '.join(_WORDS)} are. "
                "A mapping that is itself the value stands under value"
            )
        state = self._one_of(State, said.get("state", "present"), "state")
        sources = [word for word in _SOURCES if word in said]
        secret = said.get("secret", "from_env" in said or "from_file" in said)
        if not isinstance(secret, bool):
            self._refuse("says of secret something else than true or false")
        secret = secret or is_secret_name(self.key)
        if state is State.ABSENT and not sources and "identity" not in said:
            return Wish(self.key, state, None, secret=secret)
        if len(sources) != 1:
            self._refuse("needs exactly one of value, from_env and from_file")
        value = self._value(sources[0], said[sources[0]])
        if isinstance(value, list):
            word = said.get("identity", LISTS.get(self.key, Identity.WHOLE).value)
            identity = self._one_of(Identity, word, "identity")
            return Wish(self.key, state, self._entries(value, identity, state), identity, secret)
        if "identity" in said:
            self._refuse("has an identity, which only the entries of a list have")
        if state is State.ABSENT:
            self._refuse("is to be absent, and yet has a value: only entries of a list are named there")
        return Wish(self.key, state, value, secret=secret)

    def _refuse(self, words: str) -> NoReturn:
        raise BadDesired(f"{self.key} {words}.")

    def _check_key(self) -> None:
        if KEY.fullmatch(self.key) is None:
            raise BadDesired(
                "A name of a key has something else in it than letters, digits, points, - and _: "
                f"{self.key[:80]!a}."
            )
        if self.key in OF_THE_FILE:
            self._refuse("belongs to the file itself and is not for configuring")

    def _one_of(self, words: type[_Word], said: Json, what: str) -> _Word:
        known = [word.value for word in words]
        if said not in known:
            self._refuse(f"has a {what} that is not known: {', '.join(known)} are")
        return words(said)

    def _value(self, source: str, said: Json) -> Json:
        """Return the value, from where it is said to be: a text, a list or a mapping."""
        value = self._fetched(source, said) if source != "value" else said
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, int):
            value = str(value)
        elif value is None:
            self._refuse('has no value: give one ("" is the empty text), or state: absent')
        elif isinstance(value, float):
            self._refuse("is a number with a fraction: put it in quotes, so that it stays as it is written")
        if isinstance(value, str):
            if self.key in LISTS:
                value = self._list_in(value)
            elif _NOT_IN_XML.search(value):
                self._refuse("has a character that cannot stand in config.xml")
        self._check_json(value, 0)
        return value

    def _list_in(self, text: str) -> Json:
        """Return the list that a text is in JSON, for a key that is a list."""
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, list):
            self._refuse("is a list for OMERO.web: write [one, another], or, as a text, a list in JSON")
        return value

    def _fetched(self, source: str, name: Json) -> str:
        """Return the text of a variable or a file."""
        if not isinstance(name, str) or not name:
            self._refuse(f"says no name under {source}")
        if source == "from_env":
            if name not in self.environment:
                self._refuse(f"comes from the variable {name}, which is not set")
            return self.environment[name]
        path = self.folder / name
        try:
            if not path.is_file():
                self._refuse(f"comes from {path}, where there is no file")
            if path.stat().st_size > MAXIMUM_BYTES:
                self._refuse(f"comes from {path}, which is larger than a value can be")
            return path.read_text(encoding="utf-8").rstrip()
        except OSError as error:
            self._refuse(f"comes from {path}, which cannot be read: {error.strerror}")
        except ValueError:
            self._refuse(f"comes from {path}, which is no text in UTF-8")

    def _check_json(self, value: Json, depth: int) -> None:
        """Refuse what JSON does not have, such as dates."""
        if depth > _DEPTH:
            self._refuse(f"is nested more than {_DEPTH} deep")
        if isinstance(value, dict):
            if not all(isinstance(name, str) for name in value):
                self._refuse("has a name in it that is no text: put it in quotes")
            for each in value.values():
                self._check_json(each, depth + 1)
        elif isinstance(value, list):
            for each in value:
                self._check_json(each, depth + 1)
        elif isinstance(value, float) and not math.isfinite(value):
            self._refuse("has a number in it that JSON does not have")
        elif value is not None and not isinstance(value, str | bool | int | float):
            self._refuse("has something in it that JSON does not have: put it in quotes")

    def _entries(self, value: list[Json], identity: Identity, state: State) -> list[Json]:
        """Check that each entry can be told from the others."""
        if state is State.ABSENT:
            value = [_named(each, identity) for each in value]
        known = [identity.of(each) for each in value]
        if None in known:
            self._refuse(f"has an entry that is written in another way: each is {identity.shape()}")
        if len(set(known)) != len(known):
            self._refuse("has an entry twice")
        if self.key in ("omero.web.middleware", "omero.web.ui.metadata_panes") and state is not State.ABSENT:
            for each in value:
                index = each.get("index")
                if isinstance(index, bool) or not isinstance(index, int | float):
                    self._refuse("has an entry without an index, a number by which OMERO.web sorts them")
        return value


def _named(entry: Json, identity: Identity) -> Json:
    """Return an entry of which only the name was given."""
    if not isinstance(entry, str) or identity is Identity.WHOLE:
        return entry
    return [entry] if identity is Identity.FIRST else {identity.value: entry}
