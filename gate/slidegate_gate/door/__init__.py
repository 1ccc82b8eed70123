# SPDX-License-Identifier: BSD-3-Clause
"""How a key comes to the gate: one line in ``authorized_keys``, which sshd obeys.

``line`` says what the line is, to the letter; ``keyfile`` puts it into the account's file and takes it out,
and touches no other line.
"""
