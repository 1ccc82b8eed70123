# SPDX-License-Identifier: BSD-3-Clause
"""Settings come from the environment or a file, and hold no secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from slidegate.cli import _carried_out
from slidegate.settings import Settings


def test_a_file_in_the_home_is_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIDEGATE_HOME", str(tmp_path))
    (tmp_path / "settings.toml").write_text('cache_gb = 7\nperson = "ada"\n[shelves]\nslides = "/slides"\n')
    monkeypatch.setenv("SLIDEGATE_PERSON", "eve")
    found = Settings()
    assert (found.cache_gb, found.person, found.shelves) == (7, "eve", {"slides": Path("/slides")})
    assert found.cache == tmp_path / "cache"


def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "facility.toml").write_text('database_url = "postgresql+psycopg:///slidegate"')
    monkeypatch.setenv("SLIDEGATE_SETTINGS", str(tmp_path / "facility.toml"))
    found = Settings(home=tmp_path)
    assert found.database == "postgresql+psycopg:///slidegate"
    assert found.database_file is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("database_url", "postgresql+psycopg://ada:hunter2@host/x", "pgpass"),
        ("database_url", "postgresql+psycopg://host/x?user=a&password=hunter2", "pgpass"),
        ("database_url", "mysql://host/x", "begins with"),
        ("shelves", {"Big Shelf": "/slides"}, "small letters"),
        ("shelves", {"slides": "slides"}, "named from /"),
        ("shelves", {"omero": "/slides"}, "no shelf is called omero"),
        ("omero_host", "https://omero.example.org", "name of a computer"),
        ("omero_account", "account.json", "named from /"),
        ("omero_role", "administrator", "researcher"),
        ("public_url", "slidegate.example.org", "https://"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(**{name: value})


def test_a_password_in_a_setting_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLIDEGATE_HOME", str(tmp_path))
    monkeypatch.setenv("SLIDEGATE_DATABASE_URL", "postgresql+psycopg://ada:hunter2@host/x")
    monkeypatch.setattr("sys.argv", ["slidegate", "runs"])
    assert _carried_out() == 2
    said = capsys.readouterr().err
    assert "SLIDEGATE_DATABASE_URL" in said
    assert ".pgpass" in said
    assert "hunter2" not in said
