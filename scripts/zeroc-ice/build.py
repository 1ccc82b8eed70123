# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a setup.py with several compilers at once: setuptools starts one after the other.

Usage: python build.py JOBS bdist_wheel ... (in the folder of setup.py).
"""

import importlib
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor

import setuptools  # noqa: F401  (first: it brings distutils, which Python 3.12 has no more)

CCompiler = importlib.import_module("distutils.ccompiler").CCompiler
jobs = int(sys.argv.pop(1))


def compile_all(
    self,
    sources,
    output_dir=None,
    macros=None,
    include_dirs=None,
    debug=0,
    extra_preargs=None,
    extra_postargs=None,
    depends=None,
):
    """As distutils' own, but for the pool."""
    settings = self._setup_compile(output_dir, macros, include_dirs, sources, depends, extra_postargs)
    _macros, objects, extra_postargs, options, build = settings
    flags = self._get_cc_args(options, debug, extra_preargs)

    def one(made: str) -> None:
        source, suffix = build[made]
        self._compile(made, source, suffix, flags, extra_postargs, options)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, build))
    return objects


CCompiler.compile = compile_all
sys.argv[0] = "setup.py"
runpy.run_path("setup.py", run_name="__main__")
