# SPDX-License-Identifier: BSD-3-Clause
"""Does this place keep what the gate promises?  What ``gatectl selftest`` tries, and says in words.

``places`` tries file systems, ``nodes`` does the same from inside jobs, ``account`` looks at what lets people
in.  Nothing here changes anything, and what is tried leaves no trace.
"""
