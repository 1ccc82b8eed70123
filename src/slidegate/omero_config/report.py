# SPDX-License-Identifier: BSD-3-Clause
"""How changes are told: in lines, as a difference, as JSON. Secrets are masked in all of them."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slidegate.omero_config.masking import shown
from slidegate.omero_config.plan import Change


def sentence(change: Change) -> str:
    """Say in a line what becomes of a key."""
    return f"{word(change)} {change.key}"


def word(change: Change) -> str:
    """Say in a word what becomes of a key: set, changed or unset."""
    if change.before is None:
        return "set"
    return "unset" if change.after is None else "changed"


def before_and_after(changes: Iterable[Change]) -> tuple[str, str]:
    """Return two texts that show the keys that change, with a line for each entry of a list."""
    before: list[str] = []
    after: list[str] = []
    for change in changes:
        old = _lines(change.before, change.secret)
        new = _lines(change.after, change.secret)
        if old == new:
            old, new = [*old[:-1], f"{old[-1]} (as it was)"], [*new[:-1], f"{new[-1]} (as desired)"]
        before += _under(change.key, old)
        after += _under(change.key, new)
    return "\n".join(before) + "\n", "\n".join(after) + "\n"


def difference(changes: Iterable[Change], path: Path) -> str:
    """Return a unified difference of the keys that change."""
    before, after = before_and_after(changes)
    names = (f"{path} as it is", f"{path} as desired")
    return "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), *names))


def as_json(changes: tuple[Change, ...], path: Path, *, check: bool, diff: bool) -> dict[str, Any]:
    """Return what changed as JSON values; ``diff`` is as Ansible takes it."""
    told: dict[str, Any] = {
        "slidegate": 1,
        "changed": bool(changes),
        "check": check,
        "config": str(path),
        "keys": [{"key": change.key, "change": word(change)} for change in changes],
    }
    if diff:
        before, after = before_and_after(changes) if changes else ("", "")
        told["diff"] = {
            "before": before,
            "after": after,
            "before_header": f"{path} as it is",
            "after_header": f"{path} as desired",
        }
    return told


def _lines(text: str | None, secret: bool) -> list[str]:
    return ["(not set)"] if text is None else shown(text, secret)


def _under(key: str, lines: list[str]) -> list[str]:
    return [f"{key} = {lines[0]}", *lines[1:]]
