# SPDX-License-Identifier: BSD-3-Clause
"""The worker's end of a door: copies standard input to a socket, and what comes back to standard output.

It stands for the ssh client, as the listener in the test stands for sshd.
"""

import os
import socket
import sys
import threading

door = socket.socket(socket.AF_UNIX)
door.connect(sys.argv[1])


def send() -> None:
    """Copy what the worker says, then its silence."""
    while data := os.read(0, 1 << 20):
        door.sendall(data)
    door.shutdown(socket.SHUT_WR)


threading.Thread(target=send, daemon=True).start()
while answer := door.recv(1 << 20):
    os.write(1, answer)
