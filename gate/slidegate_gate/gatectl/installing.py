# SPDX-License-Identifier: BSD-3-Clause
"""Putting the gate into a home, and a newer one into its place."""

import os
from argparse import Namespace

from slidegate_gate.home import versions
from slidegate_gate.home.config import NoHome, open_home, open_scheduler, write_config
from slidegate_gate.home.first_config import first_config
from slidegate_gate.home.places import check_alone
from slidegate_gate.serve import files


def install(asked: Namespace) -> None:
    """Copy this gate to its home, make it the current one, and write ``config.json`` if there is none.

    A repeat changes nothing; a newer gate is put beside the older ones.
    """
    home = asked.home
    program = os.path.join(home, "versions")
    if os.path.isdir(home) and os.listdir(home) and not os.path.isdir(program):
        raise NoHome("{} holds other things: choose a new or empty folder for the gate.".format(home))
    installed = os.path.exists(os.path.join(home, "config.json"))
    config = open_home(home) if installed else first_config(asked)
    open_scheduler(config)
    for path in (home, program, config["state"], config["data"]):
        files.make_dirs(path)
        check_alone(path)
        os.chmod(path, 0o700)
    version = versions.copy_into(home)
    versions.switch(home, version)
    if not installed:
        write_config(home, config)
    print("gate {} is current in {}".format(version, home))
