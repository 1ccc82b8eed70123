# SPDX-License-Identifier: GPL-2.0-or-later
"""Any project finds the fixtures where pocket OMERO is installed."""

import subprocess
import sys

import pytest

TESTS = """
import pytest

def test_a_project_talks_to_an_omero(pocket_omero):
    with pocket_omero.gateway() as conn:
        assert conn.getUser().getName() == pocket_omero.person()[0]

def test_it_lets_things_go_wrong(pocket_omero, pocket_omero_faults):
    import omero
    pocket_omero_faults.set(fail={"IConfig.*": "TryAgain"})
    with pocket_omero.client() as client, pytest.raises(omero.TryAgain):
        client.sf.getConfigService().getVersion()

def test_and_well_again_afterwards(pocket_omero):
    with pocket_omero.client("colleague") as client:
        client.sf.getConfigService().getVersion()
"""


def run(folder, **env):
    import os

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-rs", "."]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, **env}, check=False
    )


@pytest.mark.slow
def test_the_fixtures_serve_a_project_that_knows_nothing_else_of_it(tmp_path):
    (tmp_path / "test_project.py").write_text(TESTS)
    done = run(tmp_path)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_at_a_real_omero_tests_of_faults_are_left_out(tmp_path, pocket_omero):
    if pocket_omero.is_real:
        pytest.skip("it is one")
    (tmp_path / "test_project.py").write_text(TESTS)
    alice, bob = (":".join(pocket_omero.people[role]) for role in ("member", "colleague"))
    address = {"OMERO_HOST": pocket_omero.host, "OMERO_PORT": str(pocket_omero.port)}
    done = run(tmp_path, **address, OMERO_MEMBER=alice, OMERO_COLLEAGUE=bob)
    assert "2 passed, 1 skipped" in done.stdout, done.stdout + done.stderr


def test_the_plugin_imports_nothing_of_omero_before_a_test_asks():
    code = (
        "import sys, pocket_omero.pytest_plugin;"
        "assert not {'omero', 'Ice', 'numpy', 'pocket_omero.server'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
