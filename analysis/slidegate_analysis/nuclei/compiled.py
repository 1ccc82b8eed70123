# SPDX-License-Identifier: BSD-3-Clause
"""Where compiled functions are kept, and what the results depend on besides the input.

Numba keeps machine code beside the sources, in ``__pycache__``. Two things would go wrong with that alone:
a change in one module would not renew the functions of another that have it built in; and in a Runtime that
may not be written to, Numba would ignore what was compiled when the Runtime was built and compile for
twenty seconds in every job. So the code is kept in a folder named after all those sources; ``python -m
slidegate_analysis.nuclei compile`` fills it when a Runtime is built; where it cannot be written to, its
content is copied to a temporary folder (a few megabytes). ``NUMBA_CACHE_DIR`` in the environment overrides
all this.
"""

import atexit
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numba

HERE = Path(__file__).parent


def source_digest() -> str:
    """Give 16 hexadecimal digits that change with any source file that defines compiled functions."""
    whole = hashlib.sha256()
    for source in sorted(HERE.glob("*.py")):
        content = source.read_bytes()
        if b"njit" in content:
            whole.update(source.name.encode() + b"\0" + content + b"\0")
    return whole.hexdigest()[:16]


def keep_compiled_code() -> Path:
    """Tell Numba where to keep compiled functions, and give that folder.

    Must run before any compiled function of the package is defined. Safe to repeat and in many processes at
    once.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    beside = HERE / "__pycache__" / f"numba-{source_digest()}"
    folder = beside if _writable(beside) else _copy_of(beside)
    numba.config.CACHE_DIR = str(folder)
    return folder


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _copy_of(folder: Path) -> Path:
    private = Path(tempfile.mkdtemp(prefix="slidegate-compiled-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    # Not copytree: it would give the copy the modes of a folder that may not be written to.
    for file in folder.rglob("*"):
        if file.is_file():
            (private / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, private / file.relative_to(folder))
    return private


def numeric_class() -> str:
    """Say what results depend on besides the input: a Unit is refused where it differs.

    After planning, the arithmetic is that of whole numbers and of single IEEE 754 operations (sum, product,
    quotient, square root) in a fixed order, which Numba neither fuses nor reorders. So the vector
    instructions of a processor do not matter. Its kind, the compiled sources and the versions of what
    compiles and computes are named.
    """
    libraries = " ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "llvmlite"))
    return f"{platform.machine()} {sys.byteorder}-endian, {libraries}, sources {LOADED}"


LOADED = source_digest()
"""The compiled sources as they were when this process began."""
