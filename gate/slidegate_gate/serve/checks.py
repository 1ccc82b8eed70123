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
from typing import Any, Callable, Dict, Optional

from ..errors import BadParameters, BadPlan
from ..protocol import messages
from ..protocol.canonical import canonical
from ..protocol.messages import Check

WORD = re.compile("[a-z][a-z0-9_]{0,39}")
MAX_NOTE = 4096
MAX_ATTEMPTS = 1000
MAX_INPUTS = 20
MAX_TEXT = 1000

# what a schema may write -> what must match from end to end
SIGNS = ("[0-9]", "[A-Za-z0-9_-]", "[A-Za-z0-9._-]", "[A-Za-z0-9 ,._-]")
PATTERNS = {"^{}+$".format(signs): re.compile(signs + "+") for signs in SIGNS}

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


def check_parameters(schema: Dict[str, Any], values: Dict[str, Any]) -> Dict[str, Any]:
    """Return the parameters with defaults filled in; raise BadParameters where one breaks its rule.

    `schema` passed ``check_schema``.  Equal parameters give equal results: 5.0 for an integer becomes 5.
    """
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


def check_inputs(described: Dict[str, Any], given: Dict[str, str]) -> None:
    """Raise BadPlan where an Attempt lacks an input that its workflow needs, or has an unknown one."""
    needed = {name for name, about in described.items() if not about.get("optional")}
    if set(given) - set(described) or needed - set(given):
        raise BadPlan("The inputs of this workflow are: {}.".format(", ".join(sorted(described))))


def check_plan(plan: Any) -> None:
    """Raise BadPlan where a plan does not have the form of one; parameters are not looked into."""
    _check_form(plan, PLAN, "The plan")
    for entry in plan["attempts"]:
        _check_form(entry, ATTEMPT, "An Attempt")
    if len({entry["attempt"] for entry in plan["attempts"]}) < len(plan["attempts"]):
        raise BadPlan("An Attempt comes twice.")


def _check_form(value: Any, form: Dict[str, Check], what: str) -> None:
    if not isinstance(value, dict) or set(value) != set(form):
        raise BadPlan("{} must have exactly the fields {}.".format(what, ", ".join(sorted(form))))
    for field, holds in form.items():
        if not holds(value[field]):
            raise BadPlan("{}: {} is not as it must be.".format(what, field))


def _is_note(value: Any) -> bool:
    return isinstance(value, dict) and len(canonical(value)) <= MAX_NOTE


def _are_inputs(value: Any) -> bool:
    small = isinstance(value, dict) and len(value) <= MAX_INPUTS
    return small and all(map(WORD.fullmatch, value)) and all(map(messages.digest, value.values()))


PLAN: Dict[str, Check] = {
    "plan": lambda value: type(value) is int and value == 1,
    "release": messages.digest,
    "note": _is_note,
    "attempts": lambda value: isinstance(value, list) and 0 < len(value) <= MAX_ATTEMPTS,
}
ATTEMPT: Dict[str, Check] = {
    "attempt": messages.digest,
    "inputs": _are_inputs,
    "parameters": lambda value: isinstance(value, dict),
    "note": _is_note,
}
