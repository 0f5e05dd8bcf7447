"""Bring the tables of a store to the version of this program, in one transaction."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from chatwright.errors import InputError

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, folder: Path = MIGRATIONS) -> None:
    """Make or change the tables; the caller's transaction keeps all changes or none.

    Raises InputError if a later version of the program made the store: stores only go forward.
    """
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    version = MigrationContext.configure(connection).get_current_revision()
    if version == script.get_current_head():
        return
    known = {revision.revision for revision in script.walk_revisions()}
    if version is not None and version not in known:
        raise InputError(
            f"The store has version {version}, which this program does not know.",
            remedy="Update Chatwright, or open a backup of the store.",
            field="store",
            value=version,
        )
    command.upgrade(config, "head")
