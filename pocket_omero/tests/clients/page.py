# SPDX-License-Identifier: GPL-2.0-or-later
"""The made parts of docs/explanation/pocket-omero.md. Run this file to write them anew."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "explanation" / "pocket-omero.md"
_PART = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def operations() -> str:
    """Of each interface of OMERO: which operations are supported, and which are refused."""
    import omero
    import omero.all
    from pocket_omero.commands.work import COMMANDS
    from pocket_omero.ice.dispatch import STATEFUL, STATELESS, Service

    from pocket_omero import services

    services.make_known()
    kinds = {
        kind for kind in _below(Service) if kind.interface and kind.__module__.startswith("pocket_omero")
    }
    kinds |= {*STATELESS.values(), *STATEFUL.values()}
    lines = ["| interface | supported | refused |", "|---|---|---|"]
    for interface in sorted({kind.interface for kind in kinds}):
        there: dict[str, bool] = {}
        for kind in kinds:
            if kind.interface == interface:
                there |= {name: yes or there.get(name, False) for name, yes in kind.supported().items()}
        lines.append(_line(interface, there))
    requests = {kind.__name__ for kind in _below(omero.cmd.Request) if kind.__module__.startswith("omero")}
    known = {getattr(one, "__name__", str(one)) for one in COMMANDS}
    lines.append(_line("omero.cmd requests", {name: name in known for name in requests if name[-1] != "I"}))
    return "\n".join(lines) + "\n"


def _line(name: str, there: dict[str, bool]) -> str:
    yes = sorted(one for one, supported in there.items() if supported)
    no = sorted(one for one, supported in there.items() if not supported)
    return f"| {name} | {len(yes)}: {', '.join(yes)} | {f'{len(no)}: ' + ', '.join(no) if no else ''} |"


def _below(kind: type) -> set[type]:
    return {kind}.union(*map(_below, kind.__subclasses__())) - {object}


def clients() -> str:
    """Of each client: its version, how many operations a test run tries, and how many do what they should."""
    found = json.loads(
        subprocess.run(
            [sys.executable, __file__, "--count"], capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
    )
    lines = ["| client | version | operations tried | passed |", "|---|---|---|---|"]
    for name in sorted(found["tried"]):
        version = importlib.metadata.version(name.split(" ")[0])
        tried = found["tried"][name]
        lines.append(f"| {name} | {version} | {tried} | {tried - found['failing'].get(name, 0)} |")
    if found["why"]:
        lines += ["", "What does not pass, and is known:", ""]
        lines += [f"- {one}" for one in sorted(set(found["why"]))]
    return "\n".join(lines) + "\n"


class _Count:
    """Counts the tests of each client, when pytest has found them."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.failing: Counter[str] = Counter()
        self.why: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            mark = item.get_closest_marker("client")
            if mark is None:
                continue
            name = mark.args[0]
            self.tried[name] += 1
            known = item.get_closest_marker("xfail")
            if known is not None:
                self.failing[name] += 1
                self.why.append(f"{name}: {known.kwargs['reason']}")


def made(text: str) -> str:
    """The page with its made parts as they should be."""
    makers = {"operations": operations, "clients": clients}
    return _PART.sub(lambda found: found[1] + "\n" + makers[found[2]]() + "\n" + found[3], text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--count"]:
        count = _Count()
        options = ["--collect-only", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
        pytest.main([*options, str(HERE)], plugins=[count])
        print(json.dumps({"tried": count.tried, "failing": count.failing, "why": count.why}))
    else:
        PAGE.write_text(made(PAGE.read_text("utf-8")), "utf-8")
