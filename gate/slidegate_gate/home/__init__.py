# SPDX-License-Identifier: BSD-3-Clause
"""A gate's home: whose it is, its configuration, the versions of the gate's own files, its first figures."""
