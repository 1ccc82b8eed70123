# SPDX-License-Identifier: BSD-3-Clause
"""Workflows of a few lines, for tests and benchmarks that need something that a gate can run."""

from typing import Any

NO_PARAMETERS = {"type": "object", "additionalProperties": False, "properties": {}}


def manifest(
    name: str, program: str, steps: list[dict[str, str]], outputs: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """Return the manifest of a workflow that takes an image and is one program, beside the manifest."""
    return {
        "slidegate": 1,
        "name": name,
        "version": "1.0.0",
        "runtime": {"lock": "runtime.lock"},
        "command": ["python", f"./{program}"],
        "each": ["image"],
        "inputs": {"image": {"type": "image"}},
        "parameters": "parameters.schema.json",
        "steps": steps,
        "outputs": outputs,
        **more,
    }


def three_steps(middle: str, redo: str) -> list[dict[str, str]]:
    """Return steps that list Units, do them, and put them together."""
    return [
        {"do": "plan", "class": "cpu"},
        {"do": middle, "units": "plan", "class": "cpu", "redo": redo},
        {"do": "finish", "class": "cpu", "redo": "fresh"},
    ]
