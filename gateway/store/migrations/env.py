"""Run by Alembic; the connection, its lock and its transaction come from `gateway.store.migrate`."""

from alembic import context

from gateway.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
