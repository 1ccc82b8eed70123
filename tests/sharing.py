# SPDX-License-Identifier: BSD-3-Clause
"""How several processes share the tests (pytest -n 3): a file goes to one of them, and long ones begin first.

Whatever fixtures of a module or of the session make is thus made once, or once in each process that needs it;
a cluster of its own takes a process a second. Files that need the same costly thing go to one process
together; of files whose tests have nothing in common, each test goes its own way.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    f"tests/acceptance/{name}.py": "what has the nuclei workflow installed"
    for name in (
        "test_command_line",
        "test_docs",
        "test_page_of_failures",
        "test_nuclei_on_the_cluster",
    )
}
ONE_BY_ONE = (
    "tests/acceptance/test_benchmarks.py",
    "tests/unit/gate/test_gate_is_readable_old_python.py::test_the_gates_own_tests",
    "tests/unit/nuclei/test_compiled.py",
)
# the longest first, so that no process is left alone with one of them at the end
LONG = (
    "tests/acceptance/test_benchmarks.py::test_a_benchmark_prints_its_figures_and_meets_those_that_no_clock_"
    "decides[one_effect_slurm]",
    "tests/acceptance/test_command_line.py",
    "tests/acceptance/test_docs.py",
    "tests/acceptance/test_page_of_failures.py",
    "tests/acceptance/test_nuclei_on_the_cluster.py",
    "tests/acceptance/browser/test_pictures.py",
    "tests/acceptance/omero_web",
    "tests/acceptance/omero",
    "tests/acceptance/test_benchmarks.py",
    "tests/acceptance/test_worker_crash_points.py",
    "tests/acceptance/test_slurm_states.py",
    "tests/unit/gate/test_gate_is_readable_old_python.py::test_the_gates_own_tests",
    "tests/acceptance/test_truthful_words.py",
    "tests/acceptance/test_gate_at_a_cluster.py",
    "tests/acceptance/test_accounts.py",
    "tests/acceptance/test_two_accounts.py",
    "tests/security/test_canaries.py",
    "tests/acceptance/test_ssh_whole_way.py",
    "tests/acceptance/test_whole_way.py",
    "tests/security/test_table.py",
    "tests/unit/nuclei/test_compiled.py",
    "tests/acceptance/test_slurm_runner.py",
    "tests/acceptance/test_cluster.py",
    "tests/acceptance/test_serve.py",
    "tests/acceptance/test_one_effect.py",
    "tests/models",
    "tests/acceptance",
    "tests/security",
    "tests/unit/nuclei",
    "tests/unit/store",
)


class Sharing(LoadScopeScheduling):
    """Gives out what belongs together, in the order in which it was collected."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if nodeid.startswith(ONE_BY_ONE) else TOGETHER.get(file, file)


def place_of(item: pytest.Item) -> int:
    """Return the place of a test among those that take long; all others come after them."""
    return next((place for place, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))
