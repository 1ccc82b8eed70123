# SPDX-License-Identifier: BSD-3-Clause
"""When the next crew of a Submission is due."""

from typing import Any

import pytest

from slidegate.worker.crews import is_due


def crew(number: int, state: str) -> dict[str, Any]:
    return {"round": number, "state": state, "array": "7"}


@pytest.mark.parametrize(
    ("asked", "crews", "due"),
    [
        (1, None, False),
        (1, {"cpu": crew(1, "running")}, False),
        (1, {"cpu": crew(1, "ended")}, True),
        (1, {"cpu": crew(1, "ended"), "gpu": crew(1, "running")}, False),
        (1, {"cpu": crew(1, "unknown")}, False),
        (2, {"cpu": crew(1, "ended")}, False),  # nothing was heard of the second yet
        (2, {"cpu": crew(1, "ended"), "gpu": crew(2, "ended")}, True),
        (1, {"cpu": crew(2, "unknown")}, True),  # its start was begun and not confirmed: asked for again
    ],
)
def test_a_crew_is_due_when_the_newest_has_ended_or_its_start_was_not_confirmed(
    asked: int, crews: dict[str, Any] | None, due: bool
) -> None:
    assert is_due({"round": asked, "crews": crews}) is due
