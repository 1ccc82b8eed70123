# SPDX-License-Identifier: BSD-3-Clause
"""An OMERODIR, and what is found in it afterwards."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def omerodir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty OMERODIR, and name it as OMERO does."""
    folder = tmp_path / "OMERO.web"
    (folder / "etc" / "grid").mkdir(parents=True)
    monkeypatch.setenv("OMERODIR", str(folder))
    monkeypatch.delenv("OMERO_CONFIG", raising=False)
    return folder


@pytest.fixture
def config_xml(omerodir: Path) -> Path:
    """Where OMERO's config.xml is, or will be."""
    return omerodir / "etc" / "grid" / "config.xml"


@pytest.fixture
def omero_config(omerodir: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the real ``omero config`` with some words; return what it prints."""

    def run(*words: str) -> str:
        from omero.cli import CLI
        from omero.plugins.prefs import HELP, PrefsControl

        cli = CLI()
        cli.register("config", PrefsControl, HELP)
        capsys.readouterr()
        cli.invoke(["config", *words], strict=True)
        return capsys.readouterr().out.rstrip("\n")

    return run
