# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder with images becomes what an OMERO has: people, groups, projects, datasets, images.

``people.yml`` in the folder says who there is and what belongs to whom; all of it is optional::

    groups:
      lab: read-annotate                 # private, read-only, read-annotate or read-write
    people:
      alice: {name: Alice Liddell, password: secret, groups: [lab], leads: [lab]}
      helper: {password: secret, groups: [lab], administrator: true, privileges: [Sudo]}
      root: {password: omero}
    projects:
      Cells:
        owner: alice
        group: lab
        datasets:
          Controls: ["control/*.tif"]    # patterns, relative to the folder
          Treated: ["treated/**"]
    datasets:                            # outside of projects
      Slides: {owner: alice, group: lab, images: ["slides/*"]}

It is read when the server starts. People, groups and containers that are there already stay as they are.
Without it there is one person, ``demo``, in one group; without projects and datasets, each sub-folder is a
dataset of the first person.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from pocket_omero.errors import PocketError
from pocket_omero.images import ImageError, ImageInfo, Place, enumerations, inspect, ome_zarr, rows, tiff
from pocket_omero.people import levels, roster

if TYPE_CHECKING:
    from pocket_omero.images import Images
    from pocket_omero.people.passwords import Passwords
    from pocket_omero.state import Row, State

__all__ = ["FolderError", "Loaded", "load"]

_BATCH = 2000
_MADE_UP = "made-up passwords"
_NAMES = {
    "": {"groups", "people", "projects", "datasets"},
    "group": {"permissions", "description"},
    "person": {"name", "email", "password", "groups", "leads", "administrator", "privileges"},
    "project": {"owner", "group", "description", "datasets"},
    "dataset": {"owner", "group", "description", "images"},
}


class FolderError(PocketError):
    """What people.yml says cannot be."""


@dataclass(slots=True)
class Loaded:
    """What was found in the folder.

    Parameters
    ----------
    images
        How many images are served from it.
    refused
        Relative paths of files that are not, with the reason in words.
    passwords
        By login name: passwords that were made up here, and still hold.
    """

    images: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    passwords: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Dataset:
    """A dataset as it is wanted."""

    name: str
    project: str | None
    owner: str
    group: str
    patterns: tuple[str, ...]
    description: str = ""
    project_description: str = ""


def load(folder: Path, state: State, passwords: Passwords, images: Images) -> Loaded:
    """Make rows for what is in the folder and has none yet. A repeat is safe, and quick.

    Images are known by path: one that is gone keeps its rows (its pixels fail in words), and one that was
    deleted through the server does not come back.

    Raises
    ------
    FolderError
        people.yml is not as it should be; nothing was changed then.
    """
    said = _read(folder)
    done = Loaded()
    before = images.places(), images.files()
    try:
        with state.change():
            enumerations.found(state)
            roster.found(state)
            people = _people(said, state)
            wanted = _datasets(said, folder, people)
            containers = {dataset: _container(dataset, state) for dataset in wanted}
            _give_passwords(said, people, state, passwords)
        for paths in _batches(_unknown(folder, images)):
            before = images.places(), images.files()
            with state.change():
                _load_images(folder, paths, containers, state, images, done)
                images.keep()
    except BaseException:
        images.learn(*before)
        raise
    for name, password in state.note(_MADE_UP, {}).items():
        who = roster.person(state, name)
        if who is not None and passwords.check(who.id, password):
            done.passwords[name] = password
    done.images = sum(state.get("Pixels", pixels) is not None for pixels in images.places())
    return done


# ---- people.yml


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "people.yml"
    if not path.is_file():
        return {}
    try:
        said = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FolderError(f"people.yml is no YAML: {error}") from error
    return _mapping(said, "", "people.yml")


def _mapping(said: Any, kind: str, where: str) -> dict[str, Any]:
    """Check a mapping with known names."""
    found = _named(said, where)
    if unknown := sorted(set(found) - _NAMES[kind]):
        known = ", ".join(sorted(_NAMES[kind]))
        raise FolderError(f"{where} in people.yml: {unknown[0]!r} is not known there; known are {known}")
    return found


def _named(said: Any, where: str) -> dict[str, Any]:
    """Check a mapping of names to anything."""
    if said is None:
        return {}
    if not isinstance(said, dict) or not all(isinstance(name, str) and name for name in said):
        raise FolderError(f"{where} in people.yml: names are wanted, each with what it has")
    return said


def _words(said: Any, where: str) -> tuple[str, ...]:
    """Check a list of strings; one string stands for itself."""
    if isinstance(said, str):
        return (said,)
    if said is None:
        return ()
    if not isinstance(said, list) or not all(isinstance(word, str) and word for word in said):
        raise FolderError(f"{where} in people.yml: a list of words is wanted")
    return tuple(said)


