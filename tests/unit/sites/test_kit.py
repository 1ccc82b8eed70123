# SPDX-License-Identifier: BSD-3-Clause
import subprocess
from pathlib import Path

import pytest

from slidegate.domain.errors import BadRequest, UnknownWorkflow
from slidegate.sites.kit import write_kit

WORKFLOWS = Path(__file__).parents[2] / "data" / "workflows"
PYTHON = "/usr/bin/python3"


@pytest.mark.slow
def test_a_kit_is_all_that_a_gate_needs_and_its_page_names_the_commands(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    assert write_kit(kit, WORKFLOWS, []) == ["count_bytes"]
    assert sorted(path.name for path in kit.iterdir()) == ["README.md", "slidegate_gate", "workflows"]
    assert not list(kit.rglob("__pycache__"))
    page = (kit / "README.md").read_text()
    home = ["--home", str(tmp_path / "home")]
    for words in (
        ["install", "--site", "lab"],
        ["workflow", "install", "workflows/count_bytes"],
        ["key", "add", "omero", "--workflow", "count_bytes"],
    ):
        assert f"python3 slidegate_gate ctl {words[0]} {words[1]} " in page
        argv = [PYTHON, "slidegate_gate", "ctl", *words, *home]
        subprocess.run(argv, cwd=kit, check=True, capture_output=True)
    assert (tmp_path / "home" / "current" / "slidegate_gate").exists()


def test_a_kit_is_written_to_a_new_place_only_and_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "kit").mkdir()
    with pytest.raises(BadRequest, match="already"):
        write_kit(tmp_path / "kit", WORKFLOWS, [])
    with pytest.raises(UnknownWorkflow, match="count_bytes"):
        write_kit(tmp_path / "other", WORKFLOWS, ["nuclei"])
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]
