# SPDX-License-Identifier: BSD-3-Clause
"""Everything that is wrong with the parameters of a request is said at once, by name."""

from slidegate.domain.parameters import check

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["diameter", "channel"],
    "properties": {
        "diameter": {"type": "number", "minimum": 2},
        "channel": {"type": "string"},
        "block": {"type": "integer", "default": 2048, "minimum": 64},
    },
}


def test_all_problems_are_named() -> None:
    found = check(SCHEMA, {"diameter": "wide", "block": 1, "speed": 3})
    assert [problem.name for problem in found.problems] == ["block", "channel", "diameter", "speed"]
    assert all(problem.message.endswith(".") for problem in found.problems)


def test_what_fits_has_no_problem_and_is_complete() -> None:
    found = check(SCHEMA, {"diameter": "8", "channel": "0"})
    assert not found.problems
    assert found.values == {"diameter": 8.0, "channel": "0", "block": 2048}


def test_all_missing_ones_are_named() -> None:
    assert [problem.name for problem in check(SCHEMA, {}).problems] == ["channel", "diameter"]
