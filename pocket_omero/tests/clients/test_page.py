# SPDX-License-Identifier: GPL-2.0-or-later
"""The page that says what pocket OMERO is and is not says what is so."""

from __future__ import annotations

import pytest

from .page import PAGE, made

pytestmark = [pytest.mark.omero, pytest.mark.slow]


def test_the_page_tells_what_is_supported_and_what_was_tried() -> None:
    text = PAGE.read_text("utf-8")
    assert made(text) == text, "run: python pocket_omero/tests/clients/page.py"
