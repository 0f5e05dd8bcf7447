"""Run the changes in the transaction of the connection that `migrate.py` passes."""

from alembic import context

if hasattr(context, "config"):  # Alembic runs this file; an import of it does nothing
    context.configure(connection=context.config.attributes["connection"])
    context.run_migrations()
