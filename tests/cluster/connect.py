# SPDX-License-Identifier: BSD-3-Clause
"""Connect in the office's network and hand the connection to the ssh outside (its ProxyUseFdpass).

usage, as a ProxyCommand: nsenter --target PID --net python3 -IS connect.py HOST PORT
"""

import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as connection:
    connection.settimeout(None)
    with socket.socket(fileno=1) as ssh:
        socket.send_fds(ssh, [b"\0"], [connection.fileno()])
