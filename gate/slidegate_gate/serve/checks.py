# SPDX-License-Identifier: BSD-3-Clause
"""What may stand in a plan.

A plan is written by the server and is believed in nothing.  Its form is checked here; that its Release is
installed and allowed, that its inputs are here, and that its Attempts are new is checked in ``journal``.

Parameters are described by a small part of JSON Schema: an object with named properties and nothing beside
them; each property a string, a number, an integer or a boolean, within a range, from a list, or of one of the
patterns below.  A schema that says more is refused when its workflow is installed (``check_schema``), because
what is not understood here could not be enforced here.
"""

import re
from typing import Any, Callable, Dict, Optional, Tuple

from ..errors import BadParameters, BadPlan
from . import files
from .messages import DIGEST, MAX_BYTES

__all__ = ["PATTERNS", "check_parameters", "check_plan", "check_schema", "is_entry", "is_name"]

NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,11}")
WORD = re.compile("[a-z][a-z0-9_]{0,39}")
MAX_NAME = 512
MAX_NOTE = 4096
MAX_ATTEMPTS = 1000
MAX_INPUTS = 20
MAX_TEXT = 1000

# what a schema may write -> what must match from end to end
PATTERNS = {
    "^[0-9]+$": re.compile("[0-9]+"),
    "^[A-Za-z0-9_-]+$": re.compile("[A-Za-z0-9_-]+"),
    "^[A-Za-z0-9._-]+$": re.compile("[A-Za-z0-9._-]+"),
    "^[A-Za-z0-9 ,._-]+$": re.compile("[A-Za-z0-9 ,._-]+"),
}

TYPES: Dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str) and len(value) <= MAX_TEXT,
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: type(value) in (int, float),
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
}

# rule of a property -> does the value keep it?
RULES: Dict[str, Callable[[Any, Any], bool]] = {
    "enum": lambda rule, value: any(same(value, one) for one in rule),
    "const": lambda rule, value: same(value, rule),
    "minimum": lambda rule, value: value >= rule,
    "maximum": lambda rule, value: value <= rule,
    "maxLength": lambda rule, value: len(value) <= rule,
    "pattern": lambda rule, value: PATTERNS[rule].fullmatch(value) is not None,
}


def is_name(name: Any) -> bool:
    """Say whether `name` may stand in a Tree: relative, no part begins with a dot, plain characters only."""
    return isinstance(name, str) and len(name) <= MAX_NAME and NAME.fullmatch(name) is not None


def is_entry(entry: Tuple[str, int, str]) -> bool:
    """Say whether (name, size, digest) may stand in a Tree: a safe name, a size, a digest."""
    name, size, digest = entry
    return is_name(name) and 0 <= size <= MAX_BYTES and _is_digest(digest)


def same(one: Any, other: Any) -> bool:
    """Equality as JSON means it: 1 and 1.0 are the same, 1 and true are not."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def broken_rule(rules: Dict[str, Any], value: Any) -> Optional[str]:
    if not TYPES[rules["type"]](value):
        return "type " + str(rules["type"])
    for word, keeps in RULES.items():
        if word in rules and not keeps(rules[word], value):
            return "{} {}".format(word, rules[word])
    return None


def check_parameters(schema: Dict[str, Any], values: Any) -> Dict[str, Any]:
    """Return the parameters with defaults filled in; raise BadParameters where one breaks its rule.

    `schema` passed ``check_schema``.  Equal parameters give equal results: 5.0 for an integer becomes 5.
    """
    if not isinstance(values, dict):
        raise BadParameters("Parameters must be an object.", parameter=None)
    properties = schema.get("properties", {})
    for name in sorted(values):
        if name not in properties:
            raise BadParameters("There is no parameter {!r}.".format(name[:100]), parameter=name[:100])
    filled = {}
    for name, rules in properties.items():
        if name in values:
            value = values[name]
            broken = broken_rule(rules, value)
            if broken:
                raise BadParameters("Parameter {} must keep {}.".format(name, broken), parameter=name)
            filled[name] = int(value) if rules["type"] == "integer" else value
        elif "default" in rules:
            filled[name] = rules["default"]
        elif name in schema.get("required", []):
            raise BadParameters("Parameter {} is missing.".format(name), parameter=name)
    return filled


def check_plan(plan: Any) -> None:
    """Raise BadPlan where a plan does not have the form of one; parameters are not looked into."""
    _demand(_has(plan, {"plan", "release", "note", "attempts"}), "It lacks a field or has another")
    _demand(plan["plan"] == 1, "It is no plan of format 1")
    _demand(_is_digest(plan["release"]), "Its Release is not named by a digest")
    _demand(_is_note(plan["note"]), "Its note is no object of at most {} bytes".format(MAX_NOTE))
    entries = plan["attempts"]
    _demand(isinstance(entries, list) and 0 < len(entries) <= MAX_ATTEMPTS,
            "It must have 1 to {} Attempts".format(MAX_ATTEMPTS))
    for entry in entries:
        _demand(_has(entry, {"attempt", "inputs", "parameters", "note"}), "An Attempt lacks a field or has more")
        _demand(_is_digest(entry["attempt"]), "An Attempt's key is not 64 hexadecimal digits")
        _demand(_is_note(entry["note"]), "Its note is no object of at most {} bytes".format(MAX_NOTE))
        inputs = entry["inputs"]
        _demand(isinstance(inputs, dict) and len(inputs) <= MAX_INPUTS, "Inputs must be a small object")
        for name, tree in inputs.items():
            _demand(WORD.fullmatch(name) is not None and _is_digest(tree), "An input is no name and digest")
    _demand(len({entry["attempt"] for entry in entries}) == len(entries), "An Attempt comes twice")


def _demand(holds: bool, fault: str) -> None:
    if not holds:
        raise BadPlan("The plan cannot be accepted. {}.".format(fault))


def _has(value: Any, names: Any) -> bool:
    return isinstance(value, dict) and set(value) == names


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def _is_note(value: Any) -> bool:
    return isinstance(value, dict) and len(files.canonical(value)) <= MAX_NOTE
