"""Run the changes in the transaction of the connection that `migrate.py` passes."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
