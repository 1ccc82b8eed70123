# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Runtimes: what Releases run in, built from hashed wheels without internet.

A Runtime is named by what decides its contents: the bytes of the lock file, the version of the interpreter
and the platform.  Environments hold absolute paths, so one is built where it will stay, and ``runtime.json``
is written last: a Runtime without that file is unfinished and is built anew.
"""

import json
import os
import re
import shutil
import subprocess
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any, Dict, List, Tuple

from .. import folders
from ..errors import GateError
from ..protocol.canonical import canonical, digest_of
from ..serve import files

__all__ = ["BUILD_SECONDS", "RuntimeNotBuilt", "ask_python", "ensure_runtime", "read_lock", "run_program"]

BUILD_SECONDS = 1800
QUESTION = """
import json, platform, sys, sysconfig
print(json.dumps({"python": platform.python_version(), "implementation": sys.implementation.name,
                  "platform": sysconfig.get_platform()}))
"""
PIP_OPTIONS = ["--require-hashes", "--only-binary", ":all:", "--no-cache-dir", "--no-compile", "--quiet"]
PIP_WHEEL = re.compile("pip-[0-9][0-9A-Za-z.]*-(py2[.])?py3-none-any[.]whl")


class RuntimeNotBuilt(GateError):
    """The environment of a workflow cannot be built with the interpreter and wheels that were given."""

    code = "runtime-not-built"


def run_program(argv: List[str], home: str, seconds: float) -> Tuple[int, str]:
    """Run a program with an environment built from nothing and no input; return its exit code and last words.

    A program that cannot be started or takes too long counts as failed, with code 127 or 124.
    """
    environment = {"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "PIP_CONFIG_FILE": os.devnull}
    environment.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_WARN_SCRIPT_LOCATION="1")
    try:
        done = subprocess.run(
            argv, env=environment, cwd=home, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return 124, "it did not end within {:.0f} seconds".format(seconds)
    except OSError as error:
        return 127, "it does not start: {}".format(error.strerror)
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()[-2000:]


def ask_python(python: str) -> Dict[str, str]:
    """Return what names the environments of an interpreter; raise RuntimeNotBuilt where it does not start."""
    code, words = run_program([python, "-IS", "-c", QUESTION], "/", 60)
    if code:
        raise RuntimeNotBuilt("{} does not serve ({}): name another with --python.".format(python, words))
    facts: Dict[str, str] = json.loads(words)
    return facts


def ensure_runtime(home: str, lock: bytes, wheels: str, python: str, oldest: str) -> Tuple[str, bool]:
    """Return the digest of the Runtime for this lock and interpreter, and whether it was built now.

    Raises RuntimeNotBuilt where the interpreter is older than `oldest`, or a wheel is missing or has another
    hash than the lock says.  Safe to repeat; the caller holds the home's lock.
    """
    named: Dict[str, Any] = dict(ask_python(python), runtime=1, lock=digest_of(lock))
    if [int(part) for part in re.findall("[0-9]+", named["python"])] < [
        int(part) for part in oldest.split(".")
    ]:
        raise RuntimeNotBuilt(
            "{} is Python {}, the workflow needs {} or later: name another with --python.".format(
                python, named["python"], oldest
            )
        )
    digest = digest_of(canonical(named))
    runtimes = os.path.join(home, "runtimes")
    target = os.path.join(runtimes, digest)
    if files.read_json(os.path.join(target, "runtime.json")) is not None:
        return digest, False
    if os.path.isdir(target):
        shutil.rmtree(target)
    files.make_dirs(target)
    _build(target, read_lock(lock.decode("utf-8")), wheels, python)
    files.write_json(os.path.join(target, "runtime.json"), named)
    return digest, True


def read_lock(text: str) -> List[str]:
    """Return the entries of a lock file, each ``name==version --hash=sha256:...`` on one line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]


def _build(target: str, entries: List[str], wheels: str, python: str) -> None:
    def must(what: str, command: List[str]) -> None:
        code, words = run_program(command, target, BUILD_SECONDS)
        if code:
            raise RuntimeNotBuilt("{}: {}".format(what, words or "exit code {}".format(code)))

    must("The environment cannot be made", [python, "-I", "-m", "venv", "--without-pip", target])
    others = [entry for entry in entries if not entry.startswith("pip==")]
    if not others:
        return
    interpreter = os.path.join(target, "bin", "python")
    requirements = os.path.join(target, "requirements.txt")
    folders.write(target, {"requirements.txt": "".join(entry + "\n" for entry in others).encode("utf-8")})
    pip = [interpreter, "-I", os.path.join(_pip_wheel(entries, wheels), "pip"), "install"] + PIP_OPTIONS
    sources = ["--no-index", "--find-links", os.path.abspath(wheels), "--requirement", requirements]
    must("The wheels in {} cannot be installed".format(wheels), pip + sources)
    # A job must not spend its first seconds compiling, nor two jobs compile the same file.
    compiling = [interpreter, "-I", "-m", "compileall", "-q", "-j", "0", os.path.join(target, "lib")]
    must("The installed files cannot be compiled", compiling)


def _pip_wheel(entries: List[str], wheels: str) -> str:
    # pip itself is trusted no more than what it installs: its hash must stand in the lock, too.
    hashes = [part for entry in entries if entry.startswith("pip==") for part in entry.split()[1:]]
    for name in sorted(os.listdir(wheels)) if os.path.isdir(wheels) else []:
        if PIP_WHEEL.fullmatch(name):
            with open(os.path.join(wheels, name), "rb") as file:
                if "--hash=sha256:" + digest_of(file.read()) in hashes:
                    return os.path.join(os.path.abspath(wheels), name)
    raise RuntimeNotBuilt("{} has no wheel of pip whose hash stands in the lock: add both.".format(wheels))
