# SPDX-License-Identifier: BSD-3-Clause
"""Where faults of slidegate are told."""

import logging
from pathlib import Path

import pytest

from slidegate.wiring import Log


def tell(number: int) -> None:
    logging.getLogger("slidegate.somewhere").error("broke, see %s", number, extra={"action": "step_broke"})


def test_faults_are_told_in_the_home_and_not_on_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Log(tmp_path):
        assert list(tmp_path.iterdir()) == []
        tell(7)
    tell(8)
    assert (tmp_path / "slidegate.log").read_text().endswith("ERROR step_broke broke, see 7\n")
    assert "7" not in capfd.readouterr().err


@pytest.mark.parametrize("home", ["/nonexistent", "full"])
def test_a_log_that_cannot_be_written_stops_nothing(
    tmp_path: Path, home: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if home == "full":
        (tmp_path / "slidegate.log").symlink_to("/dev/full")
        home = str(tmp_path)
    with Log(Path(home)):
        tell(7)
    assert capfd.readouterr().err == ""
