#!/usr/bin/python
# SPDX-License-Identifier: BSD-3-Clause
"""Ansible module: OMERO's configuration as desired.

It is one file: put it into ``library/`` beside a playbook. On the computer it needs ``slidegate[omero]``, and
nothing else: it gives what is desired to ``slidegate omero config apply`` and hands back the answer. So a
playbook and a person who types that command get the same, by the same code, and secrets travel by standard
input, never as words of a command.
"""

import json
import shutil

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: omero_config
short_description: Bring OMERO's configuration to what is desired
description:
  - Sets, changes and unsets keys of OMERO's config.xml, and entries of the lists in it; all of them at once,
    under OMERO's own lock. Keys that are not named stay as they are, and the second time nothing changes.
  - Needs slidegate with its extra C(omero) on the computer.
options:
  desired:
    description:
      - A key of OMERO to its value, or to a mapping of C(state) (present, absent, exact), C(value),
        C(from_env), C(from_file), C(identity) (whole, first, name, class) and C(secret).
      - Ansible writes it to the log of the computer as it does with every parameter; what is secret goes to
        O(secrets), or comes from a file there, with C(from_file).
    type: dict
    default: {}
  secrets:
    description: A key of OMERO to its text. It is neither logged nor shown.
    type: dict
    default: {}
  config:
    description: The config.xml of OMERO, such as /opt/omero/web/OMERO.web/etc/grid/config.xml.
    type: path
    required: true
  web_python:
    description: The Python that OMERO.web is installed in, which is asked for the lists that are not set.
    type: path
  slidegate:
    description: The slidegate command.
    type: str
    default: slidegate
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: OMERO.web has its apps
  become: true
  become_user: omero-web
  omero_config:
    slidegate: /opt/slidegate/bin/slidegate
    web_python: /opt/omero/web/venv3/bin/python
    config: /opt/omero/web/OMERO.web/etc/grid/config.xml
    desired:
      omero.web.apps: [omero_figure]
      omero.web.ui.top_links:
        - [Figure, figure_index, {title: Open Figure in new tab, target: _blank}]
    secrets:
      omero.web.secret_key: "{{ omero_web_secret_key }}"
  notify: restart omero-web
"""

RETURN = r"""
keys:
  description: The keys that changed, and whether each was set, changed or unset.
  returned: success
  type: list
  sample: [{key: omero.web.apps, change: changed}]
"""

NOTHING_TO_DO = 0
CHANGED = 2


def desired_of(module):
    """Return what is desired as one mapping; fail where a key is named twice."""
    desired = dict(module.params["desired"])
    for key, text in module.params["secrets"].items():
        if key in desired:
            fail(module, f"{key} stands under desired and under secrets.")
        desired[key] = {"value": text, "secret": True}
    return desired


def named(module):
    """Return what is shown of the parameters: Ansible would show all, and secrets may be there."""
    shown = {"config": module.params["config"], "desired": sorted(module.params["desired"])}
    return {"module_args": shown}


def fail(module, words):
    """Say why nothing was changed."""
    module.fail_json(msg=words, invocation=named(module))


def main():
    """Do what Ansible asks for."""
    module = AnsibleModule(
        argument_spec={
            "desired": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "config": {"type": "path", "required": True},
            "web_python": {"type": "path"},
            "slidegate": {"type": "str", "default": "slidegate"},
        },
        supports_check_mode=True,
    )
    desired = json.dumps(desired_of(module))
    wanted = module.params["slidegate"]
    command = shutil.which(wanted)
    if command is None:
        fail(
            module,
            f"There is no command {wanted} here: install slidegate[omero], and say where it is (slidegate).",
        )
    words = [
        command,
        "omero",
        "config",
        "apply",
        "-",
        "--json",
        "--diff",
        "--config",
        module.params["config"],
    ]
    if module.params["web_python"] is not None:
        words += ["--web-python", module.params["web_python"]]
    if module.check_mode:
        words.append("--check")
    status, out, err = module.run_command(words, data=desired)
    said = err.strip().replace("slidegate: ", "", 1)
    if status not in (NOTHING_TO_DO, CHANGED):
        fail(module, said or f"slidegate ended with {status}.")
    try:
        told = json.loads(out)
        answer = {"changed": told["changed"], "keys": told["keys"], "diff": told["diff"]}
    except (ValueError, KeyError):
        fail(module, f"{command} knows no omero config apply: {said}")
    module.exit_json(**answer, invocation=named(module))


if __name__ == "__main__":
    main()
