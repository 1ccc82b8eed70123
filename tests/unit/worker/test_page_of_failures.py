# SPDX-License-Identifier: BSD-3-Clause
"""The page that people read when something fails leaves no state and no code out."""

import inspect
from pathlib import Path
from types import ModuleType

import pytest

from slidegate import wiring
from slidegate.domain.causes import _WAITS
from slidegate.domain.errors import SlidegateError
from slidegate.domain.states import State
from slidegate.sites import errors as site_errors
from slidegate.sites import keys
from slidegate.store import people
from slidegate.worker import errors as worker_errors

PAGE = Path("docs/how-to/when-something-fails.md").read_text("utf-8")
ONLY_INSIDE = {"in-other-hands", "no-longer-wanted", "site-error"}
OF_TYPING = {"unknown-person", "link-refused", "no-next-key", "no-key-made"}


def codes(*modules: ModuleType) -> list[str]:
    found = [cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)
             if issubclass(cls, SlidegateError) and cls.__module__ == module.__name__]  # fmt: skip
    return sorted({cls.code for cls in found} - ONLY_INSIDE - OF_TYPING)


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_explained(state: State) -> None:
    assert f"| {state} |" in PAGE


@pytest.mark.parametrize("code", codes(worker_errors, site_errors, keys, people))
def test_every_code_that_can_end_or_hold_up_a_run_is_explained(code: str) -> None:
    assert f"`{code}`" in PAGE


def test_the_code_of_who_was_never_linked_is_explained() -> None:
    assert f"`{wiring.NotLinked.code}`" in PAGE


@pytest.mark.parametrize("words", sorted({words.partition(":")[0] for _, words in _WAITS}))
def test_the_reasons_for_which_jobs_wait_for_long_are_explained(words: str) -> None:
    brief = {"waits for other jobs of this run", "waits for another job", "waits for a licence"}
    brief |= {"waits for the time at which it may begin"}  # these say all that there is
    assert words in brief or words.replace(" at the site", "") in PAGE
