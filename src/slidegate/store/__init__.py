# SPDX-License-Identifier: BSD-3-Clause
"""Runs, their history, the queue, what is known of images and sites, in SQLite or PostgreSQL."""

from slidegate.store.store import Store

__all__ = ["Store"]
