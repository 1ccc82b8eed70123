# SPDX-License-Identifier: BSD-3-Clause
"""Asks an installed OMERO.web what its lists are while they are not set."""

import json
import subprocess
import sys
import tempfile
from functools import cached_property

from slidegate.omero_config.errors import NoWebDefaults
from slidegate.omero_config.values import Json

_SECONDS = 120
# OMERO.web's settings are a module that reads the configuration: here an empty one, in a folder of its own
_ASK = """\
import json, sys
from omeroweb.settings import CUSTOM_SETTINGS_MAPPINGS as settings
lists = {}
for key, (_name, default, mapping, *_rest) in settings.items():
    value = mapping(default) if mapping is json.loads else None
    lists[key] = value if isinstance(value, list) else None
sys.stdout.write("\\n" + json.dumps(lists))
"""


class WebDefaults:
    """The lists of OMERO.web by default; it is asked once, and only if somebody wants to know.

    OMERO.web's own settings are imported by the Python that it is installed in, in a process of its own, with
    an empty folder as OMERODIR: neither the real configuration nor its logs are touched.

    Parameters
    ----------
    python
        The Python of OMERO.web, such as ``/opt/omero/web/venv3/bin/python``; None for the one that runs this.
    """

    def __init__(self, python: str | None = None) -> None:
        self._python = python or sys.executable

    def __call__(self, key: str) -> list[Json]:
        """Return the list that OMERO has under a key that is not set: none for what is not OMERO.web's.

        Raises
        ------
        NoWebDefaults
            OMERO.web is not installed there, or has no list under that key.
        """
        if not key.startswith("omero.web."):
            return []
        value = self._lists.get(key, [])
        if not isinstance(value, list):
            raise NoWebDefaults(f"OMERO.web has no list under {key}; nothing was changed.")
        return value

    @cached_property
    def _lists(self) -> dict[str, Json]:
        with tempfile.TemporaryDirectory(prefix="slidegate-omero-") as folder:
            environment = {"OMERODIR": folder, "HOME": folder, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
            try:
                done = subprocess.run(
                    [self._python, "-W", "ignore", "-c", _ASK],
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_SECONDS,
                    check=False,
                )
            except OSError as error:
                raise self._not_asked(str(error.strerror)) from None
            except subprocess.TimeoutExpired:
                raise self._not_asked(f"it did not answer within {_SECONDS} seconds") from None
        try:
            answer: dict[str, Json] = json.loads(done.stdout.splitlines()[-1])
        except (ValueError, IndexError):
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it answered nothing"]
            raise self._not_asked(said[-1][:200]) from None
        return answer

    def _not_asked(self, why: str) -> NoWebDefaults:
        return NoWebDefaults(
            f"OMERO.web cannot be asked for its defaults by {self._python} ({why}), and a list that is not "
            "set starts from them. Name the Python that OMERO.web is installed in with --web-python; nothing "
            "was changed."
        )
