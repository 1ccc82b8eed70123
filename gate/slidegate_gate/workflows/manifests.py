# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Is this folder a workflow that can be installed?

What the gate, the runner and the launch form later rely on is checked here, once.  All faults are told
together, one sentence each.  What this format does not know is refused, so that a misspelt field cannot be
silently without effect.
"""

import os
import re
from typing import Any, Dict, Iterator, NamedTuple, Tuple

from ..errors import GateError
from ..protocol.messages import Check, integer, is_name, text
from ..schemas import check_schema
from ..serve import files

__all__ = ["BadWorkflow", "Workflow", "read_workflow"]

LEFT_OUT = ("wheels", "__pycache__")


class BadWorkflow(GateError):
    """The workflow's folder cannot be installed: a sentence for each reason."""

    code = "bad-workflow"


class Workflow(NamedTuple):
    """A folder that passed all checks."""

    manifest: Dict[str, Any]
    schema: Dict[str, Any]
    contents: Dict[str, bytes]


def several(check: Check) -> Check:
    """A list of one or more values of one kind."""
    return lambda value: isinstance(value, list) and bool(value) and all(map(check, value))


def record(must: Dict[str, Check], may: Dict[str, Check]) -> Check:
    """An object with the fields `must`, and perhaps those of `may`."""

    def holds(value: Any) -> bool:
        if not isinstance(value, dict) or not set(must) <= set(value) <= set(must) | set(may):
            return False
        return all(dict(must, **may)[name](value[name]) for name in value)

    return holds


def named(check: Check) -> Check:
    """An object with one or more fields, each called by a word."""
    return lambda value: (
        isinstance(value, dict) and several(word)(list(value)) and all(map(check, value.values()))
    )


word = text(re.compile("[a-z][a-z0-9_]{0,39}"))
yes_or_no: Check = (True, False).__contains__
kind = text(re.compile("[a-z]{1,20}(/[a-z0-9-]{1,20})?"))
words = several(text(re.compile("[^\0]{1,500}")))
lock: Dict[str, Check] = {"lock": is_name}
oldest = {"python": text(re.compile("3[.][0-9]{1,2}"))}
version = text(re.compile("[0-9]+[.][0-9]+[.][0-9]+([.+-][0-9A-Za-z.-]{1,30})?"))
redo = text(re.compile("same-bytes|fresh"))

# field -> is its value right? and what it must be
MUST = {
    "slidegate": (integer(1, 1), "1, the format that this gate reads"),
    "name": (word, "1 to 40 of a-z, 0-9 and _, beginning with a letter"),
    "version": (version, "a version like 1.0.0"),
    "runtime": (record(lock, oldest), '{"lock": a file}, and perhaps "python", the oldest that serves'),
    "command": (words, 'a list of words of which the first is "python"'),
    "each": (several(word), "a list of inputs"),
    "inputs": (named(record({"type": kind}, {"optional": yes_or_no})),
               'an object: for each input its "type", and whether it is "optional"'),
    "parameters": (is_name, "the name of the schema's file"),
    "steps": (several(record({"do": word, "class": word}, {"units": word, "redo": redo})),
              'a list: for each step "do", its name; "class"; and perhaps "units", an earlier step, '
              'and "redo", which is "same-bytes" or "fresh"'),
    "outputs": (named(record({"type": kind, "path": is_name}, {"optional": yes_or_no})),
                'an object: for each output its "type" and its "path", and whether it is "optional"'),
}  # fmt: skip
MAY = {
    "prepare": (words, 'a list of words of which the first is "python", run once when it is installed'),
    "title": (text(re.compile(".{1,100}")), "1 to 100 characters"),
    "description": (text(re.compile(".{1,2000}")), "1 to 2000 characters on one line"),
    "workers": (record({"max": integer(1, 1000)}, {}), '{"max": a number from 1 to 1000}'),
}


def read_workflow(folder: str) -> Workflow:
    """Return what the folder holds; raise BadWorkflow with a sentence for each fault."""
    contents = dict(_read_folder(folder, ""))
    manifest = _read_object(folder, "workflow.json")
    faults = list(_faults_of_fields(manifest))
    if not faults:
        faults = list(_faults_between_fields(manifest, contents))
    if faults:
        raise BadWorkflow("\n".join(faults))
    schema = _read_object(folder, manifest["parameters"])
    try:
        check_schema(schema)
    except ValueError as error:
        raise BadWorkflow("{}: {}.".format(manifest["parameters"], error)) from error
    return Workflow(manifest, schema, contents)


def _read_folder(folder: str, prefix: str) -> Iterator[Tuple[str, bytes]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise BadWorkflow("{} cannot be read: {}.".format(folder, error.strerror)) from error
    for name in names:
        path = os.path.join(folder, name)
        if name in LEFT_OUT:
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            yield from _read_folder(path, prefix + name + "/")
        elif os.path.isfile(path) and not os.path.islink(path) and is_name(prefix + name):
            with open(path, "rb") as file:
                yield prefix + name, file.read()
        else:
            raise BadWorkflow("{} is no plain file with a plain name: take it out or rename it.".format(path))


def _read_object(folder: str, name: str) -> Dict[str, Any]:
    try:
        value = files.read_json(os.path.join(folder, name))
    except ValueError as error:
        raise BadWorkflow("{} is not JSON: {}.".format(name, error)) from error
    if not isinstance(value, dict):
        raise BadWorkflow("{} {}.".format(name, "is missing" if value is None else "must be a JSON object"))
    return value


def _faults_of_fields(manifest: Dict[str, Any]) -> Iterator[str]:
    known = dict(MUST, **MAY)
    for field in sorted(set(manifest) - set(known)):
        yield "workflow.json has a field {!r}, which this gate does not know.".format(field)
    for field, (check, words) in known.items():
        if field in manifest and not check(manifest[field]):
            yield "{!r} in workflow.json must be {}.".format(field, words)
        elif field in MUST and field not in manifest:
            yield "workflow.json lacks {!r}: {}.".format(field, words)


def _faults_between_fields(manifest: Dict[str, Any], contents: Dict[str, bytes]) -> Iterator[str]:
    commands = [manifest["command"], manifest.get("prepare", ["python"])]
    if [command[0] for command in commands] != ["python", "python"]:
        yield "The first word of 'command' and of 'prepare' must be \"python\"."
    needed = [manifest["runtime"]["lock"], manifest["parameters"]]
    for name in needed + [one[2:] for command in commands for one in command if one.startswith("./")]:
        if name not in contents:
            yield "workflow.json names the file {}, which is not in the folder.".format(name)
    for name in manifest["each"]:
        if name not in manifest["inputs"]:
            yield "'each' names {!r}, which is no input.".format(name)
    steps = [step["do"] for step in manifest["steps"]]
    for number, step in enumerate(manifest["steps"]):
        if step["do"] in steps[:number]:
            yield "Two steps are called {!r}.".format(step["do"])
        if "units" in step and step["units"] not in steps[:number]:
            yield "The step {do!r} takes its units from {units!r}, which is no earlier step.".format(**step)
    paths = [output["path"] + "/" for output in manifest["outputs"].values()]
    for path in paths:
        if sum(path.startswith(other) for other in paths) > 1:
            yield "The output path {!r} is given twice or lies inside another.".format(path[:-1])
