# SPDX-License-Identifier: BSD-3-Clause
"""What ``slidegate doctor`` looks at. Nothing is set up, changed or repaired by looking."""

import importlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version

from slidegate.domain.errors import SlidegateError
from slidegate.settings import Settings

_FREE_GB = 5.0
_MODULES = (
    "tensorstore",
    "zarr",
    "tifffile",
    "imagecodecs",
    "sqlalchemy",
    "alembic",
    "jsonschema",
    "rocrate",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, in a sentence; and what to do, None when all is well.

    Attributes
    ----------
    check
        Which of the looks it comes from; it names nobody and nothing.
    """

    what: str
    remedy: str | None = None
    check: str = "sites"


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after the other; later ones may need earlier ones to be well."""
    checks: tuple[Callable[[Settings], Finding], ...] = (
        _python,
        _libraries,
        _home,
        _space,
        _store,
        _workflows,
        _pages,
        _site,
    )
    for check in checks:
        yield replace(check(settings), check=check.__name__.lstrip("_"))
    yield from _sites(settings)


def _python(_settings: Settings) -> Finding:
    found = sys.version.split()[0]
    return Finding(f"slidegate {version('slidegate')}, Python {found}")


def _libraries(_settings: Settings) -> Finding:
    broken = []
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            broken.append(f"{name} ({error})")
    if broken:
        return Finding(f"Libraries cannot be loaded: {', '.join(broken)}", "Repeat make install.")
    return Finding(f"All {len(_MODULES)} libraries load")


def _home(settings: Settings) -> Finding:
    home = settings.home.absolute()
    nearest = next(path for path in (home, *home.parents) if path.exists())
    if not nearest.is_dir():
        return Finding(f"{nearest} is not a folder", "Set SLIDEGATE_HOME to a folder of yours.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(f"{nearest} cannot be written", "Set SLIDEGATE_HOME to a folder of yours.")
    if home.exists() and home.stat().st_mode & 0o022:
        return Finding(f"Others may write to {home}", f"Run: chmod go-w {home}")
    return Finding(f"Runs are kept in {home}")


def _space(settings: Settings) -> Finding:
    home = settings.home.absolute()
    nearest = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(nearest).free / 1e9
    if free < _FREE_GB:
        return Finding(
            f"Only {free:.1f} GB are free on the disk of {nearest}",
            "A slide needs about twice its size while it is analysed: make room, or run slidegate clean.",
        )
    return Finding(f"{free:.0f} GB are free")


def _store(settings: Settings) -> Finding:
    from slidegate.store import Store

    path = settings.database_file
    if path is not None and not path.exists():
        return Finding("There are no runs yet")
    try:
        store = Store.open(settings.database)
    except SlidegateError as error:
        if path is None:
            return Finding(f"The database cannot be used: {error.message}", "Ask whoever looks after it.")
        mine = os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK)
        remedy = "Restore slidegate.db from your backup." if mine else f"Make {path.parent} writable for you."
        return Finding(f"The runs cannot be read: {error.message}", remedy)
    try:
        runs = len(store.runs.all())
    finally:
        store.close()
    return Finding(f"The history holds {runs} {'run' if runs == 1 else 'runs'}")


def _workflows(settings: Settings) -> Finding:
    found = sorted(path.parent.name for path in settings.workflows_dir.glob("*/workflow.json"))
    if not found:
        return Finding(f"No workflow lies in {settings.workflows_dir}", "Run make install.")
    return Finding(f"Workflows that came with this installation: {', '.join(found)}")


def _pages(_settings: Settings) -> Finding:
    from slidegate.wiring.api import PAGES

    if not (PAGES / "index.html").is_file():
        return Finding("The pages are not built", "Run make install.")
    return Finding("The pages are there: slidegate serve shows them")


def _site(settings: Settings) -> Finding:
    from slidegate.sites import Gate, PipeLink

    if not (settings.local_site / "current").exists():
        return Finding("The embedded site is not set up yet; the first run does it")
    argv = [*settings.local_program("serve"), "--key", "local"]
    gate = Gate(lambda: PipeLink(argv))
    try:
        hello = gate.hello()
    except SlidegateError as error:
        return Finding(
            f"The embedded site does not answer: {error.message}", "Run slidegate site check local."
        )
    finally:
        gate.close()
    names = ", ".join(sorted(f"{each.name} {each.version}" for each in hello.releases)) or "no workflow yet"
    return Finding(f"The embedded site answers and may start: {names}")


def _sites(settings: Settings) -> Iterator[Finding]:
    """Look at what is noted of sites behind ssh; none of them is asked."""
    from slidegate.sites.registry import Registry

    registry = Registry(settings.home)
    for name in registry.names():
        try:
            site = registry.get(name)
        except SlidegateError as error:
            yield Finding(f"The site {name} cannot be used", error.message)
            continue
        yield Finding(f"The site {name} is at {site.ssh}; slidegate site check {name} asks it")
    yield from _people(settings)


def _people(settings: Settings) -> Iterator[Finding]:
    """Tell of people whose account at a site ends soon; that the store is unusable was told before."""
    from slidegate.store import Store

    path = settings.database_file
    if path is not None and not path.exists():
        return
    with suppress(SlidegateError):
        store = Store.open(settings.database)
        try:
            yield from [Finding(words) for _link, words in store.people.ending(time.time())]
        finally:
            store.close()