def _people(said: dict[str, Any], state: State) -> list[Row]:
    """Make groups and people that are missing; returns everybody whom people.yml names, in its order."""
    for name, value in _named(said.get("groups"), "groups").items():
        group = _mapping({"permissions": value} if isinstance(value, str) else value, "group", name)
        if roster.group(state, name) is None:
            level = group.get("permissions", "private")
            if level not in levels.LEVELS:
                raise FolderError(f"{name} in people.yml: {level!r} is none of {', '.join(levels.LEVELS)}")
            roster.new_group(state, name, level, str(group.get("description") or ""))
    named = _named(said.get("people"), "people")
    if not set(named) - {"root"}:
        if not said.get("groups"):
            if roster.group(state, "demo") is None:
                roster.new_group(state, "demo", "read-annotate", "made because people.yml names no group")
            groups = ["demo"]
        else:
            groups = list(said["groups"])
        named = {"demo": {"name": "Demo Person", "groups": groups}, **named}
    return [_person(name, value, state) for name, value in named.items()]


def _person(name: str, value: Any, state: State) -> Row:
    said = _mapping(value, "person", name)
    who = roster.person(state, name)
    leads = _words(said.get("leads"), f"{name}: leads")
    groups = dict.fromkeys((*_words(said.get("groups"), f"{name}: groups"), *leads))
    places = []
    for group in groups:
        row = roster.group(state, group)
        if row is None:
            raise FolderError(f"{name} in people.yml: there is no group {group!r}")
        places.append(row)
    if who is None:
        first, _, last = str(said.get("name") or name).partition(" ")
        admin = bool(said.get("administrator"))
        privileges = None
        if "privileges" in said:
            privileges = _words(said["privileges"], f"{name}: privileges")
        if not places and not admin:
            raise FolderError(f"{name} in people.yml: everybody is in a group; name one under groups")
        who = roster.new_person(
            state,
            name,
            first=first,
            last=last,
            email=str(said.get("email") or ""),
            default=places[0] if places else None,
            groups=places[1:],
            admin=admin,
            privileges=privileges,
        )
    for row in places:
        roster.join(state, who, row, leads=True if row["name"] in leads else None)
    return who


def _give_passwords(said: dict[str, Any], people: list[Row], state: State, passwords: Passwords) -> None:
    """Give a password to everybody who has none: the one of people.yml, or one made up here."""
    named = _named(said.get("people"), "people")
    made_up = dict(state.note(_MADE_UP, {}))
    guest, root = roster.person(state, "guest"), roster.person(state, "root")
    if guest is not None and not passwords.has(guest.id):
        passwords.set(guest.id, "guest")  # OMERO.web looks at a server with it before anybody logs in
    for who in dict.fromkeys([*people, root]):
        if who is None or passwords.has(who.id):
            continue
        password = (named.get(who["omeName"]) or {}).get("password")
        if password is None:
            password = made_up[who["omeName"]] = secrets.token_urlsafe(9)
        passwords.set(who.id, str(password))
    state.keep(_MADE_UP, made_up)


# ---- datasets


def _datasets(said: dict[str, Any], folder: Path, people: list[Row]) -> list[_Dataset]:
    """All datasets that are wanted, in the order in which they take images."""
    first = next(who for who in people if who["omeName"] != "root")
    found = []
    for name, value in _named(said.get("projects"), "projects").items():
        project = _mapping(value, "project", name)
        for dataset, images in _named(project.get("datasets"), f"{name}: datasets").items():
            found.append(_dataset(dataset, images, first, name, project))
    for name, value in _named(said.get("datasets"), "datasets").items():
        found.append(_dataset(name, value, first, None, {}))
    if found or said.get("projects") or said.get("datasets"):
        return found
    title = folder.resolve().name or "images"
    below = sorted({path.split("/")[0] if "/" in path else "" for path in _images_in(folder)})
    return [
        _Dataset(
            name=name or title,
            project=title,
            owner=first["omeName"],
            group="",
            patterns=(f"{_literal(name)}/**",) if name else ("*",),
        )
        for name in below
    ]


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _dataset(name: str, value: Any, first: Row, project: str | None, above: dict[str, Any]) -> _Dataset:
    said = _mapping(value if isinstance(value, dict) else {"images": value}, "dataset", name)
    return _Dataset(
        name=name,
        project=project,
        owner=str(said.get("owner") or above.get("owner") or first["omeName"]),
        group=str(said.get("group") or above.get("group") or ""),
        patterns=_words(said.get("images"), f"{name}: images"),
        description=str(said.get("description") or ""),
        project_description=str(above.get("description") or ""),
    )


