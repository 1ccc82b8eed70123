# SPDX-License-Identifier: BSD-3-Clause
"""What both ends of a channel agree on: how bytes become messages, and which messages there are.

``frames`` is the form of what travels, ``messages`` the nine requests, ``canonical`` the one spelling of a
JSON value that a digest may name.  The server's side uses this room, and no other of the gate.  Nothing here
opens a file, and nothing knows what a message means.
"""
