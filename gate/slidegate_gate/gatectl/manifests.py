# SPDX-License-Identifier: BSD-3-Clause
"""Is this folder a workflow that can be installed?

Everything that the gate, the runner and the launch form later rely on is checked here, once. A fault is one
sentence; all faults are told together. What the format does not know is refused, so that a misspelt field
cannot be silently without effect.
"""

import os
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from slidegate_gate.serve import files

from .errors import BadWorkflow

__all__ = ["PATTERNS", "Workflow", "check_workflow", "faults_of_schema"]

TREE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,11}")
SHORT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
STEP_NAME = re.compile(r"[a-z0-9_]{1,40}")
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+.][0-9A-Za-z.-]{1,30})?")
PYTHON = re.compile(r"3\.[0-9]{1,2}")
OUTPUT_TYPE = re.compile(r"[a-z]{1,20}(/[a-z0-9-]{1,20})?")
REDO = ("same-bytes", "fresh")
LEFT_OUT = ("wheels", "__pycache__")

# The only patterns that a schema may use: each is matched in time linear in the text.
PATTERNS = ("[a-z0-9_-]+", "[A-Za-z0-9_-]+", "[A-Za-z0-9 ._-]+", "[0-9a-f]+")

MANIFEST = {
    "slidegate": int, "name": str, "version": str, "title": str, "description": str, "runtime": dict,
    "command": list, "each": list, "inputs": dict, "parameters": str, "steps": list, "workers": dict,
    "outputs": dict,
}  # fmt: skip
OPTIONAL = ("title", "description", "workers")
NUMBER = ("minimum", "maximum", "x-unit")
ALWAYS = ("type", "title", "description", "default", "enum", "const", "x-advanced")
KEYWORDS = {
    "integer": ALWAYS + NUMBER,
    "number": ALWAYS + NUMBER,
    "string": ALWAYS + ("maxLength", "pattern"),
    "boolean": ALWAYS,
}
TYPES = {"integer": (int,), "number": (int, float), "string": (str,), "boolean": (bool,)}


class Workflow(NamedTuple):
    """A folder that passed all checks."""

    folder: str
    manifest: Dict[str, Any]
    schema: Dict[str, Any]
    entries: List[Tuple[str, str]]  # (name in the Tree, path)


def check_workflow(folder: str) -> Workflow:
    """Return what the folder holds; raise BadWorkflow with a sentence for each fault."""
    entries = list(_entries(folder, ""))
    faults = [
        "The name {!r} cannot stand in a Tree: rename the file or take it out.".format(name)
        for name, path in entries
        if path is None or not TREE_NAME.fullmatch(name) or len(name) > 512
    ]
    manifest = _read_object(os.path.join(folder, "workflow.json"), faults)
    schema = {}  # type: Dict[str, Any]
    if not faults:
        faults += list(_faults_of_fields(manifest))
    if not faults:
        faults += list(_faults_of_manifest(manifest, {name for name, _ in entries}))
        faults += list(_faults_of_steps(manifest["steps"]))
        schema = _read_object(os.path.join(folder, manifest["parameters"]), faults)
    if not faults:
        faults += list(faults_of_schema(schema))
    if faults:
        raise BadWorkflow(faults)
    return Workflow(folder, manifest, schema, [(name, path) for name, path in entries if path])


def _entries(folder: str, prefix: str) -> Iterator[Tuple[str, Optional[str]]]:
    # A path of None stands for what is neither a plain file nor a folder.
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise BadWorkflow(["{} cannot be read: {}.".format(folder, error.strerror)]) from error
    for name in names:
        path = os.path.join(folder, name)
        if name in LEFT_OUT:
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            yield from _entries(path, prefix + name + "/")
        else:
            yield prefix + name, path if os.path.isfile(path) and not os.path.islink(path) else None


