# SPDX-License-Identifier: BSD-3-Clause
"""What somebody who helps needs to know of an installation, and nothing that names anybody or opens anything.

Only what is listed here gets in: numbers, states, codes, versions, and of logs when, what kind of thing and
where in the code. Words that a person, an image, a site or an error has brought along stay out, whatever they
are; nothing relies on recognising them.
"""

import json
import os
import platform
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from slidegate.cli.checkup import findings
from slidegate.domain.errors import SlidegateError
from slidegate.settings import Settings, settings_file

_LIBRARIES = (
    "slidegate", "slidegate-analysis", "slidegate-gate", "alembic", "fastapi", "numpy", "psycopg", "pydantic",
    "rocrate", "sqlalchemy", "sse-starlette", "starlette", "tensorstore", "tifffile", "typer", "uvicorn",
    "zarr",
)  # fmt: skip
_LOGS = ("slidegate.log", "serve.log", "serve.log.1")
_END_BYTES = 400_000
_LINES = 2000
_NUMBERS = ("status", "tries", "round", "tasks", "seconds")
_IDS = ("request", "wish", "run", "task", "submission", "delivery")
_CODES = ("level", "part", "action", "code", "state", "outcome", "method")
_ID = re.compile("[0-9a-f]{8,64}([.][0-9]{1,9})?")
_CODE = re.compile("[a-z][a-z0-9_-]{0,39}|[A-Z]{3,7}")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.,]{8,16}Z?")
_ROUTE = re.compile("(/[a-z0-9_-]+|/[{][a-z_:]+[}])+")
_OLD_LINE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:,]{8,12}) (DEBUG|INFO|WARNING|ERROR|CRITICAL) ([a-z_]{1,40}) .*"
)
_FRAME = re.compile(r'  File ".*?((?:slidegate|slidegate_[a-z]+)/[a-z0-9_/]+\.py)", line ([0-9]+), in (\w+)')
_FRAME_ELSEWHERE = re.compile(r'  File ".*?([a-zA-Z0-9_]+/[a-zA-Z0-9_]+\.py)", line ([0-9]+), in (\w+)')
_ERROR = re.compile(r"([A-Za-z_]{3,60}(?:Error|Exception|Interrupt|Exit|Timeout))(?::.*)?")


def write_bundle(path: Path, settings: Settings) -> None:
    """Write the ZIP file; an existing one is replaced.

    Raises
    ------
    SlidegateError
        The file cannot be written.
    """
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for name, text in _contents(settings):
                made.writestr(name, text)
    except OSError as error:
        raise SlidegateError(f"{path} cannot be written: {error.strerror}.") from error


def _contents(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "versions.json", _text(_versions())
    yield "settings.json", _text(_settings(settings))
    yield "checks.json", _text([{"check": f.check, "ok": f.remedy is None} for f in findings(settings)])
    yield "counts.json", _text(_counts(settings))
    for name in _LOGS:
        lines = list(harmless_lines(_end(settings.home / name)))
        if lines:
            yield name, "\n".join(lines[-_LINES:]) + "\n"


def _text(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": found,
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "prefix_is_venv": sys.prefix != sys.base_prefix,
    }


def _settings(settings: Settings) -> dict[str, Any]:
    """Tell of each setting whether it is set, and what of it is a number or a choice."""
    told: dict[str, Any] = {
        name: {"set": name in settings.model_fields_set} for name in type(settings).model_fields
    }
    for name in ("cores", "cache_gb", "allow_private_webhooks"):
        told[name]["value"] = getattr(settings, name)
    told["database_url"]["value"] = settings.database.partition(":")[0]
    told["public_url"]["value"] = (settings.public_url or "").partition(":")[0]
    for name in ("shelves", "trusted_proxies"):
        told[name]["number"] = len(getattr(settings, name))
    folders = {"home": settings.home, "results": settings.results_dir, "cache_dir": settings.cache}
    for name, folder in folders.items():
        told[name] |= {"exists": folder.is_dir(), "writable": os.access(folder, os.W_OK)}
        with suppress(OSError):
            state = os.statvfs(folder)
            told[name]["free_gb"] = round(state.f_bavail * state.f_frsize / 1e9, 1)
    told["file"] = {"exists": settings_file(settings.home).is_file()}
    return told


def _counts(settings: Settings) -> dict[str, Any]:
    """Count what is remembered; why that cannot be done is a code."""
    from sqlalchemy import func, select

    from slidegate.store import Store, tables

    if settings.database_file is not None and not settings.database_file.exists():
        return {}
    grouped = {
        "tasks": (tables.task.c.state,),
        "errors": (tables.task.c.error_code,),
        "wishes": (tables.wish.c.kind, tables.wish.c.state),
        "accounts": (tables.account.c.role, tables.account.c.active),
    }
    try:
        store = Store.open(settings.database)
    except SlidegateError as error:
        return {"error": error.code}
    try:
        with store.database.read() as connection:
            counts: dict[str, Any] = {
                name: {
                    " ".join(_code(part) for part in row[:-1]): row[-1]
                    for row in connection.execute(select(*columns, func.count()).group_by(*columns))
                }
                for name, columns in grouped.items()
            }
            for name in ("run", "person", "person_link", "site", "submission"):
                table = tables.metadata.tables[name]
                counts[f"{name}s"] = connection.execute(select(func.count()).select_from(table)).scalar_one()
        return counts
    except SlidegateError as error:
        return {"error": error.code}
    finally:
        store.close()


def _code(value: object) -> str:
    if value is None:
        return "none"
    return str(value) if _CODE.fullmatch(str(value)) else "other"


def _end(path: Path) -> list[str]:
    """Return the last lines of a file, none where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def harmless_lines(lines: list[str]) -> Iterator[str]:
    """Yield of each line of a log what names nobody: when, what kind, which code, where in the code.

    Lines of another form are counted only.
    """
    left_out: Counter[str] = Counter()
    for line in lines:
        kept = _kept(line)
        if kept is None:
            left_out["lines"] += 1
        else:
            yield kept
    if left_out:
        yield json.dumps({"lines_left_out": left_out["lines"]})


def _kept(line: str) -> str | None:
    if line.startswith("{"):
        try:
            said = json.loads(line)
        except ValueError:
            return None
        return json.dumps(_harmless(said)) if isinstance(said, dict) else None
    for pattern in (_OLD_LINE, _FRAME, _FRAME_ELSEWHERE, _ERROR):
        if found := pattern.fullmatch(line):
            return " ".join(found.groups())
    return None


def _harmless(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return those fields of a record that can only be numbers, ids, codes or places in the code."""
    kept: dict[str, Any] = {name: said[name] for name in _NUMBERS if type(said.get(name)) in (int, float)}
    for names, pattern in ((_IDS, _ID), (_CODES, _CODE), (("at",), _AT), (("route",), _ROUTE)):
        for name in names:
            if isinstance(value := said.get(name), str) and pattern.fullmatch(value):
                kept[name] = value
    if isinstance(trace := said.get("trace"), str):
        kept["trace"] = [found for line in trace.splitlines() if (found := _kept(line)) is not None]
    return kept
