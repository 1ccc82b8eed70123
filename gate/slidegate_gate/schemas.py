# SPDX-License-Identifier: BSD-3-Clause
"""Which parameter schemas can be enforced.  Asked when a workflow is installed; no key can reach this.

The rules themselves, and the part of JSON Schema that they make up, are those of ``serve.checks``.
"""

from typing import Any, Dict

from .serve import checks

__all__ = ["check_schema"]

# rule -> what a schema may give for it, and for which types of property (None: all)
RULE_FORMS: Dict[str, Any] = {
    "enum": (lambda rule: isinstance(rule, list) and 0 < len(rule) <= 1000, None),
    "const": (lambda rule: True, None),
    "minimum": (checks.TYPES["number"], ("number", "integer")),
    "maximum": (checks.TYPES["number"], ("number", "integer")),
    "maxLength": (lambda rule: type(rule) is int and rule >= 0, ("string",)),
    "x-order": (lambda rule: type(rule) is int, None),
    "pattern": (lambda rule: isinstance(rule, str) and rule in checks.PATTERNS, ("string",)),
}

WORDS_OF_SCHEMA = {"type", "title", "description", "required", "properties", "additionalProperties"}
SHOWN = {"title", "description", "x-unit", "x-advanced", "x-order"}
WORDS_OF_PROPERTY = {"type", "default"} | SHOWN | set(checks.RULES)


def check_schema(schema: Any) -> None:
    """Raise ``ValueError``, in words, where a parameter schema says something that could not be enforced."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ValueError("the schema must describe an object")
    if set(schema) - WORDS_OF_SCHEMA or schema.get("additionalProperties") is not False:
        raise ValueError(
            "the schema may say only: {}; and additionalProperties must be false".format(
                ", ".join(sorted(WORDS_OF_SCHEMA))
            )
        )
    properties = schema.get("properties", {})
    if not isinstance(properties, dict) or not isinstance(schema.get("required", []), list):
        raise ValueError("properties must be an object, required a list")
    for name in schema.get("required", []):
        if name not in properties:
            raise ValueError("required names {!r}, which is no property".format(name))
    for name, rules in properties.items():
        if not checks.WORD.fullmatch(name):
            raise ValueError("{!r} cannot name a parameter".format(name))
        _check_property(name, rules)


def _check_property(name: str, rules: Any) -> None:
    if not isinstance(rules, dict) or rules.get("type") not in checks.TYPES:
        raise ValueError("{} needs a type: {}".format(name, ", ".join(sorted(checks.TYPES))))
    for word, rule in rules.items():
        if word not in WORDS_OF_PROPERTY:
            raise ValueError("{} says {!r}, which is not understood here".format(name, word))
        if word in RULE_FORMS:
            form, types = RULE_FORMS[word]
            if not form(rule) or (types and rules["type"] not in types):
                raise ValueError("{} of {} cannot be {!r}".format(word, name, rule))
    if "default" in rules:
        broken = checks.broken_rule(rules, rules["default"])
        if broken:
            raise ValueError("the default of {} breaks its own rule: {}".format(name, broken))
