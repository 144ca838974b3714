"""Alembic's entry: runs the migrations on the connection that `lockgate.storage.migrate` hands in."""

from alembic import context

from lockgate.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
