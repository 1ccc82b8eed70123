# SPDX-License-Identifier: AGPL-3.0-or-later
"""What OMERO.web's configuration shall be is written down twice, and is the same."""

import json
import shlex
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
DESIRED = yaml.safe_load((ROOT / "omero_slidegate" / "desired.yml").read_text("utf-8"))
SNIPPET = (ROOT / "config" / "omero-slidegate.omero").read_text("utf-8")


def test_the_commands_for_omero_load_add_what_is_desired(settings):
    added, put = {}, {}
    for line in SNIPPET.splitlines():
        if line.startswith("#"):
            continue
        config, verb, dashes, key, value = shlex.split(line)
        assert (config, dashes) == ("config", "--")
        if verb == "append":
            added.setdefault(key, []).append(json.loads(value))
        else:
            put[key] = value
    assert added == DESIRED
    known = {key: values[2] for key, values in settings.CUSTOM_SETTINGS_MAPPINGS.items()}
    assert set(put) <= set(known)
    for key, value in put.items():
        known[key](value)  # as OMERO.web would take it


def test_what_the_entries_name_is_there():
    [(_, view, more)] = DESIRED["omero.web.open_with"]
    [(_, template, _)] = DESIRED["omero.web.ui.right_plugins"]
    app = ROOT / "omero_slidegate"
    assert (app / "static" / more["script_url"]).is_file()
    assert (app / "templates" / template).is_file()
    assert f'name="{view}"' in (app / "urls.py").read_text("utf-8")