def _read_object(path: str, faults: List[str]) -> Dict[str, Any]:
    name = os.path.basename(path)
    try:
        value = files.read_json(path)
    except ValueError as error:
        faults.append("{} is not JSON: {}.".format(name, error))
        return {}
    if isinstance(value, dict):
        return value
    faults.append("{} {}.".format(name, "is missing" if value is None else "must be a JSON object"))
    return {}


def _faults_of_fields(manifest: Dict[str, Any]) -> Iterator[str]:
    for field in sorted(set(manifest) - set(MANIFEST)):
        yield "workflow.json has a field {!r} that this gate does not know.".format(field)
    for field, kind in MANIFEST.items():
        if field not in manifest and field not in OPTIONAL:
            yield "workflow.json lacks the field {!r}.".format(field)
        elif field in manifest and not _is(manifest[field], (kind,)):
            yield "{!r} in workflow.json must be {}.".format(field, _WORDS[kind])


_WORDS = {int: "an integer", str: "a string", dict: "an object", list: "a list"}


def _is(value: Any, kinds: Tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _faults_of_manifest(manifest: Dict[str, Any], names: "set[str]") -> Iterator[str]:
    if manifest["slidegate"] != 1:
        yield "'slidegate' in workflow.json must be 1, the format that this gate reads."
    if not SHORT_NAME.fullmatch(manifest["name"]):
        yield "The workflow's name must be 1 to 40 of a-z, 0-9, - and _, beginning with a letter."
    if not VERSION.fullmatch(manifest["version"]):
        yield "The workflow's version must look like 1.0.0."
    for field, limit in (("title", 100), ("description", 2000)):
        if len(manifest.get(field, "")) > limit:
            yield "{!r} in workflow.json is longer than {} characters.".format(field, limit)
    runtime = manifest["runtime"]
    if not {"lock"} <= set(runtime) <= {"lock", "python"} or runtime["lock"] not in names:
        yield "'runtime' must name the lock file of this folder as 'lock', and may state a 'python'."
    if not PYTHON.fullmatch(str(runtime.get("python", "3.6"))):
        yield "'python' in 'runtime' must be the oldest version that serves, such as \"3.11\"."
    command = manifest["command"]
    if not command or command[0] != "python" or not all(isinstance(word, str) and word for word in command):
        yield "'command' must be a list of words of which the first is \"python\"."
    for word in command:
        if str(word).startswith("./") and word[2:] not in names:
            yield "'command' names {}, which is not in the folder.".format(word)
    workers = manifest.get("workers", {"max": 1})
    if set(workers) != {"max"} or not _is(workers["max"], (int,)) or not 1 <= workers["max"] <= 1000:
        yield "'workers' must be {\"max\": a number from 1 to 1000}."
    if manifest["parameters"] not in names:
        yield "'parameters' names {}, which is not in the folder.".format(manifest["parameters"])
    yield from _faults_of_ends(manifest)


def _faults_of_ends(manifest: Dict[str, Any]) -> Iterator[str]:
    for name, stated in manifest["inputs"].items():
        known = isinstance(stated, dict) and {"type"} <= set(stated) <= {"type", "optional"}
        if not SHORT_NAME.fullmatch(name) or not known or not OUTPUT_TYPE.fullmatch(str(stated["type"])):
            yield "The input {!r} must have a short name and a 'type', and may be 'optional'.".format(name)
    for name in manifest["each"]:
        if name not in manifest["inputs"]:
            yield "'each' names {!r}, which is no input.".format(name)
    if not manifest["outputs"]:
        yield "A workflow without 'outputs' has no result."
    paths = []  # type: List[str]
    for name, stated in manifest["outputs"].items():
        known = isinstance(stated, dict) and set(stated) == {"type", "path"}
        if not SHORT_NAME.fullmatch(name) or not known or not OUTPUT_TYPE.fullmatch(str(stated["type"])):
            yield "The output {!r} must have a short name, a 'type' and a 'path'.".format(name)
        elif not TREE_NAME.fullmatch(str(stated["path"])):
            yield "The path of the output {!r} cannot stand in a Tree.".format(name)
        else:
            paths.append(stated["path"] + "/")
    for path in paths:
        if sum(path.startswith(other) for other in paths) > 1:
            yield "The output path {!r} is given twice or lies inside another.".format(path[:-1])


def _faults_of_steps(steps: List[Any]) -> Iterator[str]:
    done = []  # type: List[str]
    if not steps:
        yield "'steps' is empty: a workflow does at least one step."
    for step in steps:
        if not isinstance(step, dict) or not {"do", "class"} <= set(step) <= {"do", "class", "units", "redo"}:
            yield "A step has 'do' and 'class', and may have 'units' and 'redo'; {!r} differs.".format(step)
            continue
        if not STEP_NAME.fullmatch(str(step["do"])) or step["do"] in done:
            yield "The step {!r} needs a name of its own, of a-z, 0-9 and _.".format(step["do"])
        if not SHORT_NAME.fullmatch(str(step["class"])):
            yield "The class of the step {!r} must be a short name.".format(step["do"])
        if "units" in step and step["units"] not in done:
            yield "The step {!r} takes its units from {!r}, which is no earlier step.".format(
                step["do"], step["units"]
            )
        if step.get("redo", REDO[0]) not in REDO:
            yield "'redo' of the step {!r} must be one of: {}.".format(step["do"], ", ".join(REDO))
        done.append(str(step["do"]))


def faults_of_schema(schema: Dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each thing in a parameter schema that lies outside the subset."""
    allowed = {"type", "title", "description", "properties", "required", "additionalProperties"}
    for keyword in sorted(set(schema) - allowed):
        yield "The schema uses {!r}, which is not in the subset.".format(keyword)
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        yield 'The schema must have "type": "object" and "additionalProperties": false.'
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        yield "'properties' of the schema must be an object."
        return
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(name in properties for name in map(str, required)):
        yield "'required' of the schema must list properties."
    for name, stated in properties.items():
        if not SHORT_NAME.fullmatch(name):
            yield "The parameter {!r} must be 1 to 40 of a-z, 0-9, - and _.".format(name)
        kind = stated.get("type") if isinstance(stated, dict) else None
        if kind not in KEYWORDS:
            yield "The parameter {!r} must have a 'type' of: {}.".format(name, ", ".join(sorted(KEYWORDS)))
        else:
            for fault in _faults_of_parameter(stated, kind):
                yield "The parameter {!r} {}.".format(name, fault)


def _faults_of_parameter(stated: Dict[str, Any], kind: str) -> Iterator[str]:
    for keyword in sorted(set(stated) - set(KEYWORDS[kind])):
        yield "uses {!r}, which is not in the subset for {}".format(keyword, kind)
    values = stated.get("enum", [])
    if not isinstance(values, list) or ("enum" in stated and not values):
        yield "has an 'enum' that is no list of values"
        values = []
    low, high = stated.get("minimum", float("-inf")), stated.get("maximum", float("inf"))
    if not _is(low, (int, float)) or not _is(high, (int, float)) or low > high:
        yield "has no number as 'minimum' or 'maximum', or the first is larger"
        return
    if not _is(stated.get("maxLength", 0), (int,)) or not 0 <= stated.get("maxLength", 0) <= 1000:
        yield "has a 'maxLength' that is not a number from 0 to 1000"
    if kind == "string" and not {"maxLength", "enum", "const"} & set(stated):
        yield "needs a 'maxLength', 'enum' or 'const'"
    if stated.get("pattern", PATTERNS[0]) not in PATTERNS:
        yield "has a 'pattern' that is not one of: {}".format("  ".join(PATTERNS))
    for keyword in ("default", "const"):
        values = values + ([stated[keyword]] if keyword in stated else [])
    for value in values:
        if not _is(value, TYPES[kind]) or (kind in ("integer", "number") and not low <= value <= high):
            yield "has the value {!r}, which its own type or limits refuse".format(value)
