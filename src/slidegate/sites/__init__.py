# SPDX-License-Identifier: BSD-3-Clause
"""Links to a gate, and the client side of its protocol."""

from slidegate.sites.gate import Gate
from slidegate.sites.link import Link
from slidegate.sites.pipe import PipeLink
from slidegate.sites.ssh import SshGate, SshHost

__all__ = ["Gate", "Link", "PipeLink", "SshGate", "SshHost"]
