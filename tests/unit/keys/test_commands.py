# SPDX-License-Identifier: BSD-3-Clause
"""What a person types who looks after keys and people; in this process, as no site is needed."""

from pathlib import Path

import pytest

from slidegate.cli import main
from slidegate.sites.keys import Keys
from slidegate.sites.registry import Registry, Site

pytestmark = pytest.mark.slow

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1uXcVtvMB8GF0m9gbvAtZAtUKfuyqJNvrYvBzYzVgu"
Typed = tuple[int, str, str]


class Keyboard:
    """Types commands, and sees to it that no private key is ever on the screen or in a log."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        self.secrets: set[str] = set()

    def type(self, *words: str) -> Typed:
        self._learn()
        self._monkeypatch.setattr("sys.argv", ["slidegate", *words])
        with pytest.raises(SystemExit) as left:
            main()
        self._learn()
        seen = self._capfd.readouterr()
        log = self.home / "slidegate.log"
        everything = seen.out + seen.err + (log.read_text() if log.exists() else "")
        assert "PRIVATE" not in everything
        assert not [secret for secret in self.secrets if secret in everything]
        return int(left.value.code or 0), seen.out, seen.err

    def _learn(self) -> None:
        """Remember every line of every private key that exists now."""
        for path in self.home.rglob("id"):
            self.secrets |= {line for line in path.read_text().splitlines() if len(line) > 20}


@pytest.fixture
def keyboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Keyboard:
    monkeypatch.setenv("SLIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    keyboard = Keyboard(tmp_path / "home", monkeypatch, capfd)
    for name in ("hpc", "old", "new"):
        Registry(keyboard.home).add(Site(name, f"{name}.example", user="anna", key="shared"), [HOST_KEY])
    return keyboard


def test_a_new_key_prints_what_the_site_gets_and_nothing_else_on_standard_output(keyboard: Keyboard) -> None:
    code, out, err = keyboard.type("key", "create", "omero")
    public = (keyboard.home / "keys/omero/id.pub").read_text().strip()
    assert code == 0
    assert out.splitlines() == [
        f"echo '{public}' > omero.pub",
        "gatectl authorize omero.pub --key omero",
    ]
    assert "Key omero is made" in err
    assert keyboard.secrets
    code, again, err = keyboard.type("key", "create", "omero")
    assert (code, again) == (0, out)
    assert "is there already" in err


def test_a_key_is_exchanged_in_two_steps_that_say_what_to_do(keyboard: Keyboard) -> None:
    keyboard.type("key", "create", "omero")
    old = (keyboard.home / "keys/omero/id.pub").read_text().strip()
    code, out, err = keyboard.type("key", "rotate", "omero")
    assert code == 0
    assert "gatectl authorize omero.pub --key omero" in out
    assert old not in out
    assert "slidegate key rotate omero --finish" in err
    assert "next" in keyboard.type("key", "list")[1]
    code, out, err = keyboard.type("key", "rotate", "omero", "--finish")
    assert code == 0
    assert out.splitlines() == [f"echo '{old}' > omero.pub", "gatectl deauthorize omero.pub"]
    code, out, err = keyboard.type("key", "rotate", "omero", "--finish")
    assert code == 2
    assert "[no-next-key]" in err


def test_revoking_says_who_still_needs_the_key_and_what_to_do_at_the_site(keyboard: Keyboard) -> None:
    keyboard.type("key", "create", "omero")
    keyboard.type("person", "add", "ada")
    keyboard.type("person", "link", "ada", "hpc", "--account", "anna", "--key", "omero")
    code, out, err = keyboard.type("key", "revoke", "omero")
    assert code == 0
    assert "gatectl deauthorize omero.pub" in out
    assert "ada at hpc as anna" in err
    keyboard.type("key", "create", "shared")
    assert "everybody at hpc" in keyboard.type("key", "revoke", "shared")[2]
    assert "revoked on" in keyboard.type("key", "list")[1]
    code, _, err = keyboard.type("person", "link", "ada", "old", "--account", "anna", "--key", "omero")
    assert code == 2
    assert "[key-revoked]" in err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["key", "create", "Not-A-Name"], "bad-request"),
        (["key", "rotate", "nobody"], "unknown-key"),
        (["key", "revoke", "nobody"], "unknown-key"),
        (["person", "link", "ada", "hpc", "--account", "a", "--key", "nobody"], "unknown-key"),
        (["person", "link", "eve", "hpc", "--account", "a", "--key", "omero"], "unknown-person"),
        (["person", "link", "ada", "hpc", "--account", "-x", "--key", "omero"], "link-refused"),
        (["person", "link", "ada", "local", "--account", "a", "--key", "omero"], "unknown-site"),
        (["person", "link", "ada", "hpc", "--account", "bert", "--key", "shared"], "link-refused"),
        (
            ["person", "link", "ada", "hpc", "--account", "a", "--key", "omero", "--until", "31.12.2026"],
            "bad-parameter",
        ),
        (
            ["person", "link", "ada", "hpc", "--account", "a", "--key", "omero", "--until", "2001-01-01"],
            "link-refused",
        ),
        (["person", "remove", "eve"], "unknown-person"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    keyboard: Keyboard, words: list[str], code: str
) -> None:
    for name in ("omero", "shared"):
        keyboard.type("key", "create", name)
    keyboard.type("person", "add", "ada")
    status, out, err = keyboard.type(*words)
    assert (status, out) == (2, "")
    assert f"[{code}]" in err


def test_a_person_whose_key_ssh_itself_has_can_be_linked(keyboard: Keyboard) -> None:
    keyboard.type("person", "add", "ada")
    assert keyboard.type("person", "link", "ada", "hpc", "--account", "ada.l", "--key", "-")[0] == 0
    assert "ada.l" in keyboard.type("person", "list")[1]


def test_a_key_that_opens_a_persons_account_is_not_made_that_of_everybody(keyboard: Keyboard) -> None:
    keyboard.type("key", "create", "omero")
    keyboard.type("person", "add", "ada")
    keyboard.type("person", "link", "ada", "hpc", "--account", "ada.l", "--key", "omero")
    change = ["site", "add", "hpc", "--ssh", "hpc.example", "--host-key", HOST_KEY, "--replace"]
    code, _, err = keyboard.type(*change, "--user", "anna", "--key", "omero")
    assert code == 2
    assert "opens the account 'ada.l'" in err
    assert keyboard.type(*change, "--user", "ada.l", "--key", "omero")[0] == 0


def test_people_are_listed_with_what_holds_today(keyboard: Keyboard) -> None:
    assert "no people yet" in keyboard.type("person", "list")[2]
    keyboard.type("key", "create", "omero")
    keyboard.type("person", "add", "ada")
    link = ["person", "link", "ada", "--account", "anna", "--key", "omero"]
    assert keyboard.type(*link, "hpc")[0] == 0
    assert keyboard.type(*link, "old", "--from", "2001-01-01", "--until", "2001-12-31")[0] == 0
    assert keyboard.type(*link, "new", "--from", "2999-01-01")[0] == 0
    listed = keyboard.type("person", "list")[1].splitlines()
    assert [line.rstrip().split("  ")[-1].strip() for line in listed[1:]] == [
        "valid",
        "not yet valid",
        "expired",
    ]
    assert "hpc" in keyboard.type("person", "remove", "ada", "--site", "hpc")[1]
    assert "Nothing links" in keyboard.type("person", "remove", "ada", "--site", "hpc")[2]
    assert "removed: ada" in keyboard.type("person", "remove", "ada")[1]


@pytest.mark.parametrize("spoiled", ["id.pub", "key.json", "next/id.pub"])
def test_a_private_key_never_reaches_the_screen_wherever_it_was_put(keyboard: Keyboard, spoiled: str) -> None:
    keyboard.type("key", "create", "omero")
    keyboard.type("key", "rotate", "omero")
    folder = keyboard.home / "keys/omero"
    (folder / spoiled).write_text((folder / "id").read_text())
    for words in (["list"], ["create", "omero"], ["rotate", "omero"], ["rotate", "omero", "--finish"]):
        assert keyboard.type("key", *words)[0] == 4
    keyboard.type("key", "revoke", "omero")


def test_a_key_that_others_could_read_is_refused_with_the_command_that_mends_it(keyboard: Keyboard) -> None:
    keyboard.type("key", "create", "omero")
    (keyboard.home / "keys/omero/id").chmod(0o644)
    code, _, err = keyboard.type("key", "list")
    assert code == 4
    assert "chmod 600" in err
    assert "[unsafe-key]" in err


def test_a_fault_of_slidegate_itself_shows_no_key_either(
    keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyboard.type("key", "create", "omero")
    secret = (keyboard.home / "keys/omero/id").read_text()

    def fail(*_arguments: object) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr(Keys, "_read", fail)
    assert keyboard.type("key", "list")[0] == 5
