# SPDX-License-Identifier: BSD-3-Clause
"""What the page on configuring OMERO says can be typed, and prints what it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slidegate.omero_config import State, WebDefaults, apply, read_desired
from slidegate.omero_config.values import LISTS, Identity

pytestmark = pytest.mark.omero
ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/how-to/configure-omero.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_commands_print_what_the_page_says(tmp_path: Path) -> None:
    root = tmp_path / "OMERO.web"
    (root / "etc" / "grid").mkdir(parents=True)
    (tmp_path / "secret_key").write_text("hunter2\n")
    (tmp_path / "desired.yml").write_text(next(text for language, text in BLOCKS if language == "yaml"))
    environment = {
        **os.environ,
        "OMERODIR": str(root),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    real = {"/opt/omero/web/OMERO.web": str(root), "/opt/omero/web/venv3/bin/python": sys.executable}
    ends, printed = [], ""
    for language, text in BLOCKS:
        for name, there in real.items():
            text = text.replace(name, there)
        if language == "sh":
            argv = ["bash", "-c", text]
            done = subprocess.run(
                argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            ends.append(done.returncode)
            printed = done.stdout + done.stderr
        elif language == "text":
            assert printed == text
    assert ends == [2, 2, 0]

    words = ["omero", "config", "get"]
    script = f"import sys; from omero.cli import argv; sys.exit(argv({words!r}))"
    argv = [sys.executable, "-W", "ignore", "-c", script]
    got = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
    assert 'omero.web.apps=["omero_figure"]' in got.splitlines()
    assert "omero.web.session_cookie_secure=true" in got.splitlines()
    assert "omero.web.secret_key=hunter2" in got.splitlines()


READ = """\
import json
from omeroweb import settings
print(json.dumps([settings.ADDITIONAL_APPS, settings.TOP_LINKS, settings.OPEN_WITH, settings.SECRET_KEY,
                  settings.SESSION_COOKIE_SECURE, settings.CSRF_TRUSTED_ORIGINS, settings.DEBUG]))
"""


@pytest.mark.slow
def test_omero_web_starts_with_the_example_and_has_what_it_desires(config_xml: Path) -> None:
    text = (ROOT / "deploy/ansible/desired.yml").read_text(encoding="utf-8")
    apply(config_xml, read_desired(text, Path(), {"OMERO_WEB_SECRET_KEY": "hunter2"}), WebDefaults())
    argv = [sys.executable, "-W", "ignore", "-c", READ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    apps, links, viewers, secret, secure, origins, debug = json.loads(done.stdout)
    assert {"omero_iviewer", "omero_figure"} <= set(apps)
    assert [label for label, *_ in links] == ["Data", "History", "Help", "Figure"]
    assert [label for label, *_ in viewers] == ["Image viewer", "omero_iviewer", "omero_figure"]
    assert (secret, secure, origins, debug) == ("hunter2", True, ["https://omero.example.org"], False)


def test_all_that_the_page_and_the_example_desire_is_understood(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("x")
    texts = [text for language, text in BLOCKS if language == "yaml" and text.startswith("omero.")]
    texts.append((ROOT / "deploy/ansible/desired.yml").read_text(encoding="utf-8"))
    assert len(texts) == 3
    path = tmp_path / "config.xml"
    for text in texts:
        wishes = read_desired(text, tmp_path, {"OMERO_WEB_SECRET_KEY": "x"})
        apply(path, wishes, lambda _key: [])
        assert apply(path, wishes, lambda _key: []) == ()


def test_the_page_shows_the_example_of_the_ansible_module() -> None:
    module = (ROOT / "deploy/ansible/omero_config.py").read_text(encoding="utf-8")
    assert [text for language, text in BLOCKS if language == "yaml" and text.strip() in module]


def test_the_page_names_every_word_and_every_rule() -> None:
    words = [*State, *Identity, "state", "value", "from_env", "from_file", "identity", "secret"]
    assert [word for word in words if f"`{word}`" not in PAGE] == []
    for key, identity in LISTS.items():
        assert re.search(rf"^\|.*`{re.escape(key)}`.*\| `{identity}` \|", PAGE, re.MULTILINE), key
