# SPDX-License-Identifier: GPL-2.0-or-later
"""People: who they are, which groups they are in, and what they may see and do."""
