# SPDX-License-Identifier: BSD-3-Clause
"""Where faults of slidegate are told."""

import logging
from pathlib import Path

import pytest

from slidegate.cli import _carried_out
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


@pytest.mark.parametrize("full", [False, True])
def test_a_fault_of_a_command_is_a_sentence_on_the_screen_and_a_trace_without_names_in_the_log(
    tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "Jane_Doe.tif"

    def broken() -> int:
        raise ZeroDivisionError(name)

    log = tmp_path / "slidegate.log"
    if full:
        log.symlink_to("/dev/full")
    monkeypatch.setenv("SLIDEGATE_HOME", str(tmp_path))
    monkeypatch.setattr("slidegate.cli.app.carry_out", broken)
    assert _carried_out() == 5
    shown = capfd.readouterr().err
    assert "[internal]" in shown
    assert name not in shown
    if not full:
        assert log.read_text().endswith("ZeroDivisionError\n")
        assert name not in log.read_text()
