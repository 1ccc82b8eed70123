# SPDX-License-Identifier: BSD-3-Clause
"""Passwords and tokens: where they come from, and who can read them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from slidegate.api.signin import LocalAccounts
from slidegate.cli import main
from slidegate.cli.secret import NoSecret, secret
from slidegate.cli.servers import NotLoggedIn, Servers, TokensOpen
from slidegate.store import Store

pytestmark = pytest.mark.slow

Type = Callable[..., tuple[int, str]]


@pytest.fixture
def type_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command; return its exit code and all that it said."""
    monkeypatch.setenv("SLIDEGATE_HOME", str(tmp_path / "home"))

    def typed(*words: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["slidegate", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    return typed


def given(text: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def test_a_secret_is_the_first_line_of_an_open_file() -> None:
    assert secret("x", given("hunter2\r\nrest")) == "hunter2"
    with pytest.raises(NoSecret):
        secret("x", given(""))
    with pytest.raises(NoSecret):
        secret("x", None)  # tests have no terminal


def test_a_person_gets_a_role_a_group_and_a_password(type_: Type, tmp_path: Path) -> None:
    assert type_("person", "password", "ada", "--fd", given("long enough it is"))[0] == 2
    status, said = type_("person", "add", "ada", "--role", "lead", "--group", "pathology")
    assert (status, "gives a password" in said) == (0, True)
    status, said = type_("person", "password", "ada", "--fd", given("short"))
    assert (status, "letters" in said) == (2, True)
    assert type_("person", "password", "ada", "--fd", given("long enough it is\n"))[0] == 0
    assert type_("person", "add", "ada", "--role", "viewer")[0] == 0
    _, said = type_("person", "list")
    assert "viewer" in said
    assert "pathology" in said
    store = Store.open(f"sqlite:///{tmp_path}/home/slidegate.db")
    assert LocalAccounts(store).check("ada", "long enough it is")
    assert type_("person", "off", "ada")[0] == 0
    assert not store.accounts.get("ada").active
    assert type_("person", "on", "ada")[0] == 0
    noted = [(line.action, line.target) for line in store.audit.page(None, 10)]
    assert ("person.password", "ada") in noted
    store.close()


def test_a_token_is_printed_once_and_can_be_taken_back(type_: Type) -> None:
    type_("person", "add", "ada", "--role", "researcher")
    status, said = type_("token", "make", "my script", "--person", "ada", "--days", 3)
    token = said.strip()
    assert (status, len(token)) == (0, 46)
    _, listed = type_("token", "list", "--person", "ada")
    assert "my script" in listed
    assert token not in listed
    assert type_("token", "revoke", 1, "--person", "ada")[0] == 0
    assert type_("token", "revoke", 1, "--person", "ada")[0] == 2
    assert "no tokens" in type_("token", "list", "--person", "ada")[1]


def test_tokens_are_kept_where_nobody_else_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "config" / "servers.json"
    servers = Servers(path)
    with pytest.raises(NotLoggedIn, match="slidegate login"):
        servers.token("https://one")
    servers.keep("https://one/", "ada", "sg_1")
    servers.keep("https://two", "ada", "sg_2")
    assert path.stat().st_mode & 0o777 == 0o600
    assert servers.token("https://one") == "sg_1"
    assert servers.forget("https://one")
    assert not servers.forget("https://one")
    path.chmod(0o640)
    with pytest.raises(TokensOpen, match="chmod 600"):
        servers.token("https://two")