def _matches(path: str, pattern: str) -> bool:
    """Whether a relative path fits a pattern; ``**`` stands for any number of folders, also at the end."""
    return _fits(PurePosixPath(path).parts, PurePosixPath(pattern).parts)


def _fits(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        rest = patterns[1:] or ("*",)
        return any(_fits(parts[start:], rest) for start in range(len(parts)))
    return bool(parts) and PurePosixPath(parts[0]).match(patterns[0]) and _fits(parts[1:], patterns[1:])


# ---- images


def _images_in(folder: Path) -> Iterator[str]:
    """Relative paths of everything that looks like an image, in order; nothing hidden or unreadable."""
    stack = [folder]
    while stack:
        here = stack.pop()
        deeper = []
        try:
            entries = sorted(here.iterdir())
        except PermissionError:
            continue
        for path in entries:
            if path.name.startswith("."):
                continue
            if path.is_dir():
                if path.suffix == ".zarr" or ome_zarr.is_group(path):
                    yield path.relative_to(folder).as_posix()
                elif not path.is_symlink():
                    deeper.append(path)
            elif path.suffix.lower() in tiff.SUFFIXES:
                yield path.relative_to(folder).as_posix()
        stack += reversed(deeper)


def _unknown(folder: Path, images: Images) -> list[str]:
    """Images that have no rows yet (those of which the rows were deleted had some)."""
    known = {place.path for place in images.places().values()} | set(images.files().values())
    return [path for path in _images_in(folder) if path not in known]


def _batches(paths: list[str]) -> Iterator[list[str]]:
    """So many that a first start that is interrupted goes on where it was."""
    return (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH))


def _load_images(
    folder: Path,
    paths: list[str],
    containers: dict[_Dataset, rows.Home],
    state: State,
    images: Images,
    done: Loaded,
) -> None:
    """Make rows for these images."""
    places, files = images.places(), images.files()
    known = set(files.values())
    for path in paths:
        if path in known:  # as a part of one before it
            continue
        homes = [d for d in containers if any(_matches(path, pattern) for pattern in d.patterns)]
        if not homes:
            done.refused.append((path, "no dataset of people.yml names it"))
            continue
        try:
            infos = inspect(folder / path)
        except ImageError as error:
            done.refused.append((path, str(error)))
            continue
        lie_in = [containers[d] for d in homes]
        fileset = rows.new_fileset(state, lie_in[0], folder, _all_files(folder, path, infos))
        for original, name in fileset.files:
            files[original.id] = name
            known.add(name)
        made = []
        for info in infos:
            nowhere = [replace(lie_in[0], dataset=None)]  # a plate lies in no dataset, and so do its images
            name = _name(path, info, len(infos))
            pixels = rows.new_image(state, nowhere if info.well else lie_in, info, name, fileset.row)
            places[pixels.id] = Place(path, info.series)
            made.append((info, pixels["image"]))
        if any(info.well for info in infos):
            rows.new_plate(state, lie_in[0], PurePosixPath(path).name, made)
    images.learn(places, files)


def _all_files(folder: Path, path: str, infos: Iterable[ImageInfo]) -> list[str]:
    """Relative paths of all files that the images of one file lie in, that file first."""
    top = folder.resolve()
    others = {Path(name).resolve() for info in infos for name in info.files}
    inside = {name.relative_to(top).as_posix() for name in others if name.is_relative_to(top)}
    return [path, *sorted(inside - {path})]


def _name(path: str, info: ImageInfo, count: int) -> str:
    """Name an image as OMERO does: by its file; with its own name when there are several."""
    name = PurePosixPath(path).name
    return name if count == 1 else f"{name} [{info.name or f'Series {info.series + 1}'}]"


def _container(dataset: _Dataset, state: State) -> rows.Home:
    """The rows of a dataset (and of its project), found by name, group and owner, or made."""
    owner = roster.person(state, dataset.owner)
    if owner is None:
        raise FolderError(f"{dataset.name} in people.yml: there is nobody called {dataset.owner!r}")
    group = roster.group(state, dataset.group) if dataset.group else roster.default_group(state, owner)
    if group is None:
        raise FolderError(f"{dataset.name} in people.yml: there is no group {dataset.group!r}")
    if not any(row["parent"] is group for row in roster.memberships(state, owner)):
        raise FolderError(
            f"{dataset.name} in people.yml: {dataset.owner} is not in the group {group['name']}"
        )
    mine: dict[str, Any] = {"owner": owner, "group": group}
    project = None
    if dataset.project is not None:
        project = rows.container(state, "Project", dataset.project, dataset.project_description, mine)
    made = rows.container(state, "Dataset", dataset.name, dataset.description, mine, below=project)
    return rows.Home(made, owner, group)
