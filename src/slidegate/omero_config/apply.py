# SPDX-License-Identifier: BSD-3-Clause
"""Writes into OMERO's config.xml, by OMERO's own class for it: under its lock, once, or not at all."""

import os
import pwd
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError, tostring

from slidegate.omero_config.errors import BadConfig, ConfigBusy, NoOmeroPy
from slidegate.omero_config.plan import Change, Defaults, plan
from slidegate.omero_config.values import Wish

_PATIENCE = 10.0
_PAUSE = 0.05


def apply(
    path: Path,
    wishes: Iterable[Wish],
    defaults: Defaults,
    *,
    check: bool = False,
    patience: float = _PATIENCE,
) -> tuple[Change, ...]:
    """Bring a config.xml to what is desired, and return what changed: nothing the second time.

    Root may do it only where the folder is root's: whoever else owns the folder could lead root's hand
    elsewhere, and OMERO's own programs refuse root, too.

    The profile that is active counts, as with ``omero config`` (the variable ``OMERO_CONFIG`` names another).
    Where nothing has to change, nothing is written and no lock is taken. The file keeps its owner and mode.

    Parameters
    ----------
    path
        The file; where there is none yet, it is made, readable by its owner alone.
    wishes
        What is desired; no key twice.
    defaults
        See `plan`.
    check
        Only say what would change.
    patience
        How many seconds to wait for the lock.

    Raises
    ------
    BadConfig
        The file cannot be read or written, or is none of OMERO's.
    ConfigBusy
        Another program kept the lock.
    NoOmeroPy
        OMERO's Python library is missing.
    """
    _refuse_root(path)
    desired = tuple(wishes)
    changes = plan(_read(path), desired, defaults)
    if check or not changes:
        return changes
    with _said_in_words(path), _locked(path, patience) as config:
        changes = plan(config.as_map(), desired, defaults)  # it may have changed before it was locked
        if changes:
            for change in changes:
                _set(config, change)
            _make_room(path)
            config.save_on_close = True
    return changes


def _refuse_root(path: Path) -> None:
    """Refuse to work as root in the folder of another account."""
    if os.geteuid() != 0 or not path.parent.is_dir():
        return
    owner = path.parent.stat().st_uid
    if owner != 0:
        name = _account(owner)
        raise BadConfig(
            f"{path.parent} belongs to {name}: run this as that account (sudo -u {name} ...), not as root. "
            "Nothing was changed."
        )


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _read(path: Path) -> dict[str, str]:
    """Return what is configured."""
    if path.is_symlink():
        raise BadConfig(f"{path} is a link, which OMERO would replace by a file. Name the file itself.")
    if not path.exists():
        if not path.parent.is_dir():
            raise BadConfig(f"There is no folder {path.parent} for config.xml: is that OMERO's?")
        return {}
    with _said_in_words(path):
        config = _opened(path)
        known: dict[str, str] = config.as_map()
        if config.XML.tag != "icegrid":
            raise BadConfig(f"{path} is not OMERO's config.xml: it begins with <{config.XML.tag[:40]}>.")
    return known


def _opened(path: Path, *, to_write: bool = False) -> Any:
    try:
        from omero.config import ConfigXml
    except ImportError:
        raise NoOmeroPy from None
    return ConfigXml(str(path), exclusive=to_write, read_only=not to_write)


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[Any]:
    """Yield the configuration under its lock; it is written at the end if `save_on_close` was set."""
    from portalocker import LockException

    new = not path.exists()
    if not new and not os.access(path, os.W_OK):
        raise BadConfig(f"{path} may not be written by whoever runs this. Nothing was changed.")
    until = time.monotonic() + patience
    while True:
        with suppress(LockException):
            config = _opened(path, to_write=True)
            config.save_on_close = False
            if _is_latest(config, path):
                break
            config.close()
        if time.monotonic() > until:
            raise ConfigBusy(
                f"Another program has held the lock of {path} for {patience:g} seconds; nothing was changed."
            )
        time.sleep(_PAUSE)
    try:
        yield config
    except BaseException:
        config.save_on_close = False
        raise
    finally:
        try:
            config.close()
        finally:
            if new and path.exists() and path.stat().st_size == 0:
                path.unlink()  # opening it made it


def _is_latest(config: Any, path: Path) -> bool:
    """Say whether what was read is what is there.

    ConfigXml opens the file before it has the lock, and removes the file of the lock when it is done: whoever
    waited may have read what was replaced meanwhile, or locked a file that is gone.
    """
    try:
        if os.fstat(config.lock.fileno()).st_ino != Path(f"{path}.lock").stat().st_ino:
            config.lock.close()
            config.lock = None  # or else closing would remove the file of somebody else's lock
            return False
        return tostring(_opened(path).XML) == tostring(config.XML)
    except FileNotFoundError:
        return False


def _set(config: Any, change: Change) -> None:
    if change.after is None:
        del config[change.key]
        return
    config[change.key] = change.after
    if config[change.key] != change.after:  # the key stands there twice, and the last one counts
        del config[change.key]
        config[change.key] = change.after


def _make_room(path: Path) -> None:
    """Make the file that OMERO writes into and then renames, with the owner and the mode of the old one."""
    old = path.stat()
    temporary = Path(f"{path}.temp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        made = os.fstat(descriptor)
        if old.st_size > 0:  # else it was made just now
            if (old.st_uid, old.st_gid) != (made.st_uid, made.st_gid):
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, old.st_mode & 0o777)
    except BaseException:
        temporary.unlink()
        raise
    finally:
        os.close(descriptor)


@contextmanager
def _said_in_words(path: Path) -> Iterator[None]:
    """Say what a file did not allow; nothing of what is in it is repeated."""
    try:
        yield
    except ParseError as error:
        line, column = error.position
        raise BadConfig(f"{path} is no XML that can be read, in line {line}, column {column + 1}.") from None
    except PermissionError as error:
        raise BadConfig(
            f"{path} cannot be read or written ({error.strerror}): run this as the account that OMERO runs "
            "in. Nothing was changed."
        ) from None
    except OSError as error:
        raise BadConfig(f"{path} cannot be used: {error.strerror}. Nothing was changed.") from None
    except (KeyError, ValueError) as error:
        raise BadConfig(
            f"{path} is not as OMERO writes it ({type(error).__name__}). Nothing was changed."
        ) from None
