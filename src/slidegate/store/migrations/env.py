# SPDX-License-Identifier: BSD-3-Clause
"""Runs inside the transaction that slidegate.store.database opened."""

from alembic import context

from slidegate.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
