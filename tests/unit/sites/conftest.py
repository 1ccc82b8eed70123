# SPDX-License-Identifier: BSD-3-Clause
"""A real gate in a folder of its own; each test comes with a key of its own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from slidegate.sites import PipeLink

Connect = Callable[[], PipeLink]
_NUMBERS = count(1)


@pytest.fixture(scope="session")
def gate_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("site") / "gate"
    argv = [sys.executable, "-m", "slidegate_gate", "ctl", "install", "--home", str(home), "--site", "local"]
    subprocess.run(argv, check=True, capture_output=True)
    config = json.loads((home / "config.json").read_text())
    config["keys"] = {f"key{number}": {"workflows": ["*"]} for number in range(1, 300)}
    (home / "config.json").write_text(json.dumps(config))
    return home


@pytest.fixture
def key() -> str:
    return f"key{next(_NUMBERS)}"


@pytest.fixture
def key_data(gate_home: Path, key: str) -> Path:
    return gate_home / "data" / "keys" / key


@pytest.fixture
def gate_argv(gate_home: Path, key: str) -> list[str]:
    """What starts the gate for the key of this test."""
    current = str(gate_home / "current")
    return [sys.executable, "-IS", current, "serve", "--home", str(gate_home), "--key", key]


@pytest.fixture
def connect(gate_argv: list[str]) -> Iterator[Connect]:
    opened = []

    def connect_now() -> PipeLink:
        opened.append(PipeLink(gate_argv, idle_seconds=20))
        return opened[-1]

    yield connect_now
    for link in opened:
        link.close()
