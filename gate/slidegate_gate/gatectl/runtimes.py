# SPDX-License-Identifier: BSD-3-Clause
"""Runtimes: what Releases run in, built from hashed wheels without internet.

A Runtime is named by what decides its contents: the bytes of the lock file, the version of the interpreter
and the platform.  Environments hold absolute paths, so one is built where it will stay, under a lock, and its
``runtime.json`` is written last: a Runtime without that file is unfinished and is built anew.
"""

import json
import os
import re
import shutil
import subprocess
from typing import Any, Dict, List, Tuple

from slidegate_gate.serve import files

from .errors import RuntimeNotBuilt, UnsuitablePython
from .homes import write_file

__all__ = ["ask_python", "ensure_runtime", "run_program"]

BUILD_SECONDS = 1800
QUESTION = """
import json, platform, sys, sysconfig
print(json.dumps({"python": platform.python_version(), "implementation": sys.implementation.name,
                  "platform": sysconfig.get_platform()}))
"""
PIP_OPTIONS = "--require-hashes --only-binary :all: --no-cache-dir --no-compile --quiet".split() + [
    "--disable-pip-version-check",
    "--no-warn-script-location",
]
PIP_WHEEL = re.compile(r"pip-[0-9][0-9A-Za-z.]*-py3-none-any\.whl")


def run_program(argv: List[str], home: str, seconds: float) -> Tuple[int, str]:
    """Run a program with an environment built from nothing and no input; return its exit code and last words.

    A program that cannot be started or takes too long counts as failed, with code 127 or 124.
    """
    environment = {"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "PIP_CONFIG_FILE": os.devnull}
    try:
        done = subprocess.run(
            argv,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, "it did not end within {:.0f} seconds".format(seconds)
    except OSError as error:
        return 127, "it does not start: {}".format(error.strerror)
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()[-2000:]


def ask_python(python: str, oldest: str) -> Dict[str, str]:
    """Return what names an interpreter's environment; raise UnsuitablePython where it does not serve."""
    code, words = run_program([python, "-IS", "-c", QUESTION], "/", 60)
    if code:
        raise UnsuitablePython("{} does not serve ({}): name another with --python.".format(python, words))
    facts = json.loads(words)  # type: Dict[str, str]
    have = tuple(int(part) for part in re.findall("[0-9]+", facts["python"])[:2])
    if have < tuple(int(part) for part in oldest.split(".")):
        raise UnsuitablePython(
            "{} is Python {}, but the workflow needs {} or later: name one with --python.".format(
                python, facts["python"], oldest
            )
        )
    return facts


def ensure_runtime(home: str, lock_file: str, wheels: str, python: str, oldest: str) -> Tuple[str, bool]:
    """Return the digest of the Runtime for this lock file and interpreter, and whether it was built now.

    Raises RuntimeNotBuilt where a wheel is missing or has another hash than the lock says.  Safe to repeat,
    also at the same time: the second caller waits for the first.
    """
    with open(lock_file, "rb") as file:
        lock = file.read()
    named = dict(ask_python(python, oldest), runtime=1, lock=files.digest_of(lock))  # type: Dict[str, Any]
    digest = files.digest_of(files.canonical(named))
    runtimes = os.path.join(home, "runtimes")
    files.make_dirs(runtimes)
    target = os.path.join(runtimes, digest)
    with files.locked(os.path.join(runtimes, ".lock-" + digest)):
        if files.read_json(os.path.join(target, "runtime.json")) is not None:
            return digest, False
        if os.path.isdir(target):
            shutil.rmtree(target)
        _build(target, lock.decode("utf-8"), wheels, python)
        files.write_json(os.path.join(target, "runtime.json"), named)
        files.fsync_dir(runtimes)
    return digest, True


def _build(target: str, lock: str, wheels: str, python: str) -> None:
    entries = read_lock(lock)
    files.make_dirs(target)
    interpreter = os.path.join(target, "bin", "python")
    _must([python, "-I", "-m", "venv", "--without-pip", target], target, "The environment cannot be made")
    others = [entry for entry in entries if not entry.startswith("pip==")]
    if not others:
        return
    pip = _pip_wheel(entries, wheels)
    requirements = os.path.join(target, "requirements.txt")
    write_file(requirements, "".join(entry + "\n" for entry in others).encode("utf-8"))
    sources = ["--no-index", "--find-links", os.path.abspath(wheels), "--requirement", requirements]
    command = [interpreter, "-I", os.path.join(pip, "pip"), "install"] + PIP_OPTIONS + sources
    _must(command, target, "The wheels in {} cannot be installed".format(wheels))
    # A job of another node must not spend its first seconds compiling, nor two jobs compile the same file.
    _must(
        [interpreter, "-I", "-m", "compileall", "-q", "-j", "0", os.path.join(target, "lib")],
        target,
        "The installed files cannot be compiled",
    )


def read_lock(text: str) -> List[str]:
    """Return the entries of a lock file, each ``name==version --hash=sha256:...`` on one line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]


def _pip_wheel(entries: List[str], wheels: str) -> str:
    # pip itself is trusted no more than what it installs: its hash must stand in the lock, too.
    hashes = [word for entry in entries if entry.startswith("pip==") for word in entry.split()[1:]]
    names = sorted(os.listdir(wheels)) if os.path.isdir(wheels) else []
    for name in names:
        if PIP_WHEEL.fullmatch(name):
            with open(os.path.join(wheels, name), "rb") as file:
                if "--hash=sha256:" + files.digest_of(file.read()) in hashes:
                    return os.path.join(os.path.abspath(wheels), name)
    raise RuntimeNotBuilt("{} has no wheel of pip whose hash stands in the lock: add both.".format(wheels))


def _must(command: List[str], target: str, what: str) -> None:
    code, words = run_program(command, target, BUILD_SECONDS)
    if code:
        raise RuntimeNotBuilt("{}: {}".format(what, words or "exit code {}".format(code)))
