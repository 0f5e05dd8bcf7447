"""Changes of the tables, in order, by Alembic."""
