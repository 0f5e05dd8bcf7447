"""The migrations make exactly the described tables, in one transaction, and only forward."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from chatwright.errors import InputError
from chatwright.store.database import Database
from chatwright.store.migrate import migrate
from chatwright.store.schema import METADATA
from tests.store.conftest import HEAD

BROKEN_CHANGE = '''"""A change that fails after its first statement."""

from alembic import op

revision = "broken"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE half (x INTEGER)")
    op.execute("CREATE TABLE half (x INTEGER)")
'''


def differences(database, metadata=METADATA):
    def is_ours(name, kind, _parent):
        return not (kind == "table" and name.startswith(("message_search", "alembic")))

    with database.read() as connection:
        options = {"include_name": is_ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, metadata)
    # PostgreSQL's index of words is an expression, which has no description in METADATA.
    return [change for change in found if "message_search" not in str(change)]


def test_the_migrations_make_the_described_tables(store):
    assert differences(store.database) == []


def test_a_missing_column_is_noticed(store):
    planted = sa.MetaData()
    for table in METADATA.tables.values():
        table.to_metadata(planted)
    planted.tables["users"].append_column(sa.Column("forgotten", sa.Text))
    assert differences(store.database, planted)


def test_opening_again_changes_nothing(address):
    Database(address).close()
    database = Database(address)
    with database.read() as connection:
        query = sa.text("SELECT version_num FROM alembic_version")
        assert connection.execute(query).scalars().all() == [HEAD]
    database.close()


def test_a_store_of_a_later_program_is_refused(address):
    database = Database(address)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '999'"))
    database.close()
    with pytest.raises(InputError) as caught:
        Database(address)
    assert (caught.value.field, caught.value.value) == ("store", "999")


def test_a_change_that_fails_leaves_nothing(address, tmp_path):
    folder = tmp_path / "changes"
    (folder / "versions").mkdir(parents=True)
    (folder / "versions" / "broken.py").write_text(BROKEN_CHANGE)
    (folder / "env.py").write_text(
        "from alembic import context\n"
        "context.configure(connection=context.config.attributes['connection'])\n"
        "context.run_migrations()\n"
    )
    database = Database(address)
    with database.write() as connection:
        connection.execute(sa.text("DELETE FROM alembic_version"))
    with pytest.raises(sa.exc.SQLAlchemyError), database.write() as connection:
        migrate(connection, folder)
    with database.read() as connection:
        assert "half" not in sa.inspect(connection).get_table_names()
    database.close()
