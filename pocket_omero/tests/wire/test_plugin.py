# SPDX-License-Identifier: GPL-2.0-or-later
"""Any project finds the fixtures where pocket OMERO is installed."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

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


@pytest.mark.slow
def test_a_project_that_knows_nothing_else_of_it_has_the_fixtures_and_may_run_at_a_real_omero(
    tmp_path, pocket_omero
):
    if pocket_omero.is_real:
        pytest.skip("this test has a real one already")
    (tmp_path / "test_project.py").write_text(TESTS)
    alice, bob = (":".join(pocket_omero.people[role]) for role in ("member", "colleague"))
    real = {"OMERO_HOST": pocket_omero.host, "OMERO_PORT": str(pocket_omero.port), "OMERO_MEMBER": alice}
    for env, outcome in (({}, "3 passed"), ({**real, "OMERO_COLLEAGUE": bob}, "2 passed, 1 skipped")):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "pocket_omero.pytest_plugin", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **env},
            check=False,
        )
        assert outcome in done.stdout, done.stdout + done.stderr


def test_the_plugin_imports_nothing_of_omero_before_a_test_asks():
    code = (
        "import sys, pocket_omero.pytest_plugin;"
        "assert not {'omero', 'Ice', 'numpy', 'pocket_omero.server'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
