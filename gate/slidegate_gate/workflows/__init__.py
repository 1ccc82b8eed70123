# SPDX-License-Identifier: BSD-3-Clause
"""What may run at a site: workflows are checked here, get their Runtimes, and become Releases.

Only the administrator's hand tool reaches this; no key does.
"""
