# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate omero config apply``, as it is typed: what it prints, and what it ends with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slidegate.omero_config.masking import MASK, is_secret_name, masked, shown

pytestmark = pytest.mark.omero
SLIDEGATE = Path(sys.executable).with_name("slidegate")
SECRETS = ("hunter2", "s3cret", "t0psecret", "redispw", "mailpw")
DESIRED = """\
omero.web.secret_key: hunter2
omero.data.dir: /OMERO
omero.ldap.note: {value: t0psecret, secret: true}
omero.web.caches: {value: {default: {LOCATION: "redis://user:redispw@host/0", password: s3cret}}}
omero.web.django_additional_settings:
  state: exact
  value: [[EMAIL_HOST_PASSWORD, mailpw], [LANGUAGE_CODE, de]]
omero.smtp.password: {from_env: SMTP}
"""


def run(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    argv = [str(SLIDEGATE), "omero", "config", "apply", *words]
    environment = {**os.environ, "SMTP": "s3cret"}
    return subprocess.run(argv, input=given, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_it_ends_with_two_when_something_changed_and_with_zero_when_nothing_did(config_xml: Path) -> None:
    checked = run("-", "--check", given=DESIRED)
    assert (checked.returncode, config_xml.exists()) == (2, False)
    assert "set omero.data.dir\n" in checked.stdout
    assert checked.stderr == "6 of 6 keys would change.\n"
    changed = run("-", "--diff", given=DESIRED)
    assert changed.returncode == 2
    assert "+omero.data.dir = /OMERO\n" in changed.stdout
    assert '+  ["LANGUAGE_CODE", "de"]\n' in changed.stdout
    again = run("-", "--diff", given=DESIRED)
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "Nothing to do: 6 of 6 keys are as desired.\n"


@pytest.mark.slow
def test_no_secret_is_ever_shown(config_xml: Path) -> None:
    other = DESIRED.replace("hunter2", "h2nter2").replace("mailpw", "mailpq").replace("redispw", "redispq")
    said = []
    for given in (DESIRED, other, DESIRED):
        for words in (["--check", "--diff"], ["--json", "--diff"]):
            done = run("-", *words, given=given)
            assert done.returncode == 2
            said.append(done.stdout + done.stderr)
    assert not [each for each in (*SECRETS, "h2nter2", "mailpq", "redispq") for text in said if each in text]
    assert "-omero.web.secret_key = ******** (as it was)" in said[2]
    assert "+omero.web.secret_key = ******** (as desired)" in said[2]


@pytest.mark.slow
def test_a_program_reads_json(config_xml: Path) -> None:
    done = run("-", "--json", "--diff", given="omero.data.dir: /OMERO\n")
    told = json.loads(done.stdout)
    assert told == {
        "slidegate": 1,
        "changed": True,
        "check": False,
        "config": str(config_xml),
        "keys": [{"key": "omero.data.dir", "change": "set"}],
        "diff": {
            "before": "omero.data.dir = (not set)\n",
            "after": "omero.data.dir = /OMERO\n",
            "before_header": f"{config_xml} as it is",
            "after_header": f"{config_xml} as desired",
        },
    }
    told = json.loads(run("-", "--json", given="omero.data.dir: /OMERO\n").stdout)
    assert (told["changed"], told["keys"], "diff" in told) == (False, [], False)


ERRORS = {
    ("gone.yml",): "gone.yml cannot be read: No such file or directory.  [omero-config-desired]",
    ("-", "--chekc"): "No such option: --chekc",
    (): "Missing argument",
    ("-", "--config", "/nowhere/config.xml"): "There is no folder /nowhere",
    ("-",): "is a mapping of OMERO's keys",
}


@pytest.mark.slow
@pytest.mark.parametrize("words", ERRORS, ids=" ".join)
def test_whatever_is_wrong_ends_with_one(omerodir: Path, words: tuple[str, ...]) -> None:
    given = "omero.data.dir: x" if "--config" in words else ""
    done = run(*words, given=given)
    assert done.returncode == 1, done.stderr
    assert ERRORS[words] in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_where_the_file_is_has_to_be_known(omerodir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMERODIR")
    done = run("-", given="omero.data.dir: x")
    assert (done.returncode, "set OMERODIR, or name it with --config" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "name", ["omero.db.pass", "omero.mail.smtp.PASSWORD", "x.secret_key", "a.token", "KEY"]
)
def test_what_ends_as_a_secret_does_is_one(name: str) -> None:
    assert is_secret_name(name)
    assert shown("anything", is_secret_name(name)) == [MASK]


@pytest.mark.parametrize(
    "name", ["omero.db.user", "omero.data.dir", "omero.web.apps", "omero.security.keyfile"]
)
def test_other_names_are_none(name: str) -> None:
    assert not is_secret_name(name)


def test_what_is_secret_inside_a_value_is_masked() -> None:
    assert masked(
        [{"a": [{"api_token": "x"}]}, ["DB_PASSWORD", "x", "y"], "https://me:x@host/", 1, None]
    ) == [
        {"a": [{"api_token": MASK}]},
        ["DB_PASSWORD", MASK, MASK],
        f"https://{MASK}@host/",
        1,
        None,
    ]
    assert shown("postgres://me:x@host", secret=False) == [f"postgres://{MASK}@host"]
