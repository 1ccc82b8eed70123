# SPDX-License-Identifier: GPL-2.0-or-later
"""The statements that clients send find in a small world what they must, with indexes and without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pocket_omero.hql import planner, query

STATEMENTS = yaml.safe_load((Path(__file__).parent / "statements.yml").read_text())
Ask = Callable[..., list[Any]]


def named(statement: dict[str, Any]) -> str:
    return str(statement["ask"])[:60]


@pytest.mark.parametrize("statement", STATEMENTS, ids=named)
def test_a_statement_of_a_client_finds_what_it_must(statement: dict[str, Any], ask: Ask) -> None:
    assert ask(statement["ask"], **statement.get("with", {})) == statement["gives"]


@pytest.fixture
def unindexed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, every statement looks at every row."""

    def begin() -> None:
        monkeypatch.setattr(planner, "lookup", lambda *_: None)
        monkeypatch.setattr(query, "_compiled", query._compiled.__wrapped__)

    return begin


def test_looking_at_every_row_finds_the_same(ask: Ask, unindexed: Callable[[], None]) -> None:
    unindexed()
    different = [s["ask"] for s in STATEMENTS if ask(s["ask"], **s.get("with", {})) != s["gives"]]
    assert different == []
