# SPDX-License-Identifier: BSD-3-Clause
"""Parameters as a person gives them, checked against a workflow's schema and completed with its defaults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from slidegate.domain.errors import BadParameter

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one parameter; `name` is empty where it is about none alone."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """All parameters, those given and the defaults for the rest, and everything that is wrong with them."""

    values: Mapping[str, Any]
    problems: tuple[Problem, ...]


def check(schema: Mapping[str, Any], given: Mapping[str, Any]) -> Checked:
    """Complete parameters and find all that is wrong with them, sorted by name.

    Parameters
    ----------
    given
        Values, or their text as it stands on a command line or in a form.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    known = ", ".join(sorted(properties)) or "none"
    problems = {
        name: f"There is no parameter {name!r}. This workflow has: {known}."
        for name in sorted(set(given) - set(properties))
    }
    values = {name: rules["default"] for name, rules in properties.items() if "default" in rules}
    for name, value in given.items():
        if name not in properties:
            continue
        try:
            values[name] = _read(properties[name], value)
        except ValueError:
            kind = _KINDS[str(properties[name].get("type"))]
            problems[name] = f"Parameter {name!r} must be {kind}, not {value!r}."
            values.pop(name, None)
    for error in Draft202012Validator(dict(schema)).iter_errors(values):
        if error.validator == "required":
            for name in set(error.validator_value) - set(values):
                problems.setdefault(name, f"Parameter {name!r} is a required property: it has no default.")
            continue
        name = str(error.path[0]) if error.path else ""
        words = f"Parameter {name!r} does not fit: {error.message}." if name else f"{error.message}."
        problems.setdefault(name, words)
    whole = {
        name: int(value) if _is_whole(properties[name], value) else value for name, value in values.items()
    }
    return Checked(whole, tuple(Problem(name, problems[name]) for name in sorted(problems)))


def complete(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters: those given, and the schema's defaults for the rest.

    Parameters
    ----------
    given
        Values, or their text as it stands on a command line or in a form.

    Raises
    ------
    BadParameter
        One is unknown, missing, of the wrong type or out of range; the sentence says which and why.
    """
    checked = check(schema, given)
    if checked.problems:
        raise BadParameter(checked.problems[0].message)
    return dict(checked.values)


def _is_whole(rules: Mapping[str, Any], value: Any) -> bool:
    return rules.get("type") == "integer" and isinstance(value, float) and value.is_integer()


def _read(rules: Mapping[str, Any], value: Any) -> Any:
    """Turn text into the type that the schema asks for; raises ValueError where that cannot be."""
    kind = rules.get("type")
    if not isinstance(value, str) or kind == "string":
        return str(value) if kind == "string" and type(value) in (int, float) else value
    if kind == "integer":
        return int(value)
    if kind == "number":
        return _finite(float(value))
    if kind == "boolean":
        if value.strip().lower() not in _BOOLEANS:
            raise ValueError
        return _BOOLEANS[value.strip().lower()]
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value
