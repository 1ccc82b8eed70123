# SPDX-License-Identifier: BSD-3-Clause
"""YAML without its traps: no key twice, no aliases, and only what looks like JSON is more than text."""

import json
import re
from typing import Any

from slidegate.omero_config.errors import BadDesired, NoOmeroPy

# In YAML 1.1 "yes", "12:30", "0777" and "2026-01-01" are no texts. Here they are.
_WORDS = {
    "null": ("~nN", re.compile(r"~|null|")),
    "bool": ("tTfF", re.compile(r"true|True|false|False")),
    "int": ("-0123456789", re.compile(r"-?(?:0|[1-9][0-9]*)$")),
    "float": ("-0123456789", re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$")),
}
# what PyYAML quotes may be the beginning of a password: !word, &word
_LONGER_QUOTE = re.compile(r"'[^']{2,}'")


def read_yaml(text: str) -> Any:
    """Return what a YAML (or JSON) text says.

    Raises
    ------
    BadDesired
        It is not YAML, has a key twice, or an alias. The text itself is not repeated: it may hold a secret.
    NoOmeroPy
        PyYAML, which comes with OMERO's Python library, is missing.
    """
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_once_each)
        except (ValueError, RecursionError):
            pass  # it may still be YAML
    try:
        import yaml
    except ImportError:
        raise NoOmeroPy from None
    try:
        return yaml.load(text, Loader=_loader(yaml))  # noqa: S506 - it is derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"In line {mark.line + 1}, column {mark.column + 1}: "
        problem = _LONGER_QUOTE.sub("'...'", str(error.problem))
        raise BadDesired(f"What is desired is no YAML that can be read. {where}{problem}.") from None
    except yaml.YAMLError as error:
        raise BadDesired(f"What is desired is no YAML that can be read ({type(error).__name__}).") from None
    except (RecursionError, ValueError):
        raise BadDesired(
            "What is desired is no YAML that can be read: it has a value that cannot be one."
        ) from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise BadDesired("What is desired has the name of a value twice.")
    return read


def _loader(yaml: Any) -> Any:
    """Return the class that reads; it is made here because PyYAML may be missing."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML reads it from the class

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.constructor.ConstructorError(
                    None, None, "an alias (*name) is not taken: write its value out", mark
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for name, _value in node.value:
                said = "is no text: put it in quotes" if name.tag != "tag:yaml.org,2002:str" else ""
                said = said or ("stands twice" if name.value in seen else "")
                if said:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the name of a value {said}", name.start_mark
                    )
                seen.add(name.value)
            return super().construct_mapping(node, deep)

    for word, (first, pattern) in _WORDS.items():
        begins = [*first, ""] if word == "null" else list(first)
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{word}", re.compile(f"(?:{pattern.pattern})$"), begins
        )
    return Loader
