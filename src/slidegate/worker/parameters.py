# SPDX-License-Identifier: BSD-3-Clause
"""Parameters as a person gives them, checked against a workflow's schema and completed with its defaults."""

import math
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from slidegate.domain.errors import BadParameter

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def complete(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters: those given, and the schema's defaults for the rest.

    Parameters
    ----------
    given
        Values, or their text as it stands on a command line.

    Raises
    ------
    BadParameter
        One is unknown, missing, of the wrong type or out of range; the sentence says which and why.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    unknown = sorted(set(given) - set(properties))
    if unknown:
        known = ", ".join(sorted(properties)) or "none"
        raise BadParameter(f"There is no parameter {unknown[0]!r}. This workflow has: {known}.")
    values = {name: rules["default"] for name, rules in properties.items() if "default" in rules}
    values |= {name: _read(name, properties[name], value) for name, value in given.items()}
    for error in Draft202012Validator(dict(schema)).iter_errors(values):
        name = str(error.path[0]) if error.path else ""
        raise BadParameter(
            f"Parameter {name!r} does not fit: {error.message}." if name else f"{error.message}."
        )
    return {
        name: int(value) if properties[name].get("type") == "integer" else value
        for name, value in values.items()
    }


def _read(name: str, rules: Mapping[str, Any], value: Any) -> Any:
    """Turn text into the type that the schema asks for."""
    kind = rules.get("type")
    if not isinstance(value, str) or kind == "string":
        return str(value) if kind == "string" and type(value) in (int, float) else value
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return _finite(float(value))
        if kind == "boolean":
            return _BOOLEANS[value.strip().lower()]
    except (ValueError, KeyError):
        words = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
        raise BadParameter(f"Parameter {name!r} must be {words[str(kind)]}, not {value!r}.") from None
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value
