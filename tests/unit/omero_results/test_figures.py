# SPDX-License-Identifier: BSD-3-Clause
"""Figures of an image: what a summary states, as key-values, and back."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.omero


@given(st.dictionaries(st.text(max_size=8), st.floats(allow_infinity=False) | st.integers(-(2**53), 2**53)))
def test_figures_are_the_same_numbers_after_they_were_key_values(figures: dict[str, float]) -> None:
    from slidegate.sources.omero.summaries import as_pairs

    as_floats = {name: float(value) for name, value in figures.items()}
    read = {name: float(text) for name, text in as_pairs(as_floats)}
    assert all(
        read[name] == value or (math.isnan(value) and math.isnan(read[name]))
        for name, value in as_floats.items()
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        '{"figures": 1}',
        '{"figures": [1]}',
        '{"figures": {"a": "b", "c": true}}',
        '{"figures": {"/": 1, "Image\\u202e": 2, "_x": 3, "": 4, "huge": 1%s, "e": 1e999}}' % ("0" * 400),
    ],
)
def test_a_summary_that_states_no_figures_has_none(text: str, tmp_path: Path) -> None:
    from slidegate.sources.omero.summaries import figures_of

    (tmp_path / "summary.json").write_text(text)
    assert figures_of(tmp_path / "summary.json") == {}
    assert figures_of(tmp_path / "none.json") == {}


def test_a_figure_that_is_not_known_is_no_number(tmp_path: Path) -> None:
    from slidegate.sources.omero.summaries import figures_of

    said = {"figures": {"nuclei": 3, "density_per_mm2": None, "note": "x"}, "nuclei": 4}
    (tmp_path / "summary.json").write_text(json.dumps(said))
    figures = figures_of(tmp_path / "summary.json")
    assert list(figures) == ["density_per_mm2", "nuclei"]
    assert figures["nuclei"] == 3
    assert math.isnan(figures["density_per_mm2"])
