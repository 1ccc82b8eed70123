# SPDX-License-Identifier: BSD-3-Clause
"""The Ansible module, run by Ansible as in a playbook."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.omero, pytest.mark.slow]
ROOT = Path(__file__).parents[3]
DESIRED = {"omero.web.apps": {"state": "exact", "value": ["omero_figure"]}, "omero.data.dir": "/OMERO"}


@pytest.fixture
def play(tmp_path: Path, config_xml: Path) -> Any:
    """Return a function that runs the module by Ansible on this computer, and returns what it answers."""
    if importlib.util.find_spec("ansible") is None:
        if os.environ.get("CI"):
            pytest.fail("this test needs ansible-core: run make install-dev")
        pytest.skip("needs ansible-core: run make install-dev")

    def run(*words: str, **arguments: Any) -> dict[str, Any]:
        own = {"config": str(config_xml), "slidegate": str(Path(sys.executable).with_name("slidegate"))}
        argv = [
            *(str(Path(sys.executable).with_name("ansible")), "localhost", "--inventory", "localhost,"),
            *("--connection", "local", "--module-path", str(ROOT / "deploy" / "ansible")),
            *("--module-name", "omero_config", "--args", json.dumps(own | arguments)),
            *("--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable}), "-vvv", *words),
        ]
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "ANSIBLE_REMOTE_TMP": str(tmp_path / "remote"),
            "ANSIBLE_CALLBACK_FORMAT_PRETTY": "false",
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.tree",
            "ANSIBLE_CALLBACK_TREE_DIR": str(tmp_path / "answers"),
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        answer = tmp_path / "answers" / "localhost"
        assert answer.exists(), done.stdout + done.stderr
        told: dict[str, Any] = json.loads(answer.read_text())
        return told | {"ended": done.returncode, "all": done.stdout + done.stderr + answer.read_text()}

    return run


def test_check_mode_changes_nothing_a_play_changes_once_and_diff_is_shown(
    play: Any, config_xml: Path
) -> None:
    checked = play("--check", "--diff", desired=DESIRED)
    assert checked["changed"] is True
    assert "omero.data.dir = /OMERO\n" in checked["diff"]["after"]
    assert not config_xml.exists()
    changed = play(desired=DESIRED, secrets={"omero.web.secret_key": "hunter2"})
    assert changed["changed"] is True
    assert [each["key"] for each in changed["keys"]] == [
        *sorted(DESIRED, reverse=True),
        "omero.web.secret_key",
    ]
    assert "hunter2" not in changed["all"]
    assert 'name="omero.web.secret_key" value="hunter2"' in config_xml.read_text()
    again = play(desired=DESIRED, secrets={"omero.web.secret_key": "hunter2"})
    assert (again["ended"], again["changed"], again["keys"]) == (0, False, [])


def test_what_is_wrong_fails_in_the_words_of_slidegate(play: Any, config_xml: Path) -> None:
    told = play(desired={"omero.web.apps": "omero_figure"})
    assert told["ended"] == 2  # as Ansible ends where a computer failed
    assert told["msg"].startswith("omero.web.apps is a list for OMERO.web")
    assert not config_xml.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"secrets": {"omero.data.dir": "hunter2"}},
            "omero.data.dir stands under desired and under secrets.",
        ),
        ({"slidegate": "/nowhere/slidegate"}, "There is no command /nowhere/slidegate here: install"),
        ({"slidegate": "{tmp}/broken"}, "slidegate ended with 3."),
        ({"slidegate": "{tmp}/older"}, "{tmp}/older knows no omero config apply: "),
    ],
)
def test_what_keeps_the_module_from_its_work_is_said(
    tmp_path: Path, arguments: dict[str, Any], words: str
) -> None:
    if importlib.util.find_spec("ansible") is None:
        pytest.skip("needs ansible-core: run make install-dev")
    for name, status in (("broken", 3), ("older", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat > {tmp_path}/desired\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    if "slidegate" in arguments:
        arguments = {"slidegate": arguments["slidegate"].format(tmp=tmp_path)}
    given = tmp_path / "arguments.json"
    own = {"config": "/nowhere/config.xml", "desired": DESIRED, "_ansible_remote_tmp": str(tmp_path)}
    given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": own | arguments}))
    argv = [sys.executable, str(ROOT / "deploy" / "ansible" / "omero_config.py"), str(given)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["failed"]) == (1, True)
    assert told["msg"].startswith(words.format(tmp=tmp_path))
    assert told["invocation"] == {
        "module_args": {"config": "/nowhere/config.xml", "desired": sorted(DESIRED)}
    }
